// What killed restores and drills leave beside their target. Who builds there holds a lock beside the place for as long: when the
// lock is free and says that it was taken on this machine, the place is nobody's, and whoever comes next removes it. A place
// without such a lock stays: nothing proves whose it is.
import { basename, dirname, join } from "node:path";
import { isHeldAt, readOwner, takePin } from "../backends/lock.ts";
import type { Pin } from "../backends/backend.ts";
import type { Env, Fs } from "../env/env.ts";

const LOCK = ".papyra-lock";
const DRILL = /\.drill-[0-9a-f]{8}$/;
/** What is made beside a store, a target or a repository. */
const MADE = /^(?:\.drill-[0-9a-f]{8}|\.restored-\d{8}T\d{6}Z-[0-9a-f]{6})?(?:\.restoring-[0-9a-f]{8})?$/;
/** Published by one rename, and complete: the operator's. */
const COMPLETE = /\.restored-\d{8}T\d{6}Z-[0-9a-f]{6}$/;

export interface Leftover {
  readonly path: string;
  /** "gone": whoever made it is, provably; "unknown": nothing proves whose it is. */
  readonly owner: "gone" | "at work" | "unknown";
}

/** Says that somebody builds at `place`, until it is released or the process is gone. */
export async function holdPlace(env: Env, place: string, purpose: "restore" | "drill"): Promise<Pin> {
  await env.fs.makeDir(dirname(place));
  const pin = await takePin(env, dirname(place), purpose, basename(place) + LOCK);
  // A lock that stays behind is free, and the next one removes it.
  const release = (): Promise<void> => pin.release().catch(() => undefined);
  try {
    await syncLock(env.fs, place); // before anything is built: a power cut must not leave the one without the other
  } catch (error) {
    await release();
    throw error;
  }
  return { release };
}

async function syncLock(fs: Fs, place: string): Promise<void> {
  const file = await fs.open(place + LOCK, "update");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await fs.syncDir(dirname(place));
}

/** The places beside `base` that restores and drills make; with `self`, also `base` itself where a lock is beside it. */
export async function leftoversAt(env: Env, base: string, self: boolean = false): Promise<Leftover[]> {
  const { fs } = env;
  const [dir, name] = [dirname(base), basename(base)];
  if ((await fs.stat(dir))?.kind !== "directory") return [];
  const names = await fs.list(dir);
  const places = new Set(names.map((one) => (one.endsWith(LOCK) ? one.slice(0, -LOCK.length) : one)));
  const found: Leftover[] = [];
  for (const one of places) {
    if (!one.startsWith(name) || !MADE.test(one.slice(name.length))) continue;
    if (one === name && (!self || !names.includes(one + LOCK))) continue;
    if (COMPLETE.test(one)) continue;
    found.push({ path: join(dir, one), owner: await ownerOf(env, join(dir, one)) });
  }
  return found;
}

async function ownerOf(env: Env, place: string): Promise<Leftover["owner"]> {
  const { fs } = env;
  if ((await fs.stat(place + LOCK)) === undefined) return "unknown";
  const lock = await fs.lock(place + LOCK, "shared").catch(() => undefined);
  if (lock === undefined) return "at work";
  await lock.release();
  return (await isNobodys(env, place)) ? "gone" : "unknown";
}

/** By what is written in its lock, which is free. Other machines have other kernels: their locks are not seen here. */
async function isNobodys(env: Env, place: string): Promise<boolean> {
  const { fs, host } = env;
  const owner = await readOwner(env, place + LOCK);
  if (owner !== undefined) return owner.host === host.name && ["restore", "drill"].includes(owner.purpose);
  const isEmpty = (await fs.stat(place + LOCK))?.bytes === 0; // it was about to be written, and nothing was built yet
  return isEmpty && (await fs.stat(place)) === undefined;
}

/** Removes what is provably nobody's beside the target of a restore. What cannot be removed stays, and is in nobody's way. */
export function sweepBeside(env: Env, target: string): Promise<void> {
  return sweep(env, target, false);
}

/** The same for the scratch place of a drill and all others of the same repository. */
export function sweepScratch(env: Env, scratch: string): Promise<void> {
  return sweep(env, scratch.replace(DRILL, ""), true);
}

async function sweep(env: Env, base: string, self: boolean): Promise<void> {
  for (const { path, owner } of await leftoversAt(env, base, self)) {
    if (owner === "gone") await removePlace(env, path).catch(() => undefined);
  }
}

/** Under its lock, which goes last: whatever ends this, the next one goes on. */
async function removePlace(env: Env, place: string): Promise<void> {
  const { fs } = env;
  const lock = await fs.lock(place + LOCK, "exclusive");
  if (lock === undefined) return; // somebody else removes it
  try {
    const held = await isHeldAt(env, dirname(place), lock, basename(place) + LOCK);
    if (!held || !(await isNobodys(env, place))) return;
    await removeBuilt(fs, place);
    await fs.remove(place + LOCK);
  } finally {
    await lock.release();
  }
}

/** What stands at a held place, durably: its lock may go then. */
export async function removeBuilt(fs: Fs, place: string): Promise<void> {
  if ((await fs.stat(place)) === undefined) return;
  await removeTree(fs, place);
  await fs.syncDir(dirname(place));
}

/** A store that a restore has made has no directories in it but those that reading leaves. */
async function removeTree(fs: Fs, path: string): Promise<void> {
  for (const name of await fs.list(path)) {
    const at = `${path}/${name}`;
    if ((await fs.stat(at))?.kind === "directory") await removeTree(fs, at);
    else await fs.remove(at);
  }
  await fs.removeDir(path);
}
