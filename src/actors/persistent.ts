// Persistent actors as users define and hold them: state, events that change it, commands that decide on events. Commands
// are decided, events are folded, and only events are stored. Nobody writes a type argument: state, events, commands and
// replies are all inferred, which is why a definition has two arguments, what is stored and what is asked.
import { PapyraError } from "../errors.ts";
import { oneOf, refuseUnknown, wholeNumber } from "../options.ts";
import { encodeName } from "./address.ts";
import type { SpawnOptions } from "./actor-options.ts";
import type { ActorRef, AskOptions, StopOptions, TellOptions } from "./behaviour.ts";
import type { HistoryGaps } from "./history.ts";

declare const decided: unique symbol;
declare const types: unique symbol;

/** What a command came to: made by `ctx.reply`, `ctx.noReply`, or at the end of `ctx.persist(...)`. */
export interface Decision<R> {
  readonly [decided]: R;
}

/** Events without a payload parameter in their handler take none. */
type PayloadArguments<P> = unknown extends P ? [] : [payload: P];

/** An event as a pair, for `persistAll`. */
export type EventEntry<E> = {
  [K in keyof E & string]: readonly [name: K, ...payload: PayloadArguments<E[K]>];
}[keyof E & string];

/** Events to persist, which need a reply, or the word that there is none, to be a decision. */
export interface Draft<S, E> {
  /** Adds an event. All events of one command are stored together, or none of them. */
  and<K extends keyof E & string>(name: K, ...payload: PayloadArguments<E[K]>): Draft<S, E>;
  /** Adds events. */
  andAll(events: readonly EventEntry<E>[]): Draft<S, E>;
  /**
   * Replies with what `value` makes of the new state. It is called before the events are written, so that nothing is
   * stored if it throws; the reply leaves once they are durable.
   */
  reply<R>(value: (after: S) => R): Decision<R>;
  /** Replies with undefined, once the events are durable. */
  noReply(): Decision<undefined>;
}

/** What a command handler is given besides state and command. It can be used until the handler has returned. */
export interface CommandContext<S, E> {
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
  persist<K extends keyof E & string>(name: K, ...payload: PayloadArguments<E[K]>): Draft<S, E>;
  /** Stores any number of events, none included. */
  persistAll(events: readonly EventEntry<E>[]): Draft<S, E>;
  /** Replies without storing anything. */
  reply<R>(value: R): Decision<R>;
  /** Neither stores nor replies: an `ask` resolves with undefined. */
  noReply(): Decision<undefined>;
  /** Sends a message as part of this command's chain. It leaves once the events are durable, and not at all if they fail. */
  tell<M>(to: ActorRef<M, unknown>, message: NoInfer<M>): void;
  tell<H, K extends keyof H & string>(to: PersistentRef<H>, name: K, ...command: CommandArguments<H[K]>): void;
}

/** Command handlers: the annotation of the second parameter is the type of the command. */
export interface CommandHandlers<S, E> {
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
export interface PersistentOptions<S, E> {
  /** Names the sort of actor in the journal, for ever: 1 to 128 bytes of UTF-8. */
  readonly type: string;
  /** The state before the first event. Plain data: what JSON holds unchanged. */
  readonly initial: () => S;
  /**
   * One handler for each sort of event: given the state and the payload, returns the next state. Pure and synchronous,
   * since it runs again at each recovery. States and payloads are frozen all the way down.
   */
  readonly events: { readonly [K in keyof E]: (state: S, payload: E[K]) => NoInfer<S> };
  /** Version of the event payloads, 1 to 1,000,000; stored with each event. Default 1. */
  readonly version?: number;
  /** Turns a stored event of an older `version` into what the handlers know today: one event, several, or none. */
  readonly upcast?: (eventType: string, payload: unknown, fromVersion: number) => UpcastEvent | readonly UpcastEvent[];
  /** A snapshot after this many events, 1 to 1,000,000. Default: none. */
  readonly snapshotEvery?: number;
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

/** What follows the name in `ask` and `tell`: a command whose type admits `{}` may be left out. */
export type CommandArguments<F> = F extends (state: never, command: infer C, ctx: never) => unknown
  ? [C] extends [never]
    ? [command?: undefined]
    : {} extends C
      ? [command?: C]
      : [command: C]
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
    ...given: [...command: CommandArguments<H[K]>, options?: AskOptions]
  ): Promise<ReplyOf<H[K]>>;
  /** Sends a command and forgets it. Never throws: what cannot be delivered becomes a dead letter. */
  tell<K extends keyof H & string>(
    name: K,
    ...given: [...command: CommandArguments<H[K]>, options?: TellOptions]
  ): void;
  /** Lets the actor finish the command in hand and stops it, if it is running. */
  stop(options?: StopOptions): Promise<void>;
}

/** A definition, checked, as the machinery uses it. The types exist for the compiler only: inside, all are unknown. */
export interface Definition {
  readonly type: string;
  readonly version: number;
  readonly initial: () => unknown;
  readonly events: ReadonlyMap<string, (state: unknown, payload: unknown) => unknown>;
  readonly commands: ReadonlyMap<string, (state: unknown, command: unknown, ctx: unknown) => unknown>;
  readonly upcast: ((type: string, payload: unknown, from: number) => UpcastEvent | readonly UpcastEvent[]) | undefined;
  /** 0 for never. */
  readonly snapshotEvery: number;
  readonly stateVersion: number;
  readonly upcastState: ((state: unknown, from: number) => unknown) | undefined;
  readonly historyGaps: HistoryGaps;
  readonly actor: SpawnOptions;
}

