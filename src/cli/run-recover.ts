// recover: at once, as a plan, by a plan, or backwards.
import { PapyraError } from "../errors.ts";
import { applyRecover, planRecover, type RecoverPlan } from "../ops/recover-plan.ts";
import { recover, RECOVER_MODES, type RecoverMode, type RecoverOptions } from "../ops/recover.ts";
import { RECOVERY_ID, revert } from "../ops/revert.ts";
import { noPlan, type PlanFile } from "../ops/plan-file.ts";
import { oneOf } from "../options.ts";
import type { Context, Outcome } from "./context.ts";
import { exitOfRecover } from "./exit-codes.ts";
import { onlyOneOf, readPlan, writePlan } from "./plans.ts";
import { renderRecover, renderRevert } from "./render-recover.ts";

const COMMAND = "persistence recover";

export async function runRecover(context: Context): Promise<Outcome> {
  onlyOneOf(context, "plan", "apply", "revert");
  if (context.given("revert") !== undefined) return runRevert(context, context.given("revert") as string);
  if (context.given("apply") !== undefined) return runApply(context, context.given("apply") as string);
  const { mode, quarantineDir } = await recoverMode(context);
  const { backend, log, path } = await context.open("log");
  const onProgress = context.progress("recovering");
  const options = { mode, quarantineDir, log, signal: context.signal, onProgress };
  const { plan } = context.options;
  if (plan === undefined) return outcome(await recover(backend, options), path, undefined);
  const { report, run, fingerprint } = await planRecover(backend, options);
  const { store = "", lineage = "" } = report.before;
  const kept = { mode, quarantineDir, log, run };
  const file =
    typeof plan !== "string"
      ? undefined
      : await writePlan(
          context,
          plan,
          { command: COMMAND, store, lineage, fingerprint, options: kept, report },
          backend,
        );
  return outcome(report, path, { file });
}

async function runApply(context: Context, file: string): Promise<Outcome> {
  if (context.given("mode") !== undefined || context.given("quarantineDir") !== undefined) {
    throw new PapyraError("OPTION_INVALID", "the mode and the quarantine are those of the plan", {
      hint: "leave --mode and --quarantine-dir out, or make another plan",
    });
  }
  const plan = await readPlan(context, file, COMMAND);
  const { backend, log, path } = await context.open("log");
  const planned = plannedIn(plan, file);
  if (planned.log !== log) {
    throw new PapyraError(
      "OPTION_INVALID",
      `the plan is about ${planned.log ?? "the whole store"}, and --path names ${log ?? "the whole store"}`,
      {
        hint: "give the same --path as for the plan",
      },
    );
  }
  const report = await applyRecover(backend, {
    mode: oneOf("mode", planned.mode, "repair", RECOVER_MODES),
    quarantineDir: planned.quarantineDir,
    log,
    run: planned.run,
    fingerprint: plan.fingerprint,
    signal: context.signal,
    onProgress: context.progress("recovering"),
  });
  return outcome(report, path, undefined);
}

type Planned = Pick<RecoverOptions, "mode" | "quarantineDir" | "log"> & { readonly run: RecoverPlan["run"] };

/** A plan is a file, which somebody may have edited: its id names a directory, and all that it says is written into the store. */
function plannedIn({ options }: PlanFile, file: string): Planned {
  const { run, quarantineDir } = options as unknown as Partial<Planned>;
  const named = quarantineDir === undefined || typeof quarantineDir === "string";
  const whole = named && typeof run?.id === "string" && RECOVERY_ID.test(run.id) && Number.isSafeInteger(run.nowMs);
  if (whole) return options as unknown as Planned;
  throw noPlan(file, COMMAND, "it is not whole");
}

async function runRevert(context: Context, id: string): Promise<Outcome> {
  if (context.given("mode") !== undefined) {
    throw new PapyraError("OPTION_INVALID", "--revert puts back what a recovery took out; it has no mode", {
      hint: "leave --mode out",
    });
  }
  const { backend, path } = await context.open("store");
  const named = context.given("quarantineDir");
  const quarantineDir = named === undefined ? await context.configuredQuarantine() : context.resolve(named);
  const report = await revert(backend, { id, quarantineDir, signal: context.signal });
  return { exit: 0, verdict: report.verdict, report, text: (paint) => renderRevert(report, path, paint) };
}

function outcome(
  report: Awaited<ReturnType<typeof recover>>,
  path: string,
  planned: { readonly file: string | undefined } | undefined,
): Outcome {
  return {
    exit: exitOfRecover(report),
    verdict: report.verdict,
    report,
    text: (paint) => renderRecover(report, path, paint, planned),
  };
}

/**
 * A place to keep things says that they shall be kept: --quarantine-dir alone, or one in the configuration, means
 * quarantine. With a mode that keeps nothing, it is a contradiction.
 */
async function recoverMode(context: Context): Promise<{ mode: RecoverMode; quarantineDir: string | undefined }> {
  const mode = context.given("mode") as RecoverMode | undefined;
  const named = context.given("quarantineDir");
  if (named !== undefined) {
    if (mode !== undefined && mode !== "quarantine") {
      throw new PapyraError(
        "OPTION_INVALID",
        `--quarantine-dir keeps what is taken out; --mode ${mode} keeps nothing`,
        {
          hint: "say --mode quarantine, or leave --quarantine-dir out",
        },
      );
    }
    return { mode: "quarantine", quarantineDir: context.resolve(named) };
  }
  if (mode === "ignore" || mode === "repair") return { mode, quarantineDir: undefined };
  const quarantineDir = await context.configuredQuarantine();
  return { mode: mode ?? (quarantineDir === undefined ? "repair" : "quarantine"), quarantineDir };
}
