// When an actor takes a snapshot: after so many events, when events have waited so long, or when its definition says so.
// Asked after each commit and told what became of it. Pure: revisions and times are given.
import { PapyraError } from "../errors.ts";
import { refuseUnknown, wholeNumber } from "../options.ts";
import { SNAPSHOTS_KEPT } from "../log/retention.ts";

/** What has just been committed. */
export interface Committed {
  /** The revision of its last event. */
  readonly revision: number;
  readonly eventTypes: readonly string[];
}

/** When snapshots are taken, and how many of them compaction leaves. Looked at after each commit; no timer runs. */
export interface SnapshotOptions<S> {
  /** After so many events since the last one. From 1 to 1,000,000. */
  readonly everyEvents?: number;
  /** When the oldest event that no snapshot covers is so many milliseconds old. From 1 to 10 years. */
  readonly everyMs?: number;
  /** When this says so. What it throws is reported, counted, and means no. */
  readonly when?: (state: S, committed: Committed) => boolean;
  /** So many of the actor's newest snapshots stay when the store is compacted. From 1 to 1,000. Default 2. */
  readonly keep?: number;
}

/** The options, checked and complete. */
export interface ResolvedSnapshotOptions {
  readonly everyEvents: number;
  readonly everyMs: number;
  readonly when: ((state: unknown, committed: Committed) => boolean) | undefined;
  readonly keep: number;
}

const KNOWN = ["everyEvents", "everyMs", "when", "keep"];
const YEARS_10_MS = 10 * 366 * 24 * 3_600_000;

/** Rejects with OPTION_INVALID. */
export function resolveSnapshots(options: unknown): ResolvedSnapshotOptions {
  if (options !== undefined && (typeof options !== "object" || options === null)) {
    throw new PapyraError("OPTION_INVALID", `option \`snapshot\` must be an object, not ${JSON.stringify(options)}`, {
      hint: "for example: snapshot: { everyEvents: 100 }",
    });
  }
  const given = (options ?? {}) as SnapshotOptions<unknown>;
  refuseUnknown("`snapshot`", given, KNOWN);
  if (given.when !== undefined && typeof given.when !== "function") {
    throw new PapyraError("OPTION_INVALID", "option `snapshot.when` must be a function");
  }
  const never = Number.POSITIVE_INFINITY;
  return Object.freeze({
    everyEvents: wholeNumber("snapshot.everyEvents", given.everyEvents, never, 1, 1_000_000),
    everyMs: wholeNumber("snapshot.everyMs", given.everyMs, never, 1, YEARS_10_MS),
    when: given.when,
    keep: wholeNumber("snapshot.keep", given.keep, SNAPSHOTS_KEPT, 1, 1000),
  });
}

/** The schedule of one incarnation. */
export class SnapshotSchedule {
  readonly #options: ResolvedSnapshotOptions;
  /** Of the newest snapshot. */
  #revision: number;
  /** Since when the oldest event waits that no snapshot covers. */
  #waitingMs: number | undefined;
  /** The same, of those that were committed before the snapshot that is being written. */
  #coveredMs: number | undefined;
  /** After a failure none is tried before this revision. */
  #notBefore = 0;
  #failures = 0;

  /** `waitingMs`: the time of the oldest event that was folded behind the snapshot of `revision`. */
  constructor(options: ResolvedSnapshotOptions, revision: number, waitingMs: number | undefined) {
    this.#options = options;
    this.#revision = revision;
    this.#waitingMs = waitingMs;
  }

  /** Events were committed: whether a snapshot is due now. Throws what `when` throws. */
  isDue(state: unknown, committed: Committed, nowMs: number): boolean {
    const { everyEvents, everyMs, when } = this.#options;
    const { revision } = committed;
    this.#waitingMs ??= nowMs;
    if (revision < this.#notBefore) return false;
    if (revision - this.#revision >= everyEvents || nowMs - this.#waitingMs >= everyMs) return true;
    return when !== undefined && when(state, committed) === true;
  }

  /** One is being written; what is committed from now on is not in it. */
  begun(): void {
    this.#coveredMs = this.#waitingMs;
    this.#waitingMs = undefined;
  }

  /** It is stored. */
  taken(revision: number): void {
    this.#revision = revision;
    this.#failures = 0;
    this.#notBefore = 0;
  }

  /**
   * It could not be stored. The next one is tried after as many events as usual, then twice as many, and so on: a state that has
   * outgrown a line would otherwise be put together at each command.
   */
  failed(revision: number): void {
    this.#waitingMs = this.#coveredMs ?? this.#waitingMs;
    const usual = Number.isFinite(this.#options.everyEvents) ? this.#options.everyEvents : 1;
    this.#notBefore = revision + usual * 2 ** Math.min(this.#failures, 20);
    this.#failures += 1;
  }
}
