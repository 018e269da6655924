// Where a recovery may keep what it takes out: not among the caches of the store, which anybody may delete, nor in the store beside
// its own files, where it would be a file that no part of the store wrote.
import { dirname } from "node:path";
import type { Backend } from "../backends/backend.ts";
import type { Fs } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { INDEX_DIR, QUARANTINE_DIR } from "../log/segments.ts";

/** Rejects with OPTION_INVALID for a place in the store, but in its `quarantine`, however the way there is written or linked. */
export async function assertPlaceToKeep(backend: Backend, named: string | undefined): Promise<void> {
  const { fs } = backend.env;
  const store = backend.location;
  // A log that is a file of its own has no such directories, nor has what is no file at all.
  if ((await fs.stat(store))?.kind !== "directory") return;
  const place = named ?? `${store}/${QUARANTINE_DIR}`;
  const idOf = async (path: string): Promise<string | undefined> => (await fs.stat(path))?.id;
  const [own, caches, kept] = [
    await idOf(store),
    await idOf(`${store}/${INDEX_DIR}`),
    await idOf(`${store}/${QUARANTINE_DIR}`),
  ];
  const { there, first } = await lastThere(fs, place);
  let below: string | undefined;
  for await (const id of upwards(fs, there)) {
    if (id === caches || (id === own && below === undefined && first === INDEX_DIR)) throw refused(place, store, true);
    if (id === own && (below === undefined ? first !== QUARANTINE_DIR : below !== kept))
      throw refused(place, store, false);
    below = id;
  }
}

/** Whether a path leads into the directory of a store, however it is written or linked. */
export async function isInStore({ env: { fs }, location }: Backend, path: string): Promise<boolean> {
  const store = await fs.stat(location);
  if (store?.kind !== "directory") return false;
  for await (const id of upwards(fs, (await lastThere(fs, dirname(path))).there)) if (id === store.id) return true;
  return false;
}

/** The directory of a path that is there, and the first name behind it, which is not. */
async function lastThere(fs: Fs, path: string): Promise<{ there: string; first: string | undefined }> {
  let there = path;
  let first: string | undefined;
  while ((await fs.stat(there)) === undefined && dirname(there) !== there) {
    first = there.slice(dirname(there).length).replaceAll("/", "");
    there = dirname(there);
  }
  return { there, first };
}

/** The ids of a directory and of all that it is in. Not by the names in the path: the kernel follows links, and then goes up. */
async function* upwards(fs: Fs, directory: string): AsyncGenerator<string, void, undefined> {
  let before: string | undefined;
  for (let path = directory; ; path = `${path}/..`) {
    const id = (await fs.stat(path))?.id;
    if (id === undefined || id === before) return; // the root is in itself
    yield id;
    before = id;
  }
}

function refused(place: string, store: string, caches: boolean): PapyraError {
  const why = caches
    ? `${place} is in ${INDEX_DIR} of the store, where caches are that anybody may delete`
    : `${place} is in the store ${store}, beside its own files`;
  return new PapyraError("OPTION_INVALID", `what a recovery keeps cannot be kept there: ${why}`, {
    hint: `name a directory outside of the store, or leave it out: then it is ${store}/${QUARANTINE_DIR}`,
    details: { quarantineDir: place, store },
  });
}
