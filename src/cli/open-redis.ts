// From --redis, --prefix and --system, from an address, or from the configuration to a Redis store. The store and its client
// are loaded only here, when one is asked for.
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import type { RedisStoreOptions } from "../redis/options.ts";
import type { Opened } from "./open.ts";

/** What may name a Redis store. */
export interface RedisNaming {
  readonly path: string | undefined;
  readonly url: string | undefined;
  readonly prefix: string | undefined;
  readonly system: string | undefined;
  /** PAPYRA_REDIS: a URL, with the credentials that no address shows. */
  readonly environment: string | undefined;
}

/** `redis://host:port[/database]/prefix:system`, as reports and hints write it; in braces when the keys have a hash tag. */
const ADDRESS = /^(rediss?:\/\/[^/]+(?:\/\d+)?)\/(?:\{([^/{}]+):([^/:{}]+)\}|([^/{}]+):([^/:{}]+))$/;

export function isRedisAddress(path: string | undefined): path is string {
  return path?.startsWith("redis://") === true || path?.startsWith("rediss://") === true;
}

/** The store that is named, or undefined when none is. Rejects with OPTION_INVALID when it is named by halves, or twice. */
export function namedRedis(naming: RedisNaming): RedisStoreOptions | undefined {
  const { path, url, prefix, system, environment } = naming;
  if (isRedisAddress(path)) {
    if (url !== undefined) throw wrong("--path and --redis both name a store", "leave one of them out");
    return fromAddress(path, environment);
  }
  if (url === undefined && prefix === undefined && system === undefined) return undefined;
  if (path !== undefined && url !== undefined)
    throw wrong("--path and --redis both name a store", "leave one of them out");
  const server = url ?? environment;
  if (server === undefined) throw wrong("--prefix and --system need a server", "add --redis redis://HOST:PORT");
  if (system === undefined) throw wrong("--redis needs the id of the system", "add --system ID");
  return { url: server, systemId: system, ...(prefix === undefined ? {} : { prefix }) };
}

function fromAddress(path: string, environment: string | undefined): RedisStoreOptions {
  const match = ADDRESS.exec(path);
  if (match === null)
    throw wrong(`${path} is no address of a store`, "it looks like redis://HOST:PORT/PREFIX:SYSTEM; or use --redis");
  const [, server, tagPrefix, tagSystem, barePrefix, bareSystem] = match as unknown as string[];
  const tagged = tagPrefix !== undefined;
  return {
    url: withCredentials(server as string, environment),
    prefix: (tagged ? tagPrefix : barePrefix) as string,
    systemId: (tagged ? tagSystem : bareSystem) as string,
    hashTag: tagged,
  };
}

/** Those of the environment, if they are for the same server. */
function withCredentials(server: string, environment: string | undefined): string {
  if (environment === undefined || !URL.canParse(environment)) return server;
  const [named, known] = [new URL(server), new URL(environment)];
  if (named.username !== "" || named.hostname !== known.hostname || (named.port || "6379") !== (known.port || "6379"))
    return server;
  named.username = known.username;
  named.password = known.password;
  return String(named);
}

export async function openRedis(env: Env, options: RedisStoreOptions): Promise<Opened> {
  const { redisStore } = await import("../redis/index.ts");
  const backend = redisStore(options, env);
  return { backend, log: undefined, lone: false, path: backend.location };
}

function wrong(message: string, hint: string): PapyraError {
  return new PapyraError("OPTION_INVALID", message, { hint });
}
