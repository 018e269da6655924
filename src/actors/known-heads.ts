// Which caches were found to speak of the closed segments of a log. It is a cache of its own (log/index-heads.ts): deleted,
// stale or damaged, each cache is asked again, and the end of its segment.
import type { Backend, Segment } from "../backends/backend.ts";
import { KnownFiles } from "../backends/known-files.ts";
import { decodeIndexHeads, encodeIndexHeads, type IndexedSegment } from "../log/index-heads.ts";
import type { ReadHead } from "../log/segment-index.ts";
import { headsName } from "../log/segments.ts";
import type { IndexedLog } from "./segment-reading.ts";

export class KnownHeads {
  readonly #backend: Backend;
  readonly #log: IndexedLog;
  readonly #files: KnownFiles<IndexedSegment>;

  private constructor(backend: Backend, log: IndexedLog, before: readonly IndexedSegment[]) {
    this.#backend = backend;
    this.#log = log;
    this.#files = new KnownFiles(before, backend.env.clock.nowMs());
  }

  /** What the cache of a log says. */
  static async of(backend: Backend, log: IndexedLog): Promise<KnownHeads> {
    const bytes = await backend.readCache?.(headsName(log), (read) => read(0, Number.MAX_SAFE_INTEGER));
    return new KnownHeads(backend, log, bytes === undefined ? [] : decodeIndexHeads(bytes));
  }

  /** The first line of the cache of a segment, if it was found to speak of it and the segment is the same since. */
  of(segment: Segment): ReadHead | undefined {
    const known = this.#files.of(segment);
    if (known !== undefined) this.#files.confirm(known);
    return known?.read;
  }

  add(segment: Segment, read: ReadHead): void {
    this.#files.add(segment, { read });
  }

  /** Best effort: without it the next start asks again. */
  async keep(): Promise<void> {
    if (this.#files.unknown > 0) await this.#write(encodeIndexHeads(this.#files.confirmed));
  }

  /** What it says has led to nothing: the next start asks again. */
  async forget(): Promise<void> {
    if (this.#files.confirmed.length > 0) await this.#write(Buffer.alloc(0));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#backend.writeCache?.(headsName(this.#log), bytes).catch(() => undefined);
  }
}
