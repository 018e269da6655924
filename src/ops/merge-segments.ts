// Compaction's hand: closed segments that follow each other become one, with the lines that stay, byte for byte, and a seal
// that names the seals of those that it was made of.
import { createHash, type Hash } from "node:crypto";
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { identityOf } from "../backends/identities.ts";
import { PapyraError } from "../errors.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { decodeRecord, encodeIdentity, seedOf } from "../log/codec.ts";
import { LineScanner, linesOf } from "../log/lines.ts";
import { within } from "../log/ranges.ts";
import type { LogName } from "../log/record.ts";
import { firstLine, lastLine } from "../log/run-ends.ts";
import { asSeal, encodeSeal, sealDigest } from "../log/seal.ts";
import { lastSeal, type StoredSeal } from "./seals.ts";

/** Which segments, and what of them goes. */
export interface Merge {
  readonly log: LogName;
  /** In the order of the log, without a gap between them, and of one lineage. */
  readonly inputs: readonly Segment[];
  /** The closed segment in front of them, if there is one. */
  readonly before: Segment | undefined;
  readonly gone: readonly SeqRange[];
}

/** Makes one segment of several. */
export class SegmentMerge {
  readonly #backend: Backend;
  readonly #merge: Merge;
  readonly #identityLine: Buffer;
  readonly #seed: number;
  /** That of the segment in front, which may be of an older lineage. */
  readonly #seedBefore: number;
  readonly #hash: Hash = createHash("sha256");
  #bytes = 0;
  #records = 0;
  #first: Buffer | undefined;
  #last: Buffer | undefined;
  #sealed = "";

  /** `view` says who the store is. */
  constructor(backend: Backend, view: StoreView, merge: Merge) {
    const identity = identityOf(view, merge.log, merge.inputs[0]);
    if (identity === undefined) throw new PapyraError("INTERNAL", "a store without an identity was to be compacted");
    this.#backend = backend;
    this.#merge = merge;
    this.#identityLine = Buffer.from(encodeIdentity(identity));
    this.#seed = seedOf(this.#identityLine);
    this.#seedBefore = seedOf(encodeIdentity(identityOf(view, merge.log, merge.before) ?? identity));
  }

  /** Records in what was made. */
  get records(): number {
    return this.#records;
  }

