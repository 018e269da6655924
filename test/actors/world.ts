// What the tests of the actors share: systems on real and on hand-moved time, and a record of what happened in them.
import { fileBackend } from "../../src/backends/files.ts";
import { memoryBackend } from "../../src/backends/memory.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { nodeEnv } from "../../src/env/node.ts";
import type { Env } from "../../src/env/env.ts";
import type { ActorSystemOptions } from "../../src/actors/actor-options.ts";
import type { ActorEvent } from "../../src/actors/events.ts";
import { ActorSystem } from "../../src/actors/system.ts";
import type { ManualClock } from "../../src/testing/manual-clock.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";

/** A started system and everything it told. */
export interface World {
  readonly system: ActorSystem;
  readonly events: ActorEvent[];
  readonly problems: Error[];
  /** The events in short, as `ActorStarted local://a`, or `DeadLetter local://a: reason`. */
  readonly told: () => string[];
}

export async function startWorld(options: ActorSystemOptions = {}): Promise<World> {
  const events: ActorEvent[] = [];
  const problems: Error[] = [];
  const system = new ActorSystem({ env: nodeEnv, onProblem: (error) => problems.push(error), ...options });
  system.subscribe((event) => events.push(event));
  await system.start();
  return { system, events, problems, told: () => events.map(short) };
}

/** The same on a clock that only moves by hand. */
export async function startManualWorld(
  options: ActorSystemOptions = {},
): Promise<World & { readonly clock: ManualClock; readonly env: Env }> {
  const disk = new SimDisk();
  const world = await startWorld({ env: disk.env, ...options });
  return { ...world, clock: disk.clock, env: disk.env };
}

export function memory(env: Env = nodeEnv): Backend {
  return memoryBackend({}, env);
}

export function files(disk: SimDisk): Backend {
  return fileBackend({ path: "/store" }, disk.env);
}

function short(event: ActorEvent): string {
  switch (event.type) {
    case "DeadLetter":
      return `DeadLetter ${event.target}: ${event.reason}`;
    case "ActorStopped":
      return `ActorStopped ${event.address}: ${event.reason}`;
    case "ActorCrashed":
      return `ActorCrashed ${event.address}: ${event.error.message} in ${event.phase}, ${event.decision}`;
    case "ActorRestarted":
      return `ActorRestarted ${event.address} ${event.restarts}`;
    case "ActorStarted":
      return `ActorStarted ${event.address}`;
  }
}

/** Lets everything happen that waits for no timer. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A promise and its ends. */
export function gate<T = void>(): { readonly opened: Promise<T>; readonly open: (value: T) => void } {
  let open!: (value: T) => void;
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** The code a promise rejects with, or what it resolves with. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
}

/** The code that a call throws. */
export function codeThrown(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
}
