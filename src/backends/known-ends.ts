// What openings before this one have verified at the ends of closed segments. It is a cache (log/sealed-ends.ts): deleted,
// stale or damaged, the segments are read. It is asked about a file only after a look at that file, which must be the very one and unchanged.
import type { LogName } from "../log/record.ts";
import type { StatedSeal } from "../log/seal.ts";
import { decodeSealedEnds, encodeSealedEnds, type SealedEnds } from "../log/sealed-ends.ts";
import { endsName } from "../log/segments.ts";
import type { Backend, Segment } from "./backend.ts";

/** With fewer closed segments, or fewer that are not in the cache, reading them costs no more than the cache does. */
const UNKNOWN_MIN = 8;
/**
 * A file that was changed less long ago is not remembered: another change might leave it the same time, since no file system
 * tells times apart that are closer than its clock ticks. The coarsest in use ticks every two seconds.
 */
const SETTLED_MS = 5000;

export class KnownEnds {
  readonly #backend: Backend;
  readonly #log: LogName;
  readonly #before: ReadonlyMap<string, SealedEnds>;
  /** Files that were changed later may be changed again without being told apart. */
  readonly #settledMs: number;
  readonly #confirmed: SealedEnds[] = [];
  #unknown = 0;

  private constructor(backend: Backend, log: LogName, before: readonly SealedEnds[]) {
    this.#backend = backend;
    this.#log = log;
    this.#before = new Map(before.map((ends) => [ends.name, ends]));
    this.#settledMs = backend.env.clock.nowMs() - SETTLED_MS;
  }

  /** What the cache of a log says; undefined where it is not worth asking. */
  static async of(backend: Backend, log: LogName, segments: readonly Segment[]): Promise<KnownEnds | undefined> {
    const closed = segments.filter((segment) => segment.log === log && !segment.active);
    if (closed.length < UNKNOWN_MIN || backend.readCache === undefined) return undefined;
    const bytes = await backend.readCache(endsName(log), 0, Number.MAX_SAFE_INTEGER);
    return new KnownEnds(backend, log, bytes === undefined ? [] : decodeSealedEnds(bytes));
  }

  /** The seal of this segment, if it was verified under this identity line and the file is the same since. */
  sealOf({ name, id, bytes, changedMs }: Segment, identity: string): StatedSeal | undefined {
    const ends = this.#before.get(name);
    if (ends === undefined) return undefined;
    const same = ends.id === id && ends.bytes === bytes && ends.changedMs === changedMs;
    if (!same || ends.identity !== identity) return undefined;
    this.#confirmed.push(ends);
    return ends.seal;
  }

  /** Both ends of this segment were read and found whole. */
  add({ name, id, bytes, changedMs }: Segment, identity: string, seal: StatedSeal): void {
    if (changedMs === undefined || changedMs > this.#settledMs) return;
    this.#unknown += 1;
    this.#confirmed.push({ name, id, bytes, changedMs, identity, seal });
  }

  /** Best effort: without it the next opening reads what this one has read. */
  async keep(): Promise<void> {
    if (this.#unknown < UNKNOWN_MIN) return;
    await this.#backend.writeCache?.(endsName(this.#log), encodeSealedEnds(this.#confirmed)).catch(() => undefined);
  }
}
