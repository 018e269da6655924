// What a log has gained since the last backup, when it did nothing but grow. Anything else that it may have done (compaction,
// recovery, damage) makes this give up: then the log is read from its beginning.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { identityOf } from "../backends/identities.ts";
import { decodeRecord, encodeIdentity, seedOf } from "../log/codec.ts";
import { type Entry, LineScanner } from "../log/lines.ts";
import type { LogName } from "../log/record.ts";
import { firstLine, lastLine } from "../log/run-ends.ts";
import { asSeal } from "../log/seal.ts";
import { SegmentHash } from "../log/segment-hash.ts";
import { linesBackwards, readBytes } from "../ops/backwards.ts";
import type { BackedUpLog, BackedUpSegment, Part } from "./manifest.ts";
import { keptParts, type PartSink, PartWriter } from "./parts.ts";

interface GrowthSource {
  readonly backend: Backend;
  readonly view: StoreView;
  readonly sink: PartSink;
  readonly signal: AbortSignal | undefined;
}

/** The log as it is now, or undefined when it did something else than to grow, or is not whole. */
export async function readGrowth(
  source: GrowthSource,
  log: LogName,
  segments: readonly Segment[],
  before: BackedUpLog,
): Promise<BackedUpLog | undefined> {
  const last = before.segments.length - 1;
  const grown = segments[last];
  const was = before.segments[last];
  if (grown === undefined || was === undefined || !was.active) return undefined;
  const same = before.segments.slice(0, last).every((one, i) => isSame(one, segments[i] as Segment));
  if (!same || grown.id !== was.id || grown.bytes < was.bytes) return undefined;
  // A segment that was closed since is read as a whole once: only so can its seal be compared.
  const stored = grown.active ? keptParts(was.parts, grown.bytes - was.bytes) : [];
  const grew = grown.bytes > was.bytes || !grown.active || segments.length > last + 1;
  const from = grew ? await seqBefore(source, log, grown, sizeOf(stored)) : before.last_seq;
  if (from === undefined || !(await endsAsBefore(source, log, grown, was, before.last_seq))) return undefined;
  const growth = new Growth(source, log, from);
  const done: BackedUpSegment[] = before.segments
    .slice(0, last)
    .map((one, i) => ({ ...one, name: (segments[i] as Segment).name }));
  for (const [i, segment] of segments.slice(last).entries()) {
    const start = i > 0 ? { stored: [], known: [] } : { stored, known: grown.active ? [] : was.parts };
    const parts = await growth.segment(segment, new PartWriter(source.sink, log, start));
    if (parts === undefined) return undefined;
    const { name, id, active, bytes } = segment;
    done.push({ name, id, active, bytes, parts });
  }
  const { seq = 0, acknowledged = seq } = source.view.reach(log) ?? {};
  if (growth.lastSeq < acknowledged || growth.lastSeq < before.last_seq) return undefined;
  const gained = growth.lastSeq - before.last_seq;
  return {
    records: before.records + gained,
    first_seq: before.first_seq ?? growth.first?.seq ?? null,
    last_seq: growth.lastSeq,
    first_timestamp: before.first_timestamp ?? growth.first?.timestamp ?? null,
    last_timestamp: growth.last?.timestamp ?? before.last_timestamp,
    segments: done,
  };
}

function isSame(before: BackedUpSegment, now: Segment): boolean {
  return before.id === now.id && before.bytes === now.bytes && !before.active && !now.active;
}

/** The seq of the last line in front of `offset`; undefined where only a reading of the whole log tells. */
async function seqBefore(
  { backend, view }: GrowthSource,
  log: LogName,
  segment: Segment,
  offset: number,
): Promise<number | undefined> {
  const identity = identityOf(view, log, segment);
  if (identity === undefined) return undefined;
  const line = encodeIdentity(identity);
  const head = Buffer.byteLength(line);
  if (offset > head) {
    for await (const found of linesBackwards(backend, { ...segment, bytes: offset }, head, seedOf(line), false))
      return typeof found.fields?.seq === "number" ? found.fields.seq : undefined;
  }
  return firstSeqIn(backend, segment, head, seedOf(line));
}

