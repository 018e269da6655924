// A compaction, or the plan of one -> text: what goes of each log and segment, in bytes before and after. Pure.
import type { CompactLogReport, CompactReport } from "../ops/compact-report.ts";
import { quoted } from "../quoted.ts";
import type { Paint } from "./io.ts";
import { lines, seqsOf, verdictLine } from "./render.ts";
import { printable, table } from "./text.ts";

/** So many segments and stretches a log are shown; --json has up to 1,000. */
const SHOWN_MAX = 20;

/** `file` is where the plan was written, if it was. */
export function renderCompact(report: CompactReport, path: string, file: string | undefined, paint: Paint): string {
  const { store, lineage = "", id, logs, leftovers } = report;
  return lines(
    verdictLine("good", report.verdict, paint),
    `path: ${printable(path)}`,
    ...(store === undefined ? [] : [`store: ${printable(store)}, lineage ${printable(lineage)}`]),
    ...(id === undefined ? [] : [`id: ${printable(id)}`]),
    ...leftovers.map((name) => `leftover of an interrupted compaction: ${printable(name)}`),
    ...logs.flatMap((log) => ["", ...logLines(log, paint)]),
    ...nextSteps(report, path, file),
  );
}

function logLines(log: CompactLogReport, paint: Paint): string[] {
  const { records, bytesBefore, goneBytes, segments, seqs, rangeCount, done } = log;
  if (records === 0) return [`${log.log}: nothing goes, ${bytesBefore} bytes stay`];
  const head = `${log.log}: ${records} records go; ${bytesBefore} bytes before = ${bytesBefore - goneBytes} that stay + ${goneBytes} that go`;
  const rows = segments
    .slice(0, SHOWN_MAX)
    .map((one) => [
      one.file,
      String(one.bytes),
      String(one.bytes - one.goneBytes),
      String(one.lines),
      String(one.lines - one.goneLines),
    ]);
  const columns = ["SEGMENT", "BYTES", "STAYING", "LINES", "STAYING"];
  const [first = "", ...rest] = table(columns, rows, columns.slice(1));
  const shown = seqs.slice(0, SHOWN_MAX).map((range) => seqsOf(range));
  const more =
    rangeCount > shown.length ? [`and ${rangeCount - shown.length} more stretches (--json lists up to 1000)`] : [];
  const result =
    done === undefined
      ? []
      : [
          `segments: ${done.segmentsBefore} before, ${done.segmentsAfter} after; ${done.writtenBytes} bytes written anew, ${done.gaps} gap ${done.gaps === 1 ? "record" : "records"}`,
        ];
  return [head, paint("dim", first), ...rest, ...shown, ...more, ...result];
}

function nextSteps({ changed, logs, leftovers, id }: CompactReport, path: string, file: string | undefined): string[] {
  const planned = id === undefined && !changed && (leftovers.length > 0 || logs.some(({ records }) => records > 0));
  if (changed) return ["", `Next: papyra persistence account --path ${quoted(path)}`];
  if (!planned || file === undefined) return [];
  return ["", `Next: papyra persistence compact --apply ${quoted(file)} --path ${quoted(path)}`];
}
