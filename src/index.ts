// The public surface of "papyra". Here, and in cli/open.ts, the real file system, clock and randomness are joined to a
// backend; everything below takes them as parameters.
import type { ActorSystemOptions } from "./actors/actor-options.ts";
import { ActorSystem as Actors } from "./actors/system.ts";
import type { Backend } from "./backends/backend.ts";
import type { FileStoreOptions } from "./backends/file-options.ts";
import { fileBackend } from "./backends/files.ts";
import { memoryBackend, type MemoryBackend, type MemoryStoreOptions } from "./backends/memory.ts";
import type { Env } from "./env/env.ts";
import { nodeEnv } from "./env/node.ts";

export type { ActorSystemOptions, SpawnOptions } from "./actors/actor-options.ts";
export type { AuditReport } from "./actors/audit.ts";
export type * from "./actors/behaviour.ts";
export { digestOf } from "./actors/digest.ts";
export type {
  ActorCrashed,
  ActorEvent,
  ActorRestarted,
  ActorStarted,
  ActorStopped,
  StopReason,
} from "./actors/events.ts";
export {
  type AnyPersistentActor,
  type AwaitItFirst,
  type CommandArguments,
  type CommandContext,
  type CommandHandlers,
  type Committed,
  type Decision,
  type Draft,
  type EventEntry,
  type EventParameters,
  type PersistentActor,
  persistentActor,
  type PersistentOptions,
  type PersistentRef,
  type Reply,
  type ReplyOf,
  type SnapshotOptions,
  type UpcastEvent,
} from "./actors/persistent.ts";
export type { Directive, Failure, SupervisionOptions } from "./actors/supervision.ts";
export type { StopReport, SystemMetrics, SystemState } from "./actors/system.ts";
export type { Backend, ClaimOwner, StoreIdentity } from "./backends/backend.ts";
export type { FileStoreOptions } from "./backends/file-options.ts";
export type { StoreLimits } from "./backends/limits.ts";
export type { Location } from "./backends/locate.ts";
export type { MemoryBackend, MemoryStoreOptions } from "./backends/memory.ts";
export { openStore } from "./backends/open.ts";
export type { Appended, Store, StoreStats } from "./backends/store.ts";
export { compactStore, type CompactOptions, type CompactReport } from "./ops/compact.ts";
export { defineConfig, type PapyraConfig } from "./config.ts";
export type { Clock, Env, FileLock, FileStat, Fs, Host, OpenFile, Random } from "./env/env.ts";
export { nodeEnv } from "./env/node.ts";
export { ERRORS, type ErrorCode, type ErrorExtras, isPapyraError, PapyraError } from "./errors.ts";
export type { Acknowledged, Anomaly, AnomalyKind, SeqRange } from "./log/anomaly.ts";
export type * from "./log/record.ts";
export type { RetainedLog, Retention, RetentionPolicy } from "./log/retention.ts";

/**
 * A store in the files of one directory, with durable acknowledgements. Opens nothing until it is used.
 * Rejects with OPTION_INVALID for an option it does not know or a value out of range. `env` is the world it lives in: a
 * test may give it a simulated disk (`papyra/testing`).
 *
 * @example
 * ```ts
 * import { fileStore, openStore } from "papyra";
 * import { SimDisk } from "papyra/testing";
 * const disk = new SimDisk();
 * const store = await openStore(fileStore({ path: "/persistence" }, disk.env));
 * await store.append("events", [
 *   { kind: "event", system_id: "local", actor_address: "local://a", event_type: "Noted", payload: { n: 1 } },
 * ]);
 * const afterPowerCut = disk.reboot(7); // whatever was not synced may be gone, torn or zeros
 * const again = await openStore(fileStore({ path: "/persistence" }, afterPowerCut.env));
 * if (again.lastSeq("events") !== 1) throw new Error("an acknowledged record is durable");
 * await again.close();
 * ```
 */
export function fileStore(options: FileStoreOptions, env: Env = nodeEnv): Backend {
  return fileBackend(options, env);
}

/** A store that lives in memory and dies with the process: for tests and for trying things out. */
export function memoryStore(options: MemoryStoreOptions = {}, env: Env = nodeEnv): MemoryBackend {
  return memoryBackend(options, env);
}

/**
 * A set of actors, and the store where their history is kept. Without a store nothing is recorded.
 *
 * @example
 * ```ts
 * import { ActorSystem, memoryStore } from "papyra";
 * const system = new ActorSystem({ store: memoryStore() });
 * await system.start();
 * const greeter = system.spawn("greeter", () => ({
 *   receive: (message: { name: string }) => `hello ${message.name}`,
 * }));
 * const text = await greeter.ask({ name: "Ada" });
 * await system.stop();
 * if (text !== "hello Ada") throw new Error(text);
 * ```
 */
export class ActorSystem extends Actors {
  /** Rejects with OPTION_INVALID. Nothing is read or written before `start`. */
  constructor(options: ActorSystemOptions = {}) {
    super(options.env === undefined && options.store === undefined ? { ...options, env: nodeEnv } : options);
  }
}
