// The types of persistent actors, as users see them. Nobody writes a type argument: state, events, commands and replies are
// all inferred from the handlers, and what a handler declares is what its event or command takes. Types only.
import type { SpawnOptions } from "./actor-options.ts";
import type { ActorRef, AskOptions, StopOptions, TellOptions } from "./behaviour.ts";
import type { HistoryGaps } from "./history.ts";
import type { SnapshotOptions } from "./snapshot-schedule.ts";

declare const decided: unique symbol;
declare const types: unique symbol;

/** What a command came to: made by `ctx.reply`, `ctx.noReply`, or at the end of `ctx.persist(...)`. */
export interface Decision<R> {
  readonly [decided]: R;
}

/**
 * What a command handler returns that replied with a promise: not a decision, so that it does not compile. `any` is let
 * through, and seen to when it happens.
 */
export interface AwaitItFirst {
  readonly awaitItFirst: "make the command handler async and await what it replies with";
}

/** A decision to reply with an R. */
export type Reply<R, All = R> =
  R extends PromiseLike<unknown> ? (0 extends 1 & R ? never : AwaitItFirst) : Decision<All>;

/** The events of an actor: for each, the parameters that its handler declares behind the state, one or none. */
export interface EventParameters {
  readonly [name: string]: readonly unknown[];
}

/** An event as a pair, for `persistAll`. */
export type EventEntry<E extends EventParameters> = {
  [K in keyof E & string]: readonly [name: K, ...payload: E[K]];
}[keyof E & string];

/** Events to persist, which need a reply, or the word that there is none, to be a decision. */
export interface Draft<S, E extends EventParameters> {
  /** Adds an event. All events of one command are stored together, or none of them. */
  and<K extends keyof E & string>(name: K, ...payload: E[K]): Draft<S, E>;
  /** Adds events. */
  andAll(events: readonly EventEntry<E>[]): Draft<S, E>;
  /**
   * Replies with what `value` makes of the new state. It is called before the events are written, so that nothing is
   * stored if it throws; the reply leaves once they are durable.
   */
  reply<R>(value: (after: S) => R): Reply<R>;
  /** Replies with undefined, once the events are durable. */
  noReply(): Decision<undefined>;
}

/** What a command handler is given besides state and command. It can be used until the handler has returned. */
export interface CommandContext<S, E extends EventParameters> {
  /** The id that the actor was got by. */
  readonly id: string;
  readonly persistenceId: string;
  /** How many events the state has folded in. */
  readonly revision: number;
  /** Names the command in hand; stored with its events. */
  readonly messageId: string;
  /** Names the message that began the chain which led here; stored with the events. */
  readonly correlationId: string;
  /** Aborted when the actor is asked to stop. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch, by the clock of the system. What an event needs of it belongs into its payload. */
  now(): number;
  /** Stores an event. Rejects with RECORD_INVALID when the payload is not what JSON holds unchanged. */
  persist<K extends keyof E & string>(name: K, ...payload: E[K]): Draft<S, E>;
  /** Stores any number of events, none included. */
  persistAll(events: readonly EventEntry<E>[]): Draft<S, E>;
  /** Replies without storing anything. */
  reply<R>(value: R): Reply<R>;
  /** Neither stores nor replies: an `ask` resolves with undefined. */
  noReply(): Decision<undefined>;
  /** Sends a message as part of this command's chain. It leaves once the events are durable, and not at all if they fail. */
  tell<M>(to: ActorRef<M, unknown>, message: NoInfer<M>): void;
  tell<H, K extends keyof H & string>(to: PersistentRef<H>, name: K, ...command: CommandArguments<H[K]>): void;
}

/** Command handlers: the annotation of the second parameter is the type of the command. */
export interface CommandHandlers<S, E extends EventParameters> {
  readonly [name: string]: (
    state: S,
    command: never,
    ctx: CommandContext<S, E>,
  ) => Decision<unknown> | Promise<Decision<unknown>>;
}

/** An event as it was stored by an older version of the definition. */
export interface UpcastEvent {
  readonly type: string;
  readonly payload: unknown;
}

