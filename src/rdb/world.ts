// What is needed of the world to work with the files of a server: the programs that come with it, and processes of them.
import { basename, dirname, join } from "node:path";
import type { ChildProcess, Env, Fs, Volume } from "../env/env.ts";
import { isPapyraError, PapyraError } from "../errors.ts";

export interface ServerWorld {
  readonly env: Env;
  readonly volume: Volume;
  start(program: string, args: readonly string[]): ChildProcess;
}

/** Paths of the programs of Redis, or of Valkey. */
export interface Programs {
  readonly server: string;
  readonly checkRdb: string;
  readonly checkAof: string;
}

const BRANDS = ["redis", "valkey"];

/** The server that is named, else the first on the PATH; the others stand beside it. Rejects with CLIENT_MISSING. */
export async function findPrograms(fs: Fs, named: string | undefined, path: string): Promise<Programs> {
  const directories = path.split(":").filter((directory) => directory !== "");
  const server = named === undefined ? await firstServer(fs, directories) : await namedServer(fs, named);
  const brand = basename(server).startsWith("valkey") ? "valkey" : "redis";
  const beside = [dirname(server), ...directories];
  const [checkRdb, checkAof] = [
    await find(fs, beside, `${brand}-check-rdb`),
    await find(fs, beside, `${brand}-check-aof`),
  ];
  if (checkRdb !== undefined && checkAof !== undefined) return { server, checkRdb, checkAof };
  throw missing(`${brand}-check-${checkRdb === undefined ? "rdb" : "aof"} is neither beside ${server} nor on the PATH`);
}

async function namedServer(fs: Fs, named: string): Promise<string> {
  if ((await fs.stat(named))?.kind === "file") return named;
  throw missing(`there is no program ${named}`);
}

async function firstServer(fs: Fs, directories: readonly string[]): Promise<string> {
  for (const brand of BRANDS) {
    const found = await find(fs, directories, `${brand}-server`);
    if (found !== undefined) return found;
  }
  throw missing("neither redis-server nor valkey-server is on the PATH");
}

async function find(fs: Fs, directories: readonly string[], name: string): Promise<string | undefined> {
  for (const directory of directories) {
    try {
      if ((await fs.stat(join(directory, name)))?.kind === "file") return join(directory, name);
    } catch (error) {
      if (!isPapyraError(error, "STORAGE_FAILED")) throw error; // a directory that may not be looked into
    }
  }
  return undefined;
}

function missing(what: string): PapyraError {
  return new PapyraError("CLIENT_MISSING", what, {
    hint: "install the server on this machine (apt-get install redis-server), or name its program with --redis-server",
  });
}

/** How a program ended, and the last lines that it printed. */
export interface Ran {
  readonly ok: boolean;
  readonly how: string;
  readonly lines: readonly string[];
}

const LINES_MAX = 200;

/** Runs a program to its end. Rejects with the signal's reason. */
export async function run(
  world: ServerWorld,
  program: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Ran> {
  signal?.throwIfAborted();
  const child = world.start(program, args);
  const stop = (): void => child.kill();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const lines: string[] = [];
    for await (const line of child.lines) {
      lines.push(line);
      if (lines.length > LINES_MAX) lines.shift();
    }
    const { how, stderr } = await child.ended;
    signal?.throwIfAborted();
    if (stderr.trim() !== "") lines.push(...stderr.trim().split("\n"));
    return { ok: how === "exit 0", how, lines };
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
