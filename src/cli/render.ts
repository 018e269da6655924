// Reports -> text for an operator at night. Pure. The verdict comes first, the command to run next comes last, and what
// is in between can be grepped: one fact a line, numbers as they are.
import { ANOMALY_KINDS, type Anomaly } from "../log/anomaly.ts";
import type { DoctorReport } from "../ops/doctor.ts";
import type { RecoverReport } from "../ops/recover.ts";
import type { LogReport, ScanReport } from "../ops/scan.ts";
import type { StartupReport } from "../ops/startup.ts";
import type { Paint } from "./io.ts";
import { nextAfterScan, nextAfterStartup } from "./next.ts";
import { printable, table } from "./text.ts";

/** So many anomalies are shown in full; --json has up to 1,000. */
const SHOWN_MAX = 20;

export function renderScan(report: ScanReport, path: string, paint: Paint): string {
  return lines(
    verdictLine(report.ok ? "good" : "bad", report.verdict, paint),
    ...about(report, path),
    "",
    ...logTable(report.logs, paint),
    ...anomalyLines(report, paint),
    ...nextAfterScan(report, path),
  );
}

export function recoveryLines(report: RecoverReport): string[] {
  const { before, after, removedBytes, insertedBytes, actions, actionCount, gaps, segments, quarantine, id } = report;
  const sizeOf = (scan: ScanReport): number => scan.logs.reduce((sum, log) => sum + log.bytes, 0);
  const created = sizeOf(after) - (sizeOf(before) - removedBytes + insertedBytes);
  const out = [`recovery: ${id}`];
  for (const action of actions.slice(0, SHOWN_MAX)) {
    const { what, file, offset, bytes, kind, seqs } = action;
    const why = kind === undefined ? "" : `, ${kind}`;
    out.push(
      `${what}: ${printable(file)} byte ${offset}, ${bytes} bytes${why}${seqs === undefined ? "" : `, ${seqsOf(seqs)}`}`,
    );
  }
  if (actionCount > SHOWN_MAX) out.push(`and ${actionCount - SHOWN_MAX} more (--json lists up to 1000)`);
  for (const { log, from, to, reason } of gaps.slice(0, SHOWN_MAX)) {
    out.push(`gap record: ${log} ${seqsOf({ from, to })} accounted for as ${reason}`);
  }
  if (gaps.length > SHOWN_MAX) out.push(`and ${gaps.length - SHOWN_MAX} more gap records (--json lists all)`);
  for (const { file, bytesBefore, bytesAfter } of segments.slice(0, SHOWN_MAX)) {
    out.push(`${printable(file)}: ${bytesBefore} bytes before, ${bytesAfter} after`);
  }
  if (segments.length > SHOWN_MAX) out.push(`and ${segments.length - SHOWN_MAX} more files (--json lists all)`);
  if (quarantine !== undefined) out.push(`kept: ${printable(quarantine)}`);
  const extra = created === 0 ? "" : `, and ${created} bytes of new files`;
  const sum = `${sizeOf(before)} before = ${sizeOf(after) - created} after + ${removedBytes} removed - ${insertedBytes} inserted`;
  out.push(`bytes: ${sum}${extra}`);
  return out;
}

export function renderStartup(report: StartupReport, path: string, paint: Paint): string {
  const verdict = verdictLine(
    report.ok ? "good" : "bad",
    `${report.ok ? "safe to start" : "NOT safe to start"}: ${report.verdict}`,
    paint,
  );
  const scan = report.recovery?.after ?? report.scan;
  return lines(
    verdict,
    ...(scan === undefined ? [`path: ${printable(path)}`] : about(scan, path)),
    `mode: ${report.mode}`,
    ...(report.recovery?.changed === true ? recoveryLines(report.recovery) : []),
    ...(scan === undefined ? [] : ["", ...logTable(scan.logs, paint), ...anomalyLines(scan, paint)]),
    ...nextAfterStartup(report, path),
  );
}

const FACT_STYLES = { good: "good", bad: "bad", warn: "bold", note: "dim" } as const;

