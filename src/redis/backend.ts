// The Redis store: the five logs of one system in five streams of one server. This file is the reader's side; claim.ts is the
// writer's.
import { join } from "node:path";
import type { Backend, Segment } from "../backends/backend.ts";
import { replaceDurably, syncAncestors } from "../env/durable.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { STORE_FILE } from "../log/segments.ts";
import { RedisClaim } from "./claim.ts";
import { connectClient } from "./client.ts";
import { Connection } from "./connection.ts";
import { LayoutChanged, readBytes } from "./entries.ts";
import { keysOf } from "./keys.ts";
import type { SegmentLayout } from "./layout.ts";
import { Lease } from "./lease.ts";
import { type Look, look, viewOf } from "./look.ts";
import { type RedisStoreOptions, resolveRedisOptions } from "./options.ts";
import { keepInStream } from "./quarantine-stream.ts";

export function redisBackend(input: RedisStoreOptions, env: Env): Backend {
  const options = resolveRedisOptions(input);
  const { limits, timing } = options;
  const keys = keysOf(options.base);
  const location = `${options.address}/${options.base}`;
  const connection = new Connection(() => connectClient(options), env.clock, timing, location);
  let known: Look | undefined;
  const seen = async (): Promise<Look> => (known = await look(connection, keys));

  async function* read(
    name: string,
    from: number,
    to: number,
    id: string | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let position = from;
    for (let tries = 0; ; tries++) {
      const at = id !== undefined && known !== undefined && tries === 0 ? known : await seen();
      if (name === STORE_FILE && at.identityBytes !== undefined) {
        yield at.identityBytes.subarray(from, to);
        return;
      }
      const found = find(at, name, id);
      if (found === undefined) {
        if (tries === 0 && at !== known) continue;
        throw new PapyraError("STORE_NOT_FOUND", `there is no segment ${name} in ${location}`, {
          hint: "was it removed since it was listed? Run: papyra persistence scan",
          details: { segment: name },
        });
      }
      try {
        for await (const chunk of readBytes(connection, keys.stream(found.log), found.segment, position, to)) {
          yield chunk;
          position += chunk.length;
        }
        return;
      } catch (error) {
        // Somebody has recovered the store since: what is left to read stands elsewhere, if nothing was read yet.
        if (!(error instanceof LayoutChanged) || tries > 0 || position > from) throw error;
      }
    }
  }

  return {
    kind: "redis",
    location,
    durability: "redis",
    limits,
    env,
    view: async () => viewOf(connection, keys, await seen(), { location, claimed: false }),
    read,
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
    async claim(purpose) {
      const lease = await Lease.take(env, connection, keys, { location, purpose, leaseMs: timing.leaseMs });
      return new RedisClaim(env, connection, { keys, location, lease, changed: () => (known = undefined) });
    },
  };
}

function find(
  seen: Look,
  name: Segment["name"],
  id: string | undefined,
): { log: LogName; segment: SegmentLayout } | undefined {
  for (const log of LOG_NAMES) {
    const segment = seen.logs[log].segments.find((one) =>
      id === undefined ? one.name === name : String(one.number) === id,
    );
    // Numbers are times: two logs may have the same one.
    if (segment !== undefined && (id === undefined || name.startsWith(`${log}.`))) return { log, segment };
  }
  return undefined;
}
