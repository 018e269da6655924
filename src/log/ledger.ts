// The books of one log: fed with its entries in order, it knows which seqs are present, accounted for or missing, and
// turns everything that is wrong into findings. Pure: recovery, scan, start-up and opening all ask the same ledger.
import type { Acknowledged, Anomaly, AnomalyKind, SeqRange } from "./anomaly.ts";
import type { Damage, Entry, Gap, Run } from "./lines.ts";
import { countOf, intersect, normalise, subtract } from "./ranges.ts";
import type { GapReason, LogName } from "./record.ts";

/** What would mend a finding. Only ever removes, moves or completes whole lines; never rewrites one. */
export type Repair =
  | { readonly type: "none" }
  | { readonly type: "remove" }
  /** Put the line break that a whole record lacks behind it. */
  | { readonly type: "terminate" }
  /** Put the line where its seq belongs. */
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
  /** Nothing behind `seq` was ever acknowledged. */
  readonly exact: boolean;
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
  readonly unchecked: number;
  /** The seq that the next record gets: greater than any that may ever have been acknowledged. */
  readonly nextSeq: number;
  /** Whether something outside the log vouches for its end. */
  readonly endVouched: boolean;
  readonly findings: readonly Finding[];
  readonly counts: Readonly<Partial<Record<AnomalyKind, number>>>;
}

interface Hole {
  from: number;
  to: number;
  file: string;
  /** Where the line stands that follows the hole. */
  offset: number;
}

type Draft = {
  -readonly [K in keyof Finding]: Finding[K];
} & { endsFile?: boolean; whole?: boolean };

export class LogLedger {
  readonly #log: LogName | undefined;
  readonly #findingsMax: number;
  readonly #findings: Draft[] = [];
  readonly #counts: Partial<Record<AnomalyKind, number>> = {};
  readonly #gaps: { range: SeqRange; reason: GapReason }[] = [];
  #holes: Hole[] = [];
  /** Damage since the last verified line: the next one tells which seqs it concerns. */
  #open: Draft[] = [];
  #openLines = 0;
  #file = "";
  #fileFirstSeq: number | undefined;
  #fileEnd = 0;
  #maxSeq = 0;
  #present = 0;
  #unchecked = 0;
  #durable = 0;
  #atFileStart = true;

  constructor(log: LogName | undefined, findingsMax: number) {
    this.#log = log;
    this.#findingsMax = findingsMax;
  }

  get maxSeq(): number {
    return this.#maxSeq;
  }

  /** Begins a segment; `firstSeq` is what its name says. */
  startSegment(file: string, firstSeq: number | undefined): void {
    this.#closeDamage();
    this.#file = file;
    this.#fileFirstSeq = firstSeq;
    this.#fileEnd = 0;
    this.#atFileStart = true;
  }

  /** Ends a segment of `bytes` bytes. */
  endSegment(bytes: number): void {
    this.#closeDamage();
    this.#fileEnd = bytes;
  }

  /** Adds a finding that is not about lines: an identity, a file. */
  report(kind: AnomalyKind, at: { offset: number; length: number; detail: string; file?: string }, repair: Repair): void {
    this.#add({ ...this.#draft(kind, at.offset, at.length, at.detail, repair), ...(at.file === undefined ? {} : { file: at.file }) });
  }

  add(entry: Entry): void {
    switch (entry.type) {
      case "run":
        this.#addRun(entry);
        break;
      case "gap":
        this.#addGap(entry);
        break;
      case "damage":
        this.#addDamage(entry);
        break;
      case "unchecked":
        this.#unchecked += entry.count;
        break;
      case "control":
        break;
    }
  }

