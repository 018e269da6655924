// The drill of a backup that is an RDB file: a real server loads it, every line is read, and all of it is compared with the manifest.
import { appendToCatalog } from "../backup/catalog.ts";
import type { ObjectStore } from "../backup/objects.ts";
import type { FileManifest } from "../backup/server-file.ts";
import { isPapyraError } from "../errors.ts";
import { differenceTo } from "./contents.ts";
import { contentsOfBackup, type Loading, withBackup } from "./load.ts";

export interface ServerDrillReport {
  /** Whether it passed. */
  readonly ok: boolean;
  readonly verdict: string;
  readonly outcome: "pass" | "fail" | "inconclusive";
  /** The backup; or the directory of the append-only file. */
  readonly source: string;
  readonly detail: string;
  readonly records: number;
  readonly bytes: number;
  /** Until the server had loaded it, and until every line was read. */
  readonly loadSeconds: number;
  readonly scanSeconds: number;
  readonly anchor: string;
}

type Measured = Pick<ServerDrillReport, "outcome" | "detail" | "records" | "loadSeconds" | "scanSeconds">;

/** What keeps a server from loading it is the drill's result; rejects where nothing was learnt: CLIENT_MISSING, FORMAT_UNKNOWN, STORAGE_FULL, STORAGE_FAILED. */
export async function drillRdb(
  objects: ObjectStore,
  loading: Loading,
  manifest: FileManifest,
): Promise<ServerDrillReport> {
  const { clock } = loading.world.env;
  const started = clock.monotonicMs();
  const measured = await tryLoad(objects, loading, manifest);
  const { outcome, detail } = measured;
  const seconds = (clock.monotonicMs() - started) / 1000;
  const anchor = await appendToCatalog(objects, { type: "drilled", backup: manifest.id, outcome, detail, seconds });
  return {
    ok: outcome === "pass",
    verdict: `drill of backup ${manifest.id}: ${outcome.toUpperCase()} in ${seconds.toFixed(1)} s: ${detail}`,
    source: manifest.id,
    bytes: manifest.server_file.bytes,
    anchor,
    ...measured,
  };
}

export const NOTHING_LOADED = { records: 0, loadSeconds: 0, scanSeconds: 0 } as const;

async function tryLoad(objects: ObjectStore, loading: Loading, manifest: FileManifest): Promise<Measured> {
  const { clock } = loading.world.env;
  try {
    return await withBackup(loading, objects, manifest, async (server) => {
      const started = clock.monotonicMs();
      const found = await contentsOfBackup(server, manifest, loading.signal);
      const difference = differenceTo(manifest, found);
      return {
        outcome: difference === undefined ? "pass" : "fail",
        detail: difference ?? "a server has loaded it, and every line and every consumer group is there",
        records: found.records,
        loadSeconds: server.loadSeconds,
        scanSeconds: (clock.monotonicMs() - started) / 1000,
      };
    });
  } catch (error) {
    if (!isPapyraError(error, "BACKUP_DAMAGED") && !isPapyraError(error, "STORE_NOT_FOUND")) throw error;
    return { outcome: "fail", detail: error.message, ...NOTHING_LOADED };
  }
}
