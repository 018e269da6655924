// Inspect: the newest records of a log, read from its end, so that the answer does not take longer as history grows.
// Changes nothing, works beside a living writer, and shows whatever is whole: damage is counted, not fatal.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { identityOf, siblingsOf } from "../backends/identities.ts";
import { readHead, readSeal } from "../backends/segment-ends.ts";
import { readSteadily } from "../backends/steady.ts";
import { PapyraError } from "../errors.ts";
import { seedOf } from "../log/codec.ts";
import { judgeHead } from "../log/identity.ts";
import { type Retention, RetentionMeter } from "../log/retention.ts";
import { KIND_OF_LOG, type LogName, type NewRecord } from "../log/record.ts";
import { linesBackwards, type StoredLine } from "./backwards.ts";

/** The kinds of records that are inspected, besides the gaps between them. */
export type InspectKind = Exclude<NewRecord["kind"], "gap">;

export interface InspectOptions {
  readonly kind: InspectKind;
  /** The log that the path named, if it named one. */
  readonly log?: LogName | undefined;
  /** How many records, the newest ones. From 1 to 10,000. */
  readonly limit: number;
  /** Only records of this time or later, in milliseconds since the epoch. */
  readonly sinceMs?: number | undefined;
  /** Only records of this time or earlier. */
  readonly untilMs?: number | undefined;
  /** Only records whose `event_type` (or `message_type`) is this. */
  readonly type?: string | undefined;
  /** Only records about this actor: an address, its end behind a slash, or either with `*` for any characters. */
  readonly actor?: string | undefined;
  /** Records that are beyond these bounds are expired and not shown. Default: all are shown. */
  readonly retention?: Retention | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A record and where it stands. */
export interface InspectedRecord {
  readonly file: string;
  readonly offset: number;
  /** As stored, checksum included. */
  readonly record: Readonly<Record<string, unknown>>;
}

export interface InspectReport {
  /** No damaged bytes were met. */
  readonly ok: boolean;
  readonly verdict: string;
  readonly path: string;
  readonly kind: InspectKind;
  /** Whether the lines have checksums; without them they are JSON, and nothing more is known. */
  readonly checked: boolean;
  /** The oldest one first, like a log; the last one is the newest. */
  readonly records: readonly InspectedRecord[];
  /** Whether the reading stopped at the limit: older records may match as well. */
  readonly more: boolean;
  /** Whether the reading stopped at an expired record: it is there until the store is compacted, and so are older ones. */
  readonly expired: boolean;
  /** How many lines were read, and how many pieces of damaged bytes stood between them. */
  readonly linesRead: number;
  readonly damaged: number;
}

/** What is kept at once: so many bytes of lines at most, however many records are asked for. */
const KEPT_BYTES_MAX = 32 << 20;
/** Mostly what is asked for stands in a few segments: the others are looked at when it does not. */
const NEWEST_SEGMENTS = 8;

/** Rejects with STORE_NOT_FOUND, OPTION_INVALID, FORMAT_UNKNOWN, STORAGE_FAILED, or the signal's reason. */
export async function inspect(backend: Backend, options: InspectOptions): Promise<InspectReport> {
  const inspected = (view: StoreView): Promise<InspectReport | undefined> => inspectView(backend, view, options);
  const report = (await readSteadily(backend, inspected, NEWEST_SEGMENTS)) ?? (await readSteadily(backend, inspected));
  if (report === undefined) throw new PapyraError("INTERNAL", "a view of all segments has older ones");
  return report;
}

/** Undefined when the view ends before what is asked for does. */
async function inspectView(
  backend: Backend,
  view: StoreView,
  options: InspectOptions,
): Promise<InspectReport | undefined> {
  const segments = segmentsFor(backend, view, options);
  const matches = matcher(options);
  const records: InspectedRecord[] = [];
  let keptBytes = 0;
  let linesRead = 0;
  let damaged = 0;
  let checked = true;
  let more = false;
  let expired = false;
  let before = false;
  const meter = new RetentionMeter(options.retention ?? {}, backend.env.clock.nowMs());
  reading: for (const segment of [...segments].reverse()) {
    const head = await openSegment(backend, view, segment);
    if (head === undefined) {
      damaged += 1;
      continue;
    }
    if (head.seed === undefined) checked = false;
    else if (await beginsAfter(backend, segment, head.seed, options.untilMs)) continue;
    const live = view.writer !== undefined && segment.active;
    for await (const line of linesBackwards(backend, segment, head.from, head.seed, live)) {
      options.signal?.throwIfAborted();
      if (line.fields === undefined) {
        damaged += 1;
        continue;
      }
      linesRead += 1;
      before = head.seed !== undefined && isBefore(line, options.sinceMs);
      if (before) break reading; // time never decreases in such a log
      expired = line.fields.kind === options.kind && !meter.keeps(timeMsOf(line.fields), line.length + 1);
      if (expired) break reading;
      if (!matches(line.fields)) continue;
      if (records.length === options.limit || (records.length > 0 && keptBytes + line.length > KEPT_BYTES_MAX)) {
        more = true;
        break reading;
      }
      keptBytes += line.length;
      records.push({ file: line.file, offset: line.offset, record: line.fields });
    }
  }
  if (view.older === true && !more && !expired && !before) return undefined;
  records.reverse();
  const { kind } = options;
  const found = { kind, checked, records, more, expired, linesRead, damaged };
  return { ok: damaged === 0, verdict: verdictOf(found), path: backend.location, ...found };
}

function verdictOf(found: Omit<InspectReport, "ok" | "verdict" | "path">): string {
  const { kind, records, more, expired, checked, damaged } = found;
  const what = `${kind.replace("_", " ")} ${records.length === 1 ? "record" : "records"}`;
  const said = [`${records.length} ${what}${more ? ", the newest of more" : ""}`];
  if (expired) said.push("older ones are expired");
  if (!checked) said.push("without checksums");
  if (damaged > 0) said.push(`${damaged} damaged ${damaged === 1 ? "place" : "places"} passed over`);
  return said.join("; ");
}

/**
 * The segments that hold a kind of records. A log of the Python Papyra mixes all kinds in one file, whatever its name;
 * in a store of ours each kind has its log.
 */
function segmentsFor(backend: Backend, view: StoreView, options: InspectOptions): readonly Segment[] {
  const { kind, log: named } = options;
  const lone = view.segments.filter((segment) => segment.log === undefined);
  if (lone.length > 0) return lone;
  if (named !== undefined) {
    if (view.identity !== undefined && KIND_OF_LOG[named] !== kind) {
      throw new PapyraError("OPTION_INVALID", `the log ${named} of ${backend.location} holds no ${kind} records`, {
        hint: `name the store instead: --path ${backend.location}`,
      });
    }
    return view.segments.filter((segment) => segment.log === named);
  }
  const own = view.segments.filter((segment) => segment.log !== undefined && KIND_OF_LOG[segment.log] === kind);
  return own.length > 0 || view.identity !== undefined ? own : view.segments;
}

/** Where the lines of a segment begin and what they are checked with; undefined when that cannot be told. */
export async function openSegment(
  backend: Backend,
  view: StoreView,
  segment: Segment,
): Promise<{ readonly from: number; readonly seed: number | undefined } | undefined> {
  const expected = identityOf(view, segment.log, segment);
  const bytes = await readHead(backend, segment, expected);
  const head = judgeHead(bytes, segment.log, expected, siblingsOf(view));
  switch (head.type) {
    case "ok":
      return { from: head.line.length, seed: seedOf(head.line) };
    case "damaged":
      return { from: head.bytes, seed: seedOf(head.line) };
    case "unchecked":
      return { from: 0, seed: undefined };
    case "unknown-version":
      throw new PapyraError(
        "FORMAT_UNKNOWN",
        `${segment.name} has format version ${JSON.stringify(head.version)}; this release knows 1`,
        {
          hint: "read it with the release of Papyra that wrote it",
          details: { file: segment.name, version: head.version },
        },
      );
    default:
      return undefined;
  }
}

function timeMsOf({ timestamp }: Readonly<Record<string, unknown>>): number {
  return typeof timestamp === "number" ? Math.round(timestamp * 1000) : Number.NaN;
}

/** Whether all of a segment is later than what is asked for, as its seal says: time never decreases in such a log. */
async function beginsAfter(
  backend: Backend,
  segment: Segment,
  seed: number,
  untilMs: number | undefined,
): Promise<boolean> {
  if (untilMs === undefined) return false;
  const seal = await readSeal(backend, segment, seed);
  return seal !== undefined && seal.first_timestamp * 1000 > untilMs;
}

function isBefore(line: StoredLine, sinceMs: number | undefined): boolean {
  const { timestamp } = line.fields;
  return sinceMs !== undefined && typeof timestamp === "number" && timestamp * 1000 < sinceMs;
}

function matcher(options: InspectOptions): (fields: Readonly<Record<string, unknown>>) => boolean {
  const { kind, sinceMs, untilMs, type, actor } = options;
  const isActor = actor === undefined ? undefined : addressMatcher(actor);
  return (fields) => {
    const gap = fields.kind === "gap" && type === undefined && isActor === undefined;
    if (fields.kind !== kind && !gap) return false;
    const timeMs = typeof fields.timestamp === "number" ? fields.timestamp * 1000 : Number.NaN;
    if (sinceMs !== undefined && !(timeMs >= sinceMs)) return false;
    if (untilMs !== undefined && !(timeMs <= untilMs)) return false;
    if (type !== undefined && (fields.event_type ?? fields.message_type) !== type) return false;
    return isActor === undefined || isActor(actorOf(fields));
  };
}

/** The actor that a record is about, as text: the Python Papyra stored addresses as objects. */
export function actorOf(fields: Readonly<Record<string, unknown>>): string {
  const actor = fields.actor_address ?? fields.persistence_id ?? fields.target;
  if (typeof actor === "string") return actor;
  if (typeof actor !== "object" || actor === null) return "";
  if ("_address" in actor && typeof actor._address === "object") return actorOf({ target: actor._address });
  const { system, actor_id: id } = actor as { system?: unknown; actor_id?: unknown };
  return typeof system === "string" && ["number", "string"].includes(typeof id)
    ? `${system}://${String(id)}`
    : JSON.stringify(actor);
}

function addressMatcher(pattern: string): (address: string) => boolean {
  const source = pattern
    .split("*")
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  const expression = new RegExp(`(^|/)${source}$`, "s");
  return (address) => expression.test(address);
}
