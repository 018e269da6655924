// A recovery, the plan of one, or its reversal -> text. Pure.
import { QUARANTINE_DIR } from "../log/segments.ts";
import type { RecoverReport } from "../ops/recover.ts";
import type { RevertReport } from "../ops/revert.ts";
import { quoted } from "../quoted.ts";
import type { Paint } from "./io.ts";
import { nextAfterRecover } from "./next.ts";
import { about, anomalyLines, lines, logTable, recoveryLines, verdictLine } from "./render.ts";
import { printable } from "./text.ts";

/** `planned`: nothing has happened yet; with a file, the plan was written there. */
export function renderRecover(
  report: RecoverReport,
  path: string,
  paint: Paint,
  planned?: { readonly file: string | undefined },
): string {
  const { before, after, changed } = report;
  return lines(
    verdictLine(report.ok ? "good" : "bad", report.verdict, paint),
    ...about(after, path),
    `mode: ${report.mode}`,
    ...(changed ? recoveryLines(report) : []),
    "",
    ...logTable(after.logs, paint),
    ...(changed && after.anomalyCount > 0 ? ["", "what is left:"] : []),
    ...anomalyLines(changed ? after : before, paint),
    ...(planned === undefined ? nextAfterRecover(report, path) : nextAfterPlan(report, path, planned.file)),
  );
}

function nextAfterPlan({ changed }: RecoverReport, path: string, file: string | undefined): string[] {
  if (!changed) return [];
  const at = quoted(path);
  if (file === undefined)
    return ["", `Next: papyra persistence recover --plan plan.json --path ${at} keeps the plan for --apply`];
  return ["", `Next: papyra persistence recover --apply ${quoted(file)} --path ${at}`];
}

export function renderRevert(report: RevertReport, path: string, paint: Paint): string {
  const { verdict, after, quarantine, files } = report;
  return lines(
    verdictLine("good", verdict, paint),
    ...about(after, path),
    `kept: ${printable(quarantine)}`,
    ...files.map(
      ({ file, bytesBefore, bytesAfter }) =>
        `put back: ${printable(file)}, ${bytesBefore} bytes before, ${bytesAfter} after`,
    ),
    "",
    ...logTable(after.logs, paint),
    ...anomalyLines(after, paint),
    "",
    ...(report.complete ? [`Next: papyra persistence scan --path ${quoted(path)}`] : nextWhenNotTold(report, path)),
  );
}

function nextWhenNotTold({ id, quarantine, path: store }: RevertReport, path: string): string[] {
  const root = quarantine.slice(0, -id.length - 1);
  const named = root === `${store}/${QUARANTINE_DIR}` ? "" : ` --quarantine-dir ${quoted(root)}`;
  const at = `--path ${quoted(path)}${named}`;
  return [
    `Next, if that recovery was interrupted: papyra persistence recover --mode quarantine ${at}`,
    `Next, if files of its quarantine are missing: put them back from a backup, then: papyra persistence recover --revert ${id} ${at}`,
  ];
}
