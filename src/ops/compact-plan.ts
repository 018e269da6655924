// What compaction would take out of one log, as data. Reads and verifies all of the log on the way, so that nothing damaged
// is ever compacted; changes nothing.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { type CheckedLog, checkLog } from "../backends/check.ts";
import { PapyraError } from "../errors.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { decodeRecord } from "../log/codec.ts";
import { gapRanges } from "../log/gaps.ts";
import { type Entry, type Gap, linesOf, type Run } from "../log/lines.ts";
import { intersect, normalise } from "../log/ranges.ts";
import type { GapRecord, JournalRecord, LogName, SnapshotRecord } from "../log/record.ts";
import type { RetentionPolicy } from "../log/retention.ts";
import { asSeal } from "../log/seal.ts";
import { quoted } from "../quoted.ts";
import { expiredBefore } from "./expired.ts";
import { coverOf, type GoneOfJournal, type SnapshotCover } from "./snapshot-cover.ts";

/** One segment as compaction finds it. */
export interface SegmentShare {
  readonly segment: Segment;
  /** Numbered lines in it, and how many of them go. */
  readonly lines: number;
  readonly gone: number;
  readonly bytes: number;
  readonly goneBytes: number;
  /** The last seq that stands in it, or 0. */
  readonly lastSeq: number;
  /** It has a seal. */
  readonly sealed: boolean;
}

/** What goes of one log. */
export interface LogCompaction {
  readonly log: LogName;
  /** Records that go, without the gap records of earlier compactions. */
  readonly records: number;
  readonly bytes: number;
  readonly goneBytes: number;
  /** The seqs of all lines that go. Normalised. */
  readonly gone: readonly SeqRange[];
  /** The seqs that are compacted afterwards, those of earlier compactions included. Normalised. */
  readonly compacted: readonly SeqRange[];
  readonly shares: readonly SegmentShare[];
}

