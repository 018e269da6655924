// Scan: reads a store, or one of its logs, from the first byte to the last and says everything that is wrong with it.
// Changes nothing: no byte, no time, no lock left behind. Memory does not grow with the logs.
import type { Backend, StoreFinding, StoreView } from "../backends/backend.ts";
import { type CheckedLog, checkLog } from "../backends/check.ts";
import { readSteadily } from "../backends/steady.ts";
import { identityOf } from "../backends/identities.ts";
import { readSeal } from "../backends/segment-ends.ts";
import { type Anomaly, type AnomalyKind, isDamagedRecord, isHarmless, whyUnknown } from "../log/anomaly.ts";
import { encodeIdentity, seedOf } from "../log/codec.ts";
import type { LogAccount } from "../log/ledger.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { lookingAhead } from "./looking-ahead.ts";
import { verdictOf } from "./verdict.ts";

export interface ScanOptions {
  /** Only this log; "lone" for a single file that is not a log of a store. Default: every log. */
  readonly log?: LogName | undefined;
  /** How many anomalies are listed in full; all are counted. From 1. Default 1,000. */
  readonly anomaliesMax?: number;
  /** Takes the word of the seals of closed segments instead of reading these. Default false. */
  readonly trustSeals?: boolean | undefined;
  /**
   * How many threads read closed segments at most; each gets 64 MiB or more. From 1, which starts none, to 64. Default 1. Stores
   * that are not in files are read by one.
   */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the bytes read so far and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What a scan says of one log. */
export interface LogReport {
  readonly log: LogName | "(file)";
  readonly segments: number;
  readonly bytes: number;
  /** Records that verified. */
  readonly records: number;
  /** Lines of a log without checksums: they are JSON, and nothing more is known. */
  readonly unchecked: number;
  readonly firstSeq: number | undefined;
  readonly lastSeq: number;
  /** Seqs that gap records account for, by reason. */
  readonly accounted: { readonly compacted: number; readonly quarantined: number; readonly lost: number };
  /** Seqs that nothing accounts for. */
  readonly missing: number;
  readonly firstTimestamp: number | undefined;
  readonly lastTimestamp: number | undefined;
  /** Whether something outside the log vouches that nothing is missing at its end. Never in a copy. */
  readonly endVouched: boolean;
  /** Where it is not: why. */
  readonly endWhy: string | undefined;
}

export interface ScanReport {
  /** No anomaly at all. */
  readonly ok: boolean;
  /** One line for people. */
  readonly verdict: string;
  readonly path: string;
  readonly store: string | undefined;
  readonly lineage: string | undefined;
  /** Who is writing at this moment, if anybody. */
  readonly writer: StoreView["writer"];
  readonly logs: readonly LogReport[];
  readonly anomalies: readonly Anomaly[];
  readonly anomalyCount: number;
  readonly counts: Readonly<Partial<Record<AnomalyKind, number>>>;
  /** No anomaly that is a reason not to start. */
  readonly startable: boolean;
}

/** Rejects with STORE_NOT_FOUND, FORMAT_UNKNOWN, STORAGE_FAILED (an I/O error is never taken for damage), or the signal's reason. */
export async function scan(backend: Backend, options: ScanOptions = {}): Promise<ScanReport> {
  return readSteadily(backend, (view) => scanView(backend, view, options));
}

/** The same over a view that the caller has already; recovery scans under its own claim. */
export async function scanView(backend: Backend, view: StoreView, options: ScanOptions): Promise<ScanReport> {
  const logs = logsToScan(view, options.log);
  const anomaliesMax = options.anomaliesMax ?? 1000;
  const total = view.segments
    .filter((segment) => logs.includes(segment.log))
    .reduce((sum, segment) => sum + segment.bytes, 0);
  let done = 0;
  const onProgress = (bytes: number): void => options.onProgress?.((done += bytes), total);
  const checked = await lookingAhead(backend, view, logs, options, async (ahead) => {
    const found: CheckedLog[] = [];
    for (const log of logs) {
      found.push(
        await checkLog(backend, view, log, {
          live: view.writer !== undefined,
          findingsMax: anomaliesMax,
          hashSealed: true,
          trustSeals: options.trustSeals === true,
          ahead,
          signal: options.signal,
          onProgress,
        }),
      );
    }
    return found;
  });
  return report(backend, view, options.log, checked, {
    anomaliesMax,
    underSeal: await damagedUnderSeal(backend, view, checked),
  });
}

/** The damaged segments whose seals opening takes at their word. */
async function damagedUnderSeal(
  backend: Backend,
  view: StoreView,
  checked: readonly CheckedLog[],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const { log, segments, account } of checked) {
    const damaged = new Set(account.findings.filter(isDamagedRecord).map(({ file }) => file));
    for (const segment of segments.filter(({ name }) => damaged.has(name))) {
      const identity = identityOf(view, log, segment);
      if (identity === undefined) continue;
      const seal = await readSeal(backend, segment, seedOf(encodeIdentity(identity)));
      if (seal !== undefined) found.add(segment.name);
    }
  }
  return found;
}

