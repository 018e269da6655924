// The commands below `papyra backup`: options in, reports out.
import { createBackup } from "../backup/create.ts";
import type { Manifest } from "../backup/manifest.ts";
import type { ObjectStore } from "../backup/objects.ts";
import { pinBackup } from "../backup/pins.ts";
import { planPrune, prune, type PruneOptions } from "../backup/prune.ts";
import { findBackup, viewRepository } from "../backup/repository.ts";
import { isFileBackup } from "../backup/server-file.ts";
import { restoreActor } from "../backup/restore-actor.ts";
import { rotateKeys } from "../backup/rotate-keys.ts";
import { backupStatus, statusMetrics } from "../backup/status.ts";
import { type Sample, verifyBackups, type VerifyLevel } from "../backup/verify.ts";
import { watchBackups } from "../backup/watch.ts";
import { ensureError, PapyraError } from "../errors.ts";
import { definedActors, loadingOf, pointOf, watched } from "./backup-options.ts";
import type { Context, Outcome } from "./context.ts";
import { exitOfBackup } from "./exit-codes.ts";
import { onlyOneOf } from "./plans.ts";
import { openPath } from "./open.ts";
import * as render from "./render-backup.ts";
import { parseSize, parseSpan } from "./sizes.ts";
import { parseTime } from "./times.ts";

export { runDrill } from "./run-drill.ts";
export { runRestore } from "./run-restore.ts";

export async function runCreate(context: Context): Promise<Outcome> {
  if (context.options.rdb === true || context.given("rdbFile") !== undefined) {
    const { runCreateRdb } = await import("./run-rdb.ts");
    return runCreateRdb(context);
  }
  const objects = await context.repository();
  const { backend } = await context.open("store");
  const states = context.options.states === true ? await definedActors(context) : undefined;
  const report = await createBackup(backend, objects, {
    note: context.given("note"),
    freeze: context.options.freeze === true,
    states,
    ...watched(context, "backing up"),
  });
  return {
    exit: exitOfBackup(report),
    verdict: report.verdict,
    report,
    text: (paint) => render.created(report, paint),
  };
}

export async function runAdopt(context: Context): Promise<Outcome> {
  const objects = await context.repository();
  const { backend } = await openPath(context.env, context.resolve(String(context.options.dir)), {});
  const wanted = { note: context.given("note"), ...watched(context, "reading") };
  const report = await createBackup(backend, objects, wanted, { how: "adopted" });
  return {
    exit: exitOfBackup(report),
    verdict: report.verdict,
    report,
    text: (paint) => render.created(report, paint),
  };
}

/** Ended by a signal, as it is meant to be: that is no failure. */
export async function runWatch(context: Context): Promise<Outcome> {
  const objects = await context.repository();
  const { backend } = await context.open("store");
  const [every, backupEvery] = [context.given("every"), context.given("backupEvery")];
  const { stderr } = context.io;
  const say = (line: string): void => void (context.options.json !== true && stderr.write(`${line}\n`));
  const report = await watchBackups(backend, objects, {
    everyMs: every === undefined ? undefined : parseSpan("--every", every),
    backupEveryMs: backupEvery === undefined ? undefined : parseSpan("--backup-every", backupEvery),
    signal: context.signal,
    onProblem: (error) => say(`papyra: a round failed and is tried again: ${ensureError(error).message}`),
  });
  return { exit: 0, verdict: report.verdict, report, text: (paint) => render.watched(report, paint) };
}

export async function runList(context: Context): Promise<Outcome> {
  const view = await viewRepository(await context.repository());
  const ok = view.problems.length === 0;
  const good = view.backups.filter((info) => info.good).length;
  const verdict = `${view.backups.length} backups, ${good} of them good${ok ? "" : `; the repository has ${view.problems.length} problems`}`;
  const backups = view.backups.map(({ manifest, ...info }) => ({
    ...info,
    ...(manifest === undefined ? {} : render.summaryOf(manifest)),
  }));
  const report = {
    ok,
    verdict,
    repository: view.location,
    backups,
    problems: view.problems,
    anchor: view.catalog.anchor,
  };
  return { exit: exitOfBackup(report), verdict, report, text: (paint) => render.listed(view, verdict, paint) };
}

export async function runShow(context: Context): Promise<Outcome> {
  const found = findBackup(await viewRepository(await context.repository()), String(context.options.id));
  const verdict = `backup ${found.id}: ${found.good ? "good" : found.problems.join("; ")}`;
  return {
    exit: 0,
    verdict,
    report: { ok: found.good, verdict, ...found },
    text: (paint) => render.shown(found, verdict, paint),
  };
}

