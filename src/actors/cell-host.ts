// What an actor needs of the system around it.
import type { Clock } from "../env/env.ts";
import type { ActorSettings, SpawnOptions } from "./actor-options.ts";
import type { AskCounters, Asks } from "./asks.ts";
import type { BehaviourFactory, RunningSystem } from "./behaviour.ts";
import type { LifecycleEvent } from "./events.ts";
import type { Chain, Ref } from "./ref.ts";
import type { Scheduler } from "./scheduler.ts";
import type { StopRequest } from "./stopping.ts";

/** What is counted, from the start of the system. */
export interface Counters extends AskCounters {
  messagesHandled: number;
  failures: number;
  restarts: number;
  actorsStarted: number;
  actorsStopped: number;
  actorsGivenUp: number;
  deadLetters: number;
}

/** An actor, as its parent and the system see it. */
export interface Child {
  readonly ref: Ref;
  requestStop(request: StopRequest): Promise<void>;
  /** Ends at once, unless it has ended. */
  giveUp(): void;
}

/** A parent, as its children and the system see it. */
export interface Parent {
  readonly ref: Ref;
  readonly owner: { readonly stopped: boolean; childFailed(error: Error): void };
  /** A child is no longer there. */
  release(child: Child): void;
}

/** What makes an actor. */
export interface CellSpec {
  readonly parent: Parent | undefined;
  readonly address: string;
  readonly factory: BehaviourFactory<unknown, unknown>;
  readonly settings: ActorSettings;
  /** Whether it waits for `begin` before it starts; messages wait with it. */
  readonly held: boolean;
}

/** The system, as an actor sees it. */
export interface CellHost {
  readonly system: RunningSystem;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly asks: Asks;
  readonly askTimeoutMs: number;
  readonly counters: Counters;
  nextId(): number;
  idOf(chain: Chain): string;
  /** Never throws. */
  publish(event: LifecycleEvent): void;
  /** Never throws. */
  deadLetter(target: string, message: unknown, reason: string): void;
  /** Never throws. */
  problem(error: Error): void;
  spawn(
    parent: Parent,
    name: string,
    factory: BehaviourFactory<unknown, unknown>,
    options: SpawnOptions | undefined,
  ): Child;
  /** The actor has ended for good: its name is free. */
  forget(actor: Child): void;
}
