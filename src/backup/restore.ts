// Restoring a backup into a place where nothing is. The store is built under another name beside it, scanned, compared with the
// backup, and published by one step: whenever the process or the machine dies, the target is not there, or complete.
import type { Backend, Stage } from "../backends/backend.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { scan, type ScanReport } from "../ops/scan.ts";
import { refuseUnknown } from "../options.ts";
import { backupReader } from "./backup-reader.ts";
import { appendToCatalog } from "./catalog.ts";
import { type BackedUpStates, bytesOf, type Manifest } from "./manifest.ts";
import { stageDirectory } from "./directory-stage.ts";
import type { ObjectStore } from "./objects.ts";
import { type Chosen, choosePoint, outOfRange, type Point } from "./points.ts";
import { newIdentity, planRebuild, rebuild, type RebuiltLog } from "./rebuild.ts";
import { describeGroups, type RestoredGroup, restoreGroups } from "./restore-groups.ts";
import { viewRepository } from "./repository.ts";
import { type DefinedActors, digestOfStates, foldStates } from "./states.ts";

export interface RestoreOptions {
  /** Default: the end of the newest good backup. */
  readonly point?: Point | undefined;
  /** Of which store; needed where the repository has several, unless the point names a backup. */
  readonly store?: string | undefined;
  /** Restores one that is marked as damaged, as it is. */
  readonly allowDamaged?: boolean | undefined;
  /** Also folds all actors from what was restored, and compares with the digest in the manifest where there is one. */
  readonly states?: DefinedActors | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** One log of a restore, and what the live store has more of. */
export interface RestoredLog {
  readonly log: LogName;
  readonly lastSeq: number;
  /** The last seq in the store that was compared with, if one was. */
  readonly liveSeq: number | undefined;
}

export interface RestoreReport {
  readonly ok: boolean;
  readonly verdict: string;
  readonly backup: string;
  readonly target: string;
  /** Whether it was done, or only planned. */
  readonly done: boolean;
  readonly store: string;
  /** The new lineage, and the one that it goes on from; a plan has none yet. */
  readonly lineage: string | undefined;
  readonly parent: string | null;
  /** A good backup that has other records up to the point, of a lineage that a later restore has cut off: it was not taken. */
  readonly passedOver: { readonly backup: string; readonly lineage: string } | null;
  readonly logs: readonly RestoredLog[];
  readonly bytes: number;
  /** The consumer groups of the backup; none in a plan. */
  readonly groups: readonly RestoredGroup[];
  readonly states: BackedUpStates | undefined;
  /** Why the states were not compared with the manifest, or undefined: they were, and are equal. */
  readonly statesNotCompared: string | undefined;
  readonly seconds: number;
}

/** What a restore would write, and what the store at `live` has that it would not. Changes nothing. */
export async function planRestore(
  objects: ObjectStore,
  place: RestoreTarget,
  options: RestoreOptions & { readonly live?: Backend | undefined } = {},
  source: RestoreSource = {},
): Promise<RestoreReport> {
  const target = locationOf(place);
  const { chosen, logs } = await prepare(objects, options, source);
  const live = options.live === undefined ? undefined : await lastSeqs(options.live);
  const restored = logs.map(({ log, lastSeq }) => ({ log, lastSeq, liveSeq: live?.[log] }));
  const missing = restored.reduce((sum, { lastSeq, liveSeq = 0 }) => sum + Math.max(0, liveSeq - lastSeq), 0);
  const { manifest } = chosen;
  return {
    ok: true,
    verdict: `would restore ${describe(chosen)} to ${target}${live === undefined ? "" : `; ${missing} records of the live store are not in it`}`,
    backup: manifest.id,
    target,
    done: false,
    store: manifest.store,
    lineage: undefined,
    parent: manifest.lineage,
    passedOver: passedOverBy(chosen),
    logs: restored,
    bytes: bytesOf(manifest),
    groups: [],
    states: undefined,
    statesNotCompared: "nothing was restored",
    seconds: 0,
  };
}

/** From where the lines of a backup are read. */
export type SourceOf = (objects: ObjectStore, manifest: Manifest) => Backend | Promise<Backend>;

export interface RestoreSource {
  readonly sourceOf?: SourceOf | undefined;
  /** What the point is, where that was found out before. */
  readonly decided?: Chosen | undefined;
}

/** A directory, or a place of a backend that can build a store aside. */
export type RestoreTarget = string | Backend;

/**
 * Restores to a directory that is not there, or is empty, or to such a place of another backend. Rejects with TARGET_NOT_EMPTY, BACKUP_NOT_FOUND, BACKUP_DAMAGED, RESTORE_OUT_OF_RANGE
 * (naming the nearest points), STORAGE_FULL, REPLAY_DIVERGED, STORAGE_FAILED, or the signal's reason: then the target is as it was.
 */
export async function restoreBackup(
  objects: ObjectStore,
  env: Env,
  target: RestoreTarget,
  options: RestoreOptions = {},
  source: RestoreSource = {},
): Promise<RestoreReport> {
  refuseUnknown("a restore", options, ["point", "store", "allowDamaged", "states", "signal", "onProgress"]);
  const started = env.clock.monotonicMs();
  const hold = await objects.hold("shared", "restore");
  try {
    const stage = await stageAt(env, target);
    try {
      const report = await restoreTo(objects, env, { stage, target: locationOf(target) }, options, source);
      return { ...report, seconds: (env.clock.monotonicMs() - started) / 1000 };
    } catch (error) {
      await stage.discard();
      throw error;
    }
  } finally {
    await hold.release();
  }
}

async function restoreTo(
  objects: ObjectStore,
  env: Env,
  { stage, target }: { readonly stage: Stage; readonly target: string },
  options: RestoreOptions,
  from: RestoreSource,
): Promise<Omit<RestoreReport, "seconds">> {
  const { chosen, logs, source } = await prepare(objects, options, from);
  const { manifest } = chosen;
  assertSpace(await stage.freeBytes(), target, logs);
  const made = { lineage: `b${env.random.hex(4)}`, nowMs: env.clock.nowMs() };
  const identity = newIdentity(await source.view(), logs, made);
  const how = { signal: options.signal, onBytes: progressOf(options, logs) };
  await stage.build((claim) => rebuild(source, claim, logs, identity, how));
  await verify(stage.backend, chosen, logs, options);
  const { states, statesNotCompared } = await compareStates(stage.backend, chosen, options);
  const groups = await restoreGroups(objects, stage, manifest, logs);
  await stage.publish();
  await appendToCatalog(objects, { type: "restored", backup: manifest.id, target, lineage: identity.lineage });
  return {
    ok: true,
    verdict: `restored ${describe(chosen)} to ${target}: healthy${describeGroups(groups)}`,
    backup: manifest.id,
    target,
    done: true,
    store: identity.store,
    lineage: identity.lineage,
    parent: identity.parent,
    passedOver: passedOverBy(chosen),
    logs: logs.map(({ log, lastSeq }) => ({ log, lastSeq, liveSeq: undefined })),
    bytes: sizeOf(logs),
    groups,
    states,
    statesNotCompared,
  };
}

function passedOverBy({ passedOver }: Chosen): RestoreReport["passedOver"] {
  return passedOver === undefined ? null : { backup: passedOver.id, lineage: passedOver.lineage };
}

function locationOf(target: RestoreTarget): string {
  return typeof target === "string" ? target : target.location;
}

async function stageAt(env: Env, target: RestoreTarget): Promise<Stage> {
  if (typeof target === "string") return stageDirectory(env, target);
  if (target.stage !== undefined) return target.stage("restore");
  throw new PapyraError(
    "OPTION_INVALID",
    `a backup is not restored into a store of ${target.kind} at ${target.location}`,
    {
      hint: "name a directory, or a store in Redis",
    },
  );
}

interface Prepared {
  readonly chosen: Chosen;
  readonly source: Backend;
  readonly logs: readonly RebuiltLog[];
}

async function prepare(
  objects: ObjectStore,
  { point = {}, store, allowDamaged }: RestoreOptions,
  { sourceOf = backupReader, decided }: RestoreSource,
): Promise<Prepared> {
  const chosen = decided ?? (await choosePoint(objects, await viewRepository(objects), point, store));
  if (!chosen.info.good && allowDamaged !== true) throw notGood(chosen.info.id, chosen.info.problems);
  const source = await sourceOf(objects, chosen.manifest);
  return { chosen, source, logs: await planRebuild(source, chosen.instant) };
}

/** The refusal to use a backup. */
export function notGood(id: string, problems: readonly string[]): PapyraError {
  return new PapyraError("BACKUP_DAMAGED", `the backup ${id} is no good one: ${problems.join("; ")}`, {
    hint: "use another one (papyra backup list), or take it as it is with --allow-damaged",
  });
}

function describe({ manifest, instant }: Chosen): string {
  return Object.keys(instant).length === 0 ? `backup ${manifest.id}` : `a part of backup ${manifest.id}`;
}

/** What was built must be a healthy store that ends where it should. */
async function verify(
  staged: Backend,
  { manifest, instant, info }: Chosen,
  logs: readonly RebuiltLog[],
  { signal }: RestoreOptions,
): Promise<void> {
  const report = await scan(staged, { signal });
  const short = logs.find(({ log, lastSeq }) => seqIn(report, log) !== lastSeq);
  if (report.ok && short === undefined) return;
  if (!info.good) return; // it was asked for as it is
  const what = report.ok
    ? `${short?.log} ends at seq ${seqIn(report, short?.log)} instead of ${short?.lastSeq}`
    : report.verdict;
  const partial = Object.keys(instant).length > 0;
  if (partial && !report.ok) {
    // The rest of the backup explains what is missing here: it was taken out after the point, and before the backup.
    throw outOfRange(
      `that point, since compaction or recovery has taken out records of it before the backup was made (${what})`,
      [manifest],
      {
        timeMs: manifest.instant * 1000,
      },
    );
  }
  throw new PapyraError("BACKUP_DAMAGED", `what backup ${manifest.id} gives is not what it should be: ${what}`, {
    hint: "papyra backup verify --level replay says more; restore another one",
  });
}

function seqIn({ logs }: ScanReport, log: LogName | undefined): number | undefined {
  return logs.find((report) => report.log === log)?.lastSeq;
}

async function compareStates(
  staged: Backend,
  { manifest, instant }: Chosen,
  { states: definitions, signal }: RestoreOptions,
): Promise<Pick<RestoreReport, "states" | "statesNotCompared">> {
  if (definitions === undefined) return { states: undefined, statesNotCompared: "no actor definitions were given" };
  const states = digestOfStates(await foldStates(staged, definitions, { signal }));
  if (Object.keys(instant).length > 0) return { states, statesNotCompared: "the point lies inside the backup" };
  if (manifest.states === null) return { states, statesNotCompared: "the backup was made without states" };
  if (manifest.states.sha256 === states.sha256) return { states, statesNotCompared: undefined };
  throw new PapyraError(
    "REPLAY_DIVERGED",
    `the states of backup ${manifest.id} are not those of the instant when it was made`,
    {
      hint: "papyra replay --verify names the first event after which they differ; were the definitions changed since?",
      details: { expected: manifest.states, actual: states },
    },
  );
}

function assertSpace(free: number, target: string, logs: readonly RebuiltLog[]): void {
  const needed = sizeOf(logs) + (1 << 20);
  if (free >= needed) return;
  throw new PapyraError("STORAGE_FULL", `a restore to ${target} needs ${needed} bytes, and ${free} are free`, {
    hint: "free some space, or restore to another place",
    details: { needed, free },
  });
}

function sizeOf(logs: readonly RebuiltLog[]): number {
  return logs.reduce(
    (sum, { whole, cut }) => sum + (cut?.bytes ?? 0) + whole.reduce((all, { bytes }) => all + bytes, 0),
    0,
  );
}

function progressOf({ onProgress }: RestoreOptions, logs: readonly RebuiltLog[]): (bytes: number) => void {
  const total = sizeOf(logs);
  let done = 0;
  return (bytes) => onProgress?.((done += bytes), total);
}

async function lastSeqs(live: Backend): Promise<Partial<Record<LogName, number>>> {
  const report = await scan(live, { trustSeals: true });
  return Object.fromEntries(LOG_NAMES.map((log) => [log, seqIn(report, log) ?? 0]));
}
