// The cache of one closed segment: where the records of each persistent actor stand in it. Every part of it verifies alone,
// and one actor is found by reading three of them, however many others there are:
//
//   {"kind":"index",...}   a line: what the segment holds, and the digest of the seal that it ends in
//   offsets                buckets + 1 of them, six bytes each: bucket b is what stands between offsets b and b + 1
//   buckets                of each its number, the actors whose ids hash to it with their places, and a checksum
//
// The checksum of the line begins at 0, that of a bucket at the line's: a bucket of another cache does not verify here. The
// offsets need none: what they lead to says which bucket it is.
//
// Of an actor there are its id in UTF-16, which keeps every string, how many places it has and how many bytes they take, and
// five numbers a place: each as the difference from that of the place before, which is small. A history that stands together
// takes about six bytes a record. Pure.
import { crc32 } from "node:zlib";
import type { SeqRange } from "./anomaly.ts";
import { encodeControlLine, parseObject, verifies } from "./codec.ts";
import { NumberReader, NumberWriter } from "./numbers.ts";
import type { GapRecord } from "./record.ts";

/** Of another version, a cache is not believed. */
export const INDEX_VERSION = 2;
const ACTORS_PER_BUCKET = 8;
const OFFSET_BYTES = 6;
const CRC_BYTES = 4;
const ID_ENCODING = "utf16le";
const BEFORE_ALL: Place = { seq: 0, revision: 0, journalSeq: 0, offset: 0, length: 0 };
const NEWLINE = 0x0a;
const HEAD_SEED = 0;

/** Where one record stands in its segment. */
export interface Place {
  readonly seq: number;
  readonly revision: number;
  /** Of a snapshot: the journal seq of its revision. Of a journal record: its own seq. */
  readonly journalSeq: number;
  readonly offset: number;
  /** Bytes of the line without its line break. */
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

/** An actor and its places, in the order of the log. */
export type ActorPlaces = readonly [persistenceId: string, places: Iterable<Place> & { readonly length: number }];

/** The whole cache. Throws for numbers that are no safe integers: Papyra writes none. */
export function encodeSegmentIndex(
  facts: Omit<IndexHead, "places" | "buckets">,
  actors: readonly ActorPlaces[],
): Buffer {
  const buckets: ActorPlaces[][] = Array.from({ length: Math.max(1, Math.ceil(actors.length / ACTORS_PER_BUCKET)) });
  for (let bucket = 0; bucket < buckets.length; bucket++) buckets[bucket] = [];
  for (const actor of actors) (buckets[bucketOf(actor[0], buckets.length)] as ActorPlaces[]).push(actor);
  const { seal, sealAt, gaps } = facts;
  const runs = facts.runs.map(({ from, to }) => [from, to]);
  const places = actors.reduce((sum, [, own]) => sum + own.length, 0);
  const fields = { version: INDEX_VERSION, seal, seal_at: sealAt, places, buckets: buckets.length, runs, gaps };
  const first = Buffer.from(encodeControlLine(HEAD_SEED, "index", fields));
  const seed = crc32(first);
  const offsets = Buffer.alloc((buckets.length + 1) * OFFSET_BYTES);
  const start = first.length + offsets.length;
  offsets.writeUIntLE(start, 0, OFFSET_BYTES);
  const written = new NumberWriter();
  for (const [bucket, own] of buckets.entries()) {
    writeBucket(written, seed, bucket, own);
    offsets.writeUIntLE(start + written.length, (bucket + 1) * OFFSET_BYTES, OFFSET_BYTES);
  }
  return Buffer.concat([first, offsets, written.since(0)]);
}

function writeBucket(to: NumberWriter, seed: number, bucket: number, actors: readonly ActorPlaces[]): void {
  const from = to.length;
  to.number(bucket);
  for (const [persistenceId, places] of actors) {
    const id = Buffer.from(persistenceId, ID_ENCODING);
    const own = encodePlaces(places);
    to.number(id.length);
    to.bytes(id);
    to.number(places.length);
    to.number(own.length);
    to.bytes(own);
  }
  const crc = Buffer.alloc(CRC_BYTES);
  crc.writeUInt32LE(crc32(to.since(from), seed));
  to.bytes(crc);
}

const scratch = new NumberWriter();

/** Valid until the next are. */
function encodePlaces(places: Iterable<Place>): Buffer {
  scratch.clear();
  let last: Place = BEFORE_ALL;
  for (const place of places) {
    scratch.number(place.seq - last.seq);
    scratch.number(place.revision - last.revision);
    scratch.number(place.journalSeq - last.journalSeq);
    scratch.number(place.offset - last.offset);
    scratch.number(place.length - last.length);
    last = place;
  }
  return scratch.since(0);
}

/** Which bucket holds an actor. */
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
  if (kind !== "index" || version !== INDEX_VERSION) return undefined;
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

/** Where the offsets of all buckets stand, and behind them the buckets. */
export function allOffsetsAt({ length, head }: ReadHead): readonly [from: number, to: number] {
  return [length, length + (head.buckets + 1) * OFFSET_BYTES];
}

/** What offsets say, one behind the other. */
export function decodeOffsets(bytes: Buffer): number[] {
  const offsets: number[] = [];
  for (let at = 0; at + OFFSET_BYTES <= bytes.length; at += OFFSET_BYTES)
    offsets.push(bytes.readUIntLE(at, OFFSET_BYTES));
  return offsets;
}

/** The actors of one bucket, from its bytes; undefined when these are other bytes than were written. */
export function decodeBucket(
  { seed }: ReadHead,
  bucket: number,
  bytes: Buffer,
): Map<string, EncodedPlaces> | undefined {
  const end = bytes.length - CRC_BYTES;
  if (end <= 0 || bytes.readUInt32LE(end) !== crc32(bytes.subarray(0, end), seed)) return undefined;
  const reader = new NumberReader(bytes.subarray(0, end));
  if (reader.number() !== bucket) return undefined;
  const actors = new Map<string, EncodedPlaces>();
  while (!reader.ended) {
    const id = Buffer.from(reader.bytes(reader.number())).toString(ID_ENCODING);
    const length = reader.number();
    actors.set(id, new EncodedPlaces(length, reader.bytes(reader.number())));
  }
  return actors;
}

/** The places of one actor in the order of the log. They stay the bytes that they are in the cache: there may be many. */
export class EncodedPlaces {
  readonly length: number;
  readonly #bytes: Uint8Array;

  constructor(length: number, bytes: Uint8Array) {
    this.length = length;
    this.#bytes = bytes;
  }

  /** What hands over the first place when it is called, then the next one, `length` times. */
  begin(): () => Place {
    const reader = new NumberReader(this.#bytes);
    let last: Place = BEFORE_ALL;
    return () =>
      (last = {
        seq: last.seq + reader.number(),
        revision: last.revision + reader.number(),
        journalSeq: last.journalSeq + reader.number(),
        offset: last.offset + reader.number(),
        length: last.length + reader.number(),
      });
  }
}
