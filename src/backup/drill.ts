// A drill: restores a backup to a scratch place, as one would at night, and says whether that gave the store that it should
// have given, and how long it took. A backup is worth what its restore has shown.
import { fileBackend } from "../backends/files.ts";
import type { Env } from "../env/env.ts";
import { isPapyraError } from "../errors.ts";
import { LOG_NAMES } from "../log/record.ts";
import type { Divergence } from "../ops/replay.ts";
import { backupReader } from "./backup-reader.ts";
import { appendToCatalog } from "./catalog.ts";
import { describeGroups, type DrilledGroups, drillGroups, type ScratchStore } from "./drill-groups.ts";
import type { Manifest } from "./manifest.ts";
import { groupsOf } from "./groups.ts";
import { holdPlace, removeBuilt, sweepScratch } from "./leftovers.ts";
import type { ObjectStore } from "./objects.ts";
import { choosePoint } from "./points.ts";
import { planRebuild } from "./rebuild.ts";
import { locateBackup, ofOneStore, viewRepository } from "./repository.ts";
import { restoreBackup } from "./restore.ts";
import { type DefinedActors, digestOfStates, foldStates } from "./states.ts";

export interface DrillOptions {
  /** Where the scratch store is built; it must not be there, and it is removed in the end. */
  readonly scratch: string;
  /** Default: the newest good one. */
  readonly backup?: string | undefined;
  /** Of which store; needed where the repository has several and no backup is named. */
  readonly store?: string | undefined;
  /** Without them, states are neither folded nor compared. */
  readonly states?: DefinedActors | undefined;
  /** Starts a server for a backup with consumer groups, which are restored there and compared. Without it they are not checked. */
  readonly scratchServer?: (() => Promise<ScratchStore>) | undefined;
  /** Leaves the scratch store for a look at it. */
  readonly keep?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface DrillReport {
  /** Whether it passed. */
  readonly ok: boolean;
  readonly verdict: string;
  readonly outcome: "pass" | "fail" | "inconclusive";
  readonly backup: string;
  /** The first difference, where it did not pass. */
  readonly difference: string | undefined;
  /** How many actors were folded; undefined when no definitions were given. */
  readonly actors: number | undefined;
  /** The consumer groups of the backup; undefined where it has none, or the rest did not pass. */
  readonly groups: DrilledGroups | undefined;
  readonly records: number;
  readonly bytes: number;
  readonly restoreSeconds: number;
  readonly replaySeconds: number;
  readonly anchor: string;
}

/**
 * A damaged catalog makes it fail, too: nobody can say whether what is lost there was about this backup. Rejects with
 * BACKUP_NOT_FOUND, TARGET_NOT_EMPTY, STORAGE_FULL (nothing was learnt about the backup), or the signal's reason.
 */
export async function drillBackup(objects: ObjectStore, env: Env, options: DrillOptions): Promise<DrillReport> {
  const { backup: wanted = "latest", store } = options;
  const all = await viewRepository(objects);
  const view = wanted === "latest" ? ofOneStore(all, store) : all;
  const { id: backup, manifest, problems } = locateBackup(view, wanted);
  const started = env.clock.monotonicMs();
  await sweepScratch(env, options.scratch);
  const result =
    manifest === undefined
      ? { outcome: "fail" as const, difference: `it cannot be used: ${problems.join("; ")}`, ...NOTHING }
      : judgeRest(await tryAll(objects, env, manifest, options), all.catalog.problems);
  const { outcome, difference } = result;
  const seconds = (env.clock.monotonicMs() - started) / 1000;
  const whole =
    result.actors === undefined
      ? "every line is there"
      : `every line and the states of ${result.actors} actors are there`;
  const detail = difference ?? `${whole}${result.groups === undefined ? "" : describeGroups(result.groups)}`;
  const anchor = await appendToCatalog(objects, { type: "drilled", backup, outcome, detail, seconds });
  const records = Object.values(manifest?.logs ?? {}).reduce((sum, log) => sum + log.records, 0);
  const verdict = `drill of backup ${backup}: ${outcome.toUpperCase()} in ${seconds.toFixed(1)} s: ${detail}`;
  return { ok: outcome === "pass", verdict, backup, records, anchor, ...result };
}

const NOTHING = { actors: undefined, groups: undefined, bytes: 0, restoreSeconds: 0, replaySeconds: 0 };

type Result = Pick<
  DrillReport,
  "outcome" | "difference" | "actors" | "groups" | "bytes" | "restoreSeconds" | "replaySeconds"
>;

/** What files can show, and then what only a server can. */
async function tryAll(objects: ObjectStore, env: Env, manifest: Manifest, options: DrillOptions): Promise<Result> {
  const result = await tryRestore(objects, env, manifest, options);
  if (result.outcome !== "pass") return result;
  const { groups, difference } = await drillGroups(objects, env, manifest, options.scratchServer, options.signal);
  return difference === undefined ? { ...result, groups } : { ...result, groups, outcome: "fail", difference };
}

/** A restore does without the catalog, so that it works at night; a drill says by day that something is wrong with it. */
function judgeRest(result: Result, problems: readonly string[]): Result {
  const [problem] = problems;
  if (problem === undefined || result.outcome === "fail") return result;
  return { ...result, outcome: "fail", difference: `the catalog is damaged: ${problem}` };
}

async function tryRestore(objects: ObjectStore, env: Env, manifest: Manifest, options: DrillOptions): Promise<Result> {
  const hold = await holdPlace(env, options.scratch, "drill");
  try {
    return await restoreAndJudge(objects, env, manifest, options);
  } finally {
    await hold.release();
  }
}

async function restoreAndJudge(
  objects: ObjectStore,
  env: Env,
  manifest: Manifest,
  options: DrillOptions,
): Promise<Result> {
  const { id: backup } = manifest;
  const { scratch, states: definitions, signal, onProgress } = options;
  let restored;
  try {
    await readWhatIsNotRestored(objects, manifest, signal);
    restored = await restoreBackup(objects, env, scratch, { point: { backup }, signal, onProgress });
  } catch (error) {
    if (!isPapyraError(error) || !["BACKUP_DAMAGED", "BACKUP_NOT_FOUND"].includes(error.code)) throw error;
    return { outcome: "fail", difference: error.message, ...NOTHING };
  }
  const measured = { ...NOTHING, bytes: restored.bytes, restoreSeconds: restored.seconds };
  try {
    if (definitions === undefined) return { outcome: "pass", difference: undefined, ...measured };
    const started = env.clock.monotonicMs();
    const judged = await judgeStates(objects, env, backup, options, definitions);
    return { ...measured, ...judged, replaySeconds: (env.clock.monotonicMs() - started) / 1000 };
  } finally {
    if (options.keep !== true) await removeBuilt(env.fs, scratch);
  }
}

/** Of a segment without records a restore takes nothing over, and files have no consumer groups; that these are what was stored is asked all the same. */
async function readWhatIsNotRestored(objects: ObjectStore, manifest: Manifest, signal: AbortSignal | undefined) {
  const source = backupReader(objects, manifest);
  const restored = new Map<string, number>();
  for (const { whole, cut } of await planRebuild(source, {})) {
    for (const { name, bytes } of whole) restored.set(name, bytes);
    if (cut !== undefined) restored.set(cut.segment.name, cut.bytes);
  }
  for (const { name, id, bytes } of (await source.view()).segments)
    for await (const _ of source.read(name, restored.get(name) ?? 0, bytes, id)) signal?.throwIfAborted();
  for (const log of LOG_NAMES) await groupsOf(objects, manifest, log);
}

/** Two folds that differ say nothing about the backup, and everything about the definition. */
async function judgeStates(
  objects: ObjectStore,
  env: Env,
  backup: string,
  { scratch, signal }: DrillOptions,
  definitions: DefinedActors,
): Promise<Pick<DrillReport, "outcome" | "difference" | "actors">> {
  const replay = await foldStates(fileBackend({ path: scratch }, env), definitions, { signal, verify: true });
  const actors = replay.actors.length;
  const divergences = replay.verified?.divergences ?? [];
  const unsteady = divergences.find(({ against }) => against === "fold");
  if (unsteady !== undefined)
    return { outcome: "inconclusive", difference: `two folds differ: ${firstDifference(unsteady)}`, actors };
  const [differs] = divergences;
  if (differs !== undefined)
    return {
      outcome: "fail",
      difference: `a snapshot is not what its events give: ${firstDifference(differs)}`,
      actors,
    };
  const [problem] = replay.problems;
  if (problem !== undefined)
    return { outcome: "fail", difference: `${problem.persistenceId}: ${problem.message}`, actors };
  const { manifest } = await choosePoint(objects, await viewRepository(objects), { backup }, undefined);
  const then = manifest.states;
  if (then !== null && then.sha256 !== digestOfStates(replay).sha256)
    return {
      outcome: "fail",
      difference: `the states of ${actors} actors are not those of the ${then.actors} at its instant`,
      actors,
    };
  return { outcome: "pass", difference: undefined, actors };
}

function firstDifference({ persistenceId, revision, seq, eventType }: Divergence): string {
  return `first after revision ${revision} (seq ${seq}, ${eventType}) of ${persistenceId}`;
}
