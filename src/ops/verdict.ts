// The one line that a person reads first.
import type { Anomaly, AnomalyKind } from "../log/anomaly.ts";

/** What the sentence needs to know of a log. */
interface LogCounts {
  readonly records: number;
  readonly unchecked: number;
  readonly endVouched: boolean;
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
  const about = acknowledged(anomalies, anomalyCount) ?? noneLost(logs, unchecked);
  return `${number.format(anomalyCount)} ${anomalyCount === 1 ? "anomaly" : "anomalies"} (${kinds.join(", ")}); ${about}`;
}

function held(records: number, unchecked: number): string {
  if (unchecked === 0) return `${number.format(records)} records, every seq accounted for`;
  const lines = `${number.format(unchecked)} lines without checksums: they are JSON, nothing more can be proved`;
  return records === 0 ? lines : `${number.format(records)} records, every seq accounted for; ${lines}`;
}

function vouching(logs: readonly LogCounts[], unchecked: number): string {
  if (unchecked > 0 || logs.every((log) => log.endVouched)) return "";
  return "; nothing outside the logs vouches for their ends (as in any copy)";
}

/** What is gone at an end for which nothing vouches is no anomaly: nobody can know of it. */
function noneLost(logs: readonly LogCounts[], unchecked: number): string {
  const vouched = vouching(logs, unchecked);
  return vouched === "" ? "no acknowledged record is lost" : `no acknowledged record is known to be lost${vouched}`;
}

/** Undefined where none of the anomalies concerns an acknowledged record. */
function acknowledged(anomalies: readonly Anomaly[], anomalyCount: number): string | undefined {
  const lost = anomalies.filter((anomaly) => anomaly.acknowledged === "lost");
  if (lost.length > 0) {
    const where = lost
      .slice(0, 3)
      .map(
        ({ log, lostSeqs }) =>
          `${log ?? "(file)"} seq ${lostSeqs?.from}${lostSeqs?.from === lostSeqs?.to ? "" : `-${lostSeqs?.to}`}`,
      );
    return `acknowledged records are damaged or missing: ${where.join(", ")}${lost.length > 3 ? ", ..." : ""}`;
  }
  if (anomalyCount > anomalies.length || anomalies.some((anomaly) => anomaly.acknowledged === "unknown")) {
    return "whether acknowledged records are concerned cannot be told: nothing vouches for them";
  }
  return undefined;
}
