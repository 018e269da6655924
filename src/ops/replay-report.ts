// What a replay found, while it runs and in the end: the states, the histories that cannot be folded, the divergences.
import type { FoldState } from "../actors/fold.ts";
import type { Definition } from "../actors/persistent.ts";
import type { Backend } from "../backends/backend.ts";
import type { ErrorCode } from "../errors.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { countOf } from "../log/ranges.ts";
import type { JournalRecord } from "../log/record.ts";

/** One actor's state, by its digest. */
export interface ReplayedActor {
  readonly persistenceId: string;
  readonly revision: number;
  /** The journal seq of its last event. */
  readonly seq: number;
  readonly digest: string;
  readonly state: unknown;
}

/** Why an actor's history could not be folded to its end. */
export interface ReplayProblem {
  readonly persistenceId: string;
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
}

/** A state that came out differently. */
export interface Divergence {
  readonly persistenceId: string;
  /** "snapshot": a stored state is not what its events give. "fold": two folds of the same events differ. */
  readonly against: "snapshot" | "fold";
  /** The first event after which they differ, as far as it can be told. */
  readonly revision: number;
  readonly seq: number;
  readonly eventType: string;
  /** Before it, the states were equal up to this revision. */
  readonly equalUpTo: number;
}

export interface ReplayReport {
  readonly ok: boolean;
  readonly verdict: string;
  readonly path: string;
  readonly events: number;
  /** The last journal seq that was looked at. */
  readonly lastSeq: number;
  readonly actors: readonly ReplayedActor[];
  /** Types of actors in the journal that no definition was given for, with how many events each has. */
  readonly undefinedTypes: Readonly<Record<string, number>>;
  readonly problems: readonly ReplayProblem[];
  /** Seqs of the journal that are gone, and nothing says whose events they were: any actor may have lost its newest. */
  readonly unattributed: readonly SeqRange[];
  readonly verified:
    | { readonly folds: number; readonly snapshots: number; readonly divergences: readonly Divergence[] }
    | undefined;
}

/** A state that a snapshot holds, by its digest, and which event was the last one in it. */
export interface Expectation {
  readonly revision: number;
  readonly digest: string;
  readonly seq: number;
  /** When the snapshot was taken. */
  readonly timestamp: number;
}

/** After a restore to the middle of a moment, a snapshot may be of a future that was left: other events took its numbers since. */
export function isOfThisHistory({ seq, timestamp }: Expectation, last: JournalRecord): boolean {
  return seq === last.seq && timestamp >= last.timestamp;
}

/** One actor while its history is folded. */
export interface Running {
  readonly fold: FoldState;
  readonly definition: Definition;
  readonly expected: Expectation[];
  equalUpTo: number;
  sinceEqual: { revision: number; seq: number; eventType: string } | undefined;
  failed: boolean;
}

/** What one pass over the journal gave. */
export interface Folded {
  readonly actors: ReadonlyMap<string, Running>;
  readonly problems: ReplayProblem[];
  readonly divergences: Divergence[];
  readonly undefinedTypes: Record<string, number>;
  readonly snapshots: number;
  readonly events: number;
  readonly lastSeq: number;
}

/** The report on a fold, and on its comparison with a second one, if there was one. */
export function reportOf(
  backend: Backend,
  folded: Folded,
  unattributed: readonly SeqRange[],
  verified: ReplayReport["verified"],
): ReplayReport {
  const actors = [...folded.actors]
    .filter(([, { failed }]) => !failed)
    .map(([persistenceId, { fold }]) => ({
      persistenceId,
      revision: fold.revision,
      seq: fold.seq,
      digest: fold.digest(),
      state: fold.state,
    }))
    .sort((a, b) => (a.persistenceId < b.persistenceId ? -1 : 1));
  const diverged = verified?.divergences.length ?? 0;
  const gone = countOf(unattributed);
  const ok = folded.problems.length === 0 && diverged === 0 && (verified === undefined || gone === 0);
  const what = `${actors.length} actors from ${folded.events} events`;
  const proof =
    verified === undefined ? "" : `, folded twice with equal digests, ${verified.snapshots} snapshots agree`;
  return {
    ok,
    verdict: `${
      folded.problems.length === 0 && diverged === 0
        ? `replayed ${what}${proof}`
        : `replayed ${what}; ${folded.problems.length} histories cannot be folded, ${diverged} states diverge`
    }${gone === 0 ? "" : `; ${gone} journal seqs are gone and nothing says whose: any actor may have lost its newest events`}`,
    path: backend.location,
    events: folded.events,
    lastSeq: folded.lastSeq,
    actors,
    undefinedTypes: folded.undefinedTypes,
    problems: folded.problems,
    unattributed,
    verified,
  };
}
