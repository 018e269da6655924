// backup restore: to a directory, to a place in Redis, or the file of a server as it was.
import { restoreInPlace } from "../backup/in-place.ts";
import type { ObjectStore } from "../backup/objects.ts";
import { type BackupInfo, findBackup, ofOneStore, viewRepository } from "../backup/repository.ts";
import { notGood, planRestore, restoreBackup } from "../backup/restore.ts";
import { isFileBackup } from "../backup/server-file.ts";
import { PapyraError } from "../errors.ts";
import { writeBackedUpFile } from "../rdb/put-back.ts";
import { definedActors, loadingOf, pointOf, watched } from "./backup-options.ts";
import type { Context, Outcome } from "./context.ts";
import { onlyOneOf } from "./plans.ts";
import * as render from "./render-backup.ts";
import { renderPutBack } from "./render-rdb.ts";

export async function runRestore(context: Context): Promise<Outcome> {
  onlyOneOf(context, "plan", "inPlace");
  const objects = await context.repository();
  const file = context.given("asRdb");
  if (file !== undefined) {
    for (const other of ["target", "plan", "inPlace", "toTime", "toSeq"]) onlyOneOf(context, "asRdb", other);
    return putBack(context, objects, context.resolve(file));
  }
  const { plan, inPlace, states, allowDamaged } = context.options;
  const directory = context.given("target");
  if (directory === undefined && inPlace === true) {
    throw new PapyraError("OPTION_INVALID", "--in-place is for a store in a directory", {
      hint: "restore to another --system, look at it, then let the service use that one",
    });
  }
  const target = directory === undefined ? await context.restoreTarget() : context.resolve(directory);
  const wanted = {
    point: pointOf(context),
    store: context.given("store"),
    allowDamaged: allowDamaged === true,
    states: states === true ? await definedActors(context) : undefined,
    ...watched(context, "restoring"),
  };
  const { withSource } = await import("../rdb/load.ts");
  const live =
    plan === true && directory !== undefined && context.namesPath ? (await context.open("store")).backend : undefined;
  const report =
    inPlace === true
      ? await restoreInPlace(objects, context.env, context.resolve(directory as string), wanted)
      : await withSource(loadingOf(context, objects, "restore"), (sourceOf) =>
          plan === true
            ? planRestore(objects, target, { ...wanted, live }, { sourceOf })
            : restoreBackup(objects, context.env, target, wanted, { sourceOf }),
        );
  return { exit: 0, verdict: report.verdict, report, text: (paint) => render.restored(report, paint) };
}

/** By default of the newest good backup that has such a file. */
async function putBack(context: Context, objects: ObjectStore, target: string): Promise<Outcome> {
  const view = await viewRepository(objects);
  const named = context.given("toBackup");
  const isFile = ({ manifest }: BackupInfo): boolean => manifest !== undefined && isFileBackup(manifest);
  const own = named === undefined ? ofOneStore(view, context.given("store")) : view;
  const among = named === undefined ? { ...own, backups: own.backups.filter(isFile), watched: [] } : own;
  const { id, manifest, good, problems } = findBackup(among, named ?? "latest");
  if (!isFileBackup(manifest)) {
    throw new PapyraError("OPTION_INVALID", `backup ${id} is one of lines, and no file of a server`, {
      hint: "name one that is: --to-backup <id> (papyra backup list); or leave --as-rdb out",
    });
  }
  if (!good && context.options.allowDamaged !== true) throw notGood(id, problems);
  const report = await writeBackedUpFile(objects, context.env, manifest, target, context.signal);
  return { exit: 0, verdict: report.verdict, report, text: (paint) => renderPutBack(report, paint) };
}
