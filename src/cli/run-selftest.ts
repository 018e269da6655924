// persistence selftest: which disk, for how long; the rest is the operation's.
import { PapyraError } from "../errors.ts";
import { selftest } from "../ops/selftest.ts";
import type { Context, Outcome } from "./context.ts";
import { exitOfSelftest } from "./exit-codes.ts";
import { renderSelftest } from "./render-selftest.ts";

export async function runSelftest(context: Context): Promise<Outcome> {
  const dir = context.given("dir");
  if (dir !== undefined && context.options.path !== undefined)
    throw new PapyraError("OPTION_INVALID", "DIR and --path both name the directory", {
      hint: "leave one of them out",
    });
  const path = dir === undefined ? await context.path() : context.resolve(dir);
  const { seconds } = context.options as { seconds?: number };
  const onProgress = context.progress("crashing", "ms");
  const report = await selftest(context.selftestWorld, path, { seconds, signal: context.signal, onProgress });
  return {
    exit: exitOfSelftest(report),
    verdict: report.verdict,
    report,
    text: (paint) => renderSelftest(report, paint),
  };
}
