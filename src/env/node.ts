// The real world: the only file that touches node:fs, the clock, randomness and the kernel lock.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { constants, promises as fsp, readFileSync, stat, type BigIntStats } from "node:fs";
import { availableParallelism, hostname } from "node:os";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { parentPort, Worker } from "node:worker_threads";
import type {
  ChildProcess,
  Clock,
  Env,
  FileLock,
  FileStat,
  Fs,
  Host,
  OpenFile,
  Random,
  Thread,
  Volume,
} from "./env.ts";
import { PapyraError } from "../errors.ts";
import { storageError } from "./storage-error.ts";

/** Runs one file-system call and gives its failure a code, the operation and the path. */
async function named<T>(what: string, path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw cause instanceof PapyraError ? cause : storageError(what, path, cause);
  }
}

/** Half the price of the one in node:fs/promises, and there may be thousands of files to look at. */
const statOf = promisify(stat);

function toStat(stats: BigIntStats): FileStat {
  return {
    bytes: Number(stats.size),
    kind: stats.isFile() ? "file" : stats.isDirectory() ? "directory" : "other",
    id: `${stats.dev}:${stats.ino}:${stats.birthtimeNs}`,
    changedMs: Number(stats.ctimeNs / 1_000_000n),
  };
}

function openFile(handle: fsp.FileHandle, path: string): OpenFile {
  return {
    read: (into, position) =>
      named("read", path, async () => (await handle.read(into, 0, into.length, position)).bytesRead),
    write: (bytes, position) =>
      named("write", path, async () => (await handle.write(bytes, 0, bytes.length, position)).bytesWritten),
    truncate: (bytes) => named("truncate", path, () => handle.truncate(bytes)),
    sync: () => named("sync", path, () => handle.datasync()),
    stat: () => named("stat", path, async () => toStat(await handle.stat({ bigint: true }))),
    close: () => named("close", path, () => handle.close()),
  };
}

type TryLock = (fd: number, options: { shared: boolean }) => boolean;

let tryLockLoaded: Promise<TryLock> | undefined;

async function loadTryLock(): Promise<TryLock> {
  try {
    const { default: native } = await import("fs-native-extensions");
    return (fd, options) => native.tryLock(fd, options);
  } catch (cause) {
    throw new PapyraError("LOCK_UNAVAILABLE", "the kernel lock (package fs-native-extensions) does not load here", {
      cause,
      hint: "without it two writers could not be kept apart; use a platform that the package ships a binary for",
    });
  }
}

/** Somebody may have put a pipe under one of our names: opening it must not wait for its other end. Files do not mind. */
const NOT_WAITING = constants.O_NONBLOCK ?? 0;
const OPEN_FLAGS = { read: constants.O_RDONLY | NOT_WAITING, update: constants.O_RDWR | NOT_WAITING } as const;

/** Node's own recursion reports ENOENT on a read-only file system, which sends people to look at the path. */
async function makeDir(dir: string): Promise<void> {
  const make = (): Promise<void> =>
    fsp.mkdir(dir).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST" || (await fsp.stat(dir)).isDirectory() === false) throw error;
    });
  try {
    await make();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || dirname(dir) === dir) throw error;
    await makeDir(dirname(dir));
    await make();
  }
}

