// The account of a store: for each log, the sum 1..N = present + compacted + quarantined + lost + missing, and where each
// seq went that is not present. Changes nothing.
import type { Backend, StoreView } from "../backends/backend.ts";
import { checkLog } from "../backends/check.ts";
import { readSteadily } from "../backends/steady.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { gapRanges } from "../log/gaps.ts";
import type { Finding } from "../log/ledger.ts";
import { intersect, normalise, subtract } from "../log/ranges.ts";
import type { GapReason, GapRecord, LogName } from "../log/record.ts";
import { logsToScan, whyEndUnknown } from "./scan.ts";

export interface AccountOptions {
  /** Only this log. Default: every log. */
  readonly log?: LogName | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the bytes read so far and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Seqs that are not present, and what became of them. */
export interface AbsentSeqs extends SeqRange {
  readonly reason: GapReason | "missing";
  /** Who wrote the gap record that accounts for them, and when (seconds since the epoch). */
  readonly by: string | undefined;
  readonly timestamp: number | undefined;
}

/** The sum of one log: lastSeq = present + compacted + quarantined + lost + missing. */
export interface LogSum {
  readonly log: LogName | "(file)";
  readonly lastSeq: number;
  readonly present: number;
  readonly compacted: number;
  readonly quarantined: number;
  readonly lost: number;
  readonly missing: number;
  /** Lines without seqs: nothing can be said of them. */
  readonly unchecked: number;
  /** Files that cannot be read as those of this log, whole or not: what they hold is not counted, nor is it missing. */
  readonly unread: number;
  /** Whether something outside the log vouches that nothing is missing behind lastSeq. */
  readonly endVouched: boolean;
  /** Where it does not: why. */
  readonly endWhy: string | undefined;
  /** In the order of the seqs; at most 1,000, `absentCount` counts all. */
  readonly absent: readonly AbsentSeqs[];
  readonly absentCount: number;
}

export interface AccountReport {
  /** Every seq is present or accounted for. */
  readonly ok: boolean;
  readonly verdict: string;
  readonly path: string;
  readonly store: string | undefined;
  readonly lineage: string | undefined;
  readonly writer: StoreView["writer"];
  readonly logs: readonly LogSum[];
}

const ABSENT_MAX = 1000;
const FINDINGS_MAX = 1000;

/** Rejects with STORE_NOT_FOUND, FORMAT_UNKNOWN, STORAGE_FAILED, or the signal's reason. */
export async function account(backend: Backend, options: AccountOptions = {}): Promise<AccountReport> {
  return readSteadily(backend, (view) => accountOf(backend, view, options));
}

async function accountOf(backend: Backend, view: StoreView, options: AccountOptions): Promise<AccountReport> {
  const names = logsToScan(view, options.log);
  const concerned = view.segments.filter((segment) => names.includes(segment.log));
  const total = concerned.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const onBytes = (bytes: number): void => options.onProgress?.((done += bytes), total);
  const logs: LogSum[] = [];
  for (const log of names) logs.push(await sumOf(backend, view, log, options.signal, onBytes));
  const { identity, writer } = view;
  return {
    ok: logs.every(({ missing, unchecked, unread }) => missing + unchecked + unread === 0),
    verdict: verdictOf(logs),
    path: backend.location,
    store: identity?.store,
    lineage: identity?.lineage,
    writer,
    logs,
  };
}

async function sumOf(
  backend: Backend,
  view: StoreView,
  log: LogName | undefined,
  signal: AbortSignal | undefined,
  onProgress: (bytes: number) => void,
): Promise<LogSum> {
  const gaps: GapRecord[] = [];
  const checked = await checkLog(backend, view, log, {
    live: view.writer !== undefined,
    findingsMax: FINDINGS_MAX,
    signal,
    onProgress,
    onEntry: (entry) => {
      if (entry.type === "gap") gaps.push(entry.record);
    },
  });
  const { lastSeq, present, compacted, quarantined, lost, missing, unchecked, endVouched } = checked.account;
  const absent = absences(gaps, checked.account.absentSeqs, checked.account.missingSeqs);
  return {
    log: log ?? "(file)",
    lastSeq,
    present,
    compacted,
    quarantined,
    lost,
    missing,
    unchecked,
    unread: unreadFiles(checked.account.findings),
    endVouched,
    endWhy: whyEndUnknown(view, checked),
    absent: absent.slice(0, ABSENT_MAX),
    absentCount: absent.length,
  };
}

/** Files of another log or store, and such whose identity is lost: the scan says which. */
function unreadFiles(findings: readonly Finding[]): number {
  const whole = findings.filter(
    ({ kind, repair }) => repair.type === "none" && (kind === "unreadable" || kind === "foreign-line"),
  );
  return new Set(whole.map(({ file }) => file)).size;
}

/** What the gap records say of the seqs that are absent: they may name more than that, and some twice. */
function absences(gaps: readonly GapRecord[], absent: readonly SeqRange[], missing: readonly SeqRange[]): AbsentSeqs[] {
  const found: AbsentSeqs[] = missing.map(({ from, to }) => ({
    from,
    to,
    reason: "missing",
    by: undefined,
    timestamp: undefined,
  }));
  let told = normalise(missing);
  for (const gap of gaps) {
    const { reason, by, timestamp } = gap;
    const named = subtract(intersect(absent, gapRanges(gap)), told);
    for (const range of named) found.push({ ...range, reason, by, timestamp });
    told = normalise([...told, ...named]);
  }
  return found.sort((a, b) => a.from - b.from);
}

const number = new Intl.NumberFormat("en-US");

function verdictOf(logs: readonly LogSum[]): string {
  const sum = (of: (log: LogSum) => number): number => logs.reduce((total, log) => total + of(log), 0);
  const unchecked = sum((log) => log.unchecked);
  if (unchecked > 0) return `lines without seqs (${number.format(unchecked)}): what may be missing cannot be told`;
  const missing = sum((log) => log.missing);
  const seqs = number.format(sum((log) => log.lastSeq));
  if (missing > 0) return `${number.format(missing)} of ${seqs} seqs are missing, and nothing accounts for them`;
  const unread = sum((log) => log.unread);
  if (unread > 0) {
    const files =
      unread === 1
        ? "1 file cannot be read as that of its log"
        : `${unread} files cannot be read as those of their logs`;
    return `${files}: what is in there cannot be told, and a scan says why`;
  }
  const gone = sum((log) => log.compacted + log.quarantined + log.lost);
  const rest = gone === 0 ? "all of them present" : `${number.format(gone)} of them accounted for by gap records`;
  return `every one of ${seqs} seqs is present or accounted for, ${rest}`;
}
