// The exit codes, all of them: a report or an error -> a number. Pure. docs/cli.md and docs/operations.md list them; a
// test keeps the three equal.
import { ERRORS, isPapyraError } from "../errors.ts";
import type { AccountReport } from "../ops/account.ts";
import type { DoctorReport } from "../ops/doctor.ts";
import type { RecoverReport } from "../ops/recover.ts";
import type { ReplayReport } from "../ops/replay.ts";
import type { ScanReport } from "../ops/scan.ts";
import type { SelftestReport } from "../ops/selftest-report.ts";
import type { StartupReport } from "../ops/startup.ts";

export const EXIT_CODES: Readonly<Record<number, string>> = {
  0: "done, healthy",
  1: "doctor: anomalies or a failed check, and the mode is fail_on_anomaly; doctor checklist: something is not done; backup status: the promise is not kept; a drill that says nothing",
  2: "scan found anomalies; account: seqs are missing; doctor: anomalies remain after recovery; a damaged or diverging history",
  3: "recover: anomalies remain",
  4: "startup-check: anomalies, and the mode is fail_on_anomaly",
  5: "startup-check: anomalies remain after recovery",
  10: "there is no store, file, backup, repository or consumer group of that name",
  11: "the store or the repository is locked by another process",
  12: "the key does not open the encrypted repository",
  13: "a backup, or the source of one, is damaged; a drill failed",
  14: "no backup reaches the point that was asked for",
  15: "there is no space left",
  16: "the format version is not known to this release",
  64: "wrong usage or configuration",
  70: "a bug in Papyra",
  74: "the storage could not be read or written; selftest: it does not do what Papyra needs",
  130: "interrupted",
};

export function exitOfScan(report: Pick<ScanReport, "ok">): number {
  return report.ok ? 0 : 2;
}

export function exitOfAccount(report: Pick<AccountReport, "ok">): number {
  return report.ok ? 0 : 2;
}

export function exitOfRecover(report: Pick<RecoverReport, "ok">): number {
  return report.ok ? 0 : 3;
}

export function exitOfStartup(report: Pick<StartupReport, "ok" | "mode">): number {
  if (report.ok) return 0;
  return report.mode === "recover" ? 5 : 4;
}

export function exitOfDoctor(
  report: Pick<DoctorReport, "ok"> & { startup: Pick<StartupReport, "ok" | "mode"> },
): number {
  if (report.ok) return 0;
  return report.startup.mode === "recover" && !report.startup.ok ? 2 : 1;
}

export function exitOfReplay(report: Pick<ReplayReport, "ok">): number {
  return report.ok ? 0 : 2;
}

export function exitOfSelftest(report: Pick<SelftestReport, "ok">): number {
  return report.ok ? 0 : 74;
}

export function exitOfBackup(report: { readonly ok: boolean }): number {
  return report.ok ? 0 : 13;
}

/** Whatever was thrown: a PapyraError has its code's exit; anything else is our bug. */
export function exitOfError(thrown: unknown): number {
  return isPapyraError(thrown) ? ERRORS[thrown.code].exit : ERRORS.INTERNAL.exit;
}
