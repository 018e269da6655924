// What recovery would do to one log, as data: splices of bytes and the gap records that account for what goes. Pure but
// for reading the lines that move. Nothing here changes anything.
import type { Backend, Splice, StoreView } from "../backends/backend.ts";
import { type CheckedLog } from "../backends/check.ts";
import { identityOf } from "../backends/identities.ts";
import { noSeqsLeft } from "../backends/refusals.ts";
import { encodeFields, encodeIdentity, encodeLine, seedOf } from "../log/codec.ts";
import type { SeqRange } from "../log/anomaly.ts";
import type { Finding } from "../log/ledger.ts";
import { activeName } from "../log/segments.ts";
import { intersect, normalise, within } from "../log/ranges.ts";
import type { GapReason, GapRecord, LogName } from "../log/record.ts";
import { SEQ_MAX } from "../log/seqs.ts";

/** The change of one segment. */
export interface SegmentPlan {
  readonly segment: string;
  readonly splices: readonly Splice[];
  readonly removedBytes: number;
  readonly insertedBytes: number;
}

/** A stretch of damaged bytes that goes. */
export interface RemovedBytes {
  readonly segment: string;
  readonly finding: Finding;
}

export interface PlannedGap {
  readonly from: number;
  readonly to: number;
  readonly reason: GapReason;
  readonly concerns?: NonNullable<GapRecord["concerns"]>;
}

export interface LogPlan {
  readonly log: LogName | undefined;
  /** In the order in which they must happen. */
  readonly segments: readonly SegmentPlan[];
  readonly removed: readonly RemovedBytes[];
  readonly gaps: readonly PlannedGap[];
  /** The last seq of the log afterwards. */
  readonly lastSeq: number;
  /** What is wrong and stays as it is. */
  readonly untouched: readonly Finding[];
}

const NOTHING = Buffer.alloc(0);
const LINE_BREAK = Buffer.from("\n");
/** Where the ids of a journal line stand, as this package writes it. Ids are percent-encoded: plain ASCII. */
const IDS = /"persistence_id":"([\x21\x23-\x5b\x5d-\x7e]{1,1024})","revision":(\d{1,15}),/g;
const IDS_WITHIN_BYTES = 16 << 10;
const CONCERNS_MAX = 100;

interface Edit extends Splice {
  /** Order among insertions at one place. */
  readonly rank: number;
}

/**
 * Plans the repair of a log. The order makes a crash between two segments harmless: the active segment, with the gap
 * records, first, so that what is removed later is already accounted for.
 */
export async function planRepair(
  backend: Backend,
  view: StoreView,
  checked: CheckedLog,
  options: { readonly quarantine: boolean; readonly by: string; readonly nowMs: number },
): Promise<LogPlan> {
  const edits = new Edits();
  const removed: RemovedBytes[] = [];
  if (nothingVerifies(view, checked)) {
    const { nextSeq, findings } = checked.account;
    return { log: checked.log, segments: [], removed, gaps: [], lastSeq: nextSeq - 1, untouched: [...findings] };
  }
  // Nobody knows yet who the log is: its identity first, and the rest in the next round, which can then write gap records.
  const identityFirst = view.identity === undefined && checked.account.findings.some(isIdentity);
  const findings = identityFirst ? checked.account.findings.filter(isIdentity) : checked.account.findings;
  const untouched = findings.filter(isBeyondRepair);
  for (const finding of findings) {
    if (untouched.length > 0 && mayHoldRecords(finding)) continue;
    await planFinding(backend, finding, edits);
    const { repair } = finding;
    if (repair.type === "remove" || (repair.type === "identity" && finding.length > 0)) {
      removed.push({ segment: finding.file, finding });
    }
  }
  const planned = untouched.length > 0 || identityFirst ? [] : plannedGaps(checked, removed, options.quarantine);
  const gaps = await withConcerns(backend, checked.log, planned, removed);
  const log = checked.log;
  if (log !== undefined && gaps.length > 0) {
    const active = checked.segments.find((segment) => segment.active);
    edits.add(active?.name ?? activeName(log), {
      offset: active?.bytes ?? 0,
      remove: 0,
      insert: gapLines(view, log, checked, gaps, { ...options, location: backend.location }),
      rank: Number.MAX_SAFE_INTEGER,
    });
  }
  return {
    log,
    segments: edits.plans(log === undefined ? undefined : activeName(log)),
    removed,
    gaps,
    lastSeq: checked.account.nextSeq - 1 + gaps.length,
    untouched,
  };
}

