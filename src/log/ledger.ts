// The books of one log: fed with its entries in order, it knows which seqs are present, accounted for or missing, and
// turns everything that is wrong into findings. Pure: recovery, scan, start-up and opening all ask the same ledger.
import type { AnomalyKind, SeqRange } from "./anomaly.ts";
import { type Draft, Findings, type LogAccount, missingAtEnd, type Reach, type Repair, spanOf } from "./findings.ts";
import { gapRanges } from "./gaps.ts";
import { type Hole, Holes } from "./holes.ts";
import type { Control, Damage, Entry, Gap, Run, Unchecked } from "./lines.ts";
import { countOf, intersect } from "./ranges.ts";
import type { LogName } from "./record.ts";

export type { Finding, LogAccount, Reach, Repair } from "./findings.ts";

export class LogLedger {
  readonly #log: LogName | undefined;
  readonly #findingsMax: number;
  readonly #findings: Findings;
  readonly #holes = new Holes();
  /** Damage since the last verified new line: the next one tells which seqs it concerns. */
  #open: Draft[] = [];
  #openLines = 0;
  /** The last whole line that lacks its line break. */
  #unterminated: Draft | undefined;
  #file = "";
  #segment = 0;
  #fileFirstSeq: number | undefined;
  #fileEnd = 0;
  /** Where the last entry ends. */
  #entryEnd = 0;
  #maxSeq = 0;
  #present = 0;
  #unchecked = 0;
  #durable = 0;
  #atFileStart = true;

  constructor(log: LogName | undefined, findingsMax: number) {
    this.#log = log;
    this.#findingsMax = findingsMax;
    this.#findings = new Findings(findingsMax);
  }

  get maxSeq(): number {
    return this.#maxSeq;
  }

  /** Begins a segment; `firstSeq` is what its name says. */
  startSegment(file: string, firstSeq: number | undefined): void {
    this.#endFile();
    this.#file = file;
    this.#segment += 1;
    this.#fileFirstSeq = firstSeq;
    this.#fileEnd = 0;
    this.#entryEnd = 0;
    this.#atFileStart = true;
  }

  /** Ends a segment of `bytes` bytes. */
  endSegment(bytes: number): void {
    this.#endFile();
    this.#fileEnd = bytes;
  }

