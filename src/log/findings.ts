// The findings of one log while it is read: bounded in number, all counted, and judged once the log has been read to
// its end, since only then it is known what is missing and what was acknowledged.
import type { Acknowledged, Anomaly, AnomalyKind, SeqRange } from "./anomaly.ts";
import type { Hole } from "./holes.ts";
import { within } from "./ranges.ts";

/** What would mend a finding. Only ever removes, moves or completes whole lines; never rewrites one. */
export type Repair =
  | { readonly type: "none" }
  | { readonly type: "remove" }
  /** Put the line break that a whole record lacks behind it. */
  | { readonly type: "terminate" }
  /** Put the line where its seq belongs, with a line break if it lacks one. */
  | { readonly type: "move"; readonly seq: number; readonly toFile: string; readonly toOffset: number }
  /** Put the identity line in place of these bytes. */
  | { readonly type: "identity"; readonly line: Buffer };

export interface Finding extends Anomaly {
  readonly repair: Repair;
}

/** What is known from outside the log about how far it must reach. */
export interface Reach {
  /** Acknowledged up to this seq. */
  readonly seq: number;
  /**
   * Acknowledged even up to this one, under a policy that does not wait for the disk, in an earlier boot of the machine: what is behind
   * `seq` may be lost.
   */
  readonly acknowledged?: number;
  /** Nothing behind `seq` was ever acknowledged. */
  readonly exact: boolean;
  /** More than that was acknowledged, or may have been, and need not be there: nothing vouches for the end. */
  readonly more?: boolean;
}

/** The sum: 1..lastSeq = present + compacted + quarantined + lost + missing. */
export interface LogAccount {
  readonly lastSeq: number;
  readonly present: number;
  readonly compacted: number;
  readonly quarantined: number;
  readonly lost: number;
  readonly missing: number;
  /** Seqs that nothing accounts for. */
  readonly missingSeqs: readonly SeqRange[];
  /** Those of them that were never promised to anybody, as is known for certain. */
  readonly unpromisedSeqs: readonly SeqRange[];
  /** Those of them at the end that were acknowledged under a policy that allows a power cut to take them. */
  readonly allowedSeqs: readonly SeqRange[];
  /** Seqs that are not there, whether or not something accounts for them. */
  readonly absentSeqs: readonly SeqRange[];
  readonly unchecked: number;
  /** The seq that the next record gets: greater than any that may ever have been acknowledged. */
  readonly nextSeq: number;
  /** Whether something outside the log vouches for its end. */
  readonly endVouched: boolean;
  readonly findings: readonly Finding[];
  readonly counts: Readonly<Partial<Record<AnomalyKind, number>>>;
}

/** What a torn write can look like. */
const TORN_SHAPES: ReadonlySet<AnomalyKind> = new Set(["malformed-line", "checksum-mismatch", "sequence-gap"]);

/** A finding in the making. */
export interface Draft {
  readonly finding: { -readonly [K in keyof Finding]: Finding[K] };
  /** Which file of the log, counted from the first that was read. */
  readonly segment: number;
  /** The bytes have no line break: a write that ended early, if the file ends here too. */
  unfinished: boolean;
  /** Damaged bytes with nothing but damaged bytes behind them in their file. */
  atEnd: boolean;
}

export class Findings {
  readonly #max: number;
  readonly #drafts: Draft[] = [];
  readonly #counts: Partial<Record<AnomalyKind, number>> = {};

  /** Keeps the first `max`; counts all. */
  constructor(max: number) {
    this.#max = max;
  }

  get counts(): Readonly<Partial<Record<AnomalyKind, number>>> {
    return this.#counts;
  }

