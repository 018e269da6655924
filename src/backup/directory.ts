// A repository in a directory. Objects are files, put in place by temporary file, sync, rename and directory sync. A hold is a
// file in holds/ that its holder keeps locked: the kernel frees it when the process dies, and whoever comes next removes it.
import { dirname, join } from "node:path";
import { publish, readSmall, syncAncestors, writeTemporary } from "../env/durable.ts";
import type { Env, FileLock, FileStat } from "../env/env.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { DirectoryHold, holderIn, writeOwner } from "./directory-hold.ts";
import { checkObjectName, isObjectName } from "./object-names.ts";
import {
  type Hold,
  type Holder,
  type HoldMode,
  OBJECT_BYTES_MAX,
  type ObjectInfo,
  type ObjectStart,
  type ObjectStore,
  repositoryLocked,
} from "./objects.ts";

const HOLDS = "holds";
/** Locked for the instant in which holds are looked at, or a name is checked and taken. */
const GATE = "repository.lock";
const GATE_TRIES = 500;
const GATE_WAIT_MS = 10;
/** A temporary file that old belongs to nobody any more. */
const STRAY_MS = 3_600_000;
const TEMPORARY = /\.tmp-[0-9a-f]{8}$/;

/** Objects as the files of a directory; it is made when the first is stored. */
export function directoryObjects(env: Env, directory: string): ObjectStore {
  return new DirectoryObjects(env, directory);
}

class DirectoryObjects implements ObjectStore {
  readonly env: Env;
  readonly location: string;
  /** Directories that are known to be there, durably. */
  readonly #made = new Set<string>();
  /** Of each directory, by the clock of the file system: what has been there for longer is durable. */
  readonly #settledMs = new Map<string, number>();

  constructor(env: Env, directory: string) {
    this.env = env;
    this.location = directory;
  }

