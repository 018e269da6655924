// A backup by the server itself: an RDB file that it was asked for, or one that was brought.
// 1. the server saves, and its file is copied to a scratch directory; 2. redis-check-rdb and a scratch server prove what is in the copy;
// 3. its parts are stored; 4. the manifest is: from here on the backup exists; 5. the catalog says so.
// Whatever ends it before 4 leaves parts that no manifest names, which a prune removes, or nothing.
import { appendToCatalog } from "../backup/catalog.ts";
import { BACKUP_VERSION, encodeManifest, manifestName, newBackupId, newestIn } from "../backup/manifest.ts";
import type { ObjectStore } from "../backup/objects.ts";
import { sha256Of } from "../backup/sealed-json.ts";
import { type FileManifest, type StoredFile, storeServerFile } from "../backup/server-file.ts";
import { readRange } from "../env/durable.ts";
import { PapyraError } from "../errors.ts";
import { redisBackend } from "../redis/backend.ts";
import { connectionTo, locationOf } from "../redis/connect.ts";
import { type RedisStoreOptions, type ResolvedRedisOptions, resolveRedisOptions } from "../redis/options.ts";
import type { CheckedRdb } from "./check-rdb.ts";
import { behind, type Contents, contentsOf, type Reached } from "./contents.ts";
import { copyFile } from "./copy-file.ts";
import { type Loading, withLoaded } from "./load.ts";
import { type Saved, ServerFiles } from "./save.ts";
import type { StoreInServer } from "./scratch.ts";

export interface CreateRdbOptions {
  /** The store; the server is asked unless `file` is given. */
  readonly store: RedisStoreOptions;
  /** A file that is there already, from wherever. */
  readonly file?: string | undefined;
  readonly note?: string | undefined;
}

export interface CreateRdbReport {
  readonly ok: boolean;
  readonly verdict: string;
  readonly backup: FileManifest;
  readonly repository: string;
  readonly storedBytes: number;
  /** How long a server took to load the file. */
  readonly loadSeconds: number;
  readonly seconds: number;
  readonly anchor: string;
}

/** The file in the scratch directory, and where it came from. */
interface Brought {
  readonly path: string;
  readonly saved: Saved | undefined;
  /** Right before the server was asked. */
  readonly reached: Reached;
  /** By the clock of this process, before the server was asked. */
  readonly askedMs: number;
}

/**
 * Rejects with STORE_NOT_FOUND (also when the file does not hold the store), CLIENT_MISSING, BACKUP_DAMAGED (the file is not whole, or not loaded),
 * FORMAT_UNKNOWN, REPOSITORY_LOCKED, STORAGE_FULL, STORAGE_FAILED, or the signal's reason: then there is no backup.
 */
export async function createRdbBackup(
  objects: ObjectStore,
  loading: Loading,
  options: CreateRdbOptions,
): Promise<CreateRdbReport> {
  const { clock } = loading.world.env;
  const started = clock.monotonicMs();
  const resolved = resolveRedisOptions(options.store);
  const hold = await objects.hold("shared", "backup");
  try {
    let brought: Brought | undefined;
    const bring = async (copy: string): Promise<void> =>
      void (brought = await bringFile(loading, resolved, options, copy));
    const what = options.file ?? `the file of ${resolved.address}`;
    return await withLoaded(loading, what, bring, async (server, checked, copy) => {
      const found = await contentsOf(server.store(whichStore(resolved)), what, loading.signal);
      const from = brought as Brought;
      assertOurs(from, checked, found);
      const { fs } = loading.world.env;
      const bytes = (await fs.stat(copy))?.bytes ?? 0;
      const stored = await storeServerFile(objects, readRange(fs, copy, 0, bytes));
      const manifest = manifestOf(loading, resolved, { from, checked, found, stored, note: options.note ?? null });
      const encoded = encodeManifest(manifest);
      await hold.assertHeld();
      await objects.put(manifestName(manifest.id), encoded, { ifAbsent: true });
      const type = manifest.how === "adopted" ? "adopted" : "created";
      const { id: backup, verdict } = manifest;
      const anchor = await appendToCatalog(objects, { type, backup, manifest: sha256Of(encoded), verdict });
      const { loadSeconds } = server;
      const seconds = (clock.monotonicMs() - started) / 1000;
      return reportOf(objects, manifest, { storedBytes: stored.storedBytes, loadSeconds, seconds, anchor }, found);
    });
  } finally {
    await hold.release();
  }
}