export interface PlanOptions {
  readonly retention: RetentionPolicy;
  readonly nowMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes read since the last call. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** The logs that a policy concerns: what it names, and the snapshots, of which only those stay that are needed. */
export function logsConcerned(retention: RetentionPolicy): LogName[] {
  const named = (Object.keys(retention) as LogName[]).sort();
  return named.includes("journal") ? [...named, "snapshots"] : named;
}

/** Rejects with LOG_DAMAGED when a log is not whole. */
export async function planCompaction(
  backend: Backend,
  view: StoreView,
  options: PlanOptions,
): Promise<LogCompaction[]> {
  const logs = logsConcerned(options.retention);
  const checked = new Map<LogName, CheckedLog>();
  const gaps = new Map<LogName, GapRecord[]>();
  for (const log of logs) {
    const found: GapRecord[] = [];
    checked.set(log, await checkWhole(backend, view, log, options, (gap) => found.push(gap)));
    gaps.set(log, found);
  }
  const ofJournal = goneOfJournal(gaps.get("journal") ?? []);
  const cover = logs.includes("journal")
    ? await coverOf(backend, view, ofJournal, { signal: options.signal })
    : undefined;
  const plans: LogCompaction[] = [];
  for (const log of logs) {
    const goes = await judgeOf(backend, view, log, cover, options);
    const absent = checked.get(log)?.account.absentSeqs ?? [];
    plans.push(await shareOut(backend, view, { log, goes, absent, gaps: gaps.get(log) ?? [] }, options.signal));
  }
  return plans;
}

async function checkWhole(
  backend: Backend,
  view: StoreView,
  log: LogName,
  { signal, onProgress }: PlanOptions,
  onGap: (gap: GapRecord) => void,
): Promise<CheckedLog> {
  const onEntry = (entry: Entry): void => void (entry.type === "gap" && onGap(entry.record));
  const live = view.writer !== undefined;
  const checked = await checkLog(backend, view, log, {
    live,
    findingsMax: 10,
    hashSealed: true,
    signal,
    onProgress,
    onEntry,
  });
  const { findings, unchecked } = checked.account;
  const finding = view.findings.find((one) => one.log === log && one.kind !== "unexpected-file") ?? findings[0];
  if (finding === undefined && unchecked === 0) return checked;
  const what = finding === undefined ? "its lines have no checksums" : `${finding.file}: ${finding.detail}`;
  const at = quoted(backend.location);
  throw new PapyraError(
    "LOG_DAMAGED",
    `the log ${log} of ${backend.location} is not compacted, since it is not whole: ${what}`,
    {
      hint: `run: papyra persistence scan --path ${at}, then papyra persistence recover --path ${at} --mode quarantine`,
      details: { log, file: finding?.file, kind: finding?.kind },
    },
  );
}

function compactedIn(gaps: readonly GapRecord[]): GapRecord[] {
  return gaps.filter(({ reason }) => reason === "compacted");
}

function goneOfJournal(gaps: readonly GapRecord[]): GoneOfJournal {
  const destroyed = gaps.filter(({ reason }) => reason !== "compacted");
  const rangesOf = (some: readonly GapRecord[]): SeqRange[] => normalise(some.flatMap(gapRanges));
  return { compacted: rangesOf(compactedIn(gaps)), destroyed: rangesOf(destroyed) };
}

/** Whether a line may go, by its own record. */
type Judge = (line: Buffer, seq: number) => boolean;

async function judgeOf(
  backend: Backend,
  view: StoreView,
  log: LogName,
  cover: SnapshotCover | undefined,
  { retention, nowMs, signal }: PlanOptions,
): Promise<Judge> {
  if (log === "snapshots") {
    return (line) => {
      const record = decodeRecord(line);
      return record.kind === "snapshot" && cover?.isSurplus(record as SnapshotRecord) === true;
    };
  }
  const cut = await expiredBefore(backend, view, log, retention[log] ?? {}, nowMs, signal);
  if (log !== "journal") return (_, seq) => seq < cut;
  return (line, seq) => {
    if (seq >= cut) return false;
    const record = decodeRecord(line);
    return record.kind === "journal" && cover?.covers(record as JournalRecord) === true;
  };
}

/**
 * Segment by segment, what goes. The gap records of earlier compactions go with the records, since new ones will say the
 * same; but the active segment is not sealed for the sake of one.
 */
async function shareOut(
  backend: Backend,
  view: StoreView,
  of: {
    readonly log: LogName;
    readonly goes: Judge;
    readonly absent: readonly SeqRange[];
    readonly gaps: readonly GapRecord[];
  },
  signal: AbortSignal | undefined,
): Promise<LogCompaction> {
  const { log, goes, absent } = of;
  // One without any line has a share as well: the name of what its neighbours become may supersede it.
  const own = view.segments.filter((segment) => segment.log === log);
  const shares = new Map(own.map((segment) => [segment.id, new Share(segment)]));
  const onEntry = (entry: Entry, segment: Segment): void => {
    if (entry.type === "run" || entry.type === "gap") shares.get(segment.id)?.add(entry, goes);
    if (entry.type === "control" && asSeal(entry.fields) !== undefined) shares.get(segment.id)?.noteSeal();
  };
  await checkLog(backend, view, log, { live: view.writer !== undefined, findingsMax: 1, signal, onEntry });
  const all = [...shares.values()];
  const records = all.reduce((sum, share) => sum + share.records, 0);
  for (const share of all) if (records === 0 || (share.segment.active && share.records === 0)) share.keepAll();
  const gone = all.flatMap((share) => share.ranges);
  const before = intersect(normalise(absent), normalise(compactedIn(of.gaps).flatMap(gapRanges)));
  return {
    log,
    records,
    bytes: all.reduce((sum, share) => sum + share.bytes, 0),
    goneBytes: all.reduce((sum, share) => sum + share.goneBytes, 0),
    gone: normalise(gone),
    compacted: records === 0 ? [] : normalise([...before, ...gone]),
    shares: all,
  };
}

/** A segment in the making of a plan. */
class Share implements SegmentShare {
  readonly segment: Segment;
  readonly bytes: number;
  lines = 0;
  gone = 0;
  goneBytes = 0;
  lastSeq = 0;
  sealed = false;
  /** Lines that go and are no gap records. */
  records = 0;
  /** The seqs that go, in order. */
  ranges: { from: number; to: number }[] = [];

  constructor(segment: Segment) {
    this.segment = segment;
    this.bytes = segment.bytes;
  }

  add(entry: Run | Gap, goes: Judge): void {
    const surplus = entry.type === "gap" && entry.record.reason === "compacted";
    let seq = entry.type === "run" ? entry.firstSeq : entry.record.seq;
    for (const line of linesOf(entry)) {
      const expired = entry.type === "run" && goes(line, seq);
      if (expired) this.records += 1;
      if (expired || surplus) this.#drop(seq, line.length + 1);
      this.lines += 1;
      this.lastSeq = seq;
      seq += 1;
    }
  }

  noteSeal(): void {
    this.sealed = true;
  }

  keepAll(): void {
    this.ranges = [];
    this.gone = 0;
    this.goneBytes = 0;
  }

  #drop(seq: number, bytes: number): void {
    this.gone += 1;
    this.goneBytes += bytes;
    const last = this.ranges.at(-1);
    if (last !== undefined && last.to === seq - 1) last.to = seq;
    else this.ranges.push({ from: seq, to: seq });
  }
}
