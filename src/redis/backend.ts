// The Redis store: the five logs of one system in five streams of one server. This file is the reader's side; claim.ts is the
// writer's.
import { join } from "node:path";
import type { Backend } from "../backends/backend.ts";
import { readRange, replaceDurably, syncAncestors } from "../env/durable.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { RedisClaim } from "./claim.ts";
import { connectionTo, locationOf } from "./connect.ts";
import { freezeStore } from "./freeze.ts";
import { keysOf } from "./keys.ts";
import { Lease } from "./lease.ts";
import { viewOf } from "./look.ts";
import { type RedisStoreOptions, type ResolvedRedisOptions, resolveRedisOptions } from "./options.ts";
import { keepInStream, readFromStream } from "./quarantine-stream.ts";
import { SegmentReader } from "./segment-reader.ts";
import { askServer, assertSafe, durabilityOf, examined, freeMemory, type ServerFacts } from "./server-facts.ts";
import { stageStore } from "./stage.ts";
import { Witness } from "./witness.ts";

export function redisBackend(input: RedisStoreOptions, env: Env): Backend {
  return backendOf(resolveRedisOptions(input), env);
}

function backendOf(options: ResolvedRedisOptions, env: Env): Backend {
  const { limits, timing } = options;
  const keys = keysOf(options.base);
  const location = locationOf(options);
  const connection = connectionTo(options, env);
  const reader = new SegmentReader(connection, keys, location);
  let facts: ServerFacts | undefined;
  const witness = options.witness === undefined ? undefined : new Witness(env, options.witness);
  return {
    kind: "redis",
    location,
    get durability() {
      return facts === undefined ? "as the server is set to; it was not asked yet" : durabilityOf(facts);
    },
    limits,
    env,
    view: async () => viewOf(connection, keys, await reader.look(), { location, claimed: false }),
    viewWithGroups: async () => viewOf(connection, keys, await reader.look(true), { location, claimed: false }),
    read: (segment, from, to, id) => reader.read(segment, from, to, id),
    async quarantine(directory, files) {
      if (directory.startsWith(location)) {
        await keepInStream(connection, keys.quarantine, directory.slice(location.length + 1), files);
        return;
      }
      await env.fs.makeDir(directory);
      for (const [name, content] of files) {
        await replaceDurably(env.fs, env.random, join(directory, name), async (append) => {
          for await (const bytes of content) await append(bytes);
        });
      }
      await syncAncestors(env.fs, directory);
    },
    async *readKept(directory, file) {
      if (directory.startsWith(location)) {
        yield* readFromStream(connection, keys.quarantine, directory.slice(location.length + 1), file);
        return;
      }
      const path = join(directory, file);
      const stat = await env.fs.stat(path);
      if (stat === undefined) throw new PapyraError("STORE_NOT_FOUND", `nothing is kept at ${path}`);
      yield* readRange(env.fs, path, 0, stat.bytes);
    },
    freeBytes: () => freeMemory(connection),
    async examine() {
      return examined((facts = await askServer(connection, keys.meta)), options);
    },
    async stage(purpose) {
      return stageStore(connection, { keys, location }, { ...aside(options, "restoring", env), purpose });
    },
    async freeze(purpose) {
      const place = { keys, location, leaseMs: timing.leaseMs, purpose };
      return freezeStore(env, connection, place, aside(options, "frozen", env));
    },
    async claim(purpose) {
      assertSafe((facts = await askServer(connection, keys.meta)), options, location);
      const lease = await Lease.take(env, connection, keys, { location, purpose, leaseMs: timing.leaseMs });
      const { compactUnread } = options;
      const place = { keys, location, lease, witness, compactUnread, changed: () => reader.forget() };
      const claim = new RedisClaim(env, connection, place);
      try {
        await claim.begin();
      } catch (error) {
        await claim.release();
        throw error;
      }
      return claim;
    },
  };
}

/** A store beside the store, under keys of its own. */
function aside(
  options: ResolvedRedisOptions,
  name: string,
  env: Env,
): { readonly backend: Backend; readonly base: string } {
  const base = `${options.base}:${name}`;
  return { backend: backendOf({ ...options, base, witness: undefined }, env), base };
}