/** The store in the server that holds it. */
export function whichStore({ address, prefix, systemId, hashTag }: ResolvedRedisOptions): StoreInServer {
  return { database: Number(/\/(\d+)$/.exec(address)?.[1] ?? 0), prefix, systemId, hashTag };
}

async function bringFile(
  { world: { env }, signal }: Loading,
  resolved: ResolvedRedisOptions,
  { file, store }: CreateRdbOptions,
  copy: string,
): Promise<Brought> {
  const askedMs = env.clock.nowMs();
  if (file !== undefined) {
    await copyFile(env.fs, file, copy, signal);
    return { path: file, saved: undefined, reached: {}, askedMs };
  }
  const { acknowledged = {} } = await redisBackend(store, env).view(); // a store that is not there is said so before anything is saved
  const connection = connectionTo(resolved, env);
  try {
    const saved = await new ServerFiles(connection, env, resolved.address, signal).save();
    await copyFile(env.fs, saved.path, copy, signal);
    return { path: saved.path, saved, reached: acknowledged, askedMs };
  } finally {
    connection.close();
  }
}

/** What the server wrote after it was asked has everything that was acknowledged before: else it is another file. */
function assertOurs({ path, saved, reached }: Brought, { begun }: CheckedRdb, found: Contents): void {
  if (saved === undefined) return;
  const older = begun !== null && begun < saved.askedAt;
  const why = older ? `it was begun at ${begun}, and the server was asked at ${saved.askedAt}` : behind(found, reached);
  if (why === undefined) return;
  throw new PapyraError("STORAGE_FAILED", `${path} is not the file of that save: ${why}`, {
    hint: "does another server write to the same path? Give each a directory of its own",
  });
}

interface Facts {
  readonly from: Brought;
  readonly checked: CheckedRdb;
  readonly found: Contents;
  readonly stored: StoredFile;
  readonly note: string | null;
}

function manifestOf(
  { world: { env } }: Loading,
  resolved: ResolvedRedisOptions,
  { from, checked, found, stored, note }: Facts,
): FileManifest {
  const { identity, logs, digests, anomalies } = found;
  const { saved } = from;
  const createdMs = env.clock.nowMs();
  const { database, prefix, systemId, hashTag } = whichStore(resolved);
  const { bytes, sha256, parts } = stored;
  return {
    papyra_backup: BACKUP_VERSION,
    id: newBackupId(createdMs, env.random.hex(3)),
    store: identity.store,
    lineage: identity.lineage,
    parent: identity.parent,
    ancestors: identity.ancestors ?? [],
    store_created: identity.createdMs / 1000,
    created: createdMs / 1000,
    instant: saved === undefined ? (checked.begun ?? newestIn(logs)) : from.askedMs / 1000,
    how: saved === undefined ? "adopted" : "bgsave",
    source: saved === undefined ? from.path : locationOf(resolved),
    verdict: anomalies.length === 0 ? "good" : "damaged",
    anomalies,
    note,
    logs,
    states: null,
    server_file: {
      kind: "rdb",
      bytes,
      sha256,
      parts,
      ...checked,
      run_id: saved?.runId ?? null,
      last_save: saved?.lastSave ?? null,
      database,
      prefix,
      system_id: systemId,
      hash_tag: hashTag,
      digests,
    },
  };
}

function reportOf(
  objects: ObjectStore,
  backup: FileManifest,
  more: Pick<CreateRdbReport, "storedBytes" | "loadSeconds" | "seconds" | "anchor">,
  { records, anomalies, verdict }: Contents,
): CreateRdbReport {
  const ok = anomalies.length === 0;
  const what = `backup ${backup.id}: an RDB file of ${backup.server_file.bytes} bytes with ${records} records of this store`;
  return {
    ok,
    verdict: ok ? `${what}, loaded by a server, every line verified` : `${what}, DAMAGED: ${verdict}`,
    backup,
    repository: objects.location,
    ...more,
  };
}
