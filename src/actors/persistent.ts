// Persistent actors as users define and hold them: state, events that change it, commands that decide on events. Commands
// are decided, events are folded, and only events are stored. Nobody writes a type argument: state, events, commands and
// replies are all inferred, which is why a definition has two arguments, what is stored and what is asked.
import { PapyraError } from "../errors.ts";
import { oneOf, refuseUnknown, wholeNumber } from "../options.ts";
import { encodeName } from "./address.ts";
import type { SpawnOptions } from "./actor-options.ts";
import type { HistoryGaps } from "./history.ts";
import type {
  AnyPersistentActor,
  CommandHandlers,
  EventParameters,
  PersistentActor,
  PersistentOptions,
  UpcastEvent,
} from "./persistent-types.ts";
import { type ResolvedSnapshotOptions, resolveSnapshots } from "./snapshot-schedule.ts";

export type * from "./persistent-types.ts";
export type { Committed, SnapshotOptions } from "./snapshot-schedule.ts";

/** A definition, checked, as the machinery uses it. The types exist for the compiler only: inside, all are unknown. */
export interface Definition {
  readonly type: string;
  readonly version: number;
  readonly initial: () => unknown;
  readonly events: ReadonlyMap<string, (state: unknown, payload: unknown) => unknown>;
  readonly commands: ReadonlyMap<string, (state: unknown, command: unknown, ctx: unknown) => unknown>;
  readonly upcast: ((type: string, payload: unknown, from: number) => UpcastEvent | readonly UpcastEvent[]) | undefined;
  readonly snapshot: ResolvedSnapshotOptions;
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
  "snapshot",
  "stateVersion",
  "upcastState",
  "historyGaps",
  "actor",
] as const satisfies readonly (keyof PersistentOptions<unknown, EventParameters>)[];

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
export function persistentActor<S, E extends EventParameters, H extends CommandHandlers<S, E>>(
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
    snapshot: resolveSnapshots(options.snapshot),
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