  add(draft: Draft): void {
    this.#counts[draft.finding.kind] = (this.#counts[draft.finding.kind] ?? 0) + 1;
    if (this.#drafts.length < this.#max) this.#drafts.push(draft);
  }

  /** Adds damage, now that the line behind it tells which seqs are missing there. */
  addResolved(drafts: readonly Draft[], missing: SeqRange | undefined): void {
    const exact = missing !== undefined && missing.to - missing.from + 1 === drafts.length;
    let seq = missing?.from ?? 0;
    for (const draft of drafts) {
      // Where no seq is missing, a file that ends in damage ends in a write that was never acknowledged, however it looks.
      if (missing === undefined && draft.atEnd) draft.finding.kind = "torn-tail";
      draft.finding.seqs = missing === undefined ? undefined : exact ? { from: seq, to: seq++ } : missing;
      this.add(draft);
    }
  }

  rename({ finding }: Draft, kind: AnomalyKind): void {
    const count = (this.#counts[finding.kind] ?? 1) - 1;
    if (count === 0) delete this.#counts[finding.kind];
    else this.#counts[finding.kind] = count;
    this.#counts[kind] = (this.#counts[kind] ?? 0) + 1;
    finding.kind = kind;
  }

  /** A finding for each hole that neither a gap record nor damaged bytes explain. */
  addHoles(missing: readonly Hole[], draftOf: (hole: Hole) => Draft): void {
    for (const hole of missing) {
      if (hole.explained) continue;
      const draft = draftOf(hole);
      this.#counts[draft.finding.kind] = (this.#counts[draft.finding.kind] ?? 0) + 1;
      this.#drafts.push(draft);
    }
  }

  /** Says of each finding whether acknowledged data was lost: `missing` seqs up to `known` were acknowledged for certain. */
  judge(missing: readonly SeqRange[], known: number, reach: Reach | undefined, present: number): void {
    for (const draft of this.#drafts) {
      const { finding } = draft;
      if (finding.kind === "duplicate" || finding.kind === "out-of-order" || finding.repair.type === "terminate")
        continue;
      const concerned = finding.seqs === undefined ? [] : within(finding.seqs, missing);
      const lost = concerned.flatMap((range) => within(range, [{ from: 1, to: known }]));
      finding.lostSeqs = spanOf(lost);
      finding.acknowledged = acknowledgedOf(concerned, lost, reach);
      // A log of which only a damaged beginning is left may have held anything.
      const onlyIdentity = finding.repair.type === "identity" && present === 0;
      if (onlyIdentity && reach === undefined) finding.acknowledged = "unknown";
      if (finding.kind === "torn-tail" && lost.length > 0) this.rename(draft, "truncated");
      // Records that were never promised: a write that was torn in its middle, and whose end reached the disk.
      const torn = concerned.length > 0 && finding.acknowledged === "none";
      if (torn && TORN_SHAPES.has(finding.kind)) this.rename(draft, "torn-tail");
    }
  }

  /** Adds damage with no verified line behind it, now that it is known what is lost at the end; `allowed`: none of it is more than a policy allows. */
  addTail(drafts: readonly Draft[], lost: SeqRange | undefined, allowed: boolean, exact: boolean): void {
    for (const draft of drafts) {
      const { finding } = draft;
      finding.lostSeqs = lost;
      finding.seqs = lost;
      if (allowed) finding.allowed = true;
      finding.acknowledged = lost !== undefined ? "lost" : exact ? "none" : "unknown";
      if (finding.acknowledged === "none" && finding.repair.type === "remove") finding.kind = "torn-tail";
      else if (finding.acknowledged === "lost" && finding.kind === "torn-tail") finding.kind = "truncated";
      this.add(draft);
    }
  }

  /** In the order of the log. */
  all(): Finding[] {
    this.#drafts.sort((a, b) => a.segment - b.segment || a.finding.offset - b.finding.offset);
    return this.#drafts.slice(0, this.#max).map((draft) => draft.finding);
  }
}

/** Says what is missing behind the last line, and whether the store's policy allowed a power cut to take it. */
export function missingAtEnd({ from, to }: SeqRange, allowed: boolean): string {
  const missing = `seq ${from} to ${to} were acknowledged and are missing at the end`;
  return allowed
    ? `${missing}: they were not on the disk yet when the machine went down, as the store's durability policy allows`
    : missing;
}

/** From the first to the last number of some ranges. */
export function spanOf(ranges: readonly SeqRange[]): SeqRange | undefined {
  const first = ranges[0];
  return first === undefined ? undefined : { from: first.from, to: (ranges.at(-1) as SeqRange).to };
}

function acknowledgedOf(
  concerned: readonly SeqRange[],
  lost: readonly SeqRange[],
  reach: Reach | undefined,
): Acknowledged {
  if (lost.length > 0) return "lost";
  if (concerned.length === 0 || reach?.exact === true) return "none";
  return "unknown";
}
