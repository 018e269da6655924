// What gap records say: which seqs each accounts for, and the records that account for what compaction takes out. Pure.
import type { SeqRange } from "./anomaly.ts";
import { normalise, subtract } from "./ranges.ts";
import type { GapRecord, NewRecord } from "./record.ts";

/** A line of a gap record needs so much besides what it keeps, and so much for each range that it keeps. */
const GAP_BYTES = 512;
const KEPT_BYTES = 40;
/** So that one line stays readable. */
const KEPT_MAX = 1000;

/** The seqs that a gap record accounts for: all from `from` to `to`, but for those that it says were kept. */
export function gapRanges({ from, to, kept }: Pick<GapRecord, "from" | "to" | "kept">): SeqRange[] {
  if (from > to) return [];
  return isRanges(kept)
    ? subtract([{ from, to }], normalise(kept.map(([first, last]) => ({ from: first, to: last }))))
    : [{ from, to }];
}

/** Another program may have written it. */
function isRanges(kept: unknown): kept is readonly (readonly [number, number])[] {
  const isRange = (range: unknown): boolean =>
    Array.isArray(range) && range.length === 2 && range.every((seq) => Number.isSafeInteger(seq));
  return Array.isArray(kept) && kept.every(isRange);
}

/** The gap records that account for `gone` (normalised), and for nothing else; none of their lines is longer than a line may be. */
export function compactedGaps(gone: readonly SeqRange[], by: string, lineBytesMax: number): NewRecord[] {
  const keptMax = Math.max(1, Math.min(KEPT_MAX, Math.floor((lineBytesMax - GAP_BYTES) / KEPT_BYTES)));
  const records: NewRecord[] = [];
  for (let first = 0; first < gone.length; first += keptMax + 1) {
    const ranges = gone.slice(first, first + keptMax + 1);
    const from = (ranges[0] as SeqRange).from;
    const to = (ranges.at(-1) as SeqRange).to;
    const kept = subtract([{ from, to }], ranges).map((range) => [range.from, range.to] as const);
    records.push({ kind: "gap", from, to, reason: "compacted", by, ...(kept.length === 0 ? {} : { kept }) });
  }
  return records;
}
