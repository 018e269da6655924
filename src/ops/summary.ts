// Summary: what a store holds, from the beginning and the end of each log, so that it costs the same for any length of
// history. Counting the records by type is asked for, since it reads everything.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { checkLog } from "../backends/check.ts";
import { readSteadily } from "../backends/steady.ts";
import { parseObject } from "../log/codec.ts";
import { linesOf } from "../log/lines.ts";
import type { LogName } from "../log/record.ts";
import { linesBackwards, readBytes } from "./backwards.ts";
import { openSegment } from "./inspect.ts";
import { logsToScan } from "./scan.ts";

export interface SummaryOptions {
  readonly log?: LogName | undefined;
  /** Read everything and count the records by type. */
  readonly count: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** The first or last record of a log. */
export interface EndOfLog {
  readonly seq: number | undefined;
  readonly timestamp: number | undefined;
  readonly type: string;
}

export interface LogSummary {
  readonly log: LogName | "(file)";
  readonly segments: readonly { readonly name: string; readonly bytes: number }[];
  readonly bytes: number;
  /** Whether the lines have checksums; undefined when nothing can be read. */
  readonly checked: boolean | undefined;
  readonly first: EndOfLog | undefined;
  readonly last: EndOfLog | undefined;
  /** With `count`: how many records of each type, the most frequent ones first. */
  readonly types: readonly { readonly type: string; readonly records: number }[] | undefined;
  /** With `count`: how many pieces of damaged bytes. */
  readonly damaged: number | undefined;
}

export interface SummaryReport {
  readonly ok: boolean;
  readonly verdict: string;
  readonly path: string;
  readonly store: string | undefined;
  readonly lineage: string | undefined;
  readonly parent: string | null | undefined;
  readonly writer: StoreView["writer"];
  readonly bytes: number;
  readonly logs: readonly LogSummary[];
}

/** How many different types are counted one by one; the rest together. */
const TYPES_MAX = 1000;
const OTHER = "(other)";
/** Where the end of a log is damaged, so many lines back are looked at for a whole one. */
const LINES_BACK_MAX = 1000;
/** A first line that is longer is not shown: a summary stays small. */
const FIRST_BYTES_MAX = 1 << 20;

/** Rejects with STORE_NOT_FOUND, FORMAT_UNKNOWN, STORAGE_FAILED, or the signal's reason. */
export async function summary(backend: Backend, options: SummaryOptions): Promise<SummaryReport> {
  return readSteadily(backend, (view) => summaryOf(backend, view, options));
}

async function summaryOf(backend: Backend, view: StoreView, options: SummaryOptions): Promise<SummaryReport> {
  const names = logsToScan(view, options.log);
  const total = view.segments
    .filter((segment) => names.includes(segment.log))
    .reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const logs: LogSummary[] = [];
  for (const log of names) {
    options.signal?.throwIfAborted();
    const segments = view.segments.filter((segment) => segment.log === log);
    const counted = options.count
      ? await countTypes(backend, view, log, options.signal, (bytes) => options.onProgress?.((done += bytes), total))
      : undefined;
    logs.push(await summarise(backend, view, log, segments, counted));
  }
  const damaged = logs.reduce((sum, log) => sum + (log.damaged ?? 0), 0);
  const held = logs.filter((log) => log.last !== undefined).length;
  const said = `${held} of ${logs.length} ${logs.length === 1 ? "log holds" : "logs hold"} records, ${total} bytes`;
  return {
    ok: damaged === 0,
    verdict: damaged === 0 ? said : `${said}; ${damaged} damaged ${damaged === 1 ? "place" : "places"}`,
    path: backend.location,
    store: view.identity?.store,
    lineage: view.identity?.lineage,
    parent: view.identity?.parent,
    writer: view.writer,
    bytes: total,
    logs,
  };
}

interface Counted {
  readonly types: LogSummary["types"];
  readonly damaged: number;
}

async function summarise(
  backend: Backend,
  view: StoreView,
  log: LogName | undefined,
  segments: readonly Segment[],
  counted: Counted | undefined,
): Promise<LogSummary> {
  let checked: boolean | undefined;
  let first: EndOfLog | undefined;
  let last: EndOfLog | undefined;
  for (const segment of segments) {
    const head = await openSegment(backend, view, segment);
    if (head === undefined) continue;
    checked = (checked ?? true) && head.seed !== undefined;
    if (first === undefined) first = await firstOf(backend, segment, head.from);
  }
  for (const segment of [...segments].reverse()) {
    const head = await openSegment(backend, view, segment);
    if (head !== undefined) last = await lastOf(backend, segment, head, view.writer !== undefined && segment.active);
    if (last !== undefined) break;
  }
  return {
    log: log ?? "(file)",
    segments: segments.map(({ name, bytes }) => ({ name, bytes })),
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    checked,
    first,
    last,
    types: counted?.types,
    damaged: counted?.damaged,
  };
}

async function firstOf(backend: Backend, segment: Segment, from: number): Promise<EndOfLog | undefined> {
  const bytes = await readBytes(backend, segment, from, Math.min(segment.bytes, from + FIRST_BYTES_MAX));
  for (const line of linesOf({ bytes })) {
    const fields = parseObject(line);
    if (fields !== undefined && fields.kind !== "seal") return endOf(fields);
  }
  return undefined;
}

async function lastOf(
  backend: Backend,
  segment: Segment,
  head: { readonly from: number; readonly seed: number | undefined },
  live: boolean,
): Promise<EndOfLog | undefined> {
  let lines = 0;
  for await (const line of linesBackwards(backend, segment, head.from, head.seed, live)) {
    if (line.fields !== undefined) return endOf(line.fields);
    if (++lines >= LINES_BACK_MAX) return undefined;
  }
  return undefined;
}

function endOf(fields: Readonly<Record<string, unknown>>): EndOfLog {
  const { seq, timestamp } = fields;
  return {
    seq: typeof seq === "number" ? seq : undefined,
    timestamp: typeof timestamp === "number" ? timestamp : undefined,
    type: typeOf(fields),
  };
}

/** What kind of record it is, and of what type. */
export function typeOf(fields: Readonly<Record<string, unknown>>): string {
  const kind = typeof fields.kind === "string" ? fields.kind : "(no kind)";
  const type = fields.event_type ?? fields.message_type ?? fields.reason;
  return typeof type === "string" ? `${kind} ${type}` : kind;
}

async function countTypes(
  backend: Backend,
  view: StoreView,
  log: LogName | undefined,
  signal: AbortSignal | undefined,
  onProgress: (bytes: number) => void,
): Promise<Counted> {
  const counts = new Map<string, number>();
  let damaged = 0;
  await checkLog(backend, view, log, {
    live: view.writer !== undefined,
    findingsMax: 1,
    signal,
    onProgress,
    onEntry(entry) {
      if (entry.type === "damage") damaged += 1;
      if (entry.type === "damage" || entry.type === "control") return;
      for (const line of linesOf(entry)) {
        const type = typeOf(parseObject(line) ?? {});
        const key = counts.has(type) || counts.size < TYPES_MAX ? type : OTHER;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    },
  });
  const types = [...counts].map(([type, records]) => ({ type, records })).sort((a, b) => b.records - a.records);
  return { types, damaged };
}
