// What to do next, with the exact command. Pure.
import type { ErrorCode } from "../errors.ts";
import { type Anomaly, isHarmless } from "../log/anomaly.ts";
import type { RecoverReport } from "../ops/recover.ts";
import type { ScanReport } from "../ops/scan.ts";
import type { StartupReport } from "../ops/startup.ts";
import { quoted } from "../quoted.ts";

function next(...steps: readonly string[]): string[] {
  return ["", ...steps.map((step) => `Next: ${step}`)];
}

function recoverCommand(path: string): string {
  return `papyra persistence recover --path ${quoted(path)} --mode quarantine --quarantine-dir ./quarantine`;
}

/** For errors that bring no hint of their own: there is always a next step. */
export function nextAfterError(code: ErrorCode): string {
  if (code === "STORAGE_FAILED") return "look at the disk and at the system's own log, then run the same command again";
  return `docs/errors.md says what to do about ${code}`;
}

/** What only a person can mend. */
function byHand(anomalies: readonly Anomaly[]): string[] {
  const kinds = new Set(anomalies.map((anomaly) => anomaly.kind));
  const steps: string[] = [];
  if (anomalies.some(({ kind, log }) => kind === "missing-segment" && log !== undefined)) {
    steps.push(
      "if a backup holds the missing file, put it back and scan again; recovery writes its records off as lost",
    );
  }
  if (kinds.has("foreign-line")) {
    steps.push("where a whole file is of another log or store, move it to where it belongs");
  }
  if (kinds.has("unreadable")) {
    steps.push(
      "put the first line of the log back (any other file of the same store names store and lineage), or restore a backup",
    );
  }
  if (anomalies.some(isForeignFile)) {
    steps.push("move the unexpected file out of the store; recovery leaves it alone");
  }
  return steps;
}

function isForeignFile(anomaly: Anomaly): boolean {
  return anomaly.kind === "unexpected-file" && anomaly.leftover === undefined;
}

/** Recovery has something to do, as far as can be told. */
function isMendable(anomaly: Anomaly): boolean {
  return anomaly.kind !== "unreadable" && !isForeignFile(anomaly);
}

export function nextAfterScan(report: ScanReport, path: string): string[] {
  if (report.ok) return [];
  const steps = byHand(report.anomalies);
  if (report.anomalies.some(isMendable)) {
    const stop = report.writer === undefined ? "" : `stop pid ${report.writer.pid}, then: `;
    if (report.anomalies.every(isHarmless))
      steps.push("nothing has to be done: a start goes on behind it; to tidy up:");
    steps.push(`${stop}${recoverCommand(path)}`);
  }
  return next(...steps);
}

export function nextAfterRecover(report: RecoverReport, path: string): string[] {
  if (report.mode === "ignore") return nextAfterScan(report.before, path);
  if (report.ok) return report.changed ? next(`papyra persistence startup-check --path ${quoted(report.path)}`) : [];
  const steps = byHand(report.after.anomalies);
  return next(...steps, `papyra persistence scan --path ${quoted(path)} --json`);
}

export function nextAfterStartup(report: StartupReport, path: string): string[] {
  const { scan, recovery } = report;
  if (recovery !== undefined && !recovery.ok)
    return next(...byHand(recovery.after.anomalies), `papyra persistence scan --path ${quoted(path)} --json`);
  if (report.ok && (scan === undefined || scan.startable || recovery !== undefined)) return [];
  if (scan?.startable === true) return next("keep these files as they are, and start on another path");
  return scan === undefined ? [] : nextAfterScan(scan, path);
}
