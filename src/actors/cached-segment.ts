// One segment whose index is in a cache: an actor's places in it are looked up when they are asked for, so that the
// others cost neither reading nor memory. Whatever is wrong with a cache, it is not believed, and the segment is read.
import type { Backend, ReadPart, Segment } from "../backends/backend.ts";
import { sealDigest } from "../log/seal.ts";
import {
  allOffsetsAt,
  bucketOf,
  decodeBucket,
  decodeIndexHead,
  decodeOffsets,
  type EncodedPlaces,
  type IndexHead,
  offsetsAt,
  type Place,
  type ReadHead,
} from "../log/segment-index.ts";
import { indexName } from "../log/segments.ts";
import { type IndexedRecord, type PartRecords, RecordIndex, RecordList } from "./record-index.ts";

/** Nearly every first line is shorter; what is read for a longer one grows. */
const HEAD_BYTES = 512;
/** A cache whose first line is longer is of no use. */
const HEAD_BYTES_MAX = 64 << 20;
const SEAL_BYTES_MAX = 1 << 20;
/** What a lookup is taken to cost, and what a place takes in a cache, about. */
const LOOKUP_BYTES = 4096;
const PLACE_BYTES = 64;

/** A segment, and the verified first line of its cache. */
export class CachedSegment {
  readonly segment: Segment;
  readonly #backend: Backend;
  readonly #read: ReadHead;
  readonly #firstSeq: number;
  readonly #lastSeq: number;
  #spentBytes = 0;
  #whole: Promise<RecordIndex | undefined> | undefined;

  constructor(backend: Backend, segment: Segment, read: ReadHead) {
    this.#backend = backend;
    this.segment = segment;
    this.#read = read;
    this.#firstSeq = read.head.runs[0]?.from ?? 0;
    this.#lastSeq = read.head.runs.at(-1)?.to ?? 0;
  }

  get head(): IndexHead {
    return this.#read.head;
  }

  /**
   * The records of an actor with seqs behind `afterSeq` and up to `toSeq`, if it has any; "unknown" when the cache cannot tell
   * (any longer). When lookups have cost as much as the whole cache, it is read whole: many actors that are asked for cost at
   * most twice that.
   */
  async recordsOf(
    persistenceId: string,
    afterSeq: number,
    toSeq: number,
  ): Promise<PartRecords | "unknown" | undefined> {
    if (this.#lastSeq <= afterSeq || this.#firstSeq > toSeq) return undefined;
    if (this.#whole === undefined && this.#spentBytes >= this.head.places * PLACE_BYTES)
      this.#whole = this.#readWhole();
    if (this.#whole !== undefined) {
      const whole = await this.#whole;
      return whole === undefined ? "unknown" : whole.recordsOf(persistenceId, afterSeq, toSeq);
    }
    this.#spentBytes += LOOKUP_BYTES;
    const actors = await this.#lookUp(persistenceId);
    if (actors === undefined) return "unknown";
    const places = actors.get(persistenceId);
    return places && this.#between(persistenceId, places, afterSeq, toSeq);
  }

  /** The actors of the bucket that this one is in. */
  async #lookUp(persistenceId: string): Promise<ReadonlyMap<string, EncodedPlaces> | undefined> {
    const bucket = bucketOf(persistenceId, this.head.buckets);
    return this.#cache(async (read) => {
      const offsets = await read(...offsetsAt(this.#read, bucket));
      const [from, to] = decodeOffsets(offsets ?? Buffer.alloc(0));
      const bytes = from === undefined || to === undefined ? undefined : await read(from, to);
      return bytes && decodeBucket(this.#read, bucket, bytes);
    });
  }

  #between(id: string, places: EncodedPlaces, afterSeq: number, toSeq: number): PartRecords | undefined {
    let skipped = 0;
    let { length } = places;
    if (this.#firstSeq <= afterSeq || this.#lastSeq > toSeq) {
      const next = places.begin();
      for (let i = 0; i < places.length; i++) {
        const { seq } = next();
        if (seq <= afterSeq) skipped += 1;
        if (seq <= afterSeq || seq > toSeq) length -= 1;
      }
    }
    if (length === 0) return undefined;
    const list = new RecordList(length, () => {
      const next = places.begin();
      for (let i = 0; i < skipped; i++) next();
      return () => this.#record(id, next());
    });
    return { list, firstSeq: this.#firstSeq, lastSeq: this.#lastSeq };
  }

  async #readWhole(): Promise<RecordIndex | undefined> {
    const [from, to] = allOffsetsAt(this.#read);
    const bytes = await this.#cache((read) => read(from, Number.MAX_SAFE_INTEGER));
    if (bytes === undefined) return undefined;
    const offsets = decodeOffsets(bytes.subarray(0, to - from));
    const index = new RecordIndex();
    for (let bucket = 0; bucket < this.head.buckets; bucket++) {
      const [start = 0, end = 0] = [offsets[bucket], offsets[bucket + 1]];
      const actors = decodeBucket(
        this.#read,
        bucket,
        bytes.subarray(Math.max(0, start - from), Math.max(0, end - from)),
      );
      if (actors === undefined) return undefined;
      for (const [id, places] of actors) {
        const next = places.begin();
        for (let i = 0; i < places.length; i++) index.add(this.#record(id, next()));
      }
    }
    return index.size === this.head.places ? index : undefined;
  }

  #record(persistenceId: string, { seq, revision, journalSeq, offset, length }: Place): IndexedRecord {
    const { name: segment, id } = this.segment;
    return { persistenceId, seq, revision, journalSeq, segment, id, offset, length };
  }

  async #cache<T>(use: (read: ReadPart) => Promise<T>): Promise<T | undefined> {
    return this.#backend.readCache?.(indexName(this.segment.name), use);
  }
}

/**
 * The first line of the cache of a segment, if there is one that verifies and speaks of the line which stands at the segment's
 * end now: its seal, if it is closed. Rejects as reading the segment does.
 */
export async function headOf(backend: Backend, segment: Segment): Promise<ReadHead | undefined> {
  const read = await backend.readCache?.(indexName(segment.name), readHead);
  if (read === undefined) return undefined;
  const { seal, sealAt } = read.head;
  if (sealAt >= segment.bytes || segment.bytes - sealAt > SEAL_BYTES_MAX) return undefined;
  const parts: Buffer[] = [];
  for await (const chunk of backend.read(segment.name, sealAt, segment.bytes, segment.id))
    parts.push(Buffer.from(chunk));
  return sealDigest(Buffer.concat(parts)) === seal ? read : undefined;
}

async function readHead(part: ReadPart): Promise<ReadHead | undefined> {
  for (let length = HEAD_BYTES; length <= HEAD_BYTES_MAX; length *= 4) {
    const bytes = await part(0, length);
    if (bytes === undefined) return undefined;
    const read = decodeIndexHead(bytes);
    if (read !== "short") return read;
    if (bytes.length < length) return undefined;
  }
  return undefined;
}
