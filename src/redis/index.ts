// The public surface of "papyra/redis". Nothing else of Papyra imports it but the command line, when it is asked to.
import type { Backend } from "../backends/backend.ts";
import type { Env } from "../env/env.ts";
import { nodeEnv } from "../env/node.ts";
import { redisBackend } from "./backend.ts";
import type { RedisStoreOptions } from "./options.ts";

export type { RedisClientLike, RedisStoreOptions, RedisTiming, RequiredDurability } from "./options.ts";

/**
 * A store in the streams of a Redis (7.0 or later) or Valkey server. Connects when it is first used; needs the package
 * `redis`. Rejects with OPTION_INVALID. What an acknowledgement means is what the server is set to: see docs/backends.md.
 */
export function redisStore(options: RedisStoreOptions, env: Env = nodeEnv): Backend {
  return redisBackend(options, env);
}
