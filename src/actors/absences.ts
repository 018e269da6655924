// What is known to be absent from a journal, by reason: what the history of an actor, which is put together from the records
// that are there, must be judged by. Pure.
import type { SeqRange } from "../log/anomaly.ts";
import { gapRanges } from "../log/gaps.ts";
import { intersect, normalise, subtract } from "../log/ranges.ts";
import type { GapRecord } from "../log/record.ts";

/** A revision and the seq of its record. */
export interface Position {
  readonly revision: number;
  readonly seq: number;
}

export const BEGINNING: Position = { revision: 0, seq: 0 };

/** The seqs of a journal at which no record stands, by reason. Sorted and disjoint. */
export interface Absences {
  /** Nothing accounts for them: damage that was not recovered from yet. */
  readonly missing: readonly SeqRange[];
  /** A gap record says "lost" or "quarantined". */
  readonly lost: readonly SeqRange[];
  /** A gap record says "compacted". */
  readonly compacted: readonly SeqRange[];
  /** Actors whose newest event may be among the lost ones, by what the gap records say, and how far they reached. */
  readonly reached?: ReadonlyMap<string, Position>;
}

export const NOTHING_ABSENT: Absences = { missing: [], lost: [], compacted: [] };

/** Sorts the absent seqs of a journal by what its gap records say of them. */
export function absencesOf(
  absent: readonly SeqRange[],
  gaps: readonly Pick<GapRecord, "from" | "to" | "reason" | "concerns" | "kept">[],
): Absences {
  const all = normalise(absent);
  const named = (compacted: boolean): SeqRange[] =>
    normalise(gaps.filter((gap) => (gap.reason === "compacted") === compacted).flatMap(gapRanges));
  const lost = intersect(all, named(false));
  const rest = subtract(all, lost);
  const compacted = intersect(rest, named(true));
  const reached = reachedBy(gaps);
  return { missing: subtract(rest, compacted), lost, compacted, ...(reached.size > 0 ? { reached } : {}) };
}

function reachedBy(gaps: readonly Pick<GapRecord, "to" | "concerns">[]): Map<string, Position> {
  const reached = new Map<string, Position>();
  for (const { to, concerns } of gaps) {
    for (const { persistence_id, revision } of Array.isArray(concerns) ? concerns : []) {
      if (revision > (reached.get(persistence_id)?.revision ?? 0)) reached.set(persistence_id, { revision, seq: to });
    }
  }
  return reached;
}
