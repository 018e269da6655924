// What runs inside a system: the registry of actors, their scheduler, their questions, and those who are told what happens.
// It belongs to a system that has started; it knows nothing of how a system starts and stops.
import type { Clock, Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { resolveSpawnOptions, type ResolvedSystemOptions, type SpawnOptions } from "./actor-options.ts";
import { encodeName } from "./address.ts";
import { Asks } from "./asks.ts";
import { auditOf, type AuditReport } from "./audit.ts";
import type { BehaviourFactory, RunningSystem } from "./behaviour.ts";
import { Cell } from "./cell.ts";
import type { CellHost, CellSpec, Child, Counters, Parent } from "./cell-host.ts";
import { messageTypeOf, type DeadLetter } from "./dead-letters.ts";
import type { ActorEvent, LifecycleEvent } from "./events.ts";
import { Problems } from "./problems.ts";
import type { Recorder } from "./recorder.ts";
import type { Chain } from "./ref.ts";
import { Scheduler } from "./scheduler.ts";
import { stopWithin } from "./stopping.ts";

/** So many actors that were given up are named; all are counted. */
const GIVEN_UP_MAX = 100;

function nameTaken(address: string): PapyraError {
  return new PapyraError("NAME_TAKEN", `${address} is there already`, { details: { address } });
}

/** The inside of a system. */
export class Runtime implements CellHost {
  readonly system: RunningSystem;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly asks: Asks;
  readonly askTimeoutMs: number;
  readonly problems: Problems;
  readonly counters: Counters = {
    messagesHandled: 0,
    asks: 0,
    asksTimedOut: 0,
    asksAborted: 0,
    failures: 0,
    restarts: 0,
    actorsStarted: 0,
    actorsStopped: 0,
    actorsGivenUp: 0,
    deadLetters: 0,
  };
  /** The first actors that were given up. */
  readonly givenUp: string[] = [];
  /** Where what happens is recorded, while a store is open. */
  recorder: Recorder | undefined;
  readonly #options: ResolvedSystemOptions;
  readonly #registry = new Map<string, Cell>();
  /** Actors that may be waited for: those of {@link findOrSpawnRoot}. */
  readonly #successive = new WeakSet<Cell>();
  /** The actors of one address, oldest first, where a new one waits for an old one to be gone. */
  readonly #lines = new Map<string, readonly Cell[]>();
  readonly #listeners = new Set<(event: ActorEvent) => void>();
  /** Tells message ids of this run from those of every other. */
  readonly #run: string;
  #lastId = 0;

  constructor(system: RunningSystem, options: ResolvedSystemOptions) {
    const env: Env = options.env;
    this.system = system;
    this.#options = options;
    this.clock = env.clock;
    this.askTimeoutMs = options.askTimeoutMs;
    this.problems = new Problems(options.onProblem);
    this.asks = new Asks(env.clock, this.counters);
    this.scheduler = new Scheduler(env.clock, this.asks.arm);
    this.#run = env.random.hex(6);
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  idOf(chain: Chain): string {
    return typeof chain === "string" ? chain : `${this.#run}-${chain}`;
  }

  // --- actors -------------------------------------------------------------------------------------------------------

  /** The address of an actor without a parent, by its names. */
  addressOf(path: readonly string[]): string {
    return `${this.#options.systemId}://${path.map(encodeName).join("/")}`;
  }

  /** Starts an actor without a parent. Rejects with NAME_TAKEN, OPTION_INVALID. */
  spawnRoot(
    path: readonly string[],
    factory: BehaviourFactory<unknown, unknown>,
    options: SpawnOptions | undefined,
  ): Cell {
    return this.#spawn(undefined, this.addressOf(path), factory, options);
  }

  spawn(
    parent: Parent,
    name: string,
    factory: BehaviourFactory<unknown, unknown>,
    options: SpawnOptions | undefined,
  ): Cell {
    return this.#spawn(parent, `${parent.ref.address}/${encodeName(name)}`, factory, options);
  }

  /**
   * The actor at this place, if it takes messages, or a new one. A new one whose predecessor is still on its way out takes
   * messages at once and starts once that is gone: two of one name never run at the same time. Rejects with NAME_TAKEN when what is
   * there was not made by this function: it is something else.
   */
  findOrSpawnRoot(
    path: readonly string[],
    factory: BehaviourFactory<unknown, unknown>,
    options: SpawnOptions | undefined,
  ): Cell {
    const address = this.addressOf(path);
    const there = this.#registry.get(address);
    if (there !== undefined && !this.#successive.has(there)) throw nameTaken(address);
    if (there?.accepting === true) return there;
    const cell =
      there === undefined
        ? this.#spawn(undefined, address, factory, options)
        : this.#cell({ parent: undefined, address, factory, held: true }, options);
    this.#successive.add(cell);
    if (there === undefined) return cell;
    const line = this.#lines.get(address) ?? [there];
    this.#lines.set(address, [...line, cell]);
    this.#registry.set(address, cell);
    return cell;
  }

  #spawn(
    parent: Parent | undefined,
    address: string,
    factory: BehaviourFactory<unknown, unknown>,
    options: SpawnOptions | undefined,
  ): Cell {
    if (this.#registry.has(address)) throw nameTaken(address);
    const cell = this.#cell({ parent, address, factory, held: false }, options);
    this.#registry.set(address, cell);
    cell.wake();
    return cell;
  }

  #cell(spec: Omit<CellSpec, "settings">, options: SpawnOptions | undefined): Cell {
    if (typeof spec.factory !== "function") {
      throw new PapyraError("OPTION_INVALID", `${spec.address} needs a function that makes its behaviour`);
    }
    return new Cell(this, { ...spec, settings: resolveSpawnOptions(options, this.#options.actor) });
  }

  forget(actor: Child): void {
    const { address } = actor.ref;
    const line = this.#lines.get(address)?.filter((cell) => cell !== actor);
    const [first] = line ?? [];
    const last = line?.at(-1);
    if (line === undefined || first === undefined || last === undefined) {
      if (this.#registry.get(address) === actor) this.#registry.delete(address);
      return;
    }
    this.#registry.set(address, last);
    if (line.length > 1) this.#lines.set(address, line);
    else this.#lines.delete(address);
    first.begin();
  }

  // --- what happens -------------------------------------------------------------------------------------------------

  subscribe(listener: (event: ActorEvent) => void): () => void {
    const once = (event: ActorEvent): void => listener(event); // the same function twice is two subscriptions
    this.#listeners.add(once);
    return () => void this.#listeners.delete(once);
  }

  publish(event: LifecycleEvent): void {
    if (event.type === "ActorStarted") this.counters.actorsStarted += 1;
    else if (event.type === "ActorStopped") {
      this.counters.actorsStopped += 1;
      if (event.reason === "given up") this.#gaveUp(event.address);
    } else if (event.type === "ActorRestarted") this.counters.restarts += 1;
    this.recorder?.event(event);
    this.#notify(event);
  }

  #gaveUp(address: string): void {
    this.counters.actorsGivenUp += 1;
    if (this.givenUp.length < GIVEN_UP_MAX) this.givenUp.push(address);
  }

  deadLetter(target: string, message: unknown, reason: string): void {
    const letter: DeadLetter = { type: "DeadLetter", target, message, messageType: messageTypeOf(message), reason };
    this.counters.deadLetters += 1;
    this.recorder?.deadLetter(letter);
    this.#notify(letter);
  }

  problem(error: Error): void {
    this.problems.report(error);
  }

  #notify(event: ActorEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (thrown) {
        this.problems.report(thrown); // a subscriber looks on; it must not be able to break what it looks at
      }
    }
  }

  audit(): AuditReport {
    const actors = Array.from(this.#registry.values(), (cell) => cell.audited());
    const { deadLetters } = this.counters;
    const recordsLost = this.recorder?.lost ?? 0;
    return auditOf({ systemId: this.#options.systemId, actors, deadLetters, recordsLost });
  }

  /** How many actors have not stopped. */
  get running(): number {
    let running = 0;
    for (const cell of this.#registry.values()) if (!cell.stopped) running += 1;
    return running;
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /**
   * Stops the actors without a parent, the last one first, each after the one before it. When time runs out, those that
   * hang are given up, and all others get as much time again, at once and without handling what still waits.
   */
  async stopAll(limitMs: number, drain: boolean): Promise<void> {
    const roots = [...this.#registry.values()].filter((cell) => cell.parent === undefined).reverse();
    const request = stopWithin(limitMs, this.clock.monotonicMs(), "system stopped", drain);
    for (const root of roots) {
      if (this.clock.monotonicMs() >= request.giveUpAtMs) break;
      const stopped = root.requestStop(request);
      if (!root.stopped) await stopped; // most stop at once
    }
    const rest = stopWithin(limitMs, this.clock.monotonicMs(), "system stopped", false);
    await Promise.all(roots.filter((root) => !root.stopped).map((root) => root.requestStop(rest)));
  }
}