export function renderDoctor(report: DoctorReport, path: string, paint: Paint): string {
  const { startup } = report;
  const scan = startup.recovery?.after ?? startup.scan;
  const rows = report.facts.flatMap(({ name, verdict, detail, hint }) => [
    `${paint(FACT_STYLES[verdict], verdict.padEnd(4))}  ${name}: ${printable(detail)}`,
    ...(hint === undefined ? [] : [`      Next: ${hint}`]),
  ]);
  return lines(
    verdictLine(report.ok ? "good" : "bad", report.verdict, paint),
    `path: ${printable(path)}`,
    `mode: ${startup.mode}`,
    "",
    ...rows,
    ...(startup.recovery?.changed === true ? ["", ...recoveryLines(startup.recovery)] : []),
    ...(scan === undefined ? [] : ["", ...logTable(scan.logs, paint), ...anomalyLines(scan, paint)]),
    ...nextAfterStartup(startup, path),
  );
}

export function lines(...all: readonly string[]): string {
  return `${all.join("\n")}\n`;
}

export function verdictLine(style: "good" | "bad", verdict: string, paint: Paint): string {
  return paint(style, printable(verdict));
}

export function about(report: ScanReport, path: string): string[] {
  const { writer } = report;
  const out = [`path: ${printable(path)}`];
  if (report.store !== undefined)
    out.push(`store: ${printable(report.store)}, lineage ${printable(report.lineage ?? "")}`);
  if (writer !== undefined) {
    out.push(
      `writer: pid ${writer.pid} on ${printable(writer.host)} (${printable(writer.purpose)}); what it has not finished is left out`,
    );
  }
  return out;
}

export function logTable(logs: readonly LogReport[], paint: Paint): string[] {
  const head = ["LOG", "SEGMENTS", "BYTES", "RECORDS", "UNCHECKED", "SEQS", "ACCOUNTED", "MISSING", "END"];
  const rows = logs.map((log) => [
    log.log,
    String(log.segments),
    String(log.bytes),
    String(log.records),
    String(log.unchecked),
    log.lastSeq === 0 ? "-" : `${log.firstSeq ?? "?"}-${log.lastSeq}`,
    accountedOf(log),
    String(log.missing),
    log.endVouched ? "vouched" : "not vouched",
  ]);
  const [first = "", ...rest] = table(head, rows, ["SEGMENTS", "BYTES", "RECORDS", "UNCHECKED", "MISSING"]);
  return [paint("dim", first), ...rest];
}

function accountedOf({ accounted }: LogReport): string {
  const parts = Object.entries(accounted).filter(([, count]) => count > 0);
  return parts.length === 0 ? "-" : parts.map(([reason, count]) => `${count} ${reason}`).join(", ");
}

export function anomalyLines(report: ScanReport, paint: Paint): string[] {
  const { anomalies, anomalyCount } = report;
  const shown = anomalies.slice(0, SHOWN_MAX);
  const out = shown.flatMap((anomaly, i) => ["", ...anomalyBlock(anomaly, i + 1, anomalyCount, paint)]);
  if (anomalyCount > shown.length) out.push("", `and ${anomalyCount - shown.length} more (--json lists up to 1000)`);
  return out;
}

function anomalyBlock(anomaly: Anomaly, number: number, of: number, paint: Paint): string[] {
  const { kind, file, offset, length, seqs, detail } = anomaly;
  const where = `${printable(file)} byte ${offset}, ${length} bytes`;
  const records = seqs === undefined ? "seqs: not known" : seqsOf(seqs);
  return [
    `anomaly ${number} of ${of}: ${paint("bold", kind)}, ${where}, ${records}`,
    `  meaning: ${ANOMALY_KINDS[kind]}`,
    `  detail: ${printable(detail)}`,
    `  acknowledged data: ${acknowledgedOf(anomaly)}`,
  ];
}

function acknowledgedOf({ acknowledged, lostSeqs, why }: Anomaly): string {
  if (acknowledged === "none") return "none lost";
  if (acknowledged === "lost") return `lost${lostSeqs === undefined ? "" : `: ${seqsOf(lostSeqs)}`}`;
  return `cannot tell: ${printable(why ?? "nothing outside the log vouches for it")}`;
}

export function seqsOf({ from, to }: { readonly from: number; readonly to: number }): string {
  return from === to ? `seq ${from}` : `seqs ${from}-${to}`;
}
