// Logs for tests: built line by line with the codec, scanned with the scanner and the ledger as a store does it.
import { expect } from "vitest";
import { encodeControlLine, encodeFields, encodeIdentity, encodeLine, seedOf } from "../../src/log/codec.ts";
import { type LogAccount, LogLedger, type Reach } from "../../src/log/ledger.ts";
import { type Damage, type Entry, LineScanner, linesOf } from "../../src/log/lines.ts";
import type { Identity } from "../../src/log/record.ts";

export const IDENTITY: Identity = { log: "events", store: "orders-7f3a91c2", lineage: "b1" };
export const IDENTITY_LINE: Buffer = Buffer.from(encodeIdentity(IDENTITY));
export const SEED: number = seedOf(IDENTITY_LINE);
const TIME = 1_767_225_600_000;

/** A numbered line. */
export function line(seq: number, payload: unknown = { n: seq }, durable?: number): Buffer {
  const fields = encodeFields({ system_id: "local", actor_address: `local://a/${seq}`, event_type: "Tick", payload });
  return Buffer.from(encodeLine(SEED, seq, durable, "event", TIME + seq, fields));
}

export function gap(seq: number, from: number, to: number, reason = "quarantined", durable?: number): Buffer {
  return Buffer.from(encodeLine(SEED, seq, durable, "gap", TIME + seq, encodeFields({ from, to, reason, by: "test" })));
}

export function lines(from: number, to: number): Buffer[] {
  return Array.from({ length: to - from + 1 }, (_, i) => line(from + i));
}

export function withoutBreak(bytes: Buffer): Buffer {
  return bytes.subarray(0, bytes.length - 1);
}

/** All entries of a segment's body, given in chunks; their bytes are copied. */
export function entriesOf(chunks: readonly Uint8Array[], seed: number | undefined = SEED, offset = 0): Entry[] {
  const scanner = new LineScanner(seed, offset);
  const entries: Entry[] = [];
  const keep = (entry: Entry): void => {
    entries.push("bytes" in entry ? { ...entry, bytes: Buffer.from(entry.bytes) } : entry);
  };
  for (const chunk of chunks) {
    const lent = Buffer.from(chunk);
    for (const entry of scanner.push(lent)) keep(entry);
    lent.fill(0x23); // the reader takes its chunk back
  }
  for (const entry of scanner.end()) keep(entry);
  return entries;
}

/** The seqs and bytes of all lines that verified. */
export function verifiedOf(entries: readonly Entry[]): string[] {
  return entries.flatMap((entry) => {
    if (entry.type === "run") {
      const texts = [...linesOf(entry)].map((bytes) => bytes.toString("latin1"));
      return texts.map((text, i) => `${entry.firstSeq + i} ${text}`);
    }
    return entry.type === "gap" ? [`${entry.record.seq} ${entry.bytes.toString("latin1").trimEnd()}`] : [];
  });
}

/** The seqs alone. */
export function seqsOf(entries: readonly Entry[]): number[] {
  return verifiedOf(entries).map((text) => Number(text.split(" ", 1)[0]));
}

export function lengthOf(entry: Entry): number {
  return entry.type === "damage" ? entry.length : entry.bytes.length;
}

/** The account of a log given as the bodies of its segments. */
export function accountOf(
  segments: readonly (Uint8Array | { name: string; firstSeq: number | undefined; bytes: Uint8Array })[],
  reach?: Reach,
  findingsMax = 1000,
): LogAccount {
  const ledger = new LogLedger("events", findingsMax);
  segments.forEach((given, i) => {
    const segment = "name" in given ? given : { name: `s${i + 1}`, firstSeq: undefined, bytes: given };
    ledger.startSegment(segment.name, segment.firstSeq);
    for (const entry of entriesOf([segment.bytes])) ledger.add(entry);
    ledger.endSegment(segment.bytes.length);
  });
  return ledger.finish(reach);
}

/** What a test compares of a finding. */
export function brief(account: LogAccount): string[] {
  const range = (seqs: { from: number; to: number } | undefined): string =>
    seqs === undefined ? "-" : `${seqs.from}..${seqs.to}`;
  return account.findings.map(
    (f) =>
      `${f.kind} ${range(f.seqs)} ${f.acknowledged}${f.lostSeqs === undefined ? "" : ` ${range(f.lostSeqs)}`} ${f.repair.type}`,
  );
}

export const SEAL: Buffer = Buffer.from(encodeControlLine(SEED, "seal", { records: 4, bytes: 1, sha256: "00" }));

/** What a reader may rely on whatever the bytes are: the entries cover them exactly once, in order. */
export function assertCovers(entries: readonly Entry[], bytes: number, from = 0): void {
  let at = from;
  for (const entry of entries) {
    expect(entry.offset).toBe(at);
    expect(lengthOf(entry)).toBeGreaterThan(0);
    at += lengthOf(entry);
  }
  expect(at).toBe(from + bytes);
}

export const isWrong = (entry: Entry): boolean => entry.type === "damage" || entry.unterminated;

export const damageOf = (entries: readonly Entry[]): Damage[] => entries.filter((entry) => entry.type === "damage");

export function concat(...parts: readonly (Uint8Array | readonly Uint8Array[])[]): Buffer {
  return Buffer.concat(parts.flatMap((part) => (part instanceof Uint8Array ? [part] : part)));
}
