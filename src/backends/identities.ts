// Whose the lines of a segment should be, as far as the store says who it is.
import { allIdentities, identityAt, lastSeqAt } from "../log/lineage.ts";
import type { Identity, LogName } from "../log/record.ts";
import type { Segment, StoreView } from "./backend.ts";

/** The identity that the lines of a segment are checked with, or without one those that are appended next. */
export function identityOf(view: StoreView, log: LogName | undefined, segment?: Segment): Identity | undefined {
  return view.identity === undefined || log === undefined
    ? undefined
    : identityAt(view.identity, log, segment?.firstSeq);
}

/** Up to which seq a segment may go: where the lineage ends that it is of. */
export function lastSeqOf(view: StoreView, log: LogName | undefined, segment: Segment): number {
  return view.identity === undefined || log === undefined
    ? Number.POSITIVE_INFINITY
    : lastSeqAt(view.identity, log, segment.firstSeq);
}

/** All that a segment may turn out to be instead; made when they are asked for, since hardly any segment needs them. */
export function* siblingsOf(view: StoreView): Generator<Identity, void, undefined> {
  if (view.identity !== undefined) yield* allIdentities(view.identity);
}