/** One less than the first seq that stands in a segment. */
async function firstSeqIn(backend: Backend, segment: Segment, head: number, seed: number): Promise<number | undefined> {
  if (segment.firstSeq !== undefined) return segment.firstSeq - 1;
  const scanner = new LineScanner(seed, head);
  for await (const chunk of backend.read(segment.name, head, segment.bytes, segment.id)) {
    for (const entry of scanner.push(chunk)) {
      if (entry.type === "run") return entry.firstSeq - 1;
      return entry.type === "gap" ? entry.record.seq - 1 : undefined;
    }
  }
  return undefined;
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Whether the line at which the last backup ended still stands there, and verifies. */
async function endsAsBefore(
  { backend, view }: GrowthSource,
  log: LogName,
  segment: Segment,
  was: BackedUpSegment,
  lastSeq: number,
): Promise<boolean> {
  const identity = identityOf(view, log, segment);
  if (identity === undefined) return false;
  const line = Buffer.from(encodeIdentity(identity));
  if (was.bytes < line.length) return false;
  const head = await readBytes(backend, segment, 0, line.length);
  if (!head.equals(line)) return false;
  if (was.bytes === line.length) return true;
  const upToThen = { ...segment, bytes: was.bytes };
  for await (const found of linesBackwards(backend, upToThen, line.length, seedOf(line), false)) {
    return found.fields?.seq === lastSeq && found.offset + found.length + 1 === was.bytes;
  }
  return false;
}

class Growth {
  readonly #source: GrowthSource;
  readonly #log: LogName;
  lastSeq: number;
  first: { readonly seq: number; readonly timestamp: number } | undefined;
  last: { readonly seq: number; readonly timestamp: number } | undefined;

  constructor(source: GrowthSource, log: LogName, lastSeq: number) {
    this.#source = source;
    this.#log = log;
    this.lastSeq = lastSeq;
  }

  /** Reads and stores a segment from where `writer` stands; undefined when it is not as it should be. */
  async segment(segment: Segment, writer: PartWriter): Promise<BackedUpSegment["parts"] | undefined> {
    const { backend, view, signal } = this.#source;
    const identity = identityOf(view, this.#log, segment);
    if (identity === undefined) return undefined;
    const line = Buffer.from(encodeIdentity(identity));
    const from = writer.offset;
    if (from === 0) {
      if (!(await readBytes(backend, segment, 0, Math.min(line.length, segment.bytes))).equals(line)) return undefined;
      await writer.push(line);
    }
    const scanner = new LineScanner(seedOf(line), writer.offset);
    const hash = new SegmentHash(); // of use only when it begins with the segment, as it does for one that is closed
    hash.begin(line);
    hash.end(line.length);
    let sealed = false;
    for await (const chunk of backend.read(segment.name, writer.offset, segment.bytes, segment.id)) {
      signal?.throwIfAborted();
      hash.begin(chunk);
      for (const entry of scanner.push(chunk)) {
        if (sealed) return undefined; // nothing stands behind a seal
        if (entry.type === "control") {
          sealed = !segment.active && asSeal(entry.fields)?.sha256 === hash.before(entry.offset);
          if (!sealed) return undefined;
        } else if (!this.#take(entry)) return undefined;
      }
      hash.end(scanner.pendingOffset);
      await writer.push(chunk);
    }
    const whole = writer.offset === segment.bytes && scanner.pendingBytes === 0;
    return whole && sealed === !segment.active ? writer.end() : undefined;
  }

  /** Every seq follows the one before. */
  #take(entry: Entry): boolean {
    if (entry.type !== "run" && entry.type !== "gap") return false;
    const [from, to] = entry.type === "run" ? [entry.firstSeq, entry.lastSeq] : [entry.record.seq, entry.record.seq];
    if (from !== this.lastSeq + 1 || entry.unterminated) return false;
    this.first ??= stampOf(firstLine(entry.bytes));
    this.last = stampOf(lastLine(entry.bytes));
    this.lastSeq = to;
    return true;
  }
}

function stampOf(line: Buffer): { seq: number; timestamp: number } {
  const { seq, timestamp } = decodeRecord(line);
  return { seq, timestamp };
}
