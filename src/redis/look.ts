// A look at a store: one instant of everything beside the lines, and what a view says of it. Where the streams are as the
// writer left them, nothing is read; where anything else touched one, it is walked, and its layout is that of what is there.
import type { ClaimOwner, GroupState, Segment, StoreFinding, StoreIdentity, StoreView } from "../backends/backend.ts";
import { leftovers } from "../backends/leftovers.ts";
import { decodeStoreFile, identityFromHeads } from "../backends/store-file.ts";
import { PapyraError } from "../errors.ts";
import { parseObject } from "../log/codec.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { activeName, orderSegments, parseFileName, STORE_FILE, supersededSegments } from "../log/segments.ts";
import type { Connection, Reply } from "./connection.ts";
import { type Entry, readPages } from "./entries.ts";
import type { Keys } from "./keys.ts";
import {
  decodeEnd,
  decodeLayout,
  idText,
  LayoutBuilder,
  type LogEnd,
  offsetOf,
  parseId,
  segmentId,
  type SegmentLayout,
} from "./layout.ts";
import { groupStates } from "./group-states.ts";
import { LOOK, LOOK_WITH_GROUPS } from "./scripts.ts";

/** One log, as it was at that instant. */
export interface LogLook {
  readonly segments: readonly SegmentLayout[];
  /** Those that compaction has replaced; they are in the stream as it was. */
  readonly superseded: readonly SegmentLayout[];
  /** The layout as it stands in the hash. */
  readonly noted: string;
  /** What the writer noted, if that was not lost. */
  readonly end: LogEnd | undefined;
  /** The last id that the stream ever had; 0-0 when there is none. */
  readonly last: string;
  /** How many entries it has. */
  readonly length: number;
  readonly staging: boolean;
  /** Only where they were asked for. */
  readonly groups: readonly GroupState[] | undefined;
}

export interface Look {
  readonly identityBytes: Buffer | undefined;
  /** The lease of a living writer, as it stands there. */
  readonly lease: Buffer | undefined;
  readonly logs: Readonly<Record<LogName, LogLook>>;
}

export async function look(connection: Connection, keys: Keys, withGroups = false): Promise<Look> {
  const names = LOG_NAMES.flatMap((log) => [keys.stream(log), keys.staging(log)]);
  const [flat, lease, ...streams] = await connection.script(
    withGroups ? LOOK_WITH_GROUPS : LOOK,
    [keys.meta, keys.writer, ...names],
    [],
  );
  const meta = fieldsOf(flat as Reply[]);
  const logs = {} as Record<LogName, LogLook>;
  for (const [i, log] of LOG_NAMES.entries()) {
    const state = streamState(streams[i] as Reply[]);
    const noted = meta.get(log)?.toString() ?? "";
    const known = decodeLayout(noted);
    const end = decodeEnd(meta.get(`${log}:end`)?.toString());
    const segments = asNoted(known, end, state) ?? (await walk(connection, keys.stream(log), log, known, state.last));
    const superseded = decodeLayout(meta.get(`${log}:superseded`)?.toString()) ?? [];
    const told = (streams[i] as Reply[])[5];
    const groups = withGroups ? groupStates(told as Reply[], end?.seq ?? 0) : undefined;
    logs[log] = {
      segments,
      superseded,
      noted,
      end,
      last: state.last,
      length: state.length,
      staging: state.staging,
      groups,
    };
  }
  return {
    identityBytes: meta.get("identity"),
    lease: (lease as Buffer).length === 0 ? undefined : (lease as Buffer),
    logs,
  };
}

interface StreamState {
  readonly length: number;
  readonly last: string;
  readonly entry: string;
  readonly entryBytes: number;
  readonly staging: boolean;
}

function streamState([length, last, entry, entryBytes, staging]: Reply[]): StreamState {
  return {
    length: length as number,
    last: String(last),
    entry: String(entry),
    entryBytes: entryBytes as number,
    staging: staging === 1,
  };
}

/** The layout that the writer noted, if the stream is still the one that it left. */
function asNoted(
  known: readonly SegmentLayout[] | undefined,
  end: LogEnd | undefined,
  state: StreamState,
): SegmentLayout[] | undefined {
  if (state.length === 0) return [];
  const active = known?.at(-1);
  if (known === undefined || active === undefined || end === undefined) return undefined;
  if (end.last !== state.last || end.length !== state.length) return undefined;
  const at = offsetOf(active, parseId(state.entry));
  if (at === undefined || at + state.entryBytes !== end.bytes) return undefined;
  return [...known.slice(0, -1), { ...active, bytes: end.bytes }];
}

async function walk(
  connection: Connection,
  key: string,
  log: LogName,
  known: readonly SegmentLayout[] | undefined,
  last: string,
): Promise<SegmentLayout[]> {
  const builder = new LayoutBuilder(log, known);
  for await (const page of readPages(connection, key, "-", last, { ahead: true })) {
    for (const entry of page) builder.add({ id: entry.id, bytes: entry.bytes.length }, entry.bytes);
  }
  return builder.finish();
}