const OPTIONS = [
  "type",
  "initial",
  "events",
  "version",
  "upcast",
  "snapshotEvery",
  "stateVersion",
  "upcastState",
  "historyGaps",
  "actor",
] as const satisfies readonly (keyof PersistentOptions<unknown, unknown>)[];

const TYPE_BYTES_MAX = 128;
const ID_BYTES_MAX = 512;
/** Registered, so that a command line and a service that loaded two copies of the package understand each other. */
const DEFINITION = Symbol.for("papyra.definition");

/**
 * Defines a sort of actor whose state is a fold over its stored events. Rejects with OPTION_INVALID.
 *
 * @example
 * ```ts
 * import { ActorSystem, memoryStore, persistentActor } from "papyra";
 * const account = persistentActor({
 *   type: "account",
 *   initial: () => ({ balance: 0 }),
 *   events: { deposited: (state, e: { amount: number }) => ({ balance: state.balance + e.amount }) },
 * }, {
 *   deposit: (state, c: { amount: number }, ctx) => ctx.persist("deposited", c).reply((after) => after.balance),
 *   balance: (state, _, ctx) => ctx.reply(state.balance),
 * });
 * await using system = new ActorSystem({ store: memoryStore() });
 * await system.start();
 * await system.get(account, "42").ask("deposit", { amount: 5 });
 * const balance = await system.get(account, "42").ask("balance"); // a number
 * if (balance !== 5) throw new Error("the deposit is missing");
 * ```
 */
export function persistentActor<S, E extends object, H extends CommandHandlers<S, E>>(
  options: PersistentOptions<S, E>,
  commands: H,
): PersistentActor<S, H> {
  refuseUnknown("persistentActor", options, OPTIONS);
  const type = checkName("type", options.type, TYPE_BYTES_MAX);
  const definition: Definition = Object.freeze({
    type,
    version: wholeNumber("version", options.version, 1, 1, 1_000_000),
    initial: aFunction("initial", options.initial) as Definition["initial"],
    events: handlers("events", options.events) as Definition["events"],
    commands: handlers("commands", commands) as Definition["commands"],
    upcast: options.upcast && (aFunction("upcast", options.upcast) as Definition["upcast"]),
    snapshotEvery: wholeNumber("snapshotEvery", options.snapshotEvery, 0, 1, 1_000_000),
    stateVersion: wholeNumber("stateVersion", options.stateVersion, 1, 1, 1_000_000),
    upcastState: options.upcastState && (aFunction("upcastState", options.upcastState) as Definition["upcastState"]),
    historyGaps: oneOf("historyGaps", options.historyGaps, "stop", ["stop", "accept"]),
    actor: Object.freeze({ ...options.actor }),
  });
  const handle = { type, version: definition.version };
  return Object.freeze(Object.defineProperty(handle, DEFINITION, { value: definition }));
}

/** What is behind a definition. Rejects with OPTION_INVALID for anything that `persistentActor` did not make. */
export function definitionOf(actor: AnyPersistentActor): Definition {
  const definition = (actor as { [DEFINITION]?: Definition } | null | undefined)?.[DEFINITION];
  if (definition === undefined) throw new PapyraError("OPTION_INVALID", "a definition is made by persistentActor(...)");
  return definition;
}

/** `<type>/<id>`, each percent-encoded: no two pairs share one, whatever they hold. Rejects with OPTION_INVALID. */
export function persistenceIdOf(type: string, id: string): string {
  return `${encodeName(type)}/${encodeName(checkName("id", id, ID_BYTES_MAX))}`;
}

/** The type in a persistence id, or undefined for an id that {@link persistenceIdOf} did not make. */
export function typeOfPersistenceId(persistenceId: string): string | undefined {
  const at = persistenceId.indexOf("/");
  try {
    return at > 0 ? decodeURIComponent(persistenceId.slice(0, at)) : undefined;
  } catch {
    return undefined; // a stray percent sign
  }
}

function checkName(what: string, name: unknown, bytesMax: number): string {
  encodeName(name); // a string, not empty, well-formed, without NUL
  const bytes = Buffer.byteLength(name as string);
  if (bytes > bytesMax) {
    throw new PapyraError(
      "OPTION_INVALID",
      `the ${what} of a persistent actor takes ${bytes} bytes, more than ${bytesMax}`,
      {
        hint: "use a key, and keep the rest in the state",
      },
    );
  }
  return name as string;
}

function aFunction(name: string, value: unknown): unknown {
  if (typeof value === "function") return value;
  throw new PapyraError("OPTION_INVALID", `option \`${name}\` must be a function`);
}

/** By own names only: a map knows no inherited ones, whatever a command or event is called. */
function handlers(what: string, given: object): ReadonlyMap<string, unknown> {
  if (typeof given !== "object" || given === null) {
    throw new PapyraError("OPTION_INVALID", `the ${what} of a persistent actor must be an object of functions`);
  }
  return new Map(Object.entries(given).map(([name, handler]) => [name, aFunction(`${what}.${name}`, handler)]));
}
