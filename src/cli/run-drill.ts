// backup drill: of a backup of lines, of a file of a server, or of an append-only file.
import type { ScratchStore } from "../backup/drill-groups.ts";
import { drillBackup } from "../backup/drill.ts";
import type { ObjectStore } from "../backup/objects.ts";
import { locateBackup, ofOneStore, viewRepository } from "../backup/repository.ts";
import { type FileManifest, isFileBackup } from "../backup/server-file.ts";
import type { Loading } from "../rdb/load.ts";
import { definedActors, loadingOf, scratchOf, watched } from "./backup-options.ts";
import type { Context, Outcome } from "./context.ts";
import { exitOfBackup } from "./exit-codes.ts";
import * as render from "./render-backup.ts";

export async function runDrill(context: Context): Promise<Outcome> {
  const objects = await context.repository();
  if (context.options.aof === true || context.given("aofDir") !== undefined)
    return (await import("./run-rdb.ts")).runDrillAof(context, objects);
  const file = await fileToDrill(context, objects);
  if (file !== undefined) return (await import("./run-rdb.ts")).runDrillRdb(context, objects, file);
  const scratch = scratchOf(context, objects, "drill");
  const report = await drillBackup(objects, context.env, {
    scratch,
    scratchServer: () => emptyServer({ ...loadingOf(context, objects, "drill"), scratch: `${scratch}-server` }),
    backup: context.given("id"),
    store: context.given("store"),
    states: await definedActors(context, "optional"),
    keep: context.options.keep === true,
    ...watched(context, "restoring"),
  });
  const exit = report.outcome === "inconclusive" ? 1 : exitOfBackup(report);
  return { exit, verdict: report.verdict, report, text: (paint) => render.drilled(report, paint) };
}

/** For consumer groups. */
async function emptyServer(loading: Loading): Promise<ScratchStore> {
  return (await import("../rdb/empty-server.ts")).startEmptyServer(loading);
}

/** The manifest of what is to be drilled, when it is a file of a server. */
async function fileToDrill(context: Context, objects: ObjectStore): Promise<FileManifest | undefined> {
  const wanted = context.given("id") ?? "latest";
  const view = await viewRepository(objects);
  const { manifest } = locateBackup(wanted === "latest" ? ofOneStore(view, context.given("store")) : view, wanted);
  return manifest !== undefined && isFileBackup(manifest) ? manifest : undefined;
}