function fieldsOf(flat: readonly Reply[]): Map<string, Buffer> {
  const fields = new Map<string, Buffer>();
  for (let i = 0; i < flat.length; i += 2) fields.set(String(flat[i]), flat[i + 1] as Buffer);
  return fields;
}

/** What a look means. `claimed`: for the writer itself. */
export async function viewOf(
  connection: Connection,
  keys: Keys,
  seen: Look,
  place: { readonly location: string; readonly claimed: boolean },
): Promise<StoreView> {
  const findings: StoreFinding[] = [];
  const writer = place.claimed ? undefined : ownerOf(seen.lease);
  const arranged = LOG_NAMES.map((log) => arrange(log, seen.logs[log]));
  const segments = arranged.flatMap((one) => one.segments);
  const superseded = arranged.flatMap((one) => one.superseded);
  const recorded = recordedIdentity(seen, place.location, findings);
  if (segments.length === 0 && seen.identityBytes === undefined) {
    throw new PapyraError("STORE_NOT_FOUND", `there is no store at ${place.location}`, {
      hint: "check URL, database, prefix and system",
      details: { location: place.location },
    });
  }
  for (const log of LOG_NAMES) {
    if (seen.logs[log].staging && writer === undefined) {
      const detail = "the temporary stream of an interrupted run; recovery removes it";
      findings.push({ kind: "unexpected-file", file: keys.staging(log), leftover: "temporary", detail });
    }
    if (seen.identityBytes !== undefined && seen.logs[log].segments.length === 0) {
      findings.push({ kind: "missing-segment", file: activeName(log), log, detail: `the log ${log} has no stream` });
    }
  }
  findings.push(...leftovers(superseded, writer));
  return {
    identity: recorded ?? identityFromHeads(await heads(connection, keys, seen)),
    identityRecorded: recorded !== undefined,
    writer,
    segments,
    superseded,
    findings,
    // Noted in one step with the lines: as true as the lines themselves, beside a writer too.
    reach: (log) => {
      const { end } = seen.logs[log];
      return end === undefined ? undefined : { seq: end.seq, exact: true };
    },
    acknowledged: Object.fromEntries(LOG_NAMES.map((log) => [log, seen.logs[log].end?.seq])),
    groups: groupsIn(seen),
  };
}

function groupsIn({ logs }: Look): StoreView["groups"] {
  if (logs.events.groups === undefined) return undefined;
  return Object.fromEntries(LOG_NAMES.map((log) => [log, logs[log].groups])) as unknown as StoreView["groups"];
}

/** What counts and what does not, by the names. */
function arrange(log: LogName, seen: LogLook): Pick<StoreView, "segments" | "superseded"> {
  const all = new Map([...seen.superseded, ...seen.segments].map((layout) => [layout.name, segmentOf(log, layout)]));
  const names = [...all.keys()];
  return {
    segments: orderSegments(names, log).map((name) => all.get(name) as Segment),
    superseded: [...supersededSegments(names, log)].map(([name, by]) => ({ ...(all.get(name) as Segment), by })),
  };
}

function segmentOf(log: LogName, layout: SegmentLayout): Segment {
  const { name, bytes } = layout;
  const parsed = parseFileName(name);
  return {
    name,
    log,
    bytes,
    active: parsed.type === "active",
    firstSeq: parsed.type === "closed" ? parsed.firstSeq : undefined,
    id: segmentId(layout),
  };
}

function recordedIdentity(seen: Look, location: string, findings: StoreFinding[]): StoreIdentity | undefined {
  if (seen.identityBytes === undefined) return undefined;
  const identity = decodeStoreFile(seen.identityBytes, location);
  if (identity === undefined) {
    findings.push({
      kind: "checksum-mismatch",
      file: STORE_FILE,
      detail: "the identity of the store is damaged; recovery rebuilds it from the logs",
      bytes: seen.identityBytes.length,
    });
  }
  return identity;
}

async function heads(connection: Connection, keys: Keys, seen: Look): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for (const log of LOG_NAMES) {
    for (const { runs } of seen.logs[log].segments) {
      const [run] = runs;
      if (run === undefined) continue;
      const entries: Entry[] = [];
      for await (const page of readPages(connection, keys.stream(log), idText(run), "+", { count: 3, pages: 1 }))
        entries.push(...page);
      all.push(Buffer.concat(entries.map(({ bytes }) => bytes)));
    }
  }
  return all;
}

export function ownerOf(lease: Buffer | undefined): ClaimOwner | undefined {
  if (lease === undefined) return undefined;
  const fields = parseObject(lease);
  return typeof fields?.pid === "number" && typeof fields.host === "string"
    ? (fields as unknown as ClaimOwner)
    : { pid: 0, host: "unknown", sinceMs: 0, purpose: "unknown" };
}
