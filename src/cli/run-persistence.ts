// scan, recover and startup-check: open, call the operation, say what it came to.
import { PapyraError } from "../errors.ts";
import { account } from "../ops/account.ts";
import { recover, type RecoverMode } from "../ops/recover.ts";
import { scan } from "../ops/scan.ts";
import { startupCheck } from "../ops/startup.ts";
import type { Context, Outcome } from "./context.ts";
import { exitOfAccount, exitOfRecover, exitOfScan, exitOfStartup } from "./exit-codes.ts";
import { renderAccount } from "./render-account.ts";
import { renderRecover, renderScan, renderStartup } from "./render.ts";

export async function runScan(context: Context): Promise<Outcome> {
  const { backend, log, path } = await context.open("log");
  const report = await scan(backend, { log, signal: context.signal, onProgress: context.progress("scanning") });
  return {
    exit: exitOfScan(report),
    verdict: report.verdict,
    report,
    text: (paint) => renderScan(report, path, paint),
  };
}

export async function runAccount(context: Context): Promise<Outcome> {
  const { backend, log, path } = await context.open("log");
  const report = await account(backend, { log, signal: context.signal, onProgress: context.progress("accounting") });
  return {
    exit: exitOfAccount(report),
    verdict: report.verdict,
    report,
    text: (paint) => renderAccount(report, path, paint),
  };
}

export async function runRecover(context: Context): Promise<Outcome> {
  const { mode, quarantineDir } = await recoverMode(context);
  const { backend, log, path } = await context.open("log");
  const onProgress = context.progress("recovering");
  const report = await recover(backend, { mode, quarantineDir, log, signal: context.signal, onProgress });
  return {
    exit: exitOfRecover(report),
    verdict: report.verdict,
    report,
    text: (paint) => renderRecover(report, path, paint),
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

export async function runStartupCheck(context: Context): Promise<Outcome> {
  const { mode, quarantineDir } = await context.startup();
  const { backend, path } = await context.open("store");
  const onProgress = context.progress("checking");
  const trustSeals = context.options.trustSeals === true;
  const report = await startupCheck(backend, { mode, quarantineDir, trustSeals, signal: context.signal, onProgress });
  return {
    exit: exitOfStartup(report),
    verdict: report.verdict,
    report,
    text: (paint) => renderStartup(report, path, paint),
  };
}
