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

/**
 * The groups of the closed segments of a log, in its order. An empty segment, of which recovery has left no line, goes with the
 * one that begins at the same seq: the name of what that becomes supersedes it as well. One without a seal goes with the one
 * behind it, whose seal says that there is none: what they become has one.
 */
export function formGroups(
  shares: readonly SegmentShare[],
  segmentBytes: number,
  sameLineage: (a: Segment, b: Segment) => boolean,
): Group[] {
  const target = Math.min(segmentBytes, MERGED_BYTES);
  const units = unitsOf(shares, sameLineage);
  const joins = units.map((unit, i) => {
    const small = keptOf(unit) <= target / 4;
    return changes(unit) || (small && (changes(units[i - 1]) || changes(units[i + 1])));
  });
  const groups: SegmentShare[][] = [];
  let open: SegmentShare[] | undefined;
  let size = 0;
  for (const [i, unit] of units.entries()) {
    const [first] = unit as [SegmentShare];
    // What stands for no seq at all cannot be named by seqs: it stays as it is.
    if (!joins[i] || unit.every(isEmpty)) {
      open = undefined;
      continue;
    }
    const before = units[i - 1]?.at(-1)?.segment;
    const follows = before !== undefined && sameLineage(before, first.segment);
    if (open === undefined || !follows || size + keptOf(unit) > target) {
      groups.push((open = []));
      size = 0;
    }
    open.push(...unit);
    size += keptOf(unit);
  }
  return groups.filter(changes).map(asGroup);
}

/** What goes together, or stays. */
function unitsOf(shares: readonly SegmentShare[], sameLineage: (a: Segment, b: Segment) => boolean): SegmentShare[][] {
  const units: SegmentShare[][] = [];
  for (const share of shares) {
    const unit = units.at(-1);
    const last = unit?.at(-1);
    const begun = unit?.every((one) => isEmpty(one) && one.segment.firstSeq === share.segment.firstSeq);
    const unsealed = last !== undefined && !last.sealed && !isEmpty(last) && sameLineage(last.segment, share.segment);
    if (unit !== undefined && (begun === true || unsealed)) unit.push(share);
    else units.push([share]);
  }
  return units;
}

function changes(shares: readonly SegmentShare[] | undefined): boolean {
  return shares?.some(({ gone }) => gone > 0) === true;
}

function keptOf(shares: readonly SegmentShare[]): number {
  return shares.reduce((sum, { bytes, goneBytes }) => sum + bytes - goneBytes, 0);
}

function isEmpty(share: SegmentShare): boolean {
  return rangeOf(share) === undefined;
}

function asGroup(shares: readonly SegmentShare[]): Group {
  const ranges = shares.map(rangeOf).filter((range) => range !== undefined);
  return {
    shares,
    firstSeq: Math.min(...ranges.map(({ from }) => from)),
    lastSeq: Math.max(...ranges.map(({ to }) => to)),
    keptBytes: keptOf(shares),
  };
}

/** From what its name says to the last seq in it, or to what its name says as well. */
function rangeOf({ segment, lastSeq }: SegmentShare): { from: number; to: number } | undefined {
  const name = parseFileName(segment.name);
  if (name.type !== "closed") return undefined;
  const to = Math.max(name.lastSeq ?? 0, lastSeq);
  return to >= name.firstSeq ? { from: name.firstSeq, to } : undefined;
}