/** A whole file that belongs elsewhere or cannot be judged: what is missing may stand in it, so that no gap record is written yet. */
function isBeyondRepair({ kind, seqs, repair }: Finding): boolean {
  if (repair.type !== "none" || kind === "checksum-mismatch") return false; // a seal: no record is behind it
  return seqs === undefined || kind === "unreadable" || kind === "foreign-line";
}

/**
 * Damage that a gap record must account for: it stays until that can be written. Once the bytes were gone, nothing would tell
 * which seqs they were, nor of which actors.
 */
function mayHoldRecords({ kind, repair }: Finding): boolean {
  return repair.type === "remove" && kind !== "duplicate" && kind !== "foreign-line";
}

function isIdentity(finding: Finding): boolean {
  return finding.repair.type === "identity";
}

/**
 * Whether not one line of a log verifies although there are lines, and the identity that they are checked with was only
 * guessed from the logs themselves: then it is the identity that is wrong, and to take the lines out would destroy them.
 */
function nothingVerifies(view: StoreView, { account }: CheckedLog): boolean {
  if (view.identityRecorded || account.present > 0) return false;
  return account.findings.some((finding) => finding.kind === "checksum-mismatch" && finding.repair.type === "remove");
}

async function planFinding(backend: Backend, { file, offset, length, repair }: Finding, edits: Edits): Promise<void> {
  switch (repair.type) {
    case "remove":
      edits.add(file, { offset, remove: length, insert: NOTHING, rank: 0 });
      break;
    case "identity":
      edits.add(file, { offset, remove: length, insert: repair.line, rank: 0 });
      break;
    case "terminate":
      edits.add(file, { offset, remove: 0, insert: LINE_BREAK, rank: 0 });
      break;
    case "move": {
      const line = await readBytes(backend, file, offset, length);
      const insert = line.at(-1) === 0x0a ? line : Buffer.concat([line, LINE_BREAK]);
      edits.add(repair.toFile, { offset: repair.toOffset, remove: 0, insert, rank: repair.seq });
      // Into another segment it is copied now; here it is then a duplicate, which the next round takes out.
      if (repair.toFile === file) edits.add(file, { offset, remove: length, insert: NOTHING, rank: 0 });
      break;
    }
    case "none":
      break;
  }
}

/**
 * Says with each gap of the journal whose events are in it, where the damaged bytes still tell: an actor whose newest event
 * was destroyed would otherwise look as if it had never happened.
 */
async function withConcerns(
  backend: Backend,
  log: LogName | undefined,
  gaps: readonly PlannedGap[],
  removed: readonly RemovedBytes[],
): Promise<PlannedGap[]> {
  if (log !== "journal" || gaps.length === 0) return [...gaps];
  const told: { seqs: SeqRange; persistence_id: string; revision: number }[] = [];
  for (const { segment, finding } of removed) {
    if (finding.seqs === undefined) continue;
    const head = await readBytes(backend, segment, finding.offset, Math.min(finding.length, IDS_WITHIN_BYTES));
    for (const [, id, revision] of head.toString("latin1").matchAll(IDS)) {
      told.push({ seqs: finding.seqs, persistence_id: id as string, revision: Number(revision) });
    }
  }
  const concerned = gaps.map((): { persistence_id: string; revision: number }[] => []);
  for (const { seqs, persistence_id, revision } of told) {
    for (let at = firstBehind(gaps, seqs.from); at < gaps.length && (gaps[at] as PlannedGap).from <= seqs.to; at++) {
      const list = concerned[at] as { persistence_id: string; revision: number }[];
      if (list.length < CONCERNS_MAX) list.push({ persistence_id, revision });
    }
  }
  return gaps.map((gap, at) => {
    const concerns = concerned[at] as { persistence_id: string; revision: number }[];
    return concerns.length === 0 ? gap : { ...gap, concerns };
  });
}

