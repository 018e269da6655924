// The cache of one closed segment: where the records of each persistent actor stand in it. Text, line by line, so that every
// line verifies alone and one actor is found by reading three of them, however many others there are:
//
//   {"kind":"index",...}   what the segment holds, and the digest of the seal that it ends in
//   000000000482           buckets + 1 offsets in twelve digits: bucket b is what stands between offsets b and b + 1
//   {"kind":"places",...}  one line a bucket: the actors whose ids hash to it, and their places
//
// The checksum of the first line begins at 0, that of a bucket at the first line's: a bucket of another cache does not verify
// here. The offsets need none: what they lead to says which bucket it is. Pure.
import { crc32 } from "node:zlib";
import type { SeqRange } from "./anomaly.ts";
import { completeLine, encodeControlLine, parseObject, verifies } from "./codec.ts";
import type { GapRecord } from "./record.ts";

/** Of another version, a cache is not believed. */
const VERSION = 1;
const ACTORS_PER_BUCKET = 8;
const OFFSET_BYTES = 13;
const PLACE_NUMBERS = 5;
const NEWLINE = 0x0a;
const HEAD_SEED = 0;

/** Where one record stands in its segment. */
export interface Place {
  readonly seq: number;
  readonly revision: number;
  readonly journalSeq: number;
  readonly offset: number;
  readonly length: number;
}

/** What the first line says. */
export interface IndexHead {
  /** The digest of the seal, and where that begins: it ends where the segment does. */
  readonly seal: string;
  readonly sealAt: number;
  /** The seqs of the numbered lines, in order. */
  readonly runs: readonly SeqRange[];
  readonly gaps: readonly GapRecord[];
  readonly places: number;
  readonly buckets: number;
}

/** A first line that verified. */
export interface ReadHead {
  readonly head: IndexHead;
  /** Bytes of the line, with its line break. */
  readonly length: number;
  readonly seed: number;
}

/** The whole cache. `rows` are the numbers of each actor's places, as {@link Place} has them, the last place first. */
export function encodeSegmentIndex(
  facts: Omit<IndexHead, "places" | "buckets">,
  actors: number,
  rows: Iterable<readonly [persistenceId: string, numbers: readonly number[]]>,
): Buffer {
  const count = Math.max(1, Math.ceil(actors / ACTORS_PER_BUCKET));
  const buckets: string[] = Array.from({ length: count }, () => "");
  let places = 0;
  for (const [id, numbers] of rows) {
    const bucket = bucketOf(id, count);
    const separator = buckets[bucket] === "" ? "" : ",";
    buckets[bucket] += `${separator}[${JSON.stringify(id)},${numbers.join(",")}]`;
    places += numbers.length / PLACE_NUMBERS;
  }
  const { seal, sealAt, gaps } = facts;
  const runs = facts.runs.map(({ from, to }) => [from, to]);
  const fields = { version: VERSION, seal, seal_at: sealAt, places, buckets: count, runs, gaps };
  const first = encodeControlLine(HEAD_SEED, "index", fields);
  const seed = crc32(first);
  const lines = buckets.map((own, bucket) =>
    completeLine(seed, `{"kind":"places","bucket":${bucket},"actors":[${own}]`),
  );
  let at = Buffer.byteLength(first) + (count + 1) * OFFSET_BYTES;
  let offsets = offsetOf(at);
  for (const line of lines) offsets += offsetOf((at += Buffer.byteLength(line)));
  return Buffer.from(first + offsets + lines.join(""));
}

function offsetOf(at: number): string {
  return `${String(at).padStart(OFFSET_BYTES - 1, "0")}\n`;
}

/** Which line holds an actor. */
export function bucketOf(persistenceId: string, buckets: number): number {
  return crc32(persistenceId) % buckets;
}

/** The first line, at the beginning of `bytes`. "short" when it does not end within them. */
export function decodeIndexHead(bytes: Buffer): ReadHead | "short" | undefined {
  const end = bytes.indexOf(NEWLINE);
  if (end < 0) return "short";
  if (!verifies(HEAD_SEED, bytes, 0, end)) return undefined;
  const line = bytes.subarray(0, end + 1);
  const { kind, version, seal, seal_at, places, buckets, runs, gaps } = parseObject(line) ?? {};
  if (kind !== "index" || version !== VERSION) return undefined;
  const head: IndexHead = {
    seal: seal as string,
    sealAt: seal_at as number,
    places: places as number,
    buckets: buckets as number,
    runs: (runs as [number, number][]).map(([from, to]) => ({ from, to })),
    gaps: gaps as GapRecord[],
  };
  return { head, length: end + 1, seed: crc32(line) };
}

/** Where the two offsets of a bucket stand. */
export function offsetsAt({ length }: ReadHead, bucket: number): readonly [from: number, to: number] {
  const from = length + bucket * OFFSET_BYTES;
  return [from, from + 2 * OFFSET_BYTES];
}

/** Where the first bucket begins. */
export function bucketsAt({ length, head }: ReadHead): number {
  return length + (head.buckets + 1) * OFFSET_BYTES;
}

/** What two offsets say; undefined when they are none. */
export function decodeOffsets(bytes: Buffer): readonly [from: number, to: number] | undefined {
  const match = /^(\d{12})\n(\d{12})\n$/.exec(bytes.toString("latin1"));
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

/** The actors of one bucket, from its line with the line break; undefined when these are other bytes than were written. */
export function decodeBucket({ seed }: ReadHead, bucket: number, line: Buffer): Map<string, ActorPlaces> | undefined {
  if (line.at(-1) !== NEWLINE || !verifies(seed, line, 0, line.length - 1)) return undefined;
  const fields = parseObject(line) ?? {};
  if (fields.kind !== "places" || fields.bucket !== bucket) return undefined;
  return new Map((fields.actors as ActorRow[]).map((row) => [row[0], new ActorPlaces(row)]));
}

/** What a bucket says of one actor: an id, and the numbers of its places, the last place first. */
type ActorRow = readonly [id: string, ...numbers: number[]];

/** The places of one actor in the order of the log. They stay the numbers that they are in the cache: there may be many. */
export class ActorPlaces {
  readonly #row: ActorRow;

  constructor(row: ActorRow) {
    this.#row = row;
  }

  get length(): number {
    return (this.#row.length - 1) / PLACE_NUMBERS;
  }

  seq(place: number): number {
    return this.#row[this.#start(place)] as number;
  }

  at(place: number): Place {
    const row = this.#row as readonly unknown[] as readonly number[];
    const start = this.#start(place);
    return {
      seq: row[start] as number,
      revision: row[start + 1] as number,
      journalSeq: row[start + 2] as number,
      offset: row[start + 3] as number,
      length: row[start + 4] as number,
    };
  }

  #start(place: number): number {
    return this.#row.length - (place + 1) * PLACE_NUMBERS;
  }
}
