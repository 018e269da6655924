// replay: the definitions come from the configuration, since only the service's own code can fold its events.
import type { AnyPersistentActor } from "../actors/persistent.ts";
import { PapyraError } from "../errors.ts";
import { replay, type ReplayReport } from "../ops/replay.ts";
import type { Context, Outcome } from "./context.ts";
import { exitOfReplay } from "./exit-codes.ts";
import { renderReplay } from "./render-replay.ts";
import { parseTime } from "./times.ts";

export async function runReplay(context: Context): Promise<Outcome> {
  const until = untilOf(context);
  const { backend, path, lone } = await context.open("store");
  if (lone) {
    throw new PapyraError("OPTION_INVALID", `${path} is a single file; a replay needs the journal of a store`, {
      hint: "name the directory of the store",
    });
  }
  const { config, file } = await context.config();
  if (config.actors === undefined || config.actors.length === 0) {
    const where = file === undefined ? "there is no papyra.config" : `${file} names no actors`;
    throw new PapyraError("OPTION_INVALID", `a replay needs the definitions of the actors, and ${where}`, {
      hint: "put the definitions into papyra.config.ts: export default defineConfig({ actors: [account] })",
    });
  }
  const report = await replay(backend, {
    definitions: config.actors as readonly AnyPersistentActor[],
    persistenceId: context.given("actor"),
    ...until,
    verify: context.options.verify === true,
    signal: context.signal,
    onProgress: context.progress("replaying"),
  });
  return {
    exit: exitOfReplay(report),
    verdict: report.verdict,
    report: context.options.states === true ? report : withoutStates(report),
    text: (paint) => renderReplay(report, path, paint),
  };
}

function withoutStates(report: ReplayReport): object {
  const actors = report.actors.map(({ persistenceId, revision, seq, digest }) => ({
    persistenceId,
    revision,
    seq,
    digest,
  }));
  return { ...report, actors };
}

/** A number is a seq; anything else is a time. */
function untilOf(context: Context): { untilSeq?: number; untilMs?: number } {
  const until = context.given("until");
  if (until === undefined) return {};
  if (/^\d{1,15}$/.test(until)) return { untilSeq: Number(until) };
  return { untilMs: parseTime("--until", until, context.env.clock.nowMs()) };
}
