// Where a repository of backups keeps its objects: a few verbs, so that backups are written once for a directory, a bucket,
// or whatever comes. What every one of them guarantees:
// - An object is whole or not there, also after a crash in the middle of `put`.
// - A `put` that resolves is durable; `ifAbsent` lets exactly one of several writers win.
// - A hold ends with the process that has it, by itself.
import type { Env } from "../env/env.ts";
import { isPapyraError, PapyraError } from "../errors.ts";

/** No object is larger than this, in bytes: one fits into memory, and one request carries it. */
export const OBJECT_BYTES_MAX: number = 16 << 20;
/** What is stored leaves room for the header of whoever packs it. */
export const CONTENT_BYTES_MAX: number = OBJECT_BYTES_MAX - 1024;

/** One stored object. */
export interface ObjectInfo {
  /** Its parts are separated by slashes; only `A-Z a-z 0-9 . _ -` and slashes are used. */
  readonly name: string;
  readonly bytes: number;
  /** When it was stored, by the clock of the place. */
  readonly storedMs: number;
}

/** How an object begins. */
export interface ObjectStart {
  readonly info: ObjectInfo;
  readonly bytes: Buffer;
}

/** Who works on a repository. */
export interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly sinceMs: number;
  /** What it does: "backup", "prune", ... */
  readonly purpose: string;
  readonly mode: HoldMode;
}

/** Any number of "shared" holds, or one "exclusive" one. */
export type HoldMode = "shared" | "exclusive";

/** The right to work on a repository. */
export interface Hold {
  /** Rejects with REPOSITORY_LOCKED when the hold was lost: call it before anything is removed or published. */
  assertHeld(): Promise<void>;
  release(): Promise<void>;
}

/**
 * A place for objects. Rejects with STORAGE_FULL, STORAGE_FAILED, and BACKUP_DAMAGED where the place itself can tell that an object
 * is not what was stored (`details.object` is its name); a failure is never taken for an object that is not there.
 */
export interface ObjectStore {
  /** For messages: a path or an address, without secrets. */
  readonly location: string;
  readonly env: Env;
  /** Stores an object; the bytes are the caller's again when it resolves. Resolves with false, and changes nothing, when `ifAbsent` is asked for and one of that name is there. */
  put(name: string, bytes: Uint8Array, options?: { readonly ifAbsent?: boolean }): Promise<boolean>;
  /** A whole object, or undefined when it is not there. */
  get(name: string): Promise<Buffer | undefined>;
  /** What is known of an object without reading it, or undefined when it is not there. */
  stat(name: string): Promise<ObjectInfo | undefined>;
  /**
   * The first bytes of an object, at most so many, and what is known of that very object, whoever replaces it meanwhile. Where a
   * place does not have this, the whole object is read instead.
   */
  start?(name: string, bytesMax: number): Promise<ObjectStart | undefined>;
  /** Every object whose name begins with `prefix`, sorted by name. */
  list(prefix: string): AsyncIterable<ObjectInfo>;
  /** Removes an object; does nothing when it is not there. */
  remove(name: string): Promise<void>;
  /** Takes a hold without waiting. Rejects with REPOSITORY_LOCKED, naming whoever is in the way. */
  hold(mode: HoldMode, purpose: string): Promise<Hold>;
}

/** An object for who compares it with a hash or a seal anyway: of one that the place finds damaged there are no bytes. */
export async function getUnjudged(objects: ObjectStore, name: string): Promise<Buffer | undefined> {
  try {
    return await objects.get(name);
  } catch (error) {
    if (isPapyraError(error, "BACKUP_DAMAGED") && error.details.object === name) return Buffer.alloc(0);
    throw error;
  }
}

/** The refusal of a hold, in words. */
export function repositoryLocked(
  location: string,
  purpose: string,
  { pid, host, sinceMs, purpose: other }: Holder,
): PapyraError {
  const since = new Date(sinceMs).toISOString();
  return new PapyraError(
    "REPOSITORY_LOCKED",
    `the ${purpose} cannot begin: ${location} is held by pid ${pid} on ${host} since ${since} (${other})`,
    {
      hint: "wait until that has ended, or end it; the hold is free as soon as its process is gone",
      details: { pid, host, sinceMs, purpose: other },
    },
  );
}