  async put(name: string, bytes: Uint8Array, { ifAbsent = false }: { ifAbsent?: boolean } = {}): Promise<boolean> {
    const { fs, random } = this.env;
    const path = this.#path(name);
    if (bytes.length > OBJECT_BYTES_MAX)
      throw new PapyraError("INTERNAL", `${name} has ${bytes.length} bytes, more than ${OBJECT_BYTES_MAX}`);
    if (ifAbsent && (await this.#settled(path)) !== undefined) return false;
    await this.#makeDir(dirname(path));
    const temporary = await writeTemporary(fs, random, path, (append) => append(bytes));
    if (!ifAbsent) {
      await publish(fs, temporary, path);
      return true;
    }
    try {
      const gate = await this.#gate(`storing of ${name}`);
      try {
        if ((await this.#settled(path)) === undefined) {
          await publish(fs, temporary, path);
          return true;
        }
      } finally {
        await gate.release();
      }
    } catch (error) {
      await fs.remove(temporary).catch(() => undefined); // a stray one is removed under an exclusive hold
      throw error;
    }
    await fs.remove(temporary);
    return false;
  }

  /** A file that is there, durably: who put it may have been killed before it synced the name, and others build on it. */
  async #settled(path: string): Promise<FileStat | undefined> {
    const { fs } = this.env;
    const stat = await fs.stat(path);
    const dir = dirname(path);
    if (stat === undefined || stat.changedMs < (this.#settledMs.get(dir) ?? 0)) return stat;
    const before = await fs.stat(dir); // every name that was there then is durable when this one is
    await fs.syncDir(dir).catch((error: unknown) => {
      if (!isPapyraError(error) || error.details.errno !== "EROFS") throw error; // nothing waits to be written there
    });
    this.#settledMs.set(dir, before?.changedMs ?? 0);
    return stat;
  }

  async get(name: string): Promise<Buffer | undefined> {
    return (await this.#read(name, Number.POSITIVE_INFINITY))?.bytes;
  }

  async start(name: string, bytesMax: number): Promise<ObjectStart | undefined> {
    return (await this.stat(name)) === undefined ? undefined : this.#read(name, bytesMax);
  }

  async #read(name: string, bytesMax: number): Promise<ObjectStart | undefined> {
    const { fs } = this.env;
    const path = this.#path(name);
    if ((await fs.stat(path))?.kind !== "file") return undefined;
    const file = await ifThere(fs.open(path, "read")); // it may be gone by now
    if (file === undefined) return undefined;
    try {
      const { bytes, changedMs } = await file.stat(); // of the very file that is read: another one may have the name by now
      if (bytes > 2 * OBJECT_BYTES_MAX)
        throw new PapyraError("STORAGE_FAILED", `${path} has ${bytes} bytes: that is no object`);
      const wanted = Buffer.allocUnsafe(Math.min(bytes, bytesMax));
      for (let at = 0; at < wanted.length; ) {
        const count = await file.read(wanted.subarray(at), at);
        if (count === 0) throw new PapyraError("STORAGE_FAILED", `${path} became shorter while it was read`);
        at += count;
      }
      return { info: { name, bytes, storedMs: changedMs }, bytes: wanted };
    } finally {
      await file.close();
    }
  }

  async stat(name: string): Promise<ObjectInfo | undefined> {
    const stat = await this.#settled(this.#path(name));
    return stat?.kind === "file" ? { name, bytes: stat.bytes, storedMs: stat.changedMs } : undefined;
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    const dir = prefix.slice(0, Math.max(0, prefix.lastIndexOf("/")));
    const below = (key: string): boolean => key.startsWith(prefix) || prefix.startsWith(key);
    for await (const object of this.#filesIn(dir, below))
      if (object.name.startsWith(prefix) && isObjectName(object.name)) yield object;
  }

  /** Every file below a directory, sorted by its whole name: a directory stands where its name with a slash belongs. */
  async *#filesIn(dir: string, wanted: (key: string) => boolean): AsyncGenerator<ObjectInfo> {
    const { fs } = this.env;
    const path = join(this.location, dir);
    if ((await fs.stat(path))?.kind !== "directory") return;
    const found: { readonly key: string; readonly file: ObjectInfo | undefined }[] = [];
    for (const entry of await fs.list(path)) {
      const name = dir === "" ? entry : `${dir}/${entry}`;
      const stat = await fs.stat(join(path, entry));
      if (stat?.kind === "directory" && isObjectName(name)) found.push({ key: `${name}/`, file: undefined });
      if (stat?.kind === "file") found.push({ key: name, file: { name, bytes: stat.bytes, storedMs: stat.changedMs } });
    }
    for (const { key, file } of found.sort((a, b) => (a.key < b.key ? -1 : 1))) {
      if (file !== undefined) yield file;
      else if (wanted(key)) yield* this.#filesIn(key.slice(0, -1), wanted);
    }
  }

  async remove(name: string): Promise<void> {
    const { fs } = this.env;
    const path = this.#path(name);
    if ((await fs.stat(path)) === undefined) return;
    await ifThere(fs.remove(path));
    await fs.syncDir(dirname(path));
  }

  async hold(mode: HoldMode, purpose: string): Promise<Hold> {
    const { fs, clock, host, random } = this.env;
    await this.#makeDir(join(this.location, HOLDS));
    const gate = await this.#gate(purpose);
    try {
      const other = (await this.#holders()).find((holder) => mode === "exclusive" || holder.mode === "exclusive");
      if (other !== undefined) throw repositoryLocked(this.location, purpose, other);
      const path = join(this.location, HOLDS, `${random.hex(8)}.json`);
      const lock = await fs.lock(path, "exclusive");
      if (lock === undefined) throw new PapyraError("INTERNAL", `somebody else locked the new file ${path}`);
      const hold = new DirectoryHold(this.env, this.location, path, lock, purpose);
      try {
        await writeOwner(this.env, path, { pid: host.pid, host: host.name, sinceMs: clock.nowMs(), purpose, mode });
        if (mode === "exclusive") await this.#sweep((await fs.stat(path))?.changedMs ?? 0);
      } catch (error) {
        await hold.release();
        throw error;
      }
      return hold;
    } finally {
      await gate.release();
    }
  }

  /** Everybody who holds the repository now; what dead processes left is removed. Under the gate. */
  async #holders(): Promise<Holder[]> {
    const { fs } = this.env;
    const holders: Holder[] = [];
    for (const entry of await fs.list(join(this.location, HOLDS))) {
      const path = join(this.location, HOLDS, entry);
      const lock = await fs.lock(path, "exclusive");
      if (lock === undefined) {
        const bytes = await ifThere(readSmall(fs, path));
        if (bytes === undefined) continue; // it was given back just now
        holders.push(holderIn(bytes));
        continue;
      }
      await ifThere(fs.remove(path));
      await lock.release();
    }
    return holders;
  }

  /** Removes what killed processes were writing. `nowMs` is by the clock of the file system. */
  async #sweep(nowMs: number): Promise<void> {
    const everywhere = (): boolean => true;
    for await (const { name, storedMs } of this.#filesIn("", everywhere))
      if (TEMPORARY.test(name) && storedMs < nowMs - STRAY_MS)
        await ifThere(this.env.fs.remove(join(this.location, name)));
  }

  /** Nobody keeps it for long; who does, since it hangs or was stopped, is named to those who wait. */
  async #gate(purpose: string): Promise<FileLock> {
    const { fs, clock, host } = this.env;
    const path = join(this.location, GATE);
    await this.#makeDir(this.location);
    for (let tries = 0; tries < GATE_TRIES; tries++) {
      const lock = await fs.lock(path, "exclusive");
      if (lock === undefined) {
        await new Promise<void>((resolve) => void clock.after(GATE_WAIT_MS, resolve, "foreground"));
        continue;
      }
      try {
        const holder = { pid: host.pid, host: host.name, sinceMs: clock.nowMs(), purpose, mode: "exclusive" } as const;
        await writeOwner(this.env, path, holder);
        return lock;
      } catch (error) {
        await lock.release().catch(() => undefined); // what failed first is what counts
        throw error;
      }
    }
    throw repositoryLocked(this.location, purpose, holderIn(await readSmall(fs, path)));
  }

  #path(name: string): string {
    checkObjectName(name);
    return join(this.location, name);
  }

  async #makeDir(dir: string): Promise<void> {
    if (this.#made.has(dir)) return;
    await this.env.fs.makeDir(dir);
    await syncAncestors(this.env.fs, dir);
    this.#made.add(dir);
  }
}

/** What a call resolves with, or undefined when the file is not there any more. */
async function ifThere<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isPapyraError(error, "STORE_NOT_FOUND")) return undefined;
    throw error;
  }
}
