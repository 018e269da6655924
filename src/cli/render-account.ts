// The account of a store -> text: one sum a log, and what became of each seq that is not there. Pure.
import type { AbsentSeqs, AccountReport, LogSum } from "../ops/account.ts";
import type { Paint } from "./io.ts";
import { lines, seqsOf, verdictLine } from "./render.ts";
import { printable, timeOf } from "./text.ts";

/** So many stretches a log are shown; --json has up to 1,000. */
const SHOWN_MAX = 20;

export function renderAccount(report: AccountReport, path: string, paint: Paint): string {
  return lines(
    verdictLine(report.ok ? "good" : "bad", report.verdict, paint),
    `path: ${printable(path)}`,
    ...(report.store === undefined
      ? []
      : [`store: ${printable(report.store)}, lineage ${printable(report.lineage ?? "")}`]),
    "",
    ...report.logs.flatMap(logLines),
  );
}

function logLines(log: LogSum): string[] {
  const { lastSeq, present, compacted, quarantined, lost, missing, unchecked, unread, absent, absentCount } = log;
  if (unchecked > 0) return [`${log.log}: ${unchecked} lines without seqs`];
  const untold =
    unread === 0 ? "" : `, and ${unread} ${unread === 1 ? "file" : "files"} that cannot be read as its own`;
  if (lastSeq === 0) return [`${log.log}: no record${untold}`];
  const parts = [`${present} present`, `${compacted} compacted`, `${quarantined} quarantined`, `${lost} lost`];
  const sum = `${log.log}: 1..${lastSeq} = ${parts.join(" + ")}${missing === 0 ? "" : ` + ${missing} MISSING`}${untold}`;
  const end = log.endVouched ? "" : ` (nothing vouches for the end: ${log.endWhy})`;
  const more = absentCount > SHOWN_MAX ? [`  and ${absentCount - SHOWN_MAX} more (--json lists up to 1000)`] : [];
  return [`${sum}${end}`, ...absent.slice(0, SHOWN_MAX).map(absentLine), ...more];
}

function absentLine({ from, to, reason, by, timestamp }: AbsentSeqs): string {
  const who = by === undefined ? "" : ` by ${printable(by)}`;
  const when = timestamp === undefined ? "" : ` at ${timeOf(timestamp)}`;
  return `  ${seqsOf({ from, to })}: ${reason}${who}${when}`;
}
