// What the tests of backups share: a store on the simulated disk with a repository beside it, and what is in a store.
import type { Backend } from "../../src/backends/backend.ts";
import { type FileStoreOptions } from "../../src/backends/file-options.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import type { ObjectStore } from "../../src/backup/objects.ts";
import { LOG_NAMES, type LogName, type NewRecord } from "../../src/log/record.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { impatient } from "../sim-env.ts";

export interface World {
  readonly disk: SimDisk;
  readonly env: ReturnType<typeof impatient>;
  readonly store: Backend;
  readonly objects: ObjectStore;
  readonly at: (path: string) => Backend;
}

export function world(options: Partial<FileStoreOptions> = {}, disk: SimDisk = new SimDisk()): World {
  const env = impatient(disk);
  const at = (path: string): Backend => fileBackend({ ...options, path }, env);
  return { disk, env, at, store: at("/srv/store"), objects: directoryObjects(env, "/backups/repository") };
}

export function event(n: number): NewRecord {
  return { kind: "event", system_id: "local", actor_address: "local://a", event_type: "Noted", payload: { n } };
}

export function audit(n: number): NewRecord {
  return { kind: "audit", system_id: "local", payload: { n } } as unknown as NewRecord;
}

/** Appends events numbered on from what is there. */
export async function write(backend: Backend, count: number, log: LogName = "events"): Promise<void> {
  const store = await openStore(backend);
  for (let i = 0; i < count; i++) await store.append(log, [event(store.lastSeq(log) + 1)]);
  await store.close();
}

/** The seqs and payloads of every record of a store, log by log; each is verified on the way. */
export async function contents(backend: Backend): Promise<Record<string, unknown[]>> {
  const store = await openStore(backend);
  try {
    const found: Record<string, unknown[]> = {};
    for (const log of LOG_NAMES) {
      found[log] = [];
      for await (const { at: _, ...record } of store.read(log)) found[log].push(record);
    }
    return found;
  } finally {
    await store.close();
  }
}
