// A scratch server: a real one, in a directory of its own, that loads a file and is only read. It has no port: nobody but the user who
// started it can reach what it holds. It ends when this process does, however that ends.
import { join } from "node:path";
import type { Backend } from "../backends/backend.ts";
import { PapyraError } from "../errors.ts";
import { redisBackend } from "../redis/backend.ts";
import type { Programs, ServerWorld } from "./world.ts";

/** Which store of those that a server has. */
export interface StoreInServer {
  readonly database: number;
  readonly prefix: string;
  readonly systemId: string;
  readonly hashTag: boolean;
}

export interface ScratchServer {
  /** From its start until it had loaded everything and answered. */
  readonly loadSeconds: number;
  readonly store: (which: StoreInServer) => Backend;
  /** Resolves when the process is gone. */
  stop(): Promise<void>;
}

/** A path of a socket must be shorter on every system. */
const SOCKET_PATH_MAX = 100;
/** Keys of databases that the server does not have are not loaded. */
const DATABASES = "1024";
const LOG_LINES_MAX = 100;

/** The server runs as a child of a shell that kills it as soon as its own stdin ends: then this process is gone. */
const GUARD = `exec 3<&0
"$@" 3<&- </dev/null &
server=$!
(cat <&3 >/dev/null; kill -9 $server) >/dev/null 2>&1 &
guard=$!
exec 3<&-
wait $server
code=$?
kill $guard 2>/dev/null
exit $code`;

/** Makes a directory for a server. Rejects with TARGET_NOT_EMPTY, OPTION_INVALID. */
export async function makeScratch({ env }: ServerWorld, directory: string): Promise<void> {
  if (Buffer.byteLength(socketIn(directory)) > SOCKET_PATH_MAX) {
    throw new PapyraError(
      "OPTION_INVALID",
      `the path of the scratch directory is too long for a socket in it: ${directory}`,
      {
        hint: "name a shorter one: --scratch <dir>",
      },
    );
  }
  if ((await env.fs.stat(directory)) !== undefined) {
    throw new PapyraError("TARGET_NOT_EMPTY", `the scratch directory ${directory} is there already`, {
      hint: "name one that is not: --scratch <dir>",
    });
  }
  await env.fs.makeDir(directory);
}

/**
 * Gives a directory to work in, that must not be there, and removes it in the end with all that is in it. Rejects with
 * TARGET_NOT_EMPTY, OPTION_INVALID.
 */
export async function inScratch<T>(
  world: ServerWorld,
  directory: string,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  await makeScratch(world, directory);
  try {
    return await work(directory);
  } finally {
    await world.volume.removeTree(directory);
  }
}

function socketIn(directory: string): string {
  return join(directory, "redis.sock");
}

/**
 * Starts a server on what is in `directory`, and waits until it has loaded it. Rejects with BACKUP_DAMAGED when it does not load
 * it, FORMAT_UNKNOWN when a newer server wrote it, STORAGE_FAILED when it was killed, or the signal's reason.
 */
export async function startScratch(
  world: ServerWorld,
  { server }: Programs,
  directory: string,
  settings: readonly string[],
  signal?: AbortSignal,
): Promise<ScratchServer> {
  signal?.throwIfAborted();
  const { clock } = world.env;
  const started = clock.monotonicMs();
  const socket = socketIn(directory);
  const fixed = ["--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", directory];
  const quiet = ["--save", "", "--databases", DATABASES, "--logfile", "", "--daemonize", "no"];
  const child = world.start("/bin/sh", ["-c", GUARD, "sh", server, ...fixed, ...quiet, ...settings]);
  const stop = (): void => child.end();
  signal?.addEventListener("abort", stop, { once: true });
  const log: string[] = [];
  const ready = await readUntilReady(child.lines, log);
  signal?.removeEventListener("abort", stop);
  if (!ready) {
    const { how, stderr } = await child.ended;
    signal?.throwIfAborted();
    throw refusal(server, how, [...log, ...stderr.trim().split("\n")]);
  }
  return {
    loadSeconds: (clock.monotonicMs() - started) / 1000,
    store: ({ database, prefix, systemId, hashTag }) => {
      const client = { duplicate: () => undefined, options: { database, socket: { path: socket } } };
      return redisBackend({ client, prefix, systemId, hashTag }, world.env);
    },
    async stop() {
      child.end();
      await child.ended;
    },
  };
}

/** Afterwards somebody has to go on reading: a server whose output nobody takes stands still. */
async function readUntilReady(source: AsyncIterable<string>, log: string[]): Promise<boolean> {
  const lines = source[Symbol.asyncIterator]();
  for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
    log.push(next.value);
    if (log.length > LOG_LINES_MAX) log.shift();
    if (/ready to accept connections/i.test(next.value)) {
      void drain(lines);
      return true;
    }
  }
  return false;
}

async function drain(lines: AsyncIterator<string>): Promise<void> {
  while ((await lines.next()).done !== true);
}

function refusal(server: string, how: string, log: readonly string[]): PapyraError {
  const said = log.map((line) => line.replace(/^\d+:\S+ \d+ \S+ \d+ [\d:.]+ /, "")).filter((line) => line !== "");
  const telling = said.filter((line) => line.startsWith("#") && !/^# (?:WARNING|Redis|Configuration)/.test(line));
  const why = (telling.length === 0 ? said : telling).slice(-3).join("; ");
  const details = { log: said.slice(-20) };
  const newer = said.some((line) => /Can't handle RDB format version|Wrong signature/i.test(line));
  if (newer) {
    return new PapyraError("FORMAT_UNKNOWN", `${server} does not know the format of the file: ${why}`, {
      hint: "name a server of the version that wrote it, or a later one: --redis-server <program>",
      details,
    });
  }
  if (/SIGKILL|exit 137/.test(how))
    return new PapyraError("STORAGE_FAILED", `${server} was killed while it loaded the file`, {
      hint: "is there memory enough for a second server with the same data on this machine?",
      details,
    });
  return new PapyraError("BACKUP_DAMAGED", `${server} does not load it (${how}): ${why}`, {
    hint: "take another backup; what the server said is in the details (--json)",
    details,
  });
}
