// A replay -> text. Pure.
import type { ReplayReport } from "../ops/replay.ts";
import type { Paint } from "./io.ts";
import { lines, verdictLine } from "./render.ts";
import { quoted } from "../quoted.ts";
import { printable, shortened, table } from "./text.ts";

const SHOWN_MAX = 100;

export function renderReplay(report: ReplayReport, path: string, paint: Paint): string {
  const { actors, undefinedTypes, problems, verified } = report;
  const rows = actors
    .slice(0, SHOWN_MAX)
    .map(({ persistenceId, revision, seq, digest }) => [
      shortened(persistenceId, 80),
      String(revision),
      String(seq),
      digest,
    ]);
  const [head = "", ...body] = table(["ACTOR", "REVISION", "SEQ", "DIGEST"], rows, ["REVISION", "SEQ"]);
  return lines(
    verdictLine(report.ok ? "good" : "bad", report.verdict, paint),
    `path: ${printable(path)}`,
    `journal: ${report.events} events folded, up to seq ${report.lastSeq}`,
    ...Object.entries(undefinedTypes).map(
      ([type, events]) => `not replayed: ${printable(type)}, ${events} events: no definition of it`,
    ),
    ...(actors.length === 0 ? [] : ["", paint("dim", head), ...body]),
    ...(actors.length > SHOWN_MAX ? [`and ${actors.length - SHOWN_MAX} more (--json lists all)`] : []),
    ...problems
      .slice(0, SHOWN_MAX)
      .flatMap(({ persistenceId, code, message, hint }) => [
        "",
        `problem: ${printable(persistenceId)} (${code}): ${printable(message)}`,
        ...(hint === undefined ? [] : [`  Next: ${printable(hint)}`]),
      ]),
    ...(verified?.divergences ?? [])
      .slice(0, SHOWN_MAX)
      .flatMap((found) => [
        "",
        `diverged: ${printable(found.persistenceId)} ${found.against === "fold" ? "between two folds" : "from its snapshot"}`,
        `  first event after which they differ: revision ${found.revision}, seq ${found.seq}, ${printable(found.eventType)}`,
        `  equal up to revision ${found.equalUpTo}`,
      ]),
    ...(report.ok ? [] : ["", `Next: papyra persistence scan --path ${quoted(path)}`]),
  );
}
