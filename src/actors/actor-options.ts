// The options of a system and of a spawn, read raw here and nowhere else: checked, defaulted, frozen. Unknown keys are
// refused, everything has a maximum, units are in the names.
import type { Backend } from "../backends/backend.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { STARTUP_MODES, type StartupMode } from "../ops/startup.ts";
import { oneOf, refuseUnknown, text, THREADS_MAX, wholeNumber } from "../options.ts";
import { checkSystemId } from "./address.ts";
import { resolvePolicy, type SupervisionOptions, type SupervisionPolicy } from "./supervision.ts";

/** Options of one actor. */
export interface SpawnOptions {
  /** How its failures are answered. What is left out comes from the system's `supervision`. */
  readonly supervision?: SupervisionOptions;
  /** How many messages may wait, 1 to 10,000,000. Default: the system's `mailboxMax`. */
  readonly mailboxMax?: number;
  /** Milliseconds it may take to stop before it is given up, 1 to 2,147,483,647. Default: the system's `stopTimeoutMs`. */
  readonly stopTimeoutMs?: number;
}

/** Options of an actor system. */
export interface ActorSystemOptions {
  /** Names the system in addresses and records: 1 to 64 letters, digits, `.`, `_`, `-`. Default "local". */
  readonly systemId?: string;
  /** Where history is kept. Without one, nothing is recorded. */
  readonly store?: Backend;
  /** Clock and randomness. Default: those of the store. */
  readonly env?: Env;
  /** What the check before the start does. Default "fail_on_anomaly", for a memory store "ignore". */
  readonly startup?: StartupMode;
  /** Where "recover" keeps what it takes out. Without one, it repairs without keeping. */
  readonly quarantineDir?: string;
  /** The check before the start takes the word of the seals, so that a long history does not delay it. Default false. */
  readonly trustSeals?: boolean;
  /** How many threads the check before the start may use to read closed segments, 1 to 64. Default 1: none of its own. */
  readonly startupThreads?: number;
  /** How failures are answered, unless an actor says otherwise. */
  readonly supervision?: SupervisionOptions;
  /** How many messages may wait in one mailbox, 1 to 10,000,000. Default 100,000. */
  readonly mailboxMax?: number;
  /** Milliseconds an `ask` waits, 1 to 2,147,483,647. Default 5000. */
  readonly askTimeoutMs?: number;
  /** Milliseconds an actor, or the whole system, may take to stop, 1 to 2,147,483,647. Default 5000. */
  readonly stopTimeoutMs?: number;
  /**
   * Called once for each cause with what went wrong beside the actors: records that could not be written, an actor that
   * had to be given up, a subscriber that threw. Without it, `metrics()`, `audit()` and the report of `stop()` tell.
   */
  readonly onProblem?: (error: Error) => void;
}

/** What every actor needs to know; shared by all that were spawned without options of their own. */
export interface ActorSettings {
  readonly supervision: SupervisionPolicy;
  readonly mailboxMax: number;
  readonly stopTimeoutMs: number;
}

/** Checked options of a system. */
export interface ResolvedSystemOptions {
  readonly systemId: string;
  readonly store: Backend | undefined;
  readonly env: Env;
  readonly startup: StartupMode;
  readonly quarantineDir: string | undefined;
  readonly trustSeals: boolean;
  readonly startupThreads: number;
  readonly askTimeoutMs: number;
  readonly actor: ActorSettings;
  readonly onProblem: ((error: Error) => void) | undefined;
}

const SYSTEM_DEFAULTS = {
  systemId: "local",
  mailboxMax: 100_000,
  askTimeoutMs: 5000,
  stopTimeoutMs: 5000,
} as const;

const SYSTEM_KEYS = [
  "systemId",
  "store",
  "env",
  "startup",
  "quarantineDir",
  "trustSeals",
  "startupThreads",
  "supervision",
  "mailboxMax",
  "askTimeoutMs",
  "stopTimeoutMs",
  "onProblem",
] as const satisfies readonly (keyof ActorSystemOptions)[];
const SPAWN_KEYS = ["supervision", "mailboxMax", "stopTimeoutMs"] as const satisfies readonly (keyof SpawnOptions)[];
const MAILBOX_MAX = 10_000_000;

/** The longest time that a timer can be set to. */
export const TIMEOUT_MS_MAX = 2_147_483_647;

/** Checks a time to wait. */
export function timeoutMs(name: string, value: unknown, fallback: number): number {
  return wholeNumber(name, value, fallback, 1, TIMEOUT_MS_MAX);
}

/** Checks the options of a system and fills in the defaults. Rejects with OPTION_INVALID. */
export function resolveSystemOptions(input: ActorSystemOptions): ResolvedSystemOptions {
  refuseUnknown("ActorSystem", input, SYSTEM_KEYS);
  const env = input.env ?? input.store?.env;
  if (env === undefined) {
    throw new PapyraError("OPTION_INVALID", "an actor system needs a `store`, or an `env` to take the time from");
  }
  if (input.trustSeals !== undefined && typeof input.trustSeals !== "boolean") {
    throw new PapyraError("OPTION_INVALID", "option `trustSeals` must be true or false");
  }
  if (input.onProblem !== undefined && typeof input.onProblem !== "function") {
    throw new PapyraError("OPTION_INVALID", "option `onProblem` must be a function");
  }
  const startupDefault = input.store === undefined || input.store.kind === "memory" ? "ignore" : "fail_on_anomaly";
  return Object.freeze({
    systemId: checkSystemId(input.systemId ?? SYSTEM_DEFAULTS.systemId),
    store: input.store,
    env,
    startup: oneOf("startup", input.startup, startupDefault, STARTUP_MODES),
    quarantineDir: input.quarantineDir === undefined ? undefined : text("quarantineDir", input.quarantineDir),
    trustSeals: input.trustSeals === true,
    startupThreads: wholeNumber("startupThreads", input.startupThreads, 1, 1, THREADS_MAX),
    askTimeoutMs: timeoutMs("askTimeoutMs", input.askTimeoutMs, SYSTEM_DEFAULTS.askTimeoutMs),
    actor: Object.freeze({
      supervision: resolvePolicy(input.supervision),
      mailboxMax: wholeNumber("mailboxMax", input.mailboxMax, SYSTEM_DEFAULTS.mailboxMax, 1, MAILBOX_MAX),
      stopTimeoutMs: timeoutMs("stopTimeoutMs", input.stopTimeoutMs, SYSTEM_DEFAULTS.stopTimeoutMs),
    }),
    onProblem: input.onProblem,
  });
}

/** Checks the options of a spawn; without any, the actor shares the system's settings. */
export function resolveSpawnOptions(input: SpawnOptions | undefined, defaults: ActorSettings): ActorSettings {
  if (input === undefined) return defaults;
  refuseUnknown("spawn", input, SPAWN_KEYS);
  return Object.freeze({
    supervision:
      input.supervision === undefined ? defaults.supervision : resolvePolicy(input.supervision, defaults.supervision),
    mailboxMax: wholeNumber("mailboxMax", input.mailboxMax, defaults.mailboxMax, 1, MAILBOX_MAX),
    stopTimeoutMs: timeoutMs("stopTimeoutMs", input.stopTimeoutMs, defaults.stopTimeoutMs),
  });
}
