// scan, account and startup-check: open, call the operation, say what it came to.
import { account } from "../ops/account.ts";
import { scan } from "../ops/scan.ts";
import { startupCheck } from "../ops/startup.ts";
import type { Context, Outcome } from "./context.ts";
import { exitOfAccount, exitOfScan, exitOfStartup } from "./exit-codes.ts";
import { renderAccount } from "./render-account.ts";
import { renderScan, renderStartup } from "./render.ts";

export async function runScan(context: Context): Promise<Outcome> {
  const { backend, log, path } = await context.open("log");
  const { threads, signal } = context;
  const report = await scan(backend, { log, threads, signal, onProgress: context.progress("scanning") });
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

export async function runStartupCheck(context: Context): Promise<Outcome> {
  const { mode, quarantineDir } = await context.startup();
  const { backend, path } = await context.open("store");
  const onProgress = context.progress("checking");
  const trustSeals = context.options.trustSeals === true;
  const { threads, signal } = context;
  const report = await startupCheck(backend, { mode, quarantineDir, trustSeals, threads, signal, onProgress });
  return {
    exit: exitOfStartup(report),
    verdict: report.verdict,
    report,
    text: (paint) => renderStartup(report, path, paint),
  };
}
