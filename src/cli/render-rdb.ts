// Reports about files of a server -> text. Pure.
import type { CreateRdbReport } from "../rdb/create-rdb.ts";
import type { ServerDrillReport } from "../rdb/drill-rdb.ts";
import type { PutBackReport } from "../rdb/put-back.ts";
import type { Paint } from "./io.ts";
import { lines, verdictLine } from "./render.ts";
import { anchorLine, fileLines, logTable, shortList } from "./render-backup.ts";
import { printable, timeOf } from "./text.ts";

export function renderCreatedRdb(report: CreateRdbReport, paint: Paint): string {
  const { backup, repository, storedBytes, loadSeconds, seconds } = report;
  return lines(
    head(report, paint),
    `repository: ${printable(repository)}`,
    `source: ${printable(backup.source)} (${backup.how}), store ${printable(backup.store)}, lineage ${printable(backup.lineage)}`,
    `instant: ${timeOf(backup.instant)}`,
    ...fileLines(backup),
    `bytes: ${storedBytes} stored, ${seconds.toFixed(1)} s, of which a server loaded it in ${loadSeconds.toFixed(1)} s`,
    ...logTable(backup, paint),
    ...shortList(backup.anomalies),
    ...anchorLine(report.anchor),
  );
}

export function renderServerDrill(report: ServerDrillReport, paint: Paint): string {
  const { records, bytes, loadSeconds, scanSeconds } = report;
  return lines(
    head(report, paint),
    `loaded: ${bytes} bytes in ${loadSeconds.toFixed(1)} s; ${records} records read in ${scanSeconds.toFixed(1)} s`,
    ...anchorLine(report.anchor),
  );
}

export function renderPutBack(report: PutBackReport, paint: Paint): string {
  return lines(
    head(report, paint),
    "",
    "To put it back into its server:",
    ...report.steps.map((step, i) => `${i + 1}. ${printable(step)}`),
    "",
    ...anchorLine(report.anchor),
  );
}

function head({ ok, verdict }: { readonly ok: boolean; readonly verdict: string }, paint: Paint): string {
  return verdictLine(ok ? "good" : "bad", verdict, paint);
}
