// Makes the caches of segments: when a segment was closed, when it had to be read because none speaks for it, and of those that
// are not closed yet when the system stops.
// Best effort: a cache that cannot be written is counted, and its segment stays in memory.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { decodeIndexHead, encodeSegmentIndex } from "../log/segment-index.ts";
import { indexName } from "../log/segments.ts";
import { CachedSegment, headOf } from "./cached-segment.ts";
import { KnownHeads } from "./known-heads.ts";
import { changedSegment, type Reloaded } from "./log-index.ts";
import { RecordIndex } from "./record-index.ts";
import { type IndexedLog, readSegment, type SegmentReading } from "./segment-reading.ts";

export interface CacheCounters {
  segmentsIndexed: number;
  indexWritesFailed: number;
}

/** The caches of one store. */
export class SegmentCaches {
  readonly #backend: Backend;
  readonly #counters: CacheCounters;
  /** How long the active segments were of which the cache was found good. */
  readonly #keptOfActive = new Map<string, number>();
  /** Whether caches are believed that were there before; those that are made meanwhile are in any case. */
  trusted = true;

  constructor(backend: Backend, counters: CacheCounters) {
    this.#backend = backend;
    this.#counters = counters;
  }

  /** Whether the store keeps caches at all. */
  get kept(): boolean {
    return this.#backend.readCache !== undefined && this.#backend.writeCache !== undefined;
  }

  /** Which caches of a log are known to speak of its segments; undefined where none is asked. */
  async known(log: IndexedLog, segments: readonly Segment[]): Promise<KnownHeads | undefined> {
    const asked = this.kept && this.trusted && segments.some(({ active }) => !active);
    return asked ? KnownHeads.of(this.#backend, log) : undefined;
  }

  /** The cache of a closed segment, if it is believed. */
  async open(segment: Segment, known: KnownHeads | undefined): Promise<CachedSegment | undefined> {
    if (!this.kept || !this.trusted || segment.active) return undefined;
    const before = known?.of(segment);
    if (before !== undefined) return new CachedSegment(this.#backend, segment, before);
    const read = await headOf(this.#backend, segment);
    if (read === undefined) return undefined;
    known?.add(segment, read);
    return new CachedSegment(this.#backend, segment, read);
  }

  /**
   * Counts a segment that had to be read, and keeps what was found, if it is whole. What was written is not read again: each
   * lookup verifies what it gets.
   */
  async keep(
    segment: Segment,
    reading: SegmentReading,
    index: RecordIndex,
    known?: KnownHeads,
  ): Promise<CachedSegment | undefined> {
    this.#counters.segmentsIndexed += 1;
    const { facts } = reading;
    if (facts === undefined || !this.kept) return undefined;
    try {
      const cache = encodeSegmentIndex(facts, [...index.all()]);
      await this.#backend.writeCache?.(indexName(segment.name), cache);
      const read = decodeIndexHead(cache);
      if (read === "short" || read === undefined) return undefined;
      known?.add(segment, read);
      return new CachedSegment(this.#backend, segment, read);
    } catch {
      this.#counters.indexWritesFailed += 1;
      return undefined;
    }
  }

  /** What a clean stop has kept of the active segment, if it is believed, and nothing was appended since. */
  async openActive(segment: Segment): Promise<CachedSegment | undefined> {
    if (!this.kept || !this.trusted) return undefined;
    const read = await headOf(this.#backend, segment);
    if (read === undefined) return undefined;
    this.#keptOfActive.set(segment.id, segment.bytes);
    return new CachedSegment(this.#backend, segment, read);
  }

  /** Keeps what stands in the active segment of a log, to which nothing is appended meanwhile. Never rejects. */
  async keepActive(log: IndexedLog): Promise<void> {
    if (!this.kept) return;
    try {
      const view = await this.#backend.view();
      const segment = view.segments.find((each) => each.log === log && each.active);
      if (segment === undefined || this.#keptOfActive.get(segment.id) === segment.bytes) return;
      const index = new RecordIndex();
      const reading = await readSegment(this.#backend, view, log, segment, index, () => true);
      const facts = reading.factsOfActive(segment.bytes);
      if (facts === undefined) return;
      await this.#backend.writeCache?.(indexName(segment.name), encodeSegmentIndex(facts, [...index.all()]));
    } catch {
      this.#counters.indexWritesFailed += 1;
    }
  }

  /** Writes the cache of a segment that was closed a moment ago. Never rejects. */
  async cacheClosed(log: IndexedLog, id: string): Promise<CachedSegment | undefined> {
    try {
      const view = await this.#backend.view();
      const segment = view.segments.find((each) => each.id === id && !each.active);
      if (segment === undefined) return undefined; // compacted by now
      const index = new RecordIndex();
      const reading = await readSegment(this.#backend, view, log, segment, index, () => true);
      return await this.keep(segment, reading, index);
    } catch {
      this.#counters.indexWritesFailed += 1; // whatever it is, an actor that needs the segment will be told
      return undefined;
    }
  }

  /** Reads a segment again whose cache is wrong. Rejects with LOG_DAMAGED when the segment is not what its seal says either. */
  async readAgain(
    view: StoreView,
    log: IndexedLog,
    segment: Segment,
    known: KnownHeads | undefined,
  ): Promise<Reloaded> {
    await known?.forget();
    const index = new RecordIndex();
    const reading = await readSegment(this.#backend, view, log, segment, index, () => true);
    const facts = segment.active ? reading.factsOfActive(segment.bytes) : reading.facts;
    if (facts === undefined) throw changedSegment(segment);
    return { index, part: (await this.keep(segment, reading, index)) ?? index };
  }
}
