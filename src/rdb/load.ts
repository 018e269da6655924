// A backup that is an RDB file, loaded by a scratch server.
import { join } from "node:path";
import type { SourceOf } from "../backup/restore.ts";
import { backupReader } from "../backup/backup-reader.ts";
import type { ObjectStore } from "../backup/objects.ts";
import { type FileManifest, isFileBackup, readServerFile } from "../backup/server-file.ts";
import { isPapyraError } from "../errors.ts";
import { type CheckedRdb, checkRdb } from "./check-rdb.ts";
import { type Contents, contentsOf, differenceTo } from "./contents.ts";
import { writeFile } from "./copy-file.ts";
import { inScratch, type ScratchServer, startScratch, type StoreInServer } from "./scratch.ts";
import type { Programs, ServerWorld } from "./world.ts";

/** How servers are started, and where. */
export interface Loading {
  readonly world: ServerWorld;
  /** Asked for when they are needed: whoever never loads a file needs no server. */
  readonly programs: () => Promise<Programs>;
  /** The scratch directory: it must not be there, and it is removed in the end. */
  readonly scratch: string;
  readonly signal?: AbortSignal | undefined;
}

const RDB = "dump.rdb";
export const LOAD_RDB: readonly string[] = ["--dbfilename", RDB, "--appendonly", "no"];

export function placeOf({ server_file: file }: FileManifest): StoreInServer {
  return { database: file.database, prefix: file.prefix, systemId: file.system_id, hashTag: file.hash_tag };
}

/** Puts a file into the scratch directory by `bring`, checks it, and has a server load it. */
export async function withLoaded<T>(
  { world, programs, scratch, signal }: Loading,
  what: string,
  bring: (path: string) => Promise<unknown>,
  work: (server: ScratchServer, checked: CheckedRdb, file: string) => Promise<T>,
): Promise<T> {
  const found = await programs();
  return inScratch(world, scratch, async (directory) => {
    const file = join(directory, RDB);
    await bring(file);
    const checked = await checkRdb(world, found, file, what, signal);
    const server = await startScratch(world, found, directory, LOAD_RDB, signal);
    try {
      return await work(server, checked, file);
    } finally {
      await server.stop();
    }
  });
}

/** The same of a backup. */
export function withBackup<T>(
  loading: Loading,
  objects: ObjectStore,
  manifest: FileManifest,
  work: (server: ScratchServer) => Promise<T>,
): Promise<T> {
  const bring = (path: string): Promise<void> =>
    writeFile(loading.world.env.fs, path, readServerFile(objects, manifest), loading.signal);
  return withLoaded(loading, `backup ${manifest.id}`, bring, work);
}

export function contentsOfBackup(
  server: ScratchServer,
  manifest: FileManifest,
  signal?: AbortSignal,
): Promise<Contents> {
  return contentsOf(server.store(placeOf(manifest)), `backup ${manifest.id}`, signal);
}

/** For a verification: what is wrong with a backup, in words, or nothing. */
export async function judgeBackup(loading: Loading, objects: ObjectStore, manifest: FileManifest): Promise<string> {
  try {
    return await withBackup(loading, objects, manifest, async (server) => {
      return differenceTo(manifest, await contentsOfBackup(server, manifest, loading.signal)) ?? "";
    });
  } catch (error) {
    if (isPapyraError(error, "BACKUP_DAMAGED") || isPapyraError(error, "STORE_NOT_FOUND")) return error.message;
    throw error;
  }
}

/** Gives a restore its source, whatever kind the backup that it chooses is; the server is there until the restore has ended. */
export async function withSource<T>(loading: Loading, restore: (sourceOf: SourceOf) => Promise<T>): Promise<T> {
  let ended: () => void = () => undefined;
  const end = new Promise<void>((resolve) => (ended = resolve));
  let loaded: Promise<void> | undefined;
  const sourceOf: SourceOf = (objects, manifest) => {
    if (!isFileBackup(manifest)) return backupReader(objects, manifest);
    return new Promise((resolve, reject) => {
      loaded = withBackup(loading, objects, manifest, async (server) => {
        resolve(server.store(placeOf(manifest)));
        await end;
      }).catch(reject);
    });
  };
  try {
    return await restore(sourceOf);
  } finally {
    ended();
    await loaded;
  }
}
