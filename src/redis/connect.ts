// A connection to the server of a store, for who asks the server itself.
import type { Env } from "../env/env.ts";
import { connectClient } from "./client.ts";
import { Connection } from "./connection.ts";
import type { ResolvedRedisOptions } from "./options.ts";

/** Connects when it is first used. */
export function connectionTo(options: ResolvedRedisOptions, env: Env): Connection {
  const { timing } = options;
  return new Connection((node) => connectClient(options, env.clock, node), env.clock, timing, locationOf(options));
}

export function locationOf({ address, base }: ResolvedRedisOptions): string {
  return `${address}/${base}`;
}