  /** Adds a finding that is not about lines: an identity, a file. */
  report(
    kind: AnomalyKind,
    at: { offset: number; length: number; detail: string; file?: string },
    repair: Repair,
  ): void {
    const draft = this.#draft(kind, at.offset, at.length, at.detail, repair);
    if (at.file !== undefined) draft.finding.file = at.file;
    // A whole file that cannot be read explains the seqs that are missing behind it.
    if (kind === "unreadable" || kind === "foreign-line" || kind === "missing-segment") this.#open.push(draft);
    else this.#findings.add(draft);
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
        if (entry.unterminated) this.#addUnterminated(entry, undefined);
        break;
      case "control":
        if (entry.unterminated) this.#addUnterminated(entry, undefined);
        break;
    }
    this.#entryEnd = entry.offset + (entry.type === "damage" ? entry.length : entry.bytes.length);
  }

  /** The account, judged against what is known of the log's reach. Call once, at the end. */
  finish(stated: Reach | undefined): LogAccount {
    this.#endFile();
    // Where the log itself states that more is durable, the mark is from another time and not exact.
    const reach = stated !== undefined && this.#durable > stated.seq ? { ...stated, exact: false } : stated;
    const promised = this.#promised(reach);
    const known = Math.max(promised, reach?.acknowledged ?? 0);
    const lastSeq = Math.max(this.#maxSeq, reach?.seq ?? 0, reach?.acknowledged ?? 0);
    const behind = { from: this.#maxSeq + 1, to: lastSeq };
    const missing = this.#holes.missing();
    const endLost = this.#holes.missingOf(behind);
    this.#findings.addHoles(missing, (hole) => this.#holeDraft(hole));
    this.#findings.judge(missing, known, reach, this.#present);
    this.#judgeTail(endLost, reach);
    const missingSeqs = [...missing, ...endLost].map(({ from, to }) => ({ from, to }));
    return {
      lastSeq,
      present: this.#present,
      ...this.#holes.accountOf(behind),
      missing: countOf(missingSeqs),
      missingSeqs,
      unpromisedSeqs:
        reach?.exact === true ? intersect(missingSeqs, [{ from: known + 1, to: Number.MAX_SAFE_INTEGER }]) : [],
      allowedSeqs: intersect(endLost, [{ from: promised + 1, to: Number.MAX_SAFE_INTEGER }]),
      absentSeqs: this.#holes.absent(behind).map(({ from, to }) => ({ from, to })),
      unchecked: this.#unchecked,
      nextSeq: Math.max(lastSeq, this.#maxSeq + (reach?.exact === true ? 0 : this.#openLines)) + 1,
      endVouched: reach?.exact === true || (reach?.more !== true && (reach?.seq ?? -1) >= this.#maxSeq),
      findings: this.#findings.all(),
      counts: this.#findings.counts,
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
      if (run.unterminated) this.#addUnterminated(run, run.lastSeq);
    }
    this.#atFileStart = false;
  }

  /** A line whose seq is not new: it fills a hole, or it is a second copy. */
  #addLate(seq: number, offset: number, length: number): void {
    const hole = this.#holes.fill(seq);
    const draft =
      hole === undefined
        ? this.#draft("duplicate", offset, length, `seq ${seq} stands there already`, { type: "remove" })
        : this.#draft("out-of-order", offset, length, `seq ${seq} stands behind seq ${this.#maxSeq}`, {
            type: "move",
            seq,
            toFile: hole.file,
            toOffset: hole.offset,
          });
    draft.finding.seqs = { from: seq, to: seq };
    draft.finding.acknowledged = "none";
    this.#findings.add(draft);
    if (hole !== undefined) this.#present += 1;
  }

  #addGap(gap: Gap): void {
    const { seq, reason, durable } = gap.record;
    this.#durable = Math.max(this.#durable, durable ?? 0);
    if (seq <= this.#maxSeq) {
      this.#addLate(seq, gap.offset, gap.bytes.length);
    } else {
      this.#advance(seq, gap.offset);
      this.#present += 1;
      this.#maxSeq = seq;
      if (gap.unterminated) this.#addUnterminated(gap, seq);
    }
    this.#atFileStart = false;
    for (const range of gapRanges(gap.record)) this.#holes.account(range, reason);
  }

  /** A whole line without its line break; what follows it, if anything does, was taken for a line of its own. */
  #addUnterminated(entry: Run | Gap | Control | Unchecked, seq: number | undefined): void {
    const at = entry.offset + entry.bytes.length;
    const what =
      seq !== undefined ? `the record of seq ${seq}` : entry.type === "control" ? "the seal" : "the last line";
    const draft = this.#draft("malformed-line", at, 0, `${what} is whole, but its line break is missing`, {
      type: "terminate",
    });
    draft.finding.seqs = seq === undefined ? undefined : { from: seq, to: seq };
    draft.finding.acknowledged = "none";
    this.#findings.add(draft);
    this.#unterminated = draft;
  }

  /** A new seq was verified at `offset`: what lies between it and the last one is missing, by the damage seen since. */
  #advance(seq: number, offset: number): void {
    const from = this.#maxSeq + 1;
    const missing: SeqRange | undefined = seq > from ? { from, to: seq - 1 } : undefined;
    if (missing !== undefined) {
      this.#holes.add({
        ...missing,
        file: this.#file,
        segment: this.#segment,
        offset,
        before: seq,
        wholeFile: this.#atFileStart && this.#fileFirstSeq === seq,
        explained: this.#open.length > 0,
      });
    }
    this.#resolveOpen(missing);
  }

  #addDamage(damage: Damage): void {
    this.#atFileStart = false;
    this.#openLines += damage.lines;
    const last = this.#open.at(-1);
    const follows =
      last?.segment === this.#segment &&
      last.finding.offset + last.finding.length === damage.offset &&
      last.finding.repair.type === "remove";
    if (this.#open.length >= this.#findingsMax && last !== undefined && follows) {
      last.finding.length += damage.length; // bounded: what is too much becomes one
      last.unfinished = damage.lines === 0;
      return;
    }
    const draft = this.#draft(damage.kind, damage.offset, damage.length, damage.detail, { type: "remove" });
    draft.unfinished = damage.lines === 0;
    this.#open.push(draft);
  }

  /** At the end of a file, an unfinished last line is the leftover of an unfinished write. */
  #endFile(): void {
    const last = this.#open.at(-1);
    if (last !== undefined && last.finding.repair.type === "remove" && this.#endsHere(last)) {
      if (last.unfinished) last.finding.kind = "torn-tail";
      for (const draft of this.#open) draft.atEnd ||= draft.segment === this.#segment;
    }
    if (this.#unterminated !== undefined && this.#endsHere(this.#unterminated))
      this.#findings.rename(this.#unterminated, "torn-tail");
    this.#unterminated = undefined;
  }

  #endsHere({ segment, finding }: Draft): boolean {
    return segment === this.#segment && finding.offset + finding.length === this.#entryEnd;
  }

  #resolveOpen(missing: SeqRange | undefined): void {
    this.#findings.addResolved(this.#open, missing);
    this.#open = [];
    this.#openLines = 0;
  }

  #holeDraft({ from, to, before, file, segment, offset, wholeFile }: Hole): Draft {
    const which = from === to ? `seq ${from} is` : `seq ${from} to ${to} are`;
    const kind = wholeFile ? "missing-segment" : "sequence-gap";
    const draft = this.#draft(kind, offset, 0, `${which} missing before seq ${before}`, { type: "none" });
    draft.finding.file = file;
    draft.finding.seqs = { from, to };
    return { ...draft, segment };
  }

  /** Damage with no verified line behind it: only what is known from outside the log tells what stood there. */
  #judgeTail(endLost: readonly SeqRange[], reach: Reach | undefined): void {
    const span = spanOf(endLost);
    const allowed = span !== undefined && span.from > this.#promised(reach);
    if (span !== undefined && this.#open.length === 0) {
      const detail = missingAtEnd(span, allowed);
      this.#open.push(this.#draft("truncated", this.#fileEnd, 0, detail, { type: "none" }));
    }
    this.#findings.addTail(this.#open, span, allowed, reach?.exact === true);
  }

  /** Up to which seq nothing may be lost. */
  #promised(reach: Reach | undefined): number {
    return Math.max(this.#durable, reach?.seq ?? 0);
  }

  #draft(kind: AnomalyKind, offset: number, length: number, detail: string, repair: Repair): Draft {
    return {
      finding: {
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
      },
      segment: this.#segment,
      unfinished: false,
      atEnd: false,
    };
  }
}