/** The logs of a store, or the one that was asked for, or the lone file. */
export function logsToScan(view: StoreView, log: LogName | undefined): (LogName | undefined)[] {
  if (log !== undefined) return [log];
  const present: (LogName | undefined)[] = LOG_NAMES.filter(
    (name) => view.identity !== undefined || view.segments.some((segment) => segment.log === name),
  );
  return present.length > 0 ? present : [undefined];
}

function report(
  backend: Backend,
  view: StoreView,
  log: LogName | undefined,
  checked: readonly CheckedLog[],
  { anomaliesMax, underSeal }: { readonly anomaliesMax: number; readonly underSeal: ReadonlySet<string> },
): ScanReport {
  const counts: Partial<Record<AnomalyKind, number>> = {};
  const anomalies: Anomaly[] = [];
  const add = (anomaly: Anomaly): void => {
    if (anomalies.length < anomaliesMax) anomalies.push(anomaly);
  };
  const missingLogs = new Set<LogName>();
  for (const finding of view.findings) {
    if (log !== undefined && finding.log !== log) continue;
    if (finding.kind === "missing-segment" && finding.log !== undefined) missingLogs.add(finding.log);
    counts[finding.kind] = (counts[finding.kind] ?? 0) + 1;
    add(storeAnomaly(view, finding));
  }
  for (const { log: name, account } of checked) {
    if (name !== undefined && missingLogs.has(name)) continue; // said once: the whole log is missing
    for (const [kind, count] of Object.entries(account.counts)) {
      counts[kind as AnomalyKind] = (counts[kind as AnomalyKind] ?? 0) + count;
    }
    for (const finding of account.findings) {
      const reach = name === undefined ? undefined : view.reach(name);
      const anomaly = withoutRepair(finding, () => whyUnknown(reach, view.writer !== undefined));
      add(isDamagedRecord(anomaly) && underSeal.has(anomaly.file) ? { ...anomaly, underSeal: true } : anomaly);
    }
  }
  const anomalyCount = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const logs = checked.map((one) => logReport(view, one));
  return {
    ok: anomalyCount === 0,
    verdict: verdictOf({ logs, anomalies, anomalyCount, counts }),
    path: backend.location,
    store: view.identity?.store,
    lineage: view.identity?.lineage,
    writer: view.writer,
    logs,
    anomalies,
    anomalyCount,
    counts,
    startable: anomalyCount <= anomalies.length && anomalies.every(isHarmless),
  };
}

function storeAnomaly(view: StoreView, finding: StoreFinding): Anomaly {
  const missing = finding.kind === "missing-segment" && finding.log !== undefined;
  const reach = missing && finding.log !== undefined ? view.reach(finding.log) : undefined;
  const last = Math.max(reach?.seq ?? 0, reach?.acknowledged ?? 0);
  const lost = last > 0 ? { from: 1, to: last } : undefined;
  const unknown = lost === undefined && missing && reach?.exact !== true;
  return {
    kind: finding.kind,
    log: finding.log,
    file: finding.file,
    offset: 0,
    length: finding.bytes ?? 0,
    seqs: lost,
    acknowledged: lost !== undefined ? "lost" : unknown ? "unknown" : "none",
    why: unknown ? whyUnknown(reach, view.writer !== undefined) : undefined,
    lostSeqs: lost,
    leftover: finding.leftover,
    detail: finding.detail,
  };
}

function withoutRepair(finding: LogAccount["findings"][number], whyOf: () => string): Anomaly {
  const { kind, log, file, offset, length, seqs, acknowledged, lostSeqs, allowed, detail } = finding;
  const why = acknowledged === "unknown" ? whyOf() : undefined;
  return { kind, log, file, offset, length, seqs, acknowledged, why, lostSeqs, allowed, detail };
}

/** Why nothing vouches for the end of a log. */
export function whyEndUnknown(view: StoreView, { log, account }: CheckedLog): string | undefined {
  if (account.endVouched) return undefined;
  return whyUnknown(log === undefined ? undefined : view.reach(log), view.writer !== undefined);
}

function logReport(view: StoreView, checked: CheckedLog): LogReport {
  const { account } = checked;
  return {
    log: checked.log ?? "(file)",
    segments: checked.segments.length,
    bytes: checked.bytes,
    records: account.present,
    unchecked: account.unchecked,
    firstSeq: checked.first?.seq,
    lastSeq: account.lastSeq,
    accounted: { compacted: account.compacted, quarantined: account.quarantined, lost: account.lost },
    missing: account.missing,
    firstTimestamp: checked.first?.timestamp,
    lastTimestamp: checked.last?.timestamp,
    endVouched: account.endVouched,
    endWhy: whyEndUnknown(view, checked),
  };
}