/** What is stored of an actor, and how a state is folded from it. */
export interface PersistentOptions<S, E extends EventParameters> {
  /** Names the sort of actor in the journal, for ever: 1 to 128 bytes of UTF-8. */
  readonly type: string;
  /** The state before the first event. Plain data: what JSON holds unchanged. */
  readonly initial: () => S;
  /**
   * One handler for each sort of event: given the state and the payload, returns the next state. Pure and synchronous,
   * since it runs again at each recovery. States and payloads are frozen all the way down.
   */
  readonly events: { readonly [K in keyof E]: (state: S, ...payload: E[K]) => NoInfer<S> };
  /**
   * Version of the event payloads, 1 to 1,000,000; stored with each event. Default 1. Raising it does nothing by itself:
   * without `upcast`, stored events of older versions are given to the handlers of today as they are, which is right for
   * payloads that only gained members that may be missing, and silently wrong for all else. Events of a newer version than
   * this are never applied: EVENT_UNKNOWN.
   */
  readonly version?: number;
  /**
   * Turns a stored event of an older `version` into what the handlers know today: one event, several, or none. Give one
   * whenever the meaning or the shape of a payload has changed.
   */
  readonly upcast?: (eventType: string, payload: unknown, fromVersion: number) => UpcastEvent | readonly UpcastEvent[];
  /** When snapshots are taken, which make recovery faster and let compaction take events out. Default: never. */
  readonly snapshot?: SnapshotOptions<NoInfer<S>>;
  /** Version of the state's shape, 1 to 1,000,000. Snapshots of other versions are not used. Default 1. */
  readonly stateVersion?: number;
  /** Turns the state of an older snapshot into one of today, so that it can still be used. */
  readonly upcastState?: (state: unknown, fromVersion: number) => NoInfer<S>;
  /**
   * What to do when events are gone for good, and recovery has accounted for them as lost or quarantined: "stop" refuses
   * to run on a history with a hole, "accept" goes on as if they had not happened. Default "stop".
   */
  readonly historyGaps?: HistoryGaps;
  /**
   * As for any actor. Failures of command handlers are answered with "resume" unless `supervision` says otherwise: nothing
   * was stored and the state is as it was. Whatever it says, an actor that cannot recover or commit stops.
   */
  readonly actor?: SpawnOptions;
}

/** A definition, to be given to `system.get`. */
export interface PersistentActor<S, H> {
  readonly type: string;
  readonly version: number;
  readonly [types]?: (state: S, handlers: H) => void;
}

/** Any definition, for tools that take many. */
export type AnyPersistentActor = Pick<PersistentActor<unknown, unknown>, "type" | "version">;

/** What follows the name in `ask` and `tell`: a command whose type admits `{}` may be left out, and is `{}` then. */
export type CommandArguments<F, Options extends unknown[] = []> = F extends (
  state: never,
  command: infer C,
  ctx: never,
) => unknown
  ? [C] extends [never]
    ? [command?: undefined, ...options: Options]
    : {} extends C
      ? [] | [command: C, ...options: Options]
      : [command: C, ...options: Options]
  : never;

/** What a command replies with. */
export type ReplyOf<F> = F extends (...given: never) => infer D
  ? Awaited<D> extends Decision<infer R>
    ? R
    : never
  : never;

/**
 * A handle to a persistent actor, valid for ever: the actor starts, and recovers, when a message needs it, also after it
 * has stopped. Messages that one sender sends to one actor are handled in the order in which they were sent.
 */
export interface PersistentRef<H> {
  readonly id: string;
  /** Names the actor in the journal: its type and id, percent-encoded. */
  readonly persistenceId: string;
  /** `<system id>://<type>/<id>`, each name percent-encoded. */
  readonly address: string;
  /**
   * Sends a command and resolves with its reply, once its events are durable. Rejects as the `ask` of any actor does, and:
   * RECORD_INVALID or RECORD_TOO_LARGE: nothing was stored, the actor goes on. OUTCOME_UNKNOWN, STORE_POISONED or
   * STORE_CLOSED: the actor stops, and recovers at the next message. HISTORY_DAMAGED or EVENT_UNKNOWN: it cannot recover.
   */
  ask<K extends keyof H & string>(
    name: K,
    ...given: CommandArguments<H[K], [options?: AskOptions]>
  ): Promise<ReplyOf<H[K]>>;
  /** Sends a command and forgets it. Never throws: what cannot be delivered becomes a dead letter. */
  tell<K extends keyof H & string>(name: K, ...given: CommandArguments<H[K], [options?: TellOptions]>): void;
  /** Lets the actor finish the command in hand and stops it, if it is running. */
  stop(options?: StopOptions): Promise<void>;
}
