// The actor system: checks and opens the store, then lets actors run, and ends in order: actors first, store last. It
// promises that a stop comes to its end whatever the actors do, and that it tells what was lost on the way.
import { openStore } from "../backends/open.ts";
import type { BackupTaker, Store } from "../backends/store.ts";
import { PapyraError } from "../errors.ts";
import { compactStore, type CompactOptions, type CompactReport } from "../ops/compact.ts";
import { assertStartable, type StartupReport } from "../ops/startup.ts";
import {
  resolveSystemOptions,
  type ActorSystemOptions,
  type ResolvedSystemOptions,
  type SpawnOptions,
} from "./actor-options.ts";
import type { AuditReport } from "./audit.ts";
import type { ActorRef, BehaviourFactory, RunningSystem, StopOptions } from "./behaviour.ts";
import { erased } from "./context.ts";
import type { ActorEvent } from "./events.ts";
import type { PersistentActor, PersistentRef } from "./persistent.ts";
import { PersistentActors } from "./persistent-actors.ts";
import { Recorder } from "./recorder.ts";
import { Ref } from "./ref.ts";
import { Runtime } from "./runtime.ts";
import { resolveStop } from "./stopping.ts";
import type { StopReport, SystemMetrics } from "./system-reports.ts";

export type { StopReport, SystemMetrics } from "./system-reports.ts";

/** Where a system is in its life. */
export type SystemState = "new" | "starting" | "running" | "stopping" | "stopped";

/**
 * A set of actors, and the store where their history is kept.
 *
 * @example
 * ```ts
 * import { ActorSystem, memoryStore } from "papyra";
 * await using system = new ActorSystem({ store: memoryStore() });
 * await system.start();
 * const greeter = system.spawn("greeter", () => ({
 *   receive: (message: { name: string }) => `hello ${message.name}`,
 * }));
 * const text = await greeter.ask({ name: "Ada" });
 * if (text !== "hello Ada") throw new Error(text);
 * ```
 */
export class ActorSystem implements RunningSystem {
  readonly #options: ResolvedSystemOptions;
  readonly #runtime: Runtime;
  readonly #persistent: PersistentActors;
  #state: SystemState = "new";
  #starting: Promise<void> | undefined;
  #stopped: Promise<StopReport> | undefined;
  #store: Store | undefined;
  #startupReport: StartupReport | undefined;

  /** Rejects with OPTION_INVALID. Nothing is read or written before `start`. */
  constructor(options: ActorSystemOptions = {}) {
    this.#options = resolveSystemOptions(options);
    this.#runtime = new Runtime(this, this.#options);
    this.#persistent = new PersistentActors(this.#runtime, this.systemId, () => this.#openedStore());
  }

  get systemId(): string {
    return this.#options.systemId;
  }

  get state(): SystemState {
    return this.#state;
  }

  /** The open store, while there is one. */
  get store(): Store | undefined {
    return this.#store;
  }

  /** What the check before the start found; undefined without a store, or before the start. */
  get startupReport(): StartupReport | undefined {
    return this.#startupReport;
  }

