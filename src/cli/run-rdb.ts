// What is done with files of a server: backups that are RDB files, and the replay of an append-only file.
import type { ObjectStore } from "../backup/objects.ts";
import type { FileManifest } from "../backup/server-file.ts";
import { PapyraError } from "../errors.ts";
import { createRdbBackup } from "../rdb/create-rdb.ts";
import { drillAof } from "../rdb/drill-aof.ts";
import { drillRdb, type ServerDrillReport } from "../rdb/drill-rdb.ts";
import { loadingOf } from "./backup-options.ts";
import type { Context, Outcome } from "./context.ts";
import { exitOfBackup } from "./exit-codes.ts";
import { onlyOneOf } from "./plans.ts";
import { renderCreatedRdb, renderServerDrill } from "./render-rdb.ts";

export async function runCreateRdb(context: Context): Promise<Outcome> {
  onlyOneOf(context, "rdb", "rdbFile");
  onlyForLines(context, "states");
  onlyForLines(context, "freeze");
  const objects = await context.repository();
  const file = context.given("rdbFile");
  const report = await createRdbBackup(objects, loadingOf(context, objects, "backup"), {
    store: await context.redis("RDB files"),
    file: file === undefined ? undefined : context.resolve(file),
    note: context.given("note"),
  });
  const exit = exitOfBackup(report);
  return { exit, verdict: report.verdict, report, text: (paint) => renderCreatedRdb(report, paint) };
}

/** Rejects with OPTION_INVALID when an option was given that nothing would come of. */
function onlyForLines(context: Context, option: string): void {
  if (context.options[option] !== true) return;
  throw new PapyraError("OPTION_INVALID", `--${option} is for a backup of lines, and this is a file of a server`, {
    hint: `leave --${option} out`,
  });
}

export async function runDrillRdb(context: Context, objects: ObjectStore, manifest: FileManifest): Promise<Outcome> {
  onlyForLines(context, "keep");
  return outcomeOf(await drillRdb(objects, loadingOf(context, objects, "drill"), manifest));
}

export async function runDrillAof(context: Context, objects: ObjectStore): Promise<Outcome> {
  onlyForLines(context, "keep");
  const directory = context.given("aofDir");
  const report = await drillAof(objects, loadingOf(context, objects, "drill"), {
    store: await context.redis("append-only files"),
    directory: directory === undefined ? undefined : context.resolve(directory),
  });
  return outcomeOf(report);
}

function outcomeOf(report: ServerDrillReport): Outcome {
  const exit = report.outcome === "inconclusive" ? 1 : exitOfBackup(report);
  return { exit, verdict: report.verdict, report, text: (paint) => renderServerDrill(report, paint) };
}
