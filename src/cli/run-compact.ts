// compact: what goes is said on the command line or by the configuration; a plan can be kept and applied later.
import { PapyraError } from "../errors.ts";
import { RETAINED_LOGS, type RetainedLog, type Retention, type RetentionPolicy } from "../log/retention.ts";
import { compact, type CompactOptions, planCompact } from "../ops/compact.ts";
import { resolveRetention } from "../backends/retention-options.ts";
import type { Context, Outcome } from "./context.ts";
import { renderCompact } from "./render-compact.ts";
import { onlyOneOf, readPlan, writePlan } from "./plans.ts";
import { parseSize, parseSpan } from "./sizes.ts";

const COMMAND = "persistence compact";
/** What says what goes, on the command line. */
const BOUNDS = ["log", "maxRecords", "maxAge", "maxBytes"];

export async function runCompact(context: Context): Promise<Outcome> {
  onlyOneOf(context, "plan", "apply");
  const apply = context.given("apply");
  const { backend, log, path } = await context.open("log", "policy");
  if (apply !== undefined && BOUNDS.some((name) => context.options[name] !== undefined)) {
    throw new PapyraError("OPTION_INVALID", "what goes is said by the plan", {
      hint: "leave --log and the bounds out, or make another plan",
    });
  }
  const retention = policyOf(context, log as RetainedLog | undefined) ?? backend.limits.retention;
  const nowMs = context.env.clock.nowMs();
  const wanted = { retention, nowMs, signal: context.signal, onProgress: context.progress("compacting") };
  const plan = context.options.plan;
  const report =
    apply !== undefined
      ? await compact(backend, { ...wanted, ...(await planned(context, apply)) })
      : plan !== undefined
        ? await planCompact(backend, wanted)
        : await compact(backend, wanted);
  const { store = "", lineage = "", fingerprint } = report;
  const file =
    typeof plan !== "string"
      ? undefined
      : await writePlan(
          context,
          plan,
          { command: COMMAND, store, lineage, fingerprint, options: { retention, nowMs }, report },
          backend,
        );
  return {
    exit: 0,
    verdict: report.verdict,
    report,
    text: (paint) => renderCompact(report, path, file, paint),
  };
}

/** The bounds of the command line: of the log that is named, else of all but the journal. */
function policyOf(context: Context, ofPath: RetainedLog | undefined): RetentionPolicy | undefined {
  const records = context.options.maxRecords as number | undefined;
  const age = context.given("maxAge");
  const size = context.given("maxBytes");
  const bounds: Retention = {
    ...(records === undefined ? {} : { maxRecords: records }),
    ...(age === undefined ? {} : { maxAgeMs: parseSpan("--max-age", age) }),
    ...(size === undefined ? {} : { maxBytes: parseSize("--max-bytes", size) }),
  };
  const named = (context.given("log") as RetainedLog | undefined) ?? ofPath;
  if (Object.keys(bounds).length === 0) {
    if (named === undefined) return undefined;
    throw new PapyraError("OPTION_INVALID", `nothing says what of ${named} may go`, {
      hint: "add --max-records, --max-age or --max-bytes; without --log, what the configuration says is done",
    });
  }
  const logs = named === undefined ? RETAINED_LOGS.filter((name) => name !== "journal") : [named];
  return resolveRetention(Object.fromEntries(logs.map((name) => [name, bounds])));
}

async function planned(
  context: Context,
  file: string,
): Promise<Pick<CompactOptions, "retention" | "nowMs" | "fingerprint">> {
  const { options, fingerprint } = await readPlan(context, file, COMMAND);
  return { retention: resolveRetention(options.retention), nowMs: Number(options.nowMs), fingerprint };
}