/** The first gap that reaches `seq`; gaps are in order. */
function firstBehind(gaps: readonly PlannedGap[], seq: number): number {
  let low = 0;
  for (let high = gaps.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if ((gaps[middle] as PlannedGap).to < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The seqs that are gone, cut where the reason changes. */
function plannedGaps(checked: CheckedLog, removed: readonly RemovedBytes[], quarantine: boolean): PlannedGap[] {
  if (!checked.checked || checked.log === undefined) return [];
  const { account } = checked;
  // Behind the last known seq, what may have been acknowledged in damaged bytes is accounted for as well.
  const gone = normalise([...account.missingSeqs, { from: account.lastSeq + 1, to: account.nextSeq - 1 }]);
  const kept: SeqRange[] = quarantine
    ? normalise([
        ...removed.map(({ finding }) => finding.seqs).filter((seqs) => seqs !== undefined),
        { from: account.lastSeq + 1, to: account.nextSeq - 1 },
      ])
    : [];
  const quarantined = intersect(gone, kept);
  const gaps: PlannedGap[] = [];
  for (const range of gone) {
    let from = range.from;
    for (const inside of within(range, quarantined)) {
      if (inside.from > from) gaps.push({ from, to: inside.from - 1, reason: "lost" });
      gaps.push({ ...inside, reason: "quarantined" });
      from = inside.to + 1;
    }
    if (from <= range.to) gaps.push({ from, to: range.to, reason: "lost" });
  }
  return gaps;
}

function gapLines(
  view: StoreView,
  log: LogName,
  checked: CheckedLog,
  gaps: readonly PlannedGap[],
  options: { readonly by: string; readonly nowMs: number; readonly location: string },
): Buffer {
  const identity = identityOf(view, log);
  if (identity === undefined) return Buffer.alloc(0);
  const seed = seedOf(encodeIdentity(identity));
  const timestampMs = Math.max(options.nowMs, Math.round((checked.last?.timestamp ?? 0) * 1000));
  let seq = checked.account.nextSeq;
  if (seq + gaps.length - 1 > SEQ_MAX) throw noSeqsLeft(options.location, log, seq - 1);
  const lines = gaps.map((gap) =>
    encodeLine(seed, seq++, undefined, "gap", timestampMs, encodeFields({ ...gap, by: options.by })),
  );
  return Buffer.from(lines.join(""));
}

/** The edits of each segment. */
class Edits {
  readonly #bySegment = new Map<string, Edit[]>();

  add(segment: string, edit: Edit): void {
    const edits = this.#bySegment.get(segment);
    if (edits === undefined) this.#bySegment.set(segment, [edit]);
    else edits.push(edit);
  }

  plans(active: string | undefined): SegmentPlan[] {
    const names = [...this.#bySegment.keys()].sort(
      (a, b) => Number(b === active) - Number(a === active) || (a < b ? -1 : 1),
    );
    return names.map((segment) => {
      const splices = (this.#bySegment.get(segment) as Edit[]).sort(
        (a, b) => a.offset - b.offset || Number(a.remove > 0) - Number(b.remove > 0) || a.rank - b.rank,
      );
      return {
        segment,
        splices,
        removedBytes: splices.reduce((sum, splice) => sum + splice.remove, 0),
        insertedBytes: splices.reduce((sum, splice) => sum + splice.insert.length, 0),
      };
    });
  }
}

async function readBytes(backend: Backend, segment: string, offset: number, length: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of backend.read(segment, offset, offset + length)) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}
