// The public surface of "papyra/backup": a repository, and what can be done with it.
import type { Backend } from "../backends/backend.ts";
import type { BackupTaker, Store } from "../backends/store.ts";
import type { Clock, Env } from "../env/env.ts";
import { nodeEnv } from "../env/node.ts";
import { PapyraError } from "../errors.ts";
import { LOG_NAMES } from "../log/record.ts";
import { createBackup, type CreateOptions, type CreateReport } from "./create.ts";
import { directoryObjects } from "./directory.ts";
import { drillBackup, type DrillOptions, type DrillReport } from "./drill.ts";
import type { Instant } from "./instant.ts";
import type { ObjectStore } from "./objects.ts";
import { packObjects, type PackedOptions } from "./packed.ts";
import { pinBackup } from "./pins.ts";
import { planPrune, prune, type PruneOptions, type PruneReport } from "./prune.ts";
import { type RepositoryView, viewRepository } from "./repository.ts";
import { planRestore, restoreBackup, type RestoreOptions, type RestoreReport, type RestoreTarget } from "./restore.ts";
export type { RestoredGroup } from "./restore-groups.ts";
import { backupStatus, type StatusOptions, type StatusReport } from "./status.ts";
import { watchBackups, type WatchOptions, type WatchReport } from "./watch.ts";
import { verifyBackups, type VerifyOptions, type VerifyReport } from "./verify.ts";

export { backupReader } from "./backup-reader.ts";
export type { CreateOptions, CreateReport } from "./create.ts";
export type { DrillOptions, DrillReport } from "./drill.ts";
export type { DrilledGroups, ScratchStore } from "./drill-groups.ts";
export type { FrozenCopy } from "./frozen.ts";
export type { KeepPolicy } from "./keep.ts";
export type { BackedUpLog, BackedUpSegment, BackedUpStates, Manifest, Part, ServerFile } from "./manifest.ts";
export {
  type Hold,
  type Holder,
  type HoldMode,
  OBJECT_BYTES_MAX,
  type ObjectInfo,
  type ObjectStart,
  type ObjectStore,
} from "./objects.ts";
export type { Compression } from "./pack.ts";
export type { PackedOptions } from "./packed.ts";
export { rotateKeys, type RotateKeysOptions, type RotateKeysReport } from "./rotate-keys.ts";
export type { Point } from "./points.ts";
export type { PruneOptions, PruneReport, PrunedBackup } from "./prune.ts";
export type { BackupInfo, RepositoryView } from "./repository.ts";
export type { RestoredLog, RestoreOptions, RestoreReport, RestoreTarget } from "./restore.ts";
export {
  type BackedUpSystem,
  type BackupSchedule,
  type ScheduledBackup,
  type ScheduledRepository,
  scheduleBackups,
  type ScheduleOptions,
  type ScheduleProblem,
} from "./schedule.ts";
export { statusMetrics, type StatusOptions, type StatusReport } from "./status.ts";
export type { Shipment, WatchOptions, WatchReport } from "./watch.ts";
export type { Sample, VerifiedBackup, VerifyLevel, VerifyOptions, VerifyReport } from "./verify.ts";

/** A repository of backups. What each function rejects with is said where it is defined. */
export interface Backups extends BackupTaker<CreateOptions, CreateReport> {
  readonly location: string;
  /** By which its times are. */
  readonly clock: Clock;
  /** Backs a store up that is stopped, or, from outside, one that is written. */
  create(store: Backend, options?: CreateOptions): Promise<CreateReport>;
  /** Backs a store up that is open in this process; `system.backup()` comes here. */
  take(store: Store, options?: CreateOptions): Promise<CreateReport>;
  /** Takes in a copy that was made by hand, as it is. */
  adopt(copy: Backend, options?: CreateOptions): Promise<CreateReport>;
  list(options?: { readonly anchor?: string }): Promise<RepositoryView>;
  verify(options?: VerifyOptions): Promise<VerifyReport>;
  planRestore(target: RestoreTarget, options?: RestoreOptions & { readonly live?: Backend }): Promise<RestoreReport>;
  /** To a directory that is not there, or is empty; or to a `redisStore` of which no key is there. */
  restore(target: RestoreTarget, options?: RestoreOptions): Promise<RestoreReport>;
  drill(options: DrillOptions): Promise<DrillReport>;
  status(options?: StatusOptions): Promise<StatusReport>;
  /** Ships what becomes durable as it comes, until the signal. */
  watch(store: Backend, options: WatchOptions): Promise<WatchReport>;
  planPrune(options: PruneOptions, atMs?: number): Promise<PruneReport>;
  prune(options: PruneOptions): Promise<PruneReport>;
  pin(backup: string, note?: string): Promise<void>;
  unpin(backup: string): Promise<void>;
}

