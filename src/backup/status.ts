// Whether the promise about backups is kept: a good one that is young enough, and a drill that has passed lately. It is not kept
// either when nothing ran at all.
import { isPapyraError } from "../errors.ts";
import { entriesOf } from "./catalog.ts";
import type { ObjectStore } from "./objects.ts";
import {
  drillsOf,
  FOUND_DAMAGED,
  newestGood,
  ofOneStore,
  type RepositoryView,
  storesOf,
  viewRepository,
} from "./repository.ts";

export interface StatusOptions {
  /** Only of this store. Default: the promise must be kept for each that the repository has backups of. */
  readonly store?: string | undefined;
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
  /** Epoch seconds; null: never. Of several stores, that of the one that is worst off. */
  readonly lastGood: number | null;
  /** Up to when watched stores were shipped: the oldest of these; null: none is watched. */
  readonly lastWatched: number | null;
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
  const all = await tryView(objects);
  const view = all === undefined || options.store === undefined ? all : ofOneStore(all, options.store);
  const broken = [...(view?.problems ?? [`there is no repository at ${objects.location}`])];
  const tooOld = (at: number | null, mostMs: number | undefined, what: string): void => {
    if (mostMs === undefined) return;
    if (at === null) broken.push(`there is no ${what}`);
    else if (nowMs - at * 1000 > mostMs)
      broken.push(`the last ${what} is ${spanOf(nowMs - at * 1000)} old; promised: ${spanOf(mostMs)}`);
  };
  const stores = view === undefined ? [] : storesOf(view);
  const each = (stores.length === 0 ? [undefined] : stores).map((store) => {
    const of = stores.length > 1 ? ` of ${store}` : "";
    const { lastGood, passed, last } = factsOf(view, store);
    tooOld(lastGood, options.maxAgeMs, `good backup${of}`);
    tooOld(passed, options.requireDrillMs, `drill${of} that passed`);
    if (last?.outcome === "fail") broken.push(`the last drill${of} failed: ${last.detail}`);
    return { lastGood, passed, last };
  });
  const damaged = view?.backups.filter(({ problems }) => problems.includes(FOUND_DAMAGED)) ?? [];
  if (damaged.length > 0) broken.push(`a verification found damage in ${damaged.map(({ id }) => id).join(", ")}`);
  const drills = each.flatMap(({ last }) => last ?? []).sort((a, b) => a.n - b.n);
  return {
    ok: broken.length === 0,
    verdict: broken.length === 0 ? "the promise is kept" : `the promise is NOT kept: ${broken.join("; ")}`,
    repository: objects.location,
    backups: view?.backups.length ?? 0,
    good: view?.backups.filter((info) => info.good).length ?? 0,
    lastGood: oldest(each.map(({ lastGood }) => lastGood)),
    lastWatched: oldestWatched(view),
    lastVerified: entriesOf(view?.catalog.entries ?? [], "verified").findLast((entry) => entry.ok)?.at ?? null,
    lastDrillPassed: oldest(each.map(({ passed }) => passed)),
    lastDrill: drills.at(-1)?.outcome ?? null,
    broken,
    anchor: view?.catalog.anchor,
  };
}

function oldestWatched(view: RepositoryView | undefined): number | null {
  const instants = view?.watched.map(({ manifest }) => manifest?.instant ?? 0) ?? [];
  return instants.length === 0 ? null : Math.min(...instants);
}

/** What is known of one store; undefined: of a repository without any. */
function factsOf(view: RepositoryView | undefined, store: string | undefined) {
  const drills = view === undefined ? [] : drillsOf(view, store);
  return {
    lastGood: view === undefined ? null : (newestGood(view, store)?.manifest?.instant ?? null),
    passed: drills.findLast(({ outcome }) => outcome === "pass")?.at ?? null,
    last: drills.at(-1),
  };
}

/** Of several stores, the one that is worst off counts. */
function oldest(times: readonly (number | null)[]): number | null {
  return times.includes(null) ? null : Math.min(...(times as number[]));
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
      "papyra_backup_last_watch_timestamp_seconds",
      "Up to when watched stores were shipped, 0: none",
      report.lastWatched ?? 0,
    ],
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
