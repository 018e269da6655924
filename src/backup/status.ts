// Whether the promise about backups is kept: a good one that is young enough, and a drill that has passed lately. It is not kept
// either when nothing ran at all.
import { isPapyraError } from "../errors.ts";
import { entriesOf } from "./catalog.ts";
import type { ObjectStore } from "./objects.ts";
import { FOUND_DAMAGED, type RepositoryView, viewRepository } from "./repository.ts";

export interface StatusOptions {
  /** The newest good backup must not be older, in milliseconds. */
  readonly maxAgeMs?: number | undefined;
  /** The last drill that passed must not be longer ago, in milliseconds. */
  readonly requireDrillMs?: number | undefined;
}

export interface StatusReport {
  readonly ok: boolean;
  readonly verdict: string;
  readonly repository: string;
  readonly backups: number;
  readonly good: number;
  /** Epoch seconds; null: never. */
  readonly lastGood: number | null;
  readonly lastVerified: number | null;
  readonly lastDrillPassed: number | null;
  readonly lastDrill: string | null;
  /** What is not as it was promised, in words. */
  readonly broken: readonly string[];
  readonly anchor: string | undefined;
}

/** Rejects with STORAGE_FAILED; a repository that is not there breaks the promise. */
export async function backupStatus(objects: ObjectStore, options: StatusOptions = {}): Promise<StatusReport> {
  const nowMs = objects.env.clock.nowMs();
  const view = await tryView(objects);
  const good = view?.backups.filter((info) => info.good) ?? [];
  const entries = view?.catalog.entries ?? [];
  const lastGood = good.at(-1)?.manifest?.instant ?? null;
  const drills = entriesOf(entries, "drilled");
  const passed = drills.findLast(({ outcome }) => outcome === "pass")?.at ?? null;
  const last = drills.at(-1);
  const broken = [...(view?.problems ?? [`there is no repository at ${objects.location}`])];
  const tooOld = (at: number | null, mostMs: number | undefined, what: string): void => {
    if (mostMs === undefined) return;
    if (at === null) broken.push(`there is no ${what}`);
    else if (nowMs - at * 1000 > mostMs)
      broken.push(`the last ${what} is ${spanOf(nowMs - at * 1000)} old; promised: ${spanOf(mostMs)}`);
  };
  tooOld(lastGood, options.maxAgeMs, "good backup");
  tooOld(passed, options.requireDrillMs, "drill that passed");
  const damaged = view?.backups.filter(({ problems }) => problems.includes(FOUND_DAMAGED)) ?? [];
  if (damaged.length > 0) broken.push(`a verification found damage in ${damaged.map(({ id }) => id).join(", ")}`);
  if (last?.outcome === "fail") broken.push(`the last drill failed: ${last.detail}`);
  return {
    ok: broken.length === 0,
    verdict: broken.length === 0 ? "the promise is kept" : `the promise is NOT kept: ${broken.join("; ")}`,
    repository: objects.location,
    backups: view?.backups.length ?? 0,
    good: good.length,
    lastGood,
    lastVerified: entriesOf(entries, "verified").findLast((entry) => entry.ok)?.at ?? null,
    lastDrillPassed: passed,
    lastDrill: last?.outcome ?? null,
    broken,
    anchor: view?.catalog.anchor,
  };
}

async function tryView(objects: ObjectStore): Promise<RepositoryView | undefined> {
  try {
    return await viewRepository(objects);
  } catch (error) {
    if (isPapyraError(error, "BACKUP_NOT_FOUND")) return undefined;
    throw error;
  }
}

/** A span of time, in words. */
export function spanOf(ms: number): string {
  const hours = ms / 3_600_000;
  return hours >= 48
    ? `${(hours / 24).toFixed(1)} days`
    : hours >= 1
      ? `${hours.toFixed(1)} hours`
      : `${Math.round(ms / 60_000)} minutes`;
}

/** The same as Prometheus text. */
export function statusMetrics(report: StatusReport): string {
  const rows: [string, string, number][] = [
    ["papyra_backup_ok", "Whether the promise about backups is kept", report.ok ? 1 : 0],
    ["papyra_backup_total", "Backups in the repository", report.backups],
    ["papyra_backup_good_total", "Those of them that are good", report.good],
    ["papyra_backup_last_good_timestamp_seconds", "Instant of the newest good backup, 0: never", report.lastGood ?? 0],
    [
      "papyra_backup_last_verify_timestamp_seconds",
      "When backups were verified last and found intact, 0: never",
      report.lastVerified ?? 0,
    ],
    [
      "papyra_backup_last_drill_passed_timestamp_seconds",
      "When a drill passed last, 0: never",
      report.lastDrillPassed ?? 0,
    ],
  ];
  return rows
    .map(([name, help, value]) => `# HELP ${name} ${help}.\n# TYPE ${name} gauge\n${name} ${value}\n`)
    .join("");
}
