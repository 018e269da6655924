// One closed segment whose index is in a cache: an actor's places in it are looked up when they are asked for, so that the
// others cost neither reading nor memory. Whatever is wrong with a cache, it is not believed, and the segment is read.
import type { Backend, Segment } from "../backends/backend.ts";
import { sealDigest } from "../log/seal.ts";
import {
  bucketOf,
  bucketsAt,
  decodeBucket,
  decodeIndexHead,
  decodeOffsets,
  type IndexHead,
  type ActorPlaces,
  offsetsAt,
  type ReadHead,
} from "../log/segment-index.ts";
import { indexName } from "../log/segments.ts";
import { type IndexedRecord, NO_RECORDS, type PartRecords, partRecords, RecordIndex } from "./record-index.ts";

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
   * The places of an actor with seqs behind `afterSeq` and up to `toSeq`; undefined when the cache cannot tell (any longer).
   * When lookups have cost as much as the whole cache, it is read whole: many actors that are asked for cost at most twice that.
   */
  async recordsOf(persistenceId: string, afterSeq: number, toSeq: number): Promise<PartRecords | undefined> {
    if (this.#lastSeq <= afterSeq || this.#firstSeq > toSeq) return NO_RECORDS;
    if (this.#whole === undefined && this.#spentBytes >= this.head.places * PLACE_BYTES)
      this.#whole = this.#readWhole();
    if (this.#whole !== undefined) return (await this.#whole)?.recordsOf(persistenceId, afterSeq, toSeq);
    this.#spentBytes += LOOKUP_BYTES;
    const actors = await this.#lookUp(persistenceId);
    if (actors === undefined) return undefined;
    const places = actors.get(persistenceId);
    if (places === undefined) return NO_RECORDS;
    let from = 0;
    let to = places.length;
    while (from < to && places.seq(from) <= afterSeq) from += 1;
    while (from < to && places.seq(to - 1) > toSeq) to -= 1;
    return partRecords(to - from, (i) => this.#record(persistenceId, places, from + i));
  }

  /** The actors of the bucket that this one is in. */
  async #lookUp(persistenceId: string): Promise<ReadonlyMap<string, ActorPlaces> | undefined> {
    const bucket = bucketOf(persistenceId, this.head.buckets);
    const offsets = decodeOffsets((await this.#cache(...offsetsAt(this.#read, bucket))) ?? Buffer.alloc(0));
    const line = offsets === undefined ? undefined : await this.#cache(...offsets);
    return line === undefined ? undefined : decodeBucket(this.#read, bucket, line);
  }

  async #readWhole(): Promise<RecordIndex | undefined> {
    const bytes = await this.#cache(bucketsAt(this.#read), Number.MAX_SAFE_INTEGER);
    if (bytes === undefined) return undefined;
    const index = new RecordIndex();
    let start = 0;
    for (let bucket = 0; bucket < this.head.buckets; bucket++) {
      const end = bytes.indexOf(0x0a, start) + 1;
      const actors = decodeBucket(this.#read, bucket, bytes.subarray(start, end));
      if (actors === undefined) return undefined;
      for (const [id, places] of actors) for (let i = 0; i < places.length; i++) index.add(this.#record(id, places, i));
      start = end;
    }
    return index.size === this.head.places ? index : undefined;
  }

  #record(persistenceId: string, places: ActorPlaces, i: number): IndexedRecord {
    const { seq, revision, journalSeq, offset, length } = places.at(i);
    return {
      persistenceId,
      seq,
      revision,
      journalSeq,
      segment: this.segment.name,
      id: this.segment.id,
      offset,
      length,
    };
  }

  async #cache(from: number, to: number): Promise<Buffer | undefined> {
    return this.#backend.readCache?.(indexName(this.segment.name), from, to);
  }
}

/**
 * The cache of a closed segment, if there is one that verifies and speaks of the seal which stands at the segment's end now.
 * Rejects as reading the segment does.
 */
export async function openCached(backend: Backend, segment: Segment): Promise<CachedSegment | undefined> {
  const read = await readHead(backend, indexName(segment.name));
  if (read === undefined) return undefined;
  const { seal, sealAt } = read.head;
  if (sealAt >= segment.bytes || segment.bytes - sealAt > SEAL_BYTES_MAX) return undefined;
  const parts: Buffer[] = [];
  for await (const chunk of backend.read(segment.name, sealAt, segment.bytes, segment.id))
    parts.push(Buffer.from(chunk));
  return sealDigest(Buffer.concat(parts)) === seal ? new CachedSegment(backend, segment, read) : undefined;
}

async function readHead(backend: Backend, name: string): Promise<ReadHead | undefined> {
  for (let length = HEAD_BYTES; length <= HEAD_BYTES_MAX; length *= 4) {
    const bytes = await backend.readCache?.(name, 0, length);
    if (bytes === undefined) return undefined;
    const read = decodeIndexHead(bytes);
    if (read !== "short") return read;
    if (bytes.length < length) return undefined;
  }
  return undefined;
}
