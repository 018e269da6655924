// Sets of sequence numbers as sorted, disjoint, inclusive ranges: holes, gaps, what is left of one without the other.
import type { SeqRange } from "./anomaly.ts";

/** How many numbers the ranges hold. */
export function countOf(ranges: readonly SeqRange[]): number {
  let count = 0;
  for (const { from, to } of ranges) count += to - from + 1;
  return count;
}

/** Sorted and merged. */
export function normalise(ranges: readonly SeqRange[]): SeqRange[] {
  const sorted = ranges.filter(({ from, to }) => from <= to).sort((a, b) => a.from - b.from);
  const merged: { from: number; to: number }[] = [];
  for (const { from, to } of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

/** What is in `ranges` and not in `others`; both normalised. */
export function subtract(ranges: readonly SeqRange[], others: readonly SeqRange[]): SeqRange[] {
  const left: SeqRange[] = [];
  let o = 0;
  for (const range of ranges) {
    let from = range.from;
    while (o < others.length && (others[o] as SeqRange).to < from) o += 1;
    for (let i = o; i < others.length && (others[i] as SeqRange).from <= range.to; i++) {
      const other = others[i] as SeqRange;
      if (other.from > from) left.push({ from, to: other.from - 1 });
      from = Math.max(from, other.to + 1);
    }
    if (from <= range.to) left.push({ from, to: range.to });
  }
  return left;
}

/** What is in both; both normalised. */
export function intersect(ranges: readonly SeqRange[], others: readonly SeqRange[]): SeqRange[] {
  return ranges.length <= others.length
    ? ranges.flatMap((range) => within(range, others))
    : others.flatMap((range) => within(range, ranges));
}

/** What of one range is in normalised ranges; found by halving, so that a million ranges are no matter. */
export function within(range: SeqRange, ranges: readonly SeqRange[]): SeqRange[] {
  let low = 0;
  for (let high = ranges.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle] as SeqRange).to < range.from) low = middle + 1;
    else high = middle;
  }
  const found: SeqRange[] = [];
  for (let i = low; i < ranges.length; i++) {
    const { from, to } = ranges[i] as SeqRange;
    if (from > range.to) break;
    found.push({ from: Math.max(from, range.from), to: Math.min(to, range.to) });
  }
  return found;
}