  /** The account, judged against what is known of the log's reach. Call once, at the end. */
  finish(reach: Reach | undefined): LogAccount {
    this.#closeDamage();
    const tail = this.#open;
    const gapRanges = normalise(this.#gaps.map((gap) => gap.range));
    const known = Math.max(this.#durable, reach?.seq ?? 0);
    const missingWithin = subtract(normalise(this.#holes), gapRanges);
    const endLost: SeqRange[] =
      reach !== undefined && reach.seq > this.#maxSeq ? subtract([{ from: this.#maxSeq + 1, to: reach.seq }], gapRanges) : [];
    this.#judge(missingWithin, known, reach);
    this.#judgeTail(tail, endLost, reach);
    const guess = reach?.exact === true || tail.length === 0 ? 0 : this.#openLines;
    const lastSeq = Math.max(this.#maxSeq, reach?.seq ?? 0);
    const missingSeqs = [...missingWithin, ...endLost];
    const by = (reason: GapReason) =>
      countOf(normalise(this.#gaps.filter((gap) => gap.reason === reason).map((gap) => gap.range)));
    return {
      lastSeq,
      present: this.#present,
      compacted: by("compacted"),
      quarantined: by("quarantined"),
      lost: by("lost"),
      missing: countOf(missingSeqs),
      missingSeqs,
      unchecked: this.#unchecked,
      nextSeq: Math.max(lastSeq, this.#maxSeq + guess) + 1,
      endVouched: reach?.exact === true || (reach !== undefined && reach.seq >= this.#maxSeq),
      findings: this.#findings,
      counts: this.#counts,
    };
  }

  #addRun(run: Run): void {
    if (run.durable > this.#durable) this.#durable = run.durable;
    let { firstSeq, offset } = run;
    let bytes = run.bytes;
    while (firstSeq <= this.#maxSeq && firstSeq <= run.lastSeq) {
      const length = bytes.indexOf(0x0a) + 1 || bytes.length;
      this.#addLate(firstSeq, offset, length);
      firstSeq += 1;
      offset += length;
      bytes = bytes.subarray(length);
    }
    if (firstSeq <= run.lastSeq) {
      this.#advance(firstSeq, offset);
      this.#present += run.lastSeq - firstSeq + 1;
      this.#maxSeq = run.lastSeq;
    }
    this.#atFileStart = false;
    if (run.unterminated) {
      const at = run.offset + run.bytes.length;
      const draft = this.#draft("malformed-line", at, 0, `the record of seq ${run.lastSeq} is whole, but its line break is missing`, {
        type: "terminate",
      });
      draft.seqs = { from: run.lastSeq, to: run.lastSeq };
      draft.acknowledged = "none";
      draft.whole = true;
      this.#open.push(draft);
    }
  }

  /** A line whose seq is not new: it fills a hole, or it is a second copy. */
  #addLate(seq: number, offset: number, length: number): void {
    const hole = this.#holes.find(({ from, to }) => from <= seq && seq <= to);
    if (hole === undefined) {
      const draft = this.#draft("duplicate", offset, length, `seq ${seq} stands there already`, { type: "remove" });
      draft.seqs = { from: seq, to: seq };
      draft.acknowledged = "none";
      this.#add(draft);
      return;
    }
    const draft = this.#draft("out-of-order", offset, length, `seq ${seq} stands behind seq ${this.#maxSeq}`, {
      type: "move",
      seq,
      toFile: hole.file,
      toOffset: hole.offset,
    });
    draft.seqs = { from: seq, to: seq };
    draft.acknowledged = "none";
    this.#add(draft);
    this.#present += 1;
    this.#holes = this.#holes.flatMap((other) =>
      other !== hole
        ? [other]
        : [
            { ...hole, to: seq - 1 },
            { ...hole, from: seq + 1 },
          ].filter(({ from, to }) => from <= to),
    );
  }

  #addGap(gap: Gap): void {
    const { seq, from, to, reason, durable } = gap.record;
    if (durable !== undefined && durable > this.#durable) this.#durable = durable;
    if (seq <= this.#maxSeq) {
      this.#addLate(seq, gap.offset, gap.bytes.length);
    } else {
      this.#advance(seq, gap.offset);
      this.#present += 1;
      this.#maxSeq = seq;
    }
    this.#atFileStart = false;
    this.#gaps.push({ range: { from, to }, reason });
  }

  /** A new seq was verified at `offset`: what lies between it and the last one is missing, by the damage seen since. */
  #advance(seq: number, offset: number): void {
    const from = this.#maxSeq + 1;
    const missing: SeqRange | undefined = seq > from ? { from, to: seq - 1 } : undefined;
    if (missing !== undefined) this.#holes.push({ ...missing, file: this.#file, offset });
    if (missing !== undefined && this.#open.every((draft) => draft.whole)) {
      const wholeFile = this.#atFileStart && this.#fileFirstSeq === seq;
      const draft = this.#draft(
        wholeFile ? "missing-segment" : "sequence-gap",
        offset,
        0,
        `seq ${from}${from === seq - 1 ? " is" : ` to ${seq - 1} are`} missing before seq ${seq}`,
        { type: "none" },
      );
      draft.seqs = missing;
      this.#add(draft);
    }
    this.#resolveOpen(missing);
  }

  #addDamage(damage: Damage): void {
    this.#atFileStart = false;
    this.#openLines += damage.lines;
    const last = this.#open.at(-1);
    if (this.#open.length >= this.#findingsMax && last !== undefined) {
      last.length = damage.offset + damage.length - last.offset; // bounded: what is too much becomes one
      last.endsFile = damage.lines === 0;
      return;
    }
    const draft = this.#draft(damage.kind, damage.offset, damage.length, damage.detail, { type: "remove" });
    draft.endsFile = damage.lines === 0;
    this.#open.push(draft);
  }

