// Records and summaries -> text. Pure. One record a line; what the records hold is escaped, since a payload must not be
// able to steer a terminal.
import { actorOf, type InspectedRecord, type InspectReport } from "../ops/inspect.ts";
import type { SummaryReport } from "../ops/summary.ts";
import type { Paint } from "./io.ts";
import { lines, seqsOf } from "./render.ts";
import { quoted } from "../quoted.ts";
import { printable, shortened, table, timeOf } from "./text.ts";

const ACTOR_CHARS = 60;
const PAYLOAD_CHARS = 120;

export function renderInspect(report: InspectReport, path: string, paint: Paint): string {
  const head = ["TIME", "SEQ", "TYPE", "ACTOR", "PAYLOAD"];
  const [first = "", ...rows] = table(head, report.records.map(rowOf), ["SEQ"]);
  const damaged = report.damaged === 0 ? [] : ["", `Next: papyra persistence scan --path ${quoted(path)}`];
  return lines(
    ...(report.records.length === 0 ? [] : [paint("dim", first), ...rows, ""]),
    paint(report.ok ? "bold" : "bad", printable(report.verdict)),
    ...damaged,
  );
}

function rowOf({ record }: InspectedRecord): string[] {
  const seq = typeof record.seq === "number" ? String(record.seq) : "-";
  return [
    timeOf(record.timestamp),
    seq,
    printable(shortType(record)),
    shortened(actorOf(record) || "-", ACTOR_CHARS),
    contentOf(record),
  ];
}

function shortType(record: Readonly<Record<string, unknown>>): string {
  if (record.kind === "gap") return "(gap)";
  const type = record.event_type ?? record.message_type ?? record.kind;
  return typeof type === "string" ? type : JSON.stringify(type);
}

function contentOf(record: Readonly<Record<string, unknown>>): string {
  if (record.kind === "gap" && typeof record.from === "number" && typeof record.to === "number") {
    return printable(
      `${seqsOf({ from: record.from, to: record.to })} ${String(record.reason)}, by ${String(record.by)}`,
    );
  }
  if (record.kind === "audit") {
    const [alive, total, size, dead] = [
      record.alive_actors,
      record.total_actors,
      record.registry_size,
      record.dead_letters_count,
    ];
    return printable(
      `actors ${String(alive)} alive of ${String(total)}, registry ${String(size)}, dead letters ${String(dead)}`,
    );
  }
  const revision = typeof record.revision === "number" ? `revision ${record.revision} ` : "";
  const reason = typeof record.reason === "string" ? `${record.reason} ` : "";
  return `${printable(reason)}${revision}${shortened(JSON.stringify(record.payload) ?? "-", PAYLOAD_CHARS)}`;
}

export function renderSummary(report: SummaryReport, path: string, paint: Paint): string {
  const head = ["LOG", "SEGMENTS", "BYTES", "FIRST", "LAST", "LAST SEQ", "LAST RECORD"];
  const rows = report.logs.map(({ log, segments, bytes, first, last }) => [
    log,
    String(segments.length),
    String(bytes),
    timeOf(first?.timestamp),
    timeOf(last?.timestamp),
    last?.seq === undefined ? "-" : String(last.seq),
    printable(last?.type ?? "-"),
  ]);
  const [title = "", ...rest] = table(head, rows, ["SEGMENTS", "BYTES", "LAST SEQ"]);
  const { writer, store, lineage } = report;
  const identity = store === undefined ? [] : [`store: ${printable(store)}, lineage ${printable(lineage ?? "")}`];
  return lines(
    paint(report.ok ? "bold" : "bad", printable(report.verdict)),
    `path: ${printable(path)}`,
    ...identity,
    ...(writer === undefined
      ? []
      : [`writer: pid ${writer.pid} on ${printable(writer.host)} (${printable(writer.purpose)})`]),
    "",
    paint("dim", title),
    ...rest,
    ...report.logs.flatMap(typeLines),
    ...(report.ok ? [] : ["", `Next: papyra persistence scan --path ${quoted(path)}`]),
  );
}

function typeLines({ log, types, damaged }: SummaryReport["logs"][number]): string[] {
  if (types === undefined || types.length === 0) return [];
  const rows = types.map(({ type, records }) => `${log}: ${records} ${printable(type)}`);
  return ["", ...rows, ...(damaged === undefined || damaged === 0 ? [] : [`${log}: ${damaged} damaged`])];
}
