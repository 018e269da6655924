// The one line that a person reads first.
import { type Anomaly, type AnomalyKind, MARK_LAGS } from "../log/anomaly.ts";

/** What the sentence needs to know of a log. */
interface LogCounts {
  readonly records: number;
  readonly unchecked: number;
  readonly endVouched: boolean;
  readonly endWhy: string | undefined;
}

const number = new Intl.NumberFormat("en-US");

/** What a scan found, in a sentence. */
export function verdictOf(found: {
  readonly logs: readonly LogCounts[];
  readonly anomalies: readonly Anomaly[];
  readonly anomalyCount: number;
  readonly counts: Readonly<Partial<Record<AnomalyKind, number>>>;
}): string {
  const { logs, anomalies, anomalyCount, counts } = found;
  const records = logs.reduce((sum, log) => sum + log.records, 0);
  const unchecked = logs.reduce((sum, log) => sum + log.unchecked, 0);
  if (anomalyCount === 0) return `healthy: ${held(records, unchecked)}${vouching(logs, unchecked)}`;
  const kinds = Object.entries(counts).map(([kind, count]) => `${number.format(count)} ${kind}`);
  const about =
    acknowledged(anomalies, anomalyCount) ?? allowed(anomalies, logs, unchecked) ?? noneLost(logs, unchecked);
  return `${number.format(anomalyCount)} ${anomalyCount === 1 ? "anomaly" : "anomalies"} (${kinds.join(", ")}); ${about}`;
}

function held(records: number, unchecked: number): string {
  if (unchecked === 0) return `${number.format(records)} records, every seq accounted for`;
  const lines = `${number.format(unchecked)} lines without checksums: they are JSON, nothing more can be proved`;
  return records === 0 ? lines : `${number.format(records)} records, every seq accounted for; ${lines}`;
}

function vouching(logs: readonly LogCounts[], unchecked: number): string {
  if (unchecked > 0 || logs.every((log) => log.endVouched)) return "";
  const why = logs.some(({ endWhy }) => endWhy === MARK_LAGS) ? MARK_LAGS : "as in any copy";
  return `; nothing outside the logs vouches for their ends (${why})`;
}

/** What is gone at an end for which nothing vouches is no anomaly: nobody can know of it. */
function noneLost(logs: readonly LogCounts[], unchecked: number): string {
  const vouched = vouching(logs, unchecked);
  return vouched === "" ? "no acknowledged record is lost" : `no acknowledged record is known to be lost${vouched}`;
}

/** Where a power cut took no more than the store's policy allows. */
function allowed(anomalies: readonly Anomaly[], logs: readonly LogCounts[], unchecked: number): string | undefined {
  const taken = anomalies.filter(isTaken);
  if (taken.length === 0) return undefined;
  const what = "a power cut took acknowledged records, as the store's durability policy allows";
  return `${what}: ${namesOf(taken)}${vouching(logs, unchecked)}`;
}

function isTaken({ allowed: isAllowed }: Anomaly): boolean {
  return isAllowed === true;
}

/** Undefined where none of the anomalies concerns an acknowledged record, but for those that a policy allows a power cut to take. */
function acknowledged(anomalies: readonly Anomaly[], anomalyCount: number): string | undefined {
  const lost = anomalies.filter((anomaly) => anomaly.acknowledged === "lost" && !isTaken(anomaly));
  if (lost.length > 0)
    return `acknowledged records are damaged or missing: ${namesOf(anomalies.filter((one) => one.acknowledged === "lost"))}`;
  if (anomalyCount > anomalies.length || anomalies.some((anomaly) => anomaly.acknowledged === "unknown")) {
    return "whether acknowledged records are concerned cannot be told: nothing vouches for them";
  }
  return undefined;
}

function namesOf(lost: readonly Anomaly[]): string {
  const names = lost.map(({ log, lostSeqs: seqs }) =>
    seqs === undefined ? `${log}` : `${log ?? "(file)"} seq ${seqs.from}${seqs.from === seqs.to ? "" : `-${seqs.to}`}`,
  );
  return `${names.slice(0, 3).join(", ")}${names.length > 3 ? ", ..." : ""}`;
}
