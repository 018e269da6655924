// inspect: records and the summary. What is damaged is mentioned and never fatal, so that these exit with 0.
import { inspect, type InspectKind } from "../ops/inspect.ts";
import type { RetainedLog, Retention, RetentionPolicy } from "../log/retention.ts";
import { summary } from "../ops/summary.ts";
import type { Context, Handler, Outcome } from "./context.ts";
import { renderInspect, renderSummary } from "./render-inspect.ts";
import { parseTime } from "./times.ts";

/** Of the journal and the snapshots nothing is hidden: what is still there may still be needed. */
const LOG_OF_KIND: Readonly<Partial<Record<InspectKind, RetainedLog>>> = {
  event: "events",
  audit: "audits",
  dead_letter: "dead_letters",
};

function retentionOf(policy: RetentionPolicy, kind: InspectKind): Retention | undefined {
  const log = LOG_OF_KIND[kind];
  return log === undefined ? undefined : policy[log];
}

export function runInspect(kind: InspectKind): Handler {
  return async (context): Promise<Outcome> => {
    const nowMs = context.env.clock.nowMs();
    const timeOf = (name: "since" | "until"): number | undefined => {
      const value = context.given(name);
      return value === undefined ? undefined : parseTime(`--${name}`, value, nowMs);
    };
    const [sinceMs, untilMs] = [timeOf("since"), timeOf("until")];
    // A store that is named on the command line may be another one than the configuration is about, such as a backup.
    const retained = context.options.expired !== true && !context.namesPath;
    const { backend, log, path } = await context.open("log", retained ? "policy" : "default");
    const report = await inspect(backend, {
      kind,
      log,
      retention: retentionOf(backend.limits.retention, kind),
      limit: context.options.limit as number,
      sinceMs,
      untilMs,
      type: context.given("type"),
      actor: context.given("actor"),
      signal: context.signal,
    });
    return { exit: 0, verdict: report.verdict, report, text: (paint) => renderInspect(report, path, paint) };
  };
}

export async function runSummary(context: Context): Promise<Outcome> {
  const { backend, log, path } = await context.open("log");
  const count = context.options.count === true;
  const onProgress = context.progress("counting");
  const report = await summary(backend, { log, count, signal: context.signal, onProgress });
  return { exit: 0, verdict: report.verdict, report, text: (paint) => renderSummary(report, path, paint) };
}
