// Does the lock of the store keep a second opener out, in this process and in another, and is it free when its holder dies?
import { fileBackend } from "../backends/files.ts";
import type { ChildProcess, Env } from "../env/env.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import type { LockFacts } from "./selftest-report.ts";
import type { WorkerTask } from "./selftest-worker.ts";

/** Starts a process of Papyra that does one task of selftest-worker.ts. */
export type StartWorker = (task: WorkerTask, args: readonly string[]) => ChildProcess;

/** Longer than the kernel takes to bury a process, on a machine that is busy. */
const FREE_WITHIN_MS = 5000;

export async function probeLock(env: Env, start: StartWorker, path: string, signal?: AbortSignal): Promise<LockFacts> {
  const claim = await fileBackend({ path }, env).claim("selftest");
  let excludesSameProcess: boolean;
  let keptOut: boolean;
  try {
    excludesSameProcess = !(await canClaim(env, path));
    keptOut = (await wordOf(start("try", [path]), signal)) === "refused";
  } finally {
    await claim.release();
  }
  const holder = start("hold", [path]);
  try {
    const held = (await wordOf(holder, signal, "leave it running")) === "held";
    const keepsUsOut = !(await canClaim(env, path));
    holder.kill();
    const freeAfterKillMs = await freeAfter(env, path, signal);
    return { excludesSameProcess, excludesOtherProcess: keptOut && held && keepsUsOut, freeAfterKillMs };
  } finally {
    holder.kill();
    await holder.ended;
  }
}

async function canClaim(env: Env, path: string): Promise<boolean> {
  try {
    await (await fileBackend({ path }, env).claim("selftest")).release();
    return true;
  } catch (error) {
    if (isPapyraError(error, "STORE_LOCKED")) return false;
    throw error;
  }
}

async function freeAfter(env: Env, path: string, signal: AbortSignal | undefined): Promise<number | undefined> {
  const startMs = env.clock.monotonicMs();
  while (env.clock.monotonicMs() - startMs < FREE_WITHIN_MS) {
    signal?.throwIfAborted();
    if (await canClaim(env, path)) return env.clock.monotonicMs() - startMs;
  }
  return undefined;
}

/** The first line of a process; it is gone afterwards, unless it shall be left running. */
async function wordOf(child: ChildProcess, signal?: AbortSignal, after?: "leave it running"): Promise<string> {
  const stop = (): void => child.kill();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const { value, done } = await child.lines[Symbol.asyncIterator]().next();
    if (done !== true) return value;
    signal?.throwIfAborted();
    throw workerFailed(await child.ended);
  } finally {
    signal?.removeEventListener("abort", stop);
    if (after === undefined) {
      child.kill();
      await child.ended;
    }
  }
}

/** A worker ended before anybody killed it. What it said on stderr tells why; it names the code. */
export function workerFailed({ how, stderr }: Awaited<ChildProcess["ended"]>): PapyraError {
  const code = stderr.includes("STORAGE_FULL") ? "STORAGE_FULL" : "STORAGE_FAILED";
  return new PapyraError(code, `a process of the self-test ended by itself (${how}): ${stderr.trim()}`, {
    hint: "the self-test starts processes that write in the directory; look at the disk, then run it again",
  });
}
