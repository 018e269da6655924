// What openings before this one have verified at the ends of closed segments. It is a cache (log/sealed-ends.ts): deleted,
// stale or damaged, the segments are read. It is asked about a file only after a look at that file, which must be the very one and unchanged.
import type { LogName } from "../log/record.ts";
import type { StatedSeal } from "../log/seal.ts";
import { decodeSealedEnds, encodeSealedEnds, type SealedEnds } from "../log/sealed-ends.ts";
import { endsName } from "../log/segments.ts";
import type { Backend, Segment } from "./backend.ts";
import { KnownFiles } from "./known-files.ts";

/** With fewer closed segments, or fewer that are not in the cache, reading them costs no more than the cache does. */
const UNKNOWN_MIN = 8;

export class KnownEnds {
  readonly #backend: Backend;
  readonly #log: LogName;
  readonly #files: KnownFiles<SealedEnds>;

  private constructor(backend: Backend, log: LogName, before: readonly SealedEnds[]) {
    this.#backend = backend;
    this.#log = log;
    this.#files = new KnownFiles(before, backend.env.clock.nowMs());
  }

  /** What the cache of a log says; undefined where it is not worth asking. */
  static async of(backend: Backend, log: LogName, segments: readonly Segment[]): Promise<KnownEnds | undefined> {
    const closed = segments.filter((segment) => segment.log === log && !segment.active);
    if (closed.length < UNKNOWN_MIN || backend.readCache === undefined) return undefined;
    const bytes = await backend.readCache(endsName(log), (read) => read(0, Number.MAX_SAFE_INTEGER));
    return new KnownEnds(backend, log, bytes === undefined ? [] : decodeSealedEnds(bytes));
  }

  /** The seal of this segment, if it was verified under this identity line and the file is the same since. */
  sealOf(segment: Segment, identity: string): StatedSeal | undefined {
    const ends = this.#files.of(segment);
    if (ends === undefined || ends.identity !== identity) return undefined;
    this.#files.confirm(ends);
    return ends.seal;
  }

  /** Both ends of this segment were read and found whole. */
  add(segment: Segment, identity: string, seal: StatedSeal): void {
    this.#files.add(segment, { identity, seal });
  }

  /** Best effort: without it the next opening reads what this one has read. */
  async keep(): Promise<void> {
    const { confirmed, unknown } = this.#files;
    if (unknown < UNKNOWN_MIN) return;
    await this.#backend.writeCache?.(endsName(this.#log), encodeSealedEnds(confirmed)).catch(() => undefined);
  }
}
