// What the tests of the index caches share: journals of many actors in sealed segments, and the caches as bytes that can be
// changed at will.
import { Journal, type NewJournalRecord } from "../../src/actors/journal.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import { counting } from "../counting.ts";

export function happened(persistence_id: string, revision: number): NewJournalRecord {
  return {
    kind: "journal",
    system_id: "sim",
    persistence_id,
    revision,
    event_type: "put",
    version: 1,
    payload: { key: "k", value: revision, text: "x".repeat((revision * 31) % 120) },
  };
}

/** The revisions of one actor, as a journal reads them. */
export async function revisionsOf(journal: Journal, id: string): Promise<number[]> {
  const revisions: number[] = [];
  await journal.withIndexes(async (indexes) => {
    revisions.length = 0;
    await journal.readEvents(indexes, id, 0, (record) => void revisions.push(record.revision));
  });
  return revisions;
}

/** Opens, does, closes. */
export async function withJournal<T>(
  backend: Backend,
  use: (journal: Journal, store: Store) => Promise<T>,
): Promise<T> {
  const store = await openStore(backend);
  try {
    const journal = new Journal(store);
    const result = await use(journal, store);
    await journal.settled();
    return result;
  } finally {
    await store.close();
  }
}

/** What the first recovery of one actor reads, apart from opening the store. */
export async function recovery(disk: SimDisk, id: string) {
  const counted = counting(disk.env, "/journal.");
  return withJournal(fileBackend({ path: "/s" }, counted.env), async (journal) => {
    const before = counted.bytes;
    const revisions = await revisionsOf(journal, id);
    const inMemory = await journal.withIndexes(async (indexes) => indexes.journal.index.size);
    return { bytes: counted.bytes - before, revisions, inMemory, read: journal.counters.segmentsIndexed };
  });
}

/** Rounds in which every actor has one event, except that `a/rare` has one in every second; each round is a segment, if sealed. */
export async function writeRounds(
  backend: Backend,
  rounds: number,
  others: number,
  { sealed = true }: { readonly sealed?: boolean } = {},
): Promise<void> {
  const store = await openStore(backend);
  for (let round = 1; round <= rounds; round++) {
    const all = Array.from({ length: others }, (_, i) => happened(`a/${i}`, round));
    if (round % 2 === 1) all.splice(others >> 1, 0, happened("a/rare", (round + 1) / 2));
    await store.append("journal", all);
    if (sealed) await store.maintain("test", (maintenance) => maintenance.seal("journal"));
  }
  await store.close();
}

/** The caches of a store, wherever they are kept. */
export interface Caches {
  names(): Promise<string[]>;
  get(name: string): Promise<Buffer>;
  put(name: string, bytes: Buffer | undefined): Promise<void>;
}

export function cachesInMemory({ caches }: { readonly caches: Map<string, Buffer> }): Caches {
  return {
    names: async () => [...caches.keys()],
    get: async (name) => caches.get(name) as Buffer,
    put: async (name, bytes) => void (bytes === undefined ? caches.delete(name) : caches.set(name, bytes)),
  };
}

export function cachesInFiles({ env: { fs } }: SimDisk, path: string): Caches {
  const directory = `${path}/index`;
  const read = async (name: string): Promise<Buffer> => {
    const file = await fs.open(`${directory}/${name}`, "read");
    const bytes = Buffer.alloc((await file.stat()).bytes);
    await file.read(bytes, 0);
    await file.close();
    return bytes;
  };
  return {
    names: async () => ((await fs.stat(directory)) === undefined ? [] : fs.list(directory)),
    get: read,
    async put(name, bytes) {
      await fs.makeDir(directory);
      if ((await fs.stat(`${directory}/${name}`)) !== undefined) await fs.remove(`${directory}/${name}`);
      if (bytes === undefined) return;
      const file = await fs.open(`${directory}/${name}`, "create");
      for (let at = 0; at < bytes.length; ) at += await file.write(bytes.subarray(at), at);
      await file.close();
    },
  };
}