  /**
   * Checks the store as `startup` says, opens it, and lets actors be spawned. Calling it again changes nothing; after it
   * failed, it may be tried again. Rejects with STARTUP_REFUSED, RECOVERY_INCOMPLETE, SYSTEM_STOPPED, and with whatever
   * opening the store rejects with, such as STORE_LOCKED.
   */
  start(): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(this.#notRunning());
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    this.#state = "starting";
    try {
      await this.#open();
    } catch (error) {
      this.#state = "new";
      this.#starting = undefined;
      throw error;
    }
    // A stop that came meanwhile waits for this and closes the store.
    if (this.#stopped !== undefined) throw this.#notRunning();
    this.#state = "running";
  }

  async #open(): Promise<void> {
    const { store: backend, startup: mode, quarantineDir, trustSeals, startupThreads: threads } = this.#options;
    if (backend === undefined) return;
    this.#startupReport = await assertStartable(backend, { mode, quarantineDir, trustSeals, threads });
    if (this.#stopped !== undefined) return;
    this.#store = await openStore(backend);
    const { systemId, env } = this.#options;
    this.#runtime.recorder = new Recorder(systemId, this.#store, env.clock, this.#runtime.problems);
  }

  /**
   * Starts an actor. The types of its messages and replies follow from `receive`.
   * Rejects with SYSTEM_STOPPED, NAME_TAKEN, OPTION_INVALID.
   *
   * @example
   * ```ts
   * import { ActorSystem, memoryStore } from "papyra";
   * await using system = new ActorSystem({ store: memoryStore() });
   * await system.start();
   * const counter = system.spawn("counter", () => {
   *   let count = 0; // begins afresh at each restart
   *   return { receive: (message: { add: number }) => (count += message.add) };
   * }, { supervision: { onFailure: "restart", restartsMax: 10, withinMs: 60_000 } });
   * counter.tell({ add: 2 });
   * if ((await counter.ask({ add: 3 })) !== 5) throw new Error("2 and 3 are 5");
   * ```
   */
  spawn<M, R>(name: string, factory: BehaviourFactory<M, R>, options?: SpawnOptions): ActorRef<M, Awaited<R>> {
    if (this.#state !== "running") throw this.#notRunning();
    return Ref.typed<M, Awaited<R>>(this.#runtime.spawnRoot([name], erased(factory), options).ref);
  }

  /**
   * A handle to the persistent actor of this definition and id. The actor starts when its first message comes, recovers
   * its state from the journal while messages wait, and is the same one for all handles of that id.
   * Rejects with OPTION_INVALID: an id is 1 to 512 bytes of well-formed UTF-8 without NUL; a type has one definition.
   *
   * @example
   * ```ts
   * import { ActorSystem, memoryStore, persistentActor } from "papyra";
   * const counter = persistentActor({
   *   type: "counter",
   *   initial: () => ({ count: 0 }),
   *   events: { added: (state, e: { amount: number }) => ({ count: state.count + e.amount }) },
   * }, {
   *   add: (state, c: { amount: number }, ctx) => ctx.persist("added", c).reply((after) => after.count),
   * });
   * const store = memoryStore();
   * for (const expected of [2, 4]) {
   *   await using system = new ActorSystem({ store });
   *   await system.start();
   *   const count = await system.get(counter, "visits").ask("add", { amount: 2 });
   *   if (count !== expected) throw new Error("the count did not survive");
   * }
   * ```
   */
  get<S, H>(actor: PersistentActor<S, H>, id: string): PersistentRef<H> {
    return this.#persistent.get<H>(actor, id);
  }

  /** Calls `listener` with everything that happens from now on, until the returned function is called. */
  subscribe(listener: (event: ActorEvent) => void): () => void {
    return this.#runtime.subscribe(listener);
  }

  /** Takes a picture of the system, and records it. */
  audit(): AuditReport {
    const report = this.#runtime.audit();
    this.#runtime.recorder?.audit(report);
    return report;
  }

  /**
   * Takes expired records out of the store for good while the system goes on: what `retention` says, or the store's own.
   * Journal records go only when a snapshot covers them. Rejects with OPTION_INVALID (no policy, no store), LOG_DAMAGED (a
   * log that is not whole is not touched), STORE_LOCKED (another one is running), STORAGE_FULL, STORAGE_FAILED.
   *
   * @example
   * ```ts
   * import { ActorSystem, memoryStore } from "papyra";
   * await using system = new ActorSystem({ store: memoryStore({ retention: { events: { maxRecords: 1 } } }) });
   * await system.start();
   * for (const name of ["a", "b"]) await system.spawn(name, () => ({ receive: () => "ready" })).ask({});
   * await system.flush();
   * const report = await system.compact();
   * if (report.logs[0]?.records !== 1) throw new Error(report.verdict);
   * ```
   */
  async compact(options?: CompactOptions): Promise<CompactReport> {
    return compactStore(this.#openedStore(), options);
  }

  /**
   * Takes a backup of the store while it goes on being written: everything that was recorded before this call is in it. The
   * repository comes from `papyra/backup`. Rejects with SYSTEM_STOPPED, and as its `create` does.
   */
  async backup<Options, Report>(to: BackupTaker<Options, Report>, options?: Options): Promise<Report> {
    await this.flush();
    return to.take(this.#openedStore(), options);
  }

  /** Counters since the start. */
  metrics(): SystemMetrics {
    const { counters, running, recorder, problems } = this.#runtime;
    return {
      ...counters,
      ...this.#persistent.counters,
      actors: running,
      recordsAccepted: recorder?.accepted ?? 0,
      recordsLost: recorder?.lost ?? 0,
      problems: problems.count,
    };
  }

  /** Resolves when everything recorded so far is durable; rejects with what went wrong, such as STORE_POISONED. */
  async flush(): Promise<void> {
    await this.#runtime.recorder?.flush();
  }

  /**
   * Stops the actors, the last one first, each after the message in hand and, unless `mailbox` is "dead-letters", those
   * that wait; then writes what is recorded and closes the store. An actor that still hangs after `timeoutMs` is given up;
   * all of it takes at most twice that long, and the time of the store. Calling it again waits for the same end.
   * Rejects with OPTION_INVALID only: the report tells everything else.
   */
  async stop(options?: StopOptions): Promise<StopReport> {
    const resolved = resolveStop(options, { mailbox: "drain", timeoutMs: this.#options.actor.stopTimeoutMs });
    if (this.#stopped === undefined) {
      let end!: (report: Promise<StopReport>) => void;
      // Known before anything stops: what is told on the way may lead to another call.
      this.#stopped = new Promise((resolve) => {
        end = resolve;
      });
      end(this.#stop(resolved));
    }
    return this.#stopped;
  }

  async #stop({ mailbox, timeoutMs }: Required<StopOptions>): Promise<StopReport> {
    if (this.#state === "starting") {
      // Whoever started the system is told if that failed; the end comes either way.
      await this.#starting?.then(undefined, () => undefined);
    }
    this.#state = "stopping";
    await this.#runtime.stopAll(timeoutMs, mailbox === "drain");
    await this.#persistent.close();
    const failure = await this.#runtime.recorder?.close();
    this.#store = undefined;
    this.#state = "stopped";
    const { counters, recorder, givenUp } = this.#runtime;
    const recordsLost = recorder?.lost ?? 0;
    const ok = counters.actorsGivenUp === 0 && recordsLost === 0 && failure === undefined;
    return { ok, givenUp, deadLetters: counters.deadLetters, recordsLost, failure };
  }

  /** Stops the system at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #openedStore(): Store {
    if (this.#state !== "running") throw this.#notRunning();
    if (this.#store !== undefined) return this.#store;
    throw new PapyraError("OPTION_INVALID", "persistent actors need a `store`", {
      hint: "new ActorSystem({ store: fileStore({ path: './persistence' }) })",
    });
  }

  #notRunning(): PapyraError {
    const hint =
      this.#stopped === undefined ? "await system.start() first" : "make a new system; one does not start twice";
    return new PapyraError("SYSTEM_STOPPED", `the actor system ${this.systemId} is not running`, {
      hint,
      details: { systemId: this.systemId, state: this.#state },
    });
  }
}
