// What objects may be called, for every place that keeps them: names that are paths of files and keys of buckets alike,
// and that no repository uses for itself.
import { PapyraError } from "../errors.ts";

const PART = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;
const NAME_MAX = 500;
/** What a place keeps for itself: holds, the lock of a directory, files that are being written. */
const RESERVED = /^(?:holds|repository\.lock)(?:\/|$)|\.tmp-[0-9a-f]{8}$/;

/** Whether something of that name is an object: what else lies in the place is nobody's. */
export function isObjectName(name: string): boolean {
  return name.length <= NAME_MAX && name.split("/").every((part) => PART.test(part)) && !RESERVED.test(name);
}

/** Refuses names that lead elsewhere. They are all made by Papyra: a bad one is a bug. */
export function checkObjectName(name: string): void {
  if (!isObjectName(name)) throw new PapyraError("INTERNAL", `${JSON.stringify(name)} is no name of an object`);
}
