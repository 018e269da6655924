// What recovery would do to one log, as data: splices of bytes and the gap records that account for what goes. Pure but
// for reading the lines that move. Nothing here changes anything.
import type { Backend, Splice, StoreView } from "../backends/backend.ts";
import { type CheckedLog, identityOf } from "../backends/check.ts";
import { encodeFields, encodeIdentity, encodeLine, seedOf } from "../log/codec.ts";
import type { SeqRange } from "../log/anomaly.ts";
import type { Finding } from "../log/ledger.ts";
import { activeName } from "../log/segments.ts";
import { intersect, normalise } from "../log/ranges.ts";
import type { GapReason, LogName } from "../log/record.ts";

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
  const edits = new Map<string, Edit[]>();
  const edit = (segment: string, change: Edit): void =>
    void edits.set(segment, [...(edits.get(segment) ?? []), change]);
  const removed: RemovedBytes[] = [];
  const untouched: Finding[] = [];
  const empty = Buffer.alloc(0);
  for (const finding of checked.account.findings) {
    const { file, offset, length, repair } = finding;
    switch (repair.type) {
      case "remove":
        edit(file, { offset, remove: length, insert: empty, rank: 0 });
        removed.push({ segment: file, finding });
        break;
      case "identity":
        edit(file, { offset, remove: length, insert: repair.line, rank: 0 });
        if (length > 0) removed.push({ segment: file, finding });
        break;
      case "terminate":
        edit(file, { offset, remove: 0, insert: Buffer.from("\n"), rank: 0 });
        break;
      case "move":
        edit(repair.toFile, {
          offset: repair.toOffset,
          remove: 0,
          insert: await readBytes(backend, file, offset, length),
          rank: repair.seq,
        });
        // Into another segment it is copied now; here it is then a duplicate, which the next round takes out.
        if (repair.toFile === file) edit(file, { offset, remove: length, insert: empty, rank: 0 });
        break;
      case "none":
        if (finding.seqs === undefined || finding.kind === "unreadable" || finding.kind === "foreign-line")
          untouched.push(finding);
        break;
    }
  }
  const gaps = untouched.length > 0 ? [] : plannedGaps(checked, removed, options.quarantine);
  const log = checked.log;
  if (log !== undefined && gaps.length > 0) {
    const active = checked.segments.find((segment) => segment.active);
    const lines = gapLines(view, log, checked, gaps, options);
    edit(active?.name ?? activeName(log), {
      offset: active?.bytes ?? 0,
      remove: 0,
      insert: lines,
      rank: Number.MAX_SAFE_INTEGER,
    });
  }
  return {
    log,
    segments: orderedPlans(checked, edits),
    removed,
    gaps,
    lastSeq: checked.account.nextSeq - 1 + gaps.length,
    untouched,
  };
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
    for (const inside of intersect([range], quarantined)) {
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
  options: { readonly by: string; readonly nowMs: number },
): Buffer {
  const identity = identityOf(view, log);
  if (identity === undefined) return Buffer.alloc(0);
  const seed = seedOf(encodeIdentity(identity));
  const timestampMs = Math.max(options.nowMs, Math.round((checked.last?.timestamp ?? 0) * 1000));
  let seq = checked.account.nextSeq;
  const lines = gaps.map((gap) =>
    encodeLine(seed, seq++, undefined, "gap", timestampMs, encodeFields({ ...gap, by: options.by })),
  );
  return Buffer.from(lines.join(""));
}

function orderedPlans(checked: CheckedLog, edits: ReadonlyMap<string, readonly Edit[]>): SegmentPlan[] {
  const active = checked.log === undefined ? undefined : activeName(checked.log);
  const names = [...edits.keys()].sort((a, b) => Number(b === active) - Number(a === active) || (a < b ? -1 : 1));
  return names.map((segment) => {
    const splices = [...(edits.get(segment) as readonly Edit[])].sort(
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

async function readBytes(backend: Backend, segment: string, offset: number, length: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of backend.read(segment, offset, offset + length)) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}