  /** At the end of a file, an unfinished last line is the leftover of an unfinished write. */
  #closeDamage(): void {
    const last = this.#open.at(-1);
    if (last === undefined || last.file !== this.#file) return;
    if (last.whole || last.endsFile) last.kind = "torn-tail";
  }

  #resolveOpen(missing: SeqRange | undefined): void {
    const damaged = this.#open.filter((draft) => !draft.whole);
    const exact = missing !== undefined && missing.to - missing.from + 1 === damaged.length;
    let seq = missing?.from ?? 0;
    for (const draft of this.#open) {
      if (!draft.whole) draft.seqs = missing === undefined ? undefined : exact ? { from: seq, to: seq++ } : missing;
      this.#add(draft);
    }
    this.#open = [];
    this.#openLines = 0;
  }

  #judge(missing: readonly SeqRange[], known: number, reach: Reach | undefined): void {
    for (const finding of this.#findings) {
      if (finding.kind === "duplicate" || finding.kind === "out-of-order" || finding.repair.type === "terminate") continue;
      const concerned = finding.seqs === undefined ? [] : intersect([finding.seqs], missing);
      const lost = intersect(concerned, [{ from: 1, to: known }]);
      finding.lostSeqs = spanOf(lost);
      finding.acknowledged = acknowledgedOf(concerned, lost, reach);
      if (finding.kind === "torn-tail" && lost.length > 0) this.#rename(finding, "truncated");
    }
  }

  #rename(finding: Draft, kind: AnomalyKind): void {
    this.#counts[finding.kind] = (this.#counts[finding.kind] ?? 1) - 1;
    if (this.#counts[finding.kind] === 0) delete this.#counts[finding.kind];
    this.#counts[kind] = (this.#counts[kind] ?? 0) + 1;
    finding.kind = kind;
  }

  #judgeTail(tail: Draft[], endLost: SeqRange[], reach: Reach | undefined): void {
    const damaged = tail.filter((draft) => !draft.whole);
    for (const draft of tail) {
      if (!draft.whole) {
        draft.lostSeqs = spanOf(endLost);
        draft.seqs = draft.lostSeqs;
        draft.acknowledged = endLost.length > 0 ? "lost" : reach?.exact === true ? "none" : "unknown";
        if (draft.acknowledged === "none") draft.kind = "torn-tail";
        else if (draft.acknowledged === "lost" && draft.kind === "torn-tail") draft.kind = "truncated";
      }
      this.#add(draft);
    }
    if (endLost.length > 0 && damaged.length === 0) {
      const span = spanOf(endLost) as SeqRange;
      const draft = this.#draft("truncated", this.#fileEnd, 0, `seq ${span.from} to ${span.to} were acknowledged and are missing at the end`, {
        type: "none",
      });
      draft.seqs = span;
      draft.lostSeqs = span;
      draft.acknowledged = "lost";
      this.#add(draft);
    }
  }

  #draft(kind: AnomalyKind, offset: number, length: number, detail: string, repair: Repair): Draft {
    return {
      kind,
      log: this.#log,
      file: this.#file,
      offset,
      length,
      seqs: undefined,
      acknowledged: "unknown",
      lostSeqs: undefined,
      detail,
      repair,
    };
  }

  #add(draft: Draft): void {
    this.#counts[draft.kind] = (this.#counts[draft.kind] ?? 0) + 1;
    if (this.#findings.length < this.#findingsMax) this.#findings.push(draft);
  }
}

function spanOf(ranges: readonly SeqRange[]): SeqRange | undefined {
  const first = ranges[0];
  return first === undefined ? undefined : { from: first.from, to: (ranges.at(-1) as SeqRange).to };
}

function acknowledgedOf(concerned: readonly SeqRange[], lost: readonly SeqRange[], reach: Reach | undefined): Acknowledged {
  if (lost.length > 0) return "lost";
  if (concerned.length === 0 || reach?.exact === true) return "none";
  return "unknown";
}
