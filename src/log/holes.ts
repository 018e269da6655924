// The seqs that a log lacks: where they should stand, and which of them gap records account for. A gap record may stand
// anywhere behind the hole it accounts for, so that nothing is judged before the log has been read to its end.
import type { SeqRange } from "./anomaly.ts";
import { countOf, intersect, normalise, subtract } from "./ranges.ts";
import type { GapReason } from "./record.ts";

/** Seqs that were passed over between two verified lines. */
export interface Hole extends SeqRange {
  readonly file: string;
  /** Which file of the log, counted from the first that was read. */
  readonly segment: number;
  /** Where the line stands that follows the hole, and its seq. */
  readonly offset: number;
  readonly before: number;
  /** The file begins behind the hole, and its name says so. */
  readonly wholeFile: boolean;
  /** Damaged bytes stand where the seqs should be. */
  readonly explained: boolean;
}

export class Holes {
  /** By seq, disjoint. */
  #holes: Hole[] = [];
  readonly #gaps: { readonly range: SeqRange; readonly reason: GapReason }[] = [];

  add(hole: Hole): void {
    this.#holes.push(hole);
  }

  account(range: SeqRange, reason: GapReason): void {
    this.#gaps.push({ range, reason });
  }

  /** A line with this seq turned up behind its place: returns the hole that it fills, or undefined. */
  fill(seq: number): Hole | undefined {
    let at = 0;
    for (let high = this.#holes.length; at < high; ) {
      const middle = (at + high) >>> 1;
      if ((this.#holes[middle] as Hole).to < seq) at = middle + 1;
      else high = middle;
    }
    const hole = this.#holes[at];
    if (hole === undefined || hole.from > seq) return undefined;
    const rest = [
      { ...hole, to: seq - 1 },
      { ...hole, from: seq + 1 },
    ];
    this.#holes.splice(at, 1, ...rest.filter(({ from, to }) => from <= to));
    return hole;
  }

  /** What nothing accounts for, hole by hole. */
  missing(): Hole[] {
    const missing: Hole[] = [];
    let h = 0;
    for (const range of subtract(this.#holes, this.#accounted())) {
      while ((this.#holes[h] as Hole).to < range.from) h += 1;
      missing.push({ ...(this.#holes[h] as Hole), ...range });
    }
    return missing;
  }

  /** Every seq that is absent, whatever accounts for it; `behind` is absent behind the last line. */
  absent(behind: SeqRange): SeqRange[] {
    return normalise([...this.#holes, behind]);
  }

  /**
   * Every seq over which a reader may pass: the absent ones, and those that gap records account for. Of a segment whose seal was
   * believed nobody knows what is absent, and a recovery that was cut short has a gap record for bytes that are still there.
   */
  passable(behind: SeqRange): SeqRange[] {
    return normalise([...this.absent(behind), ...this.#accounted()]);
  }

  /** What nothing accounts for of a range behind the last line. */
  missingOf(range: SeqRange): SeqRange[] {
    return range.from > range.to ? [] : subtract([range], this.#accounted());
  }

  /** How many absent seqs gap records account for, by reason; each is counted once, even if two records name it. */
  accountOf(behind: SeqRange): Record<GapReason, number> {
    let absent = this.absent(behind);
    const counts: Record<GapReason, number> = { compacted: 0, quarantined: 0, lost: 0 };
    for (const reason of ["compacted", "quarantined", "lost"] as const) {
      const named = normalise(this.#gaps.filter((gap) => gap.reason === reason).map((gap) => gap.range));
      counts[reason] = countOf(intersect(absent, named));
      absent = subtract(absent, named);
    }
    return counts;
  }

  #accounted(): SeqRange[] {
    return normalise(this.#gaps.map((gap) => gap.range));
  }
}
