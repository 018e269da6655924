// A server for a drill: a real one, empty, in a directory of its own. It keeps nothing and has no port: only the user who started it
// reaches it, through a socket in that directory. It ends when this process does, however that ends.
import { join } from "node:path";
import type { Backend } from "../backends/backend.ts";
import type { ChildProcess, Env, Volume } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { redisBackend } from "./backend.ts";

/** What is needed of the world to run a server. */
export interface ServerWorld {
  readonly env: Env;
  readonly volume: Volume;
  start(program: string, args: readonly string[]): ChildProcess;
}

export interface ScratchServer {
  /** An empty place for a store. */
  readonly backend: Backend;
  /** Resolves when the process and its directory are gone. */
  stop(): Promise<void>;
}

/** The longest path of a socket that every system takes. */
const SOCKET_PATH_MAX = 100;

/** Runs the first of the servers that is there, and kills it as soon as its own stdin ends: then who started it is gone. */
const GUARD = `for server in redis-server valkey-server; do command -v "$server" >/dev/null && break; server=; done
[ -n "$server" ] || exit 127
exec 3<&0
"$server" "$@" 3<&- </dev/null &
child=$!
(cat <&3 >/dev/null; kill -9 $child) >/dev/null 2>&1 &
guard=$!
exec 3<&-
wait $child
code=$?
kill $guard 2>/dev/null
exit $code`;

/**
 * Starts an empty server whose files are in `dir`, which must not be there. Rejects with CLIENT_MISSING (there is no
 * redis-server and no valkey-server on the PATH), TARGET_NOT_EMPTY, OPTION_INVALID, STORAGE_FAILED.
 */
export async function startScratchServer(
  world: ServerWorld,
  { dir, args = [] }: { readonly dir: string; readonly args?: readonly string[] },
): Promise<ScratchServer> {
  const { env, volume } = world;
  const socket = join(dir, "redis.sock");
  if (Buffer.byteLength(socket) > SOCKET_PATH_MAX) {
    throw new PapyraError("OPTION_INVALID", `the path is too long for the socket of a server: ${socket}`, {
      hint: "name a shorter one with --scratch <dir>",
    });
  }
  if ((await env.fs.stat(dir)) !== undefined) {
    throw new PapyraError("TARGET_NOT_EMPTY", `${dir} is there already`, { hint: "name another one with --scratch" });
  }
  await env.fs.makeDir(dir);
  const files = ["--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", dir];
  const quiet = ["--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", ""];
  const child = world.start("/bin/sh", ["-c", GUARD, "sh", ...files, ...quiet, ...args]);
  const stop = async (): Promise<void> => {
    child.kill();
    await child.ended;
    await volume.removeTree(dir);
  };
  const last = await untilReady(child.lines);
  if (last !== undefined) {
    const { how, stderr } = await child.ended;
    await stop();
    throw how === "exit 127" ? missing() : failed(how, stderr === "" ? last : stderr);
  }
  const client = { duplicate: () => undefined, options: { socket: { path: socket } } };
  return { backend: { ...redisBackend({ client, systemId: "drill" }, env), location: socket }, stop };
}

/** Undefined when it is; else the last line of one that ended before. Afterwards somebody goes on reading: else it would stand still. */
async function untilReady(source: AsyncIterable<string>): Promise<string | undefined> {
  const lines = source[Symbol.asyncIterator]();
  let last = "";
  for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
    last = next.value;
    if (!/ready to accept connections/i.test(last)) continue;
    void drain(lines);
    return undefined;
  }
  return last;
}

async function drain(lines: AsyncIterator<string>): Promise<void> {
  while ((await lines.next()).done !== true);
}

function missing(): PapyraError {
  return new PapyraError("CLIENT_MISSING", "neither redis-server nor valkey-server is on the PATH", {
    hint: "install one where drills are run: apt-get install redis-server",
  });
}

function failed(how: string, said: string): PapyraError {
  return new PapyraError("STORAGE_FAILED", `the scratch server did not start (${how}): ${said.trim()}`, {
    hint: "does redis-server start by itself on this machine?",
  });
}