const nodeFs: Fs = {
  list: (dir) => named("list", dir, async () => (await fsp.readdir(dir)).sort()),
  makeDir: (dir) => named("make the directory", dir, () => makeDir(dir)),
  async stat(path) {
    try {
      return toStat(await statOf(path, { bigint: true }));
    } catch (cause) {
      const errno = (cause as NodeJS.ErrnoException).code;
      if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
      throw storageError("stat", path, cause);
    }
  },
  open: (path, mode) =>
    named(mode === "create" ? "create" : "open", path, async () =>
      openFile(await fsp.open(path, mode === "create" ? "wx+" : OPEN_FLAGS[mode]), path),
    ),
  rename: (from, to) => named("rename", `${from} to ${to}`, () => fsp.rename(from, to)),
  remove: (path) => named("remove", path, () => fsp.unlink(path)),
  removeDir: (dir) => named("remove the directory", dir, () => fsp.rmdir(dir)),
  imitate: (path, model) =>
    named("give the owner and mode of its model to", path, async () => {
      const [own, wanted] = [await fsp.stat(path), await fsp.stat(model)];
      // Only root gives files away; for everybody else a new file is their own, as it should be.
      const differs = wanted.uid !== own.uid || wanted.gid !== own.gid;
      if (differs && process.getuid?.() === 0) await fsp.chown(path, wanted.uid, wanted.gid);
      if (wanted.isFile() && wanted.mode !== own.mode) await fsp.chmod(path, wanted.mode & 0o7777);
    }),
  freeBytes: (dir) =>
    named("ask for the free space of", dir, async () => {
      const { bavail, bsize } = await fsp.statfs(dir);
      return bavail * bsize;
    }),
  syncDir: (dir) =>
    named("sync the directory", dir, async () => {
      const handle = await fsp.open(dir, constants.O_RDONLY);
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }),
  lock: (path, mode) =>
    named("lock", path, async (): Promise<FileLock | undefined> => {
      tryLockLoaded ??= loadTryLock();
      const tryLock = await tryLockLoaded;
      const flags = mode === "shared" ? constants.O_RDONLY : constants.O_RDWR | constants.O_CREAT;
      const handle = await fsp.open(path, flags | NOT_WAITING, 0o644);
      // An OFD lock belongs to this open file: the kernel drops it when the file is closed or the process dies.
      try {
        if (tryLock(handle.fd, { shared: mode === "shared" })) {
          const { id } = toStat(await handle.stat({ bigint: true }));
          return { id, release: () => handle.close() };
        }
      } catch (error) {
        await handle.close().catch(() => undefined);
        throw error;
      }
      await handle.close();
      return undefined;
    }),
};

const nodeClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, fn, kind) {
    const timer = setTimeout(fn, delayMs);
    if (kind === "background") timer.unref();
    return () => clearTimeout(timer);
  },
};

const nodeRandom: Random = { hex: (bytes) => randomBytes(bytes).toString("hex") };

function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return ""; // not Linux: the end of a log is then vouched for by an exact mark only
  }
}

const nodeHost: Host = { pid: process.pid, name: hostname(), bootId: readBootId() };

/** How many cores this process may use. */
export const cores = (): number => availableParallelism();

/** The module calls `answerQuestions`. */
function startThread(module: URL): Thread {
  const worker = new Worker(module);
  const ended = new Promise<never>((_, reject) => {
    worker.once("error", reject);
    worker.once("exit", () => reject(new Error("the thread has ended")));
  });
  ended.catch(() => undefined); // only who waits for an answer is concerned
  return {
    async ask(question) {
      const answer = new Promise((resolve) => worker.once("message", resolve));
      worker.postMessage(question);
      return Promise.race([answer, ended]);
    },
    async end() {
      await worker.terminate();
    },
  };
}

/** In a thread: answers what it is asked, until it is ended. What `answer` rejects with ends it. */
export function answerQuestions(answer: (question: unknown) => Promise<unknown>): void {
  const port = parentPort;
  port?.on("message", (question: unknown) => void answer(question).then((found) => port.postMessage(found)));
}

/** The real file system, clock, randomness and host. */
export const nodeEnv: Env = { fs: nodeFs, clock: nodeClock, random: nodeRandom, host: nodeHost, startThread };

/** The real file systems. */
export const nodeVolume: Volume = {
  space: (dir) =>
    named("ask for the free space of", dir, async () => {
      const { bavail, bsize, type } = await fsp.statfs(dir);
      return { freeBytes: bavail * bsize, type };
    }),
  removeTree: (dir) => named("remove", dir, () => fsp.rm(dir, { recursive: true, force: true, maxRetries: 3 })),
};

const STDERR_MAX = 2000;

/** Starts a script with the Node of this process. */
export function startNode(script: string, args: readonly string[]): ChildProcess {
  return startProgram(process.execPath, [script, ...args]);
}

/**
 * Starts a program. Its stdin ends when this process dies, however it dies: that is its order to end. It is in a process group
 * of its own: Ctrl-C is for this process alone, which tidies up.
 */
export function startProgram(program: string, args: readonly string[]): ChildProcess {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], detached: true });
  let stderr = "";
  child.stdin.on("error", () => undefined); // it is gone: `ended` says so
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-STDERR_MAX)));
  const ended = new Promise<{ how: string; stderr: string }>((resolve) => {
    child.once("error", (error) => resolve({ how: error.message, stderr }));
    child.once("close", (code, signal) => resolve({ how: signal ?? `exit ${code}`, stderr }));
  });
  return {
    lines: wholeLines(child.stdout),
    end: () => void child.stdin.end(),
    kill: () => void child.kill("SIGKILL"),
    ended,
  };
}

/** What a killed process had begun to print is not a line. */
async function* wholeLines(stream: NodeJS.ReadableStream): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream.setEncoding("utf8")) {
    const parts = (rest + String(chunk)).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}
