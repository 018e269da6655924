// One hold of a repository in a directory: a file in it that is locked for as long, and says whose it is.
import { writeAll } from "../env/durable.ts";
import type { Env, FileLock } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { parseObject } from "../log/codec.ts";
import type { Hold, Holder } from "./objects.ts";

const OWNER_BYTES = 512;

export class DirectoryHold implements Hold {
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

export function holderIn(bytes: Buffer): Holder {
  return { pid: 0, host: "unknown", sinceMs: 0, purpose: "unknown", mode: "exclusive", ...parseObject(bytes) };
}

/** Into a file that is locked: who holds it, and what for. */
export async function writeOwner(env: Env, path: string, holder: Holder): Promise<void> {
  const file = await env.fs.open(path, "update");
  try {
    await writeAll(file, Buffer.from(`${JSON.stringify(holder)}\n`.padEnd(OWNER_BYTES)), 0); // over a longer one, too
  } finally {
    await file.close();
  }
}