export async function runVerify(context: Context): Promise<Outcome> {
  const objects = await context.repository();
  const level = context.given("level") as VerifyLevel;
  const timeBox = context.given("timeBox");
  const report = await verifyBackups(objects, {
    backup: context.given("id"),
    level,
    sample: sampleOf(context.given("sample")),
    timeBoxMs: timeBox === undefined ? undefined : parseSpan("--time-box", timeBox),
    anchor: context.given("anchor"),
    states: level === "replay" ? await definedActors(context, "optional") : undefined,
    loadFile: (manifest) => loadFile(context, objects, manifest),
    ...watched(context, "verifying"),
  });
  return {
    exit: exitOfBackup(report),
    verdict: report.verdict,
    report,
    text: (paint) => render.verified(report, paint),
  };
}

async function loadFile(context: Context, objects: ObjectStore, manifest: Manifest): Promise<string> {
  if (!isFileBackup(manifest)) return "";
  const { judgeBackup } = await import("../rdb/load.ts");
  return judgeBackup(loadingOf(context, objects, "verify"), objects, manifest);
}

export async function runStatus(context: Context): Promise<Outcome> {
  const [age, drill] = [context.given("maxAge"), context.given("requireDrill")];
  const report = await backupStatus(await context.repository(), {
    store: context.given("store"),
    maxAgeMs: age === undefined ? undefined : parseSpan("--max-age", age),
    requireDrillMs: drill === undefined ? undefined : parseSpan("--require-drill", drill),
  });
  const text: Outcome["text"] =
    context.options.prometheus === true ? () => statusMetrics(report) : (paint) => render.status(report, paint);
  return { exit: report.ok ? 0 : 1, verdict: report.verdict, report, text };
}

export async function runRestoreActor(context: Context): Promise<Outcome> {
  const objects = await context.repository();
  const { backend } = await context.open("store", "policy");
  const report = await restoreActor(objects, backend, {
    actor: String(context.options.id),
    as: context.given("as"),
    point: pointOf(context),
    signal: context.signal,
  });
  return { exit: 0, verdict: report.verdict, report, text: (paint) => render.restoredActor(report, paint) };
}

export async function runPrune(context: Context): Promise<Outcome> {
  onlyOneOf(context, "plan", "preview");
  const objects = await context.repository();
  const options = { ...pruneOptionsOf(context), signal: context.signal };
  const preview = context.given("preview");
  const atMs = preview === undefined ? undefined : parseTime("--preview", preview, context.env.clock.nowMs());
  const planned = context.options.plan === true || preview !== undefined;
  const report = planned ? await planPrune(objects, options, atMs) : await prune(objects, options);
  return { exit: 0, verdict: report.verdict, report, text: (paint) => render.pruned(report, paint) };
}

export function runPin(context: Context): Promise<Outcome> {
  return pin(context, false);
}

export function runUnpin(context: Context): Promise<Outcome> {
  return pin(context, true);
}

async function pin(context: Context, unpin: boolean): Promise<Outcome> {
  const { id, anchor } = await pinBackup(await context.repository(), String(context.options.id), {
    unpin,
    note: context.given("note"),
  });
  const verdict = `backup ${id} ${unpin ? "is not pinned any more" : "is pinned"}`;
  const report = { ok: true, verdict, id, pinned: !unpin, anchor };
  return { exit: 0, verdict, report, text: (paint) => render.pinned(report, paint) };
}

export async function runRotateKeys(context: Context): Promise<Outcome> {
  const report = await rotateKeys(await context.repository());
  return { exit: 0, verdict: report.verdict, report, text: (paint) => render.keysRotated(report, paint) };
}

function sampleOf(value: string | undefined): Sample | undefined {
  if (value === undefined) return undefined;
  const share = /^(\d{1,6})\/(\d{1,6})$/.exec(value);
  if (share !== null) {
    const [n, of] = [Number(share[1]), Number(share[2])];
    if (n >= 1 && n <= of) return { share: n, of };
    throw new PapyraError("OPTION_INVALID", `--sample ${value}: the first number is from 1 to the second`, {
      hint: "give 1/7 to 7/7",
    });
  }
  const percent = /^(\d{1,3}(?:\.\d{1,2})?)%$/.exec(value);
  if (percent !== null && Number(percent[1]) <= 100) return { percent: Number(percent[1]) };
  return { bytes: parseSize("--sample", value) };
}

function pruneOptionsOf(context: Context): PruneOptions {
  const { options } = context;
  const within = context.given("keepWithin");
  const grace = context.given("grace");
  const count = (name: string): number | undefined => options[name] as number | undefined;
  return {
    keep: {
      last: count("keepLast"),
      hourly: count("keepHourly"),
      daily: count("keepDaily"),
      weekly: count("keepWeekly"),
      monthly: count("keepMonthly"),
      yearly: count("keepYearly"),
      withinMs: within === undefined ? undefined : parseSpan("--keep-within", within),
      minGood: count("minGood"),
    },
    graceMs: grace === undefined ? undefined : parseSpan("--grace", grace),
  };
}
