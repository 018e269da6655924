// A repository in a directory. Objects are files, put in place by temporary file, sync, rename and directory sync. A hold is a
// file in holds/ that its holder keeps locked: the kernel frees it when the process dies, and whoever comes next removes it.
import { dirname, join } from "node:path";
import { publish, readSmall, readStart, syncAncestors, writeAll, writeTemporary } from "../env/durable.ts";
import type { Env, FileLock } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { parseObject } from "../log/codec.ts";
import {
  type Hold,
  type Holder,
  type HoldMode,
  OBJECT_BYTES_MAX,
  type ObjectInfo,
  type ObjectStore,
  repositoryLocked,
} from "./objects.ts";

const HOLDS = "holds";
/** Locked for the instant in which holds are looked at, or a name is checked and taken. */
const GATE = "repository.lock";
const GATE_TRIES = 500;
const GATE_WAIT_MS = 10;
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

  constructor(env: Env, directory: string) {
    this.env = env;
    this.location = directory;
  }

  async put(name: string, bytes: Uint8Array, { ifAbsent = false }: { ifAbsent?: boolean } = {}): Promise<boolean> {
    const { fs, random } = this.env;
    const path = this.#path(name);
    if (ifAbsent && (await fs.stat(path)) !== undefined) return false;
    await this.#makeDir(dirname(path));
    const temporary = await writeTemporary(fs, random, path, (append) => append(bytes));
    if (!ifAbsent) {
      await publish(fs, temporary, path);
      return true;
    }
    const gate = await this.#gate();
    try {
      if ((await fs.stat(path)) !== undefined) {
        await fs.remove(temporary);
        return false;
      }
      await publish(fs, temporary, path);
      return true;
    } finally {
      await gate.release();
    }
  }

  async get(name: string): Promise<Buffer | undefined> {
    const { fs } = this.env;
    const path = this.#path(name);
    if ((await fs.stat(path))?.kind !== "file") return undefined;
    return readSmall(fs, path, 2 * OBJECT_BYTES_MAX);
  }

  async stat(name: string): Promise<ObjectInfo | undefined> {
    const stat = await this.env.fs.stat(this.#path(name));
    return stat?.kind === "file" ? { name, bytes: stat.bytes, storedMs: stat.changedMs } : undefined;
  }

  async start(name: string, bytesMax: number): Promise<Buffer | undefined> {
    const { fs } = this.env;
    const path = this.#path(name);
    return (await fs.stat(path))?.kind === "file" ? readStart(fs, path, bytesMax) : undefined;
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    const slash = prefix.lastIndexOf("/");
    yield* this.#listIn(slash < 0 ? "" : prefix.slice(0, slash), prefix);
  }

  async *#listIn(dir: string, prefix: string): AsyncGenerator<ObjectInfo> {
    const { fs } = this.env;
    const path = join(this.location, dir);
    if ((await fs.stat(path))?.kind !== "directory") return;
    for (const entry of await fs.list(path)) {
      const name = dir === "" ? entry : `${dir}/${entry}`;
      if (!name.startsWith(prefix) && !prefix.startsWith(`${name}/`)) continue;
      const stat = await fs.stat(join(path, entry));
      if (stat?.kind === "directory") yield* this.#listIn(name, prefix);
      else if (stat?.kind === "file" && !isOwnFile(name)) yield { name, bytes: stat.bytes, storedMs: stat.changedMs };
    }
  }

  async remove(name: string): Promise<void> {
    const { fs } = this.env;
    const path = this.#path(name);
    if ((await fs.stat(path)) === undefined) return;
    await fs.remove(path);
    await fs.syncDir(dirname(path));
  }

  async hold(mode: HoldMode, purpose: string): Promise<Hold> {
    const { fs, clock, host, random } = this.env;
    await this.#makeDir(join(this.location, HOLDS));
    const gate = await this.#gate();
    try {
      const other = (await this.#holders()).find((holder) => mode === "exclusive" || holder.mode === "exclusive");
      if (other !== undefined) throw repositoryLocked(this.location, purpose, other);
      const path = join(this.location, HOLDS, `${random.hex(8)}.json`);
      const lock = await fs.lock(path, "exclusive");
      if (lock === undefined) throw new PapyraError("INTERNAL", `somebody else locked the new file ${path}`);
      const hold = new DirectoryHold(this.env, this.location, path, lock, purpose);
      try {
        await writeOwner(this.env, path, { pid: host.pid, host: host.name, sinceMs: clock.nowMs(), purpose, mode });
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
        const fields = parseObject(await readSmall(fs, path)) ?? {};
        holders.push({ pid: 0, host: "unknown", sinceMs: 0, purpose: "unknown", mode: "exclusive", ...fields });
        continue;
      }
      await fs.remove(path);
      await lock.release();
    }
    return holders;
  }

  async #gate(): Promise<FileLock> {
    const { fs, clock } = this.env;
    await this.#makeDir(this.location);
    for (let tries = 0; tries < GATE_TRIES; tries++) {
      const lock = await fs.lock(join(this.location, GATE), "exclusive");
      if (lock !== undefined) return lock;
      await new Promise<void>((resolve) => void clock.after(GATE_WAIT_MS, resolve, "foreground"));
    }
    throw new PapyraError("REPOSITORY_LOCKED", `${join(this.location, GATE)} stays locked`, {
      hint: "a process that works on the repository hangs or was stopped; end it and try again",
    });
  }

  #path(name: string): string {
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/.test(name))
      throw new PapyraError("INTERNAL", `${JSON.stringify(name)} is no name of an object`);
    return join(this.location, name);
  }

  async #makeDir(dir: string): Promise<void> {
    if (this.#made.has(dir)) return;
    await this.env.fs.makeDir(dir);
    await syncAncestors(this.env.fs, dir);
    this.#made.add(dir);
  }
}

class DirectoryHold implements Hold {
  readonly #env: Env;
  readonly #location: string;
  readonly #path: string;
  readonly #lock: FileLock;
  readonly #purpose: string;

  constructor(env: Env, location: string, path: string, lock: FileLock, purpose: string) {
    this.#env = env;
    this.#location = location;
    this.#path = path;
    this.#lock = lock;
    this.#purpose = purpose;
  }

  async assertHeld(): Promise<void> {
    if ((await this.#env.fs.stat(this.#path))?.id === this.#lock.id) return;
    throw new PapyraError(
      "REPOSITORY_LOCKED",
      `${this.#path} was removed: the ${this.#purpose} holds ${this.#location} no more`,
      {
        hint: "nothing may remove files from a repository but papyra; run the command again",
      },
    );
  }

  async release(): Promise<void> {
    try {
      await this.#env.fs.remove(this.#path).catch(() => undefined); // whoever comes next removes it
    } finally {
      await this.#lock.release();
    }
  }
}

async function writeOwner(env: Env, path: string, holder: Holder): Promise<void> {
  const file = await env.fs.open(path, "update");
  try {
    await writeAll(file, Buffer.from(`${JSON.stringify(holder)}\n`), 0);
  } finally {
    await file.close();
  }
}

function isOwnFile(name: string): boolean {
  return name === GATE || name.startsWith(`${HOLDS}/`) || TEMPORARY.test(name);
}
