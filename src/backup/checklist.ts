// The checklist before production, as far as Papyra can see it: backups that come every day, restores that are tried every week, a
// scan that runs by itself, a procedure that is written down, and a place for what recovery takes out.
import type { Env } from "../env/env.ts";
import { isPapyraError } from "../errors.ts";
import { quoted } from "../quoted.ts";
import { leftoversAt } from "./leftovers.ts";
import type { ObjectStore } from "./objects.ts";
import { drillsOf, type RepositoryView, viewRepository } from "./repository.ts";
import { spanOf } from "./status.ts";

/** What is looked at. */
export interface ChecklistOptions {
  /** The store that it is about; backups of others do not count. */
  readonly store: string;
  /** Where the store is, for the commands to run next. */
  readonly path: string;
  /** The file that says how a restore is done; undefined: the configuration names none. */
  readonly restoreProcedure: string | undefined;
  /** Where recovery keeps what it takes out; undefined: the configuration names nothing. */
  readonly quarantineDir: string | undefined;
}

export interface ChecklistItem {
  readonly name:
    | "daily backup"
    | "weekly restore test"
    | "scan"
    | "restore procedure"
    | "quarantine directory"
    | "leftovers";
  readonly verdict: "done" | "not done" | "cannot be told";
  readonly detail: string;
  /** What to do next, or undefined. */
  readonly next: string | undefined;
}

export interface ChecklistReport {
  /** Nothing is not done. */
  readonly ok: boolean;
  readonly verdict: string;
  readonly repository: string;
  readonly items: readonly ChecklistItem[];
}

const DAY_MS = 86_400_000;

/** Changes nothing. Rejects with FORMAT_UNKNOWN, STORAGE_FAILED. */
export async function checklist(objects: ObjectStore, env: Env, options: ChecklistOptions): Promise<ChecklistReport> {
  const view = await tryView(objects);
  const places = `--path ${quoted(options.path)} --repository ${quoted(objects.location)}`;
  const items = [
    dailyBackup(view, env, options.store, `papyra backup create ${places}`),
    weeklyDrill(view, env, options.store, `papyra backup drill --repository ${quoted(objects.location)}`),
    scanItem(options.path),
    await restoreProcedure(env, options.restoreProcedure),
    quarantine(options.quarantineDir),
    await leftovers(env, [options.path, objects.location]),
  ];
  const open = items.filter(({ verdict }) => verdict === "not done");
  const verdict =
    open.length === 0
      ? "everything that can be told is done"
      : `${open.length} of ${items.length} not done: ${open.map(({ name }) => name).join(", ")}`;
  return { ok: open.length === 0, verdict, repository: objects.location, items };
}

async function tryView(objects: ObjectStore): Promise<RepositoryView | undefined> {
  try {
    return await viewRepository(objects);
  } catch (error) {
    if (isPapyraError(error, "BACKUP_NOT_FOUND")) return undefined;
    throw error;
  }
}

function dailyBackup(view: RepositoryView | undefined, { clock }: Env, store: string, next: string): ChecklistItem {
  const nowMs = clock.nowMs();
  const good = view?.backups.filter((info) => info.good && info.manifest?.store === store) ?? [];
  const ages = good.map(({ manifest }) => nowMs - (manifest?.instant ?? 0) * 1000);
  const youngest = Math.min(...ages);
  if (ages.length === 0) return item("daily backup", "not done", `there is no good backup of ${store}`, next);
  const days = new Set(ages.filter((age) => age < 7 * DAY_MS).map((age) => Math.floor(age / DAY_MS))).size;
  const detail = `the newest good one is ${spanOf(youngest)} old; ${days} of the last 7 days have one`;
  return item("daily backup", youngest < DAY_MS ? "done" : "not done", detail, next);
}

function weeklyDrill(view: RepositoryView | undefined, { clock }: Env, store: string, next: string): ChecklistItem {
  const name = "weekly restore test";
  const last = view === undefined ? undefined : drillsOf(view, store).at(-1);
  if (last === undefined) return item(name, "not done", "no restore was ever tried: there is no drill", next);
  if (last.outcome !== "pass") return item(name, "not done", `the last drill: ${last.outcome}: ${last.detail}`, next);
  const ageMs = clock.nowMs() - last.at * 1000;
  return item(name, ageMs < 7 * DAY_MS ? "done" : "not done", `a drill passed ${spanOf(ageMs)} ago`, next);
}

/** A scan changes nothing, so that it leaves nothing to be seen by. */
function scanItem(path: string): ChecklistItem {
  const detail = "a scan leaves no trace: see to it that cron or CI runs it and speaks up on any exit but 0";
  return { name: "scan", verdict: "cannot be told", detail, next: `papyra persistence scan --path ${quoted(path)}` };
}

async function restoreProcedure({ fs }: Env, file: string | undefined): Promise<ChecklistItem> {
  const name = "restore procedure";
  const next =
    'write down how you restore, and name the file in papyra.config: checklist: { restoreProcedure: "docs/restore.md" }';
  if (file === undefined) return item(name, "not done", "the configuration names none", next);
  const stat = await fs.stat(file);
  if (stat?.kind !== "file") return item(name, "not done", `there is no file ${file}`, next);
  return stat.bytes === 0
    ? item(name, "not done", `${file} is empty`, next)
    : item(name, "done", `${file}; read it aloud once a year`, next);
}

function quarantine(dir: string | undefined): ChecklistItem {
  const name = "quarantine directory";
  const next = 'name one in papyra.config: startup: { quarantineDir: "./quarantine" }';
  return dir === undefined
    ? item(name, "not done", "the configuration names none: recovery would not keep what it takes out", next)
    : item(name, "done", dir, next);
}

/** Restores and drills that were killed; those to other targets nobody knows of. */
async function leftovers(env: Env, bases: readonly string[]): Promise<ChecklistItem> {
  const found = (await Promise.all(bases.map((base) => leftoversAt(env, base)))).flat();
  const left = found.filter(({ owner }) => owner !== "at work");
  if (left.length === 0)
    return item("leftovers", "done", "none of restores and drills beside the store and the repository", "");
  const names = left.map(({ path, owner }) => `${path}${owner === "gone" ? " (the next one there removes it)" : ""}`);
  const next = `see that nobody uses them, then: rm -rf ${left.map(({ path }) => quoted(path)).join(" ")}`;
  return item("leftovers", "not done", `of restores or drills that were killed: ${names.join(", ")}`, next);
}

function item(name: ChecklistItem["name"], verdict: "done" | "not done", detail: string, next: string): ChecklistItem {
  return { name, verdict, detail, next: verdict === "done" ? undefined : next };
}
