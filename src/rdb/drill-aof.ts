// The drill of an append-only file: a copy of it is replayed by a real server, and every line of the store is read. What the running
// server has acknowledged, and how long a restart takes, is what is learnt.
import { join } from "node:path";
import { appendToCatalog } from "../backup/catalog.ts";
import type { ObjectStore } from "../backup/objects.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { redisBackend } from "../redis/backend.ts";
import { connectionTo } from "../redis/connect.ts";
import { type RedisStoreOptions, type ResolvedRedisOptions, resolveRedisOptions } from "../redis/options.ts";
import { type AofCopy, type AofState, checkAof, copyAof } from "./aof-files.ts";
import { behind, type Contents, contentsOf, type Reached } from "./contents.ts";
import { whichStore } from "./create-rdb.ts";
import { NOTHING_LOADED, type ServerDrillReport } from "./drill-rdb.ts";
import type { Loading } from "./load.ts";
import { ServerFiles } from "./save.ts";
import { inScratch, startScratch } from "./scratch.ts";

export interface DrillAofOptions {
  readonly store: RedisStoreOptions;
  /** The directory; then no server is asked. */
  readonly directory?: string | undefined;
}

interface Source {
  readonly directory: string;
  /** How far each log was acknowledged before the copy; nothing, when no server was asked. */
  readonly reached: Reached;
  readonly fsync: string | undefined;
}

type Judged = Pick<ServerDrillReport, "outcome" | "detail" | "records" | "loadSeconds" | "scanSeconds" | "bytes"> & {
  readonly store: string;
};

/** Rejects with CLIENT_MISSING, OPTION_INVALID (the server writes no such file), STORE_NOT_FOUND, STORAGE_FULL, STORAGE_FAILED. */
export async function drillAof(
  objects: ObjectStore,
  loading: Loading,
  options: DrillAofOptions,
): Promise<ServerDrillReport> {
  const { clock } = loading.world.env;
  const started = clock.monotonicMs();
  const resolved = resolveRedisOptions(options.store);
  const source = await sourceOf(loading, resolved, options);
  const { store, ...judged } = await replay(loading, resolved, source);
  const { outcome, detail } = judged;
  const seconds = (clock.monotonicMs() - started) / 1000;
  const { directory } = source;
  const event = { type: "replayed-aof", backup: "", store, source: directory, outcome, detail, seconds } as const;
  const anchor = await appendToCatalog(objects, event);
  const took = `replayed in ${judged.loadSeconds.toFixed(1)} s`;
  const verdict = `drill of the append-only file ${directory}: ${outcome.toUpperCase()}, ${took}: ${detail}`;
  return { ok: outcome === "pass", verdict, source: directory, anchor, ...judged };
}

async function sourceOf(
  { world: { env }, signal }: Loading,
  resolved: ResolvedRedisOptions,
  { store, directory }: DrillAofOptions,
): Promise<Source> {
  if (directory !== undefined) return { directory, reached: {}, fsync: undefined };
  const connection = connectionTo(resolved, env);
  try {
    const files = new ServerFiles(connection, env, resolved.address, signal);
    const settings = await files.settings("appendonly", "dir", "appenddirname", "appendfsync");
    if (settings.appendonly !== "yes") {
      throw new PapyraError(
        "OPTION_INVALID",
        `${resolved.address} writes no append-only file (appendonly ${settings.appendonly})`,
        {
          hint: "redis-cli CONFIG SET appendonly yes; or drill a backup: papyra backup drill",
        },
      );
    }
    const { acknowledged = {} } = await redisBackend(store, env).view();
    const at = join(settings.dir as string, settings.appenddirname as string);
    return { directory: at, reached: acknowledged, fsync: settings.appendfsync };
  } finally {
    connection.close();
  }
}

async function replay(loading: Loading, resolved: ResolvedRedisOptions, source: Source): Promise<Judged> {
  const { world, scratch, signal } = loading;
  const programs = await loading.programs();
  const nothing = { store: "", bytes: 0, ...NOTHING_LOADED };
  try {
    return await inScratch(world, scratch, async (directory) => {
      const to = join(directory, "appendonlydir");
      const copy = await copyAof(world.env, source.directory, to, signal);
      const state = await checkAof(world, programs, to, copy, signal);
      if (state.state === "damaged") return { ...nothing, bytes: copy.bytes, outcome: "fail", detail: state.why };
      const settings = ["--appendonly", "yes", "--appenddirname", "appendonlydir", "--appendfilename", copy.name];
      const quiet = ["--auto-aof-rewrite-percentage", "0", "--aof-load-truncated", "yes"];
      const server = await startScratch(world, programs, directory, [...settings, ...quiet], signal);
      try {
        const started = world.env.clock.monotonicMs();
        const found = await contentsOf(server.store(whichStore(resolved)), source.directory, signal);
        const scanSeconds = (world.env.clock.monotonicMs() - started) / 1000;
        return { ...judge(source, copy, state, found), loadSeconds: server.loadSeconds, scanSeconds };
      } finally {
        await server.stop();
      }
    });
  } catch (error) {
    if (!isPapyraError(error, "BACKUP_DAMAGED")) throw error;
    return { ...nothing, outcome: "fail", detail: error.message };
  }
}

function judge(
  { reached, fsync }: Source,
  { bytes }: AofCopy,
  state: AofState,
  found: Contents,
): Omit<Judged, "loadSeconds" | "scanSeconds"> {
  const { identity, records, anomalies, verdict } = found;
  const known = { store: identity.store, records, bytes };
  if (anomalies.length > 0) return { ...known, outcome: "fail", detail: verdict };
  const short = behind(found, reached);
  if (short !== undefined) {
    const detail = `${short} it was copied (appendfsync ${fsync}): is the server's disk slow?`;
    return { ...known, outcome: "inconclusive", detail };
  }
  const cut =
    state.state === "cut"
      ? `; an unfinished command was cut off, the last ${state.bytes} bytes of ${state.file} (aof-load-truncated)`
      : "";
  return { ...known, outcome: "pass", detail: `every line is there${cut}` };
}
