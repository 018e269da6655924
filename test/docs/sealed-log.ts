// A log of three segments, built with the codec and the seals: what docs/format.md says, as bytes. And the verdict of our
// own scanner on any such files.
import { createHash } from "node:crypto";
import { decodeIdentity, encodeFields, encodeIdentity, encodeLine, seedOf } from "../../src/log/codec.ts";
import { HEAD_BYTES, judgeHead } from "../../src/log/identity.ts";
import { LogLedger } from "../../src/log/ledger.ts";
import { type Entry, LineScanner } from "../../src/log/lines.ts";
import type { Identity } from "../../src/log/record.ts";
import { SegmentHash } from "../../src/log/segment-hash.ts";
import { encodeSeal, type Seal, SealChain, sealDigest } from "../../src/log/seal.ts";

const TIME = 1_767_225_600_000;

/** Payloads that have hurt other formats. */
const PAYLOADS: readonly unknown[] = [
  {},
  { text: "grün \u2028\u2029 😀 \u0000 \ufeff", half: "\ud83d", other: "\udc00" },
  JSON.parse('{"__proto__":{"seq":1},"constructor":null,"":[]}'),
  [{ seq: 4, kind: "gap", crc: "00000000" }, '{"seq":9,"crc":"00000000"}\n'],
  { n: 1e21, small: 1e-7, deep: [[[[[]]]]], no: false },
];

/** One step of a log: a record, or a gap record. */
export interface Step {
  readonly seq: number;
  readonly payload?: unknown;
  readonly gap?: readonly [number, number];
  /** Of the gap. */
  readonly kept?: readonly (readonly [number, number])[];
}

export function encodeStep(identity: Identity, step: Step, durable?: number): string {
  const seed = seedOf(encodeIdentity(identity));
  const at = TIME + step.seq * 7;
  if (step.gap !== undefined) {
    const [from, to] = step.gap;
    return encodeLine(
      seed,
      step.seq,
      durable,
      "gap",
      at,
      encodeFields({ from, to, reason: "quarantined", by: "test", ...(step.kept && { kept: step.kept }) }),
    );
  }
  const payload = step.payload ?? PAYLOADS[step.seq % PAYLOADS.length];
  const fields = { system_id: "local", actor_address: `local://ä/${step.seq}`, event_type: "Tick", payload };
  return encodeLine(seed, step.seq, durable, "event", at, encodeFields(fields));
}

type SealFields = Omit<Seal, "kind">;

/** Segments of a log; all but the last are sealed. `lie` may make a seal of segment `i` state something else. */
export function buildLog(
  identity: Identity,
  segments: readonly (readonly Step[])[],
  lie: (seal: SealFields, i: number) => SealFields = (seal) => seal,
): Buffer[] {
  const head = encodeIdentity(identity);
  let previous: string | null = null;
  return segments.map((steps, i) => {
    const body = steps.map((step, at) => encodeStep(identity, step, at % 3 === 0 ? step.seq - 1 : undefined)).join("");
    const text = head + body;
    if (i === segments.length - 1) return Buffer.from(text);
    const [first, last] = [steps[0] as Step, steps.at(-1) as Step];
    const fields: SealFields = {
      records: steps.length,
      first_seq: first.seq,
      last_seq: last.seq,
      first_timestamp: (TIME + first.seq * 7) / 1000,
      last_timestamp: (TIME + last.seq * 7) / 1000,
      bytes: Buffer.byteLength(text),
      sha256: createHash("sha256").update(text).digest("hex"),
      previous,
    };
    const seal: string = encodeSeal(seedOf(head), lie(fields, i));
    previous = sealDigest(seal);
    return Buffer.from(text + seal);
  });
}

/** Whether our own scanner finds nothing wrong with the files of a log, which nothing outside vouches for. */
export function isClean(files: readonly Buffer[]): boolean {
  const ledger = new LogLedger("events", 10);
  const seals = new SealChain();
  const first = files[0] ?? Buffer.alloc(0);
  const stated = decodeIdentity(first.subarray(0, first.indexOf(0x0a) + 1));
  const expected = stated !== undefined && "log" in stated ? stated : undefined;
  let clean = true;
  files.forEach((bytes, i) => {
    ledger.startSegment(`s${i}`, undefined);
    const head = judgeHead(bytes.subarray(0, HEAD_BYTES), "events", expected, []);
    if (head.type !== "ok") clean = false;
    if (head.type !== "ok" && head.type !== "damaged") seals.skipSegment();
    else {
      const from = head.type === "ok" ? head.line.length : head.bytes;
      const scanner = new LineScanner(seedOf(head.line), from);
      const hash = new SegmentHash();
      hash.begin(bytes.subarray(0, from));
      hash.end(from);
      seals.startSegment(hash);
      const take = (entry: Entry): void => {
        ledger.add(entry);
        if (seals.add(entry) !== undefined) clean = false;
      };
      for (let at = from; at < bytes.length; at += 1000) {
        const chunk = bytes.subarray(at, at + 1000);
        hash.begin(chunk);
        for (const entry of scanner.push(chunk)) take(entry);
        hash.end(scanner.pendingOffset);
      }
      for (const entry of scanner.end()) take(entry);
      if (seals.previousUnsealed) clean = false;
    }
    ledger.endSegment(bytes.length);
  });
  return clean && ledger.finish(undefined).findings.length === 0;
}
