// One writer at a time. The lock is the kernel's: it is free the moment its holder dies, and a holder that was paused
// still holds it. The file says who holds it, for messages only; nobody decides by its content.
import { join } from "node:path";
import { readStart, writeAll } from "../env/durable.ts";
import type { Env, FileLock } from "../env/env.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { parseObject } from "../log/codec.ts";
import { LOCK_FILE, PIN_FILE, STORE_FILE } from "../log/segments.ts";
import type { ClaimOwner, Pin } from "./backend.ts";

/** A reader that asks whether somebody writes holds a shared lock for an instant: so often, so far apart, a writer asks again. */
const TRIES = 5;
const TRY_AGAIN_MS = 20;
const OWNER_BYTES = 512;

/** Takes the lock of the store in `directory`. Rejects with STORE_LOCKED, naming the holder. */
export async function takeLock(
  env: Env,
  directory: string,
  purpose: string,
  file: string = LOCK_FILE,
): Promise<FileLock> {
  const path = join(directory, file);
  for (let tries = 0; tries < TRIES; tries++) {
    const lock = await env.fs.lock(path, "exclusive");
    if (lock !== undefined && (await becomesOwner(env, join(directory, file), lock, purpose))) return lock;
    await new Promise<void>((resolve) => void env.clock.after(TRY_AGAIN_MS, resolve, "foreground"));
  }
  throw storeLocked(directory, await readOwner(env, path));
}

/**
 * The same, for who changes the store. A process that was killed leaves names that are not on the disk. They must get there
 * before any that is given from now on: a new active segment would take the only name that the disk knows of one that was closed.
 */
export async function takeToWrite(env: Env, directory: string, purpose: string): Promise<FileLock> {
  const lock = await takeLock(env, directory, purpose);
  try {
    await env.fs.syncDir(directory);
  } catch (error) {
    await lock.release().catch(() => undefined); // the directory's failure is what counts
    throw error;
  }
  return lock;
}

function storeLocked(directory: string, owner: ClaimOwner | undefined): PapyraError {
  const who =
    owner === undefined
      ? "another process"
      : `pid ${owner.pid} on ${owner.host} since ${new Date(owner.sinceMs).toISOString()} (${owner.purpose})`;
  return new PapyraError("STORE_LOCKED", `the store ${directory} is held by ${who}`, {
    hint: "stop that process first; the lock is free as soon as it is gone",
    details: { path: directory, ...owner },
  });
}

/**
 * Says whose the lock is. It is let go when its last holder took the file away, and when that cannot be told or said; but on a
 * full disk it is as good without its text, and recovery is what such a disk may need.
 */
async function becomesOwner(env: Env, path: string, lock: FileLock, purpose: string): Promise<boolean> {
  try {
    if ((await env.fs.stat(path))?.id === lock.id) {
      const { host, clock } = env;
      await writeOwner(env, path, { pid: host.pid, host: host.name, sinceMs: clock.nowMs(), purpose });
      return true;
    }
  } catch (error) {
    if (isPapyraError(error, "STORAGE_FULL")) return true;
    await lock.release().catch(() => undefined); // what failed first is what counts
    throw error;
  }
  await lock.release(); // whoever comes next locks another file
  return false;
}

/**
 * Takes the pin of the store in `directory`, or another lock whose file is nothing but the lock, and goes with it. Rejects as
 * {@link takeLock} does.
 */
export async function takePin(env: Env, directory: string, purpose: string, name: string = PIN_FILE): Promise<Pin> {
  const lock = await takeLock(env, directory, purpose, name).catch(async (error: unknown) => {
    // Who may only read the directory cannot hold a pin, and must heed that of others all the same.
    const owner = isPapyraError(error, "STORAGE_FAILED") ? await lockOwner(env, directory, name) : undefined;
    throw owner === undefined ? error : storeLocked(directory, owner);
  });
  const release = async (): Promise<void> => {
    try {
      if (await isHeldAt(env, directory, lock, name)) await env.fs.remove(join(directory, name));
    } finally {
      await lock.release(); // whatever befalls the file
    }
  };
  return { release };
}

/** Whether the lock is still on the file of that name: a lock on a file that was taken away keeps nobody out. */
export async function isHeldAt(
  env: Env,
  directory: string,
  lock: FileLock,
  file: string = LOCK_FILE,
): Promise<boolean> {
  return (await env.fs.stat(join(directory, file)))?.id === lock.id;
}

/** A lock file in a place that is no store (a lone log was repaired there) would be litter; its holder may remove it. */
export async function dropStrayLockFile(env: Env, directory: string, lock: FileLock): Promise<void> {
  if ((await env.fs.stat(join(directory, STORE_FILE))) !== undefined) return;
  if (await isHeldAt(env, directory, lock)) await env.fs.remove(join(directory, LOCK_FILE));
}

/** Who holds the lock at this moment, without waiting and without changing anything. */
export async function lockOwner(
  env: Env,
  directory: string,
  file: string = LOCK_FILE,
): Promise<ClaimOwner | undefined> {
  const path = join(directory, file);
  if ((await env.fs.stat(path)) === undefined) return undefined;
  const lock = await env.fs.lock(path, "shared");
  if (lock !== undefined) {
    await lock.release();
    return undefined;
  }
  return (await readOwner(env, path)) ?? { pid: 0, host: "unknown", sinceMs: 0, purpose: "unknown" };
}

async function writeOwner(env: Env, path: string, owner: ClaimOwner): Promise<void> {
  const file = await env.fs.open(path, "update");
  try {
    await writeAll(file, Buffer.from(`${JSON.stringify(owner)}\n`.padEnd(OWNER_BYTES)), 0);
  } finally {
    await file.close();
  }
}

/** Whose a lock is or was, by its file. */
export async function readOwner(env: Env, path: string): Promise<ClaimOwner | undefined> {
  const fields = parseObject(await readStart(env.fs, path, OWNER_BYTES));
  return typeof fields?.pid === "number" && typeof fields.host === "string"
    ? (fields as unknown as ClaimOwner)
    : undefined;
}