/**
 * The repository of backups in a directory, or wherever an object store keeps its objects. Nothing is read or written before it
 * is used; the first backup makes it. Several stores may share one.
 *
 * @example
 * ```ts
 * import { fileStore, openStore } from "papyra";
 * import { backups } from "papyra/backup";
 * import { SimDisk } from "papyra/testing";
 * const { env } = new SimDisk();
 * const store = await openStore(fileStore({ path: "/persistence" }, env));
 * await store.append("events", [
 *   { kind: "event", system_id: "local", actor_address: "local://a", event_type: "Noted", payload: { n: 1 } },
 * ]);
 * const repository = backups("/backups", env);
 * const made = await repository.take(store); // while it goes on being written
 * const checked = await repository.verify({ level: "replay" });
 * const restored = await repository.restore("/restored");
 * if (!made.ok || !checked.ok || restored.logs[0]?.lastSeq !== 1) throw new Error(restored.verdict);
 * ```
 */
export function backups(place: string | ObjectStore, env?: Env): Backups {
  const objects = packed(place, {}, env);
  const world = env ?? objects.env;
  return {
    location: objects.location,
    clock: world.clock,
    create: (store, options) => createBackup(store, objects, options),
    take: (store, options) =>
      createBackup(
        store.backend,
        objects,
        { share: SHARE_DEFAULT, ...options },
        { how: "in-process", instant: () => instantOf(store) },
      ),
    adopt: (copy, options) => createBackup(copy, objects, options, { how: "adopted" }),
    list: (options) => viewRepository(objects, options),
    verify: (options) => verifyBackups(objects, options),
    planRestore: (target, options) => planRestore(objects, target, options),
    restore: (target, options) => restoreBackup(objects, world, target, options),
    drill: (options) => drillBackup(objects, world, options),
    status: (options) => backupStatus(objects, options),
    watch: (store, options) => watchBackups(store, objects, options),
    planPrune: (options, atMs) => planPrune(objects, options, atMs),
    prune: (options) => prune(objects, options),
    pin: async (backup, note) => void (await pinBackup(objects, backup, { note })),
    unpin: async (backup) => void (await pinBackup(objects, backup, { unpin: true })),
  };
}

/** Of the time of a process that has other things to do. */
const SHARE_DEFAULT = 0.15;
/**
 * A directory, or another object store, in which everything is kept compressed, encrypted, or both. Without options it reads whatever is there that needs no key, and
 * refuses to write into an encrypted repository.
 * Rejects with OPTION_INVALID; what is used later rejects with KEY_WRONG (no identity opens the repository: nothing is damaged) and
 * BACKUP_DAMAGED (an object, or the key file, is not what was stored).
 *
 * @example
 * ```ts
 * import { backups, packed } from "papyra/backup";
 * import { fileStore, openStore } from "papyra";
 * import { SimDisk } from "papyra/testing";
 * import { generateX25519Identity, identityToRecipient } from "age-encryption";
 * const { env } = new SimDisk();
 * const identity = await generateX25519Identity(); // age-keygen makes one, too; keep it where the backups are not
 * const recipients = [await identityToRecipient(identity)];
 * const objects = packed("/backups", { compression: "brotli", recipients, identities: [identity] }, env);
 * const store = await openStore(fileStore({ path: "/persistence" }, env));
 * await backups(objects).take(store);
 * const checked = await backups(objects).verify();
 * if (!checked.ok) throw new Error(checked.verdict);
 * ```
 */
export function packed(place: string | ObjectStore, options: PackedOptions = {}, env: Env = nodeEnv): ObjectStore {
  return packObjects(typeof place === "string" ? directoryObjects(env, place) : place, options);
}

/** The barrier: everything that was accepted by now is durable, and what is acknowledged is told for all logs at once. */
async function instantOf(store: Store): Promise<Instant> {
  await store.flush();
  const { failure } = store.stats();
  if (failure !== undefined) {
    throw new PapyraError(
      "STORE_POISONED",
      `an earlier write to ${store.backend.location} failed: ${failure.message}`,
      {
        cause: failure,
        hint: "mend the cause, start the system again, and take the backup then",
      },
    );
  }
  return Object.fromEntries(LOG_NAMES.map((log) => [log, store.lastSeq(log)]));
}
