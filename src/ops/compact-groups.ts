// Which closed segments become one: those in which something goes, as long as they follow each other and what stays of them
// fits into one, and small ones beside them, so that a long history does not end in thousands of tiny files. Pure.
import { parseFileName } from "../log/segments.ts";
import type { Segment } from "../backends/backend.ts";
import type { SegmentShare } from "./compact-plan.ts";

/** Segments that follow each other and become one. */
export interface Group {
  readonly shares: readonly SegmentShare[];
  /** The seqs that they stand for. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly keptBytes: number;
}

/** Merged segments are no larger than this, whatever size the store has for them. */
const MERGED_BYTES = 256 << 20;

/** The groups of the closed segments of a log, in its order. */
export function formGroups(
  shares: readonly SegmentShare[],
  segmentBytes: number,
  sameLineage: (a: Segment, b: Segment) => boolean,
): Group[] {
  const target = Math.min(segmentBytes, MERGED_BYTES);
  const kept = ({ bytes, goneBytes }: SegmentShare): number => bytes - goneBytes;
  const changes = (share: SegmentShare | undefined): boolean => (share?.gone ?? 0) > 0;
  const joins = shares.map((share, i) => {
    const small = kept(share) <= target / 4;
    return changes(share) || (small && (changes(shares[i - 1]) || changes(shares[i + 1])));
  });
  const groups: SegmentShare[][] = [];
  let open: SegmentShare[] | undefined;
  let size = 0;
  // What stands for no seq at all goes with the one behind it, which begins at the same seq: the name of what is made of that
  // one would say that both are replaced.
  for (let i = shares.length - 1; i >= 0; i--) if (isEmpty(shares[i])) joins[i] = joins[i + 1] === true;
  for (const [i, share] of shares.entries()) {
    if (!joins[i]) {
      open = undefined;
      continue;
    }
    const before = shares[i - 1]?.segment;
    const follows = before !== undefined && sameLineage(before, share.segment);
    const full = size + kept(share) > target && open?.every(isEmpty) === false;
    if (open === undefined || !follows || full) {
      groups.push((open = []));
      size = 0;
    }
    open.push(share);
    size += kept(share);
  }
  return groups.filter((group) => group.some(changes)).map(asGroup);
}

function asGroup(shares: readonly SegmentShare[]): Group {
  const ranges = shares.flatMap((share) => rangeOf(share) ?? []);
  return {
    shares,
    firstSeq: Math.min(...ranges.map(({ from }) => from)),
    lastSeq: Math.max(...ranges.map(({ to }) => to)),
    keptBytes: shares.reduce((sum, { bytes, goneBytes }) => sum + bytes - goneBytes, 0),
  };
}

/** An unfinished write was all that was in it, and recovery has taken that out. */
function isEmpty(share: SegmentShare | undefined): boolean {
  return share !== undefined && rangeOf(share) === undefined;
}

/** From what its name says to the last seq in it, or to what its name says as well. */
function rangeOf({ segment, lastSeq }: SegmentShare): { from: number; to: number } | undefined {
  const name = parseFileName(segment.name);
  if (name.type !== "closed") return undefined;
  const to = Math.max(name.lastSeq ?? 0, lastSeq);
  return to >= name.firstSeq ? { from: name.firstSeq, to } : undefined;
}