  /** The bytes of the new segment. Rejects with LOG_DAMAGED when an input is not what it was. */
  async *content(signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, undefined> {
    yield this.#counted(this.#identityLine);
    const seals: (StoredSeal | string)[] = [];
    for (const segment of this.#merge.inputs) {
      for await (const bytes of this.#kept(segment)) {
        signal?.throwIfAborted();
        yield this.#counted(bytes);
      }
      seals.push((await lastSeal(this.#backend, segment, this.#seed)) ?? (await digestOfAll(this.#backend, segment)));
    }
    yield Buffer.from(await this.#seal(seals));
  }

  /** Reads the new segment back. Rejects with STORAGE_FAILED when it is not what was written. */
  async verify(segment: Segment): Promise<void> {
    const expected = this.#hash.digest("hex");
    const hash = createHash("sha256");
    for await (const bytes of this.#backend.read(segment.name, 0, this.#bytes, segment.id)) hash.update(bytes);
    const seal = await lastSeal(this.#backend, segment, this.#seed);
    const same = hash.digest("hex") === expected && seal?.digests[0] === this.#sealed && seal.offset === this.#bytes;
    if (same) return;
    throw new PapyraError("STORAGE_FAILED", `${segment.name} does not read back as it was written`, {
      hint: "check the disk; what it was made of is still there",
      details: { file: segment.name },
    });
  }

  #counted(bytes: Uint8Array): Uint8Array {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
    return bytes;
  }

  /** The lines of a segment that stay, as they stand, many at a time. */
  async *#kept(segment: Segment): AsyncGenerator<Buffer, void, undefined> {
    const head = this.#identityLine.length;
    const scanner = new LineScanner(this.#seed, head);
    for await (const chunk of this.#backend.read(segment.name, head, segment.bytes, segment.id)) {
      for (const entry of scanner.push(chunk)) {
        if (entry.type === "damage" || entry.type === "unchecked") throw changed(segment, entry.offset);
        if (entry.type === "control" && asSeal(entry.fields) === undefined) yield Buffer.from(entry.bytes);
        if (entry.type === "control") continue;
        const [from, to] =
          entry.type === "run" ? [entry.firstSeq, entry.lastSeq] : [entry.record.seq, entry.record.seq];
        for (const bytes of without(linesOf(entry), entry.bytes, { from, to }, this.#merge.gone)) {
          this.#records += bytes.count;
          this.#first ??= Buffer.from(firstLine(bytes.lines));
          this.#last = Buffer.from(lastLine(bytes.lines));
          yield Buffer.from(bytes.lines);
        }
      }
    }
    if (scanner.pendingBytes > 0) throw changed(segment, scanner.pendingOffset);
  }

  async #seal(seals: readonly (StoredSeal | string)[]): Promise<string> {
    const [first, last] = [this.#first, this.#last].map((line) =>
      line === undefined ? undefined : decodeRecord(line),
    );
    const ofLast = seals.at(-1);
    const digests = seals.map((seal) => (typeof seal === "string" ? seal : (seal.digests[0] as string)));
    const replaces = [...new Set([...digests, ...(typeof ofLast === "object" ? ofLast.digests : [])])];
    const line = encodeSeal(this.#seed, {
      records: this.#records,
      first_seq: first?.seq ?? 0,
      last_seq: last?.seq ?? 0,
      first_timestamp: first?.timestamp ?? 0,
      last_timestamp: last?.timestamp ?? 0,
      bytes: this.#bytes,
      sha256: this.#hash.copy().digest("hex"),
      previous: await this.#previous(seals[0]),
      replaces,
    });
    this.#sealed = sealDigest(line);
    return line;
  }

  /** Without a segment in front, what the first one said: whatever that was is gone, and its successor may be asked. */
  async #previous(first: StoredSeal | string | undefined): Promise<string | null> {
    const { before } = this.#merge;
    if (before !== undefined) return (await lastSeal(this.#backend, before, this.#seedBefore))?.digests[0] ?? null;
    const said = typeof first === "object" ? first.seal.previous : null;
    return typeof said === "string" ? said : null;
  }
}

/** What of some lines with seqs in `range` stays: stretches of whole lines, and how many lines each has. */
function* without(
  lines: Iterable<Buffer>,
  bytes: Buffer,
  range: SeqRange,
  gone: readonly SeqRange[],
): Generator<{ lines: Buffer; count: number }> {
  const hit = within(range, gone);
  if (hit.length === 0) {
    yield { lines: bytes, count: range.to - range.from + 1 };
    return;
  }
  let seq = range.from;
  let at = 0;
  let start = 0;
  let h = 0;
  let count = 0;
  for (const line of lines) {
    while (hit[h] !== undefined && (hit[h] as SeqRange).to < seq) h += 1;
    const goes = hit[h] !== undefined && (hit[h] as SeqRange).from <= seq;
    if (goes) {
      if (count > 0) yield { lines: bytes.subarray(start, at), count };
      count = 0;
    } else if ((count += 1) === 1) start = at;
    at += line.length + 1;
    seq += 1;
  }
  if (count > 0) yield { lines: bytes.subarray(start, at), count };
}

/** What stands for the seal of a segment that has none. */
export async function digestOfAll(backend: Backend, segment: Segment): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of backend.read(segment.name, 0, segment.bytes, segment.id)) hash.update(bytes);
  return hash.digest("hex");
}

function changed({ name }: Segment, offset: number): PapyraError {
  return new PapyraError("LOG_DAMAGED", `${name} is damaged at byte ${offset}: it was whole a moment ago`, {
    hint: "check the disk, then run: papyra persistence scan",
    details: { file: name, offset },
  });
}
