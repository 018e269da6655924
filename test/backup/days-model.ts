// What a store and its backups must hold, by nothing but lines of text and plain folds: no code of the package takes part.
import { createHash } from "node:crypto";
import type { LogName } from "../../src/log/record.ts";
import type { Point } from "../../src/backup/points.ts";
import type { Retention, RetentionPolicy } from "../../src/log/retention.ts";

export const LOGS: readonly LogName[] = ["events", "journal", "audits", "dead_letters", "snapshots"];

/** A numbered line as it was handed to the disk. */
export interface Line {
  readonly seq: number;
  readonly atMs: number;
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}
/** In the order of their seqs. */
export type Lines = Readonly<Record<LogName, readonly Line[]>>;

/** What an actor decided, as the test asked for it; of a group of several, all count or none. */
export interface Happened {
  readonly seq: number;
  readonly id: string;
  readonly revision: number;
  readonly type: string;
  readonly payload: unknown;
  readonly place: number;
  readonly size: number;
}

/** A store at one moment. */
export interface Content {
  /** Everything that stands in it, gap records too. */
  readonly lines: Lines;
  /** All that ever happened in its history, also what compaction has taken out since. */
  readonly happened: readonly Happened[];
  /** Whether damage has taken events out of the journal: then no state can be told. */
  readonly holes: boolean;
}

export function lineOf(text: string): Line | undefined {
  const fields = JSON.parse(text) as Record<string, unknown>;
  if (typeof fields.seq !== "number") return undefined;
  return { seq: fields.seq, atMs: Math.round((fields.timestamp as number) * 1000), text, fields };
}

export const isGap = ({ fields }: Line): boolean => fields.kind === "gap";

export function mapLines(lines: Lines, map: (log: LogName, all: readonly Line[]) => readonly Line[]): Lines {
  return Object.fromEntries(LOGS.map((log) => [log, map(log, lines[log])])) as unknown as Lines;
}

export const lastSeqOf = (lines: readonly Line[]): number => lines.at(-1)?.seq ?? 0;

/** The content up to these seqs. */
export function upTo(content: Content, last: Readonly<Record<LogName, number>>): Content {
  return {
    ...content,
    lines: mapLines(content.lines, (log, all) => all.filter(({ seq }) => seq <= last[log])),
    happened: content.happened.filter(({ seq }) => seq <= last.journal),
  };
}

/** Whether every seq is there, or a gap record that is there speaks of it. */
export function isAccounted(lines: readonly Line[]): boolean {
  const present = new Set(lines.map(({ seq }) => seq));
  const told = lines.filter(isGap).map(({ fields }) => fields as { from: number; to: number; kept?: number[][] });
  const speaks = (seq: number): boolean =>
    told.some(
      ({ from, to, kept = [] }) =>
        seq >= from && seq <= to && !kept.some(([first = 0, last = 0]) => seq >= first && seq <= last),
    );
  for (let seq = lastSeqOf(lines); seq >= 1; seq--) if (!present.has(seq) && !speaks(seq)) return false;
  return true;
}

export interface State {
  readonly entries: readonly { readonly key: string; readonly value: number }[];
  readonly total: number;
}
export interface Actor {
  readonly state: State;
  readonly revision: number;
}

/** Every actor, by its id. */
export function actorsOf({ happened }: Content): Map<string, Actor> {
  const actors = new Map<string, Actor>();
  for (const [i, first] of happened.entries()) {
    if (first.place !== 1) continue;
    const group = happened.slice(i, i + first.size);
    const before = actors.get(first.id) ?? { state: { entries: [], total: 0 }, revision: 0 };
    actors.set(first.id, before);
    if (group.length < first.size || group.some((one, at) => one.place !== at + 1)) continue; // torn: it is void
    let { state } = before;
    for (const { type, payload } of group) {
      if (type === "cleared") state = { ...state, entries: [] };
      else {
        const entry = payload as State["entries"][number];
        state = { entries: [...state.entries, entry], total: state.total + entry.value };
      }
    }
    actors.set(first.id, { state, revision: first.revision + first.size - 1 });
  }
  return actors;
}

/** The digest of all states, by its definition: SHA-256 over one line for each actor, with the SHA-256 of its canonical JSON. */
export function digestOfActors(content: Content): string {
  const lines = [...actorsOf(content)].map(([id, { state, revision }]) => {
    const { total } = state;
    const entries = state.entries.map(({ key, value }) => ({ key, value })); // members in the order of their names
    return `"ledger/${id}" ${revision} ${sha256(JSON.stringify({ entries, total }))}\n`;
  });
  return sha256(lines.sort().join(""));
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Of which lineages the records of a store are, in order, and up to which seqs. */
export interface Descent {
  readonly ancestors: readonly { readonly id: number; readonly until: Ends }[];
  readonly id: number;
  readonly begunMs: number;
}
type Ends = Readonly<Record<LogName, number>>;

/** A lineage that goes on behind these seqs; one of which nothing is in it is none of its ancestors. */
export function descend(from: Descent, ends: Ends, id: number, begunMs: number): Descent {
  const ancestors: { id: number; until: Ends }[] = [];
  for (const one of [...from.ancestors, { id: from.id, until: ends }]) {
    const until = endsBy((log) => Math.min(one.until[log], ends[log]));
    if (LOGS.some((log) => until[log] > (ancestors.at(-1)?.until[log] ?? 0))) ancestors.push({ id: one.id, until });
  }
  return { ancestors, id, begunMs };
}

export function endsBy(of: (log: LogName) => number): Ends {
  return Object.fromEntries(LOGS.map((log) => [log, of(log)])) as Ends;
}

/** A backup as it was made. */
export interface Kept {
  readonly id: string;
  readonly instantMs: number;
  readonly good: boolean;
  readonly pinned: boolean;
  readonly content: Content;
  readonly descent: Descent;
}

type Within = Extract<Point, { timeMs: number } | { seq: number }>;

/**
 * What the first good backup gives that reaches the point in the history of the newest good one; undefined where none does, or where
 * records before it are gone.
 */
export function expectedAt(kept: readonly Kept[], point: Point): (Content & { readonly from: string }) | undefined {
  if (!("timeMs" in point) && !("seq" in point)) {
    const named = kept.find(({ id }) => id === point.backup);
    return named && { ...named.content, from: named.id };
  }
  const one = kept.find((each) => reaches(kept, each, point));
  if (one === undefined) return undefined;
  const { lines } = one.content;
  const named = "seq" in point ? lines[point.log].find(({ seq }) => seq === point.seq) : undefined;
  const timeMs = "timeMs" in point ? point.timeMs : named?.atMs;
  if (timeMs === undefined) return undefined;
  const shared = sharedUntil(kept, one) as Ends;
  const last = mapLines(lines, (log, all) => all.filter(({ atMs, seq }) => atMs <= timeMs && seq <= shared[log]));
  const ends = { ...endsBy((log) => lastSeqOf(last[log])) };
  if ("seq" in point) ends[point.log] = point.seq;
  if ("seq" in point && point.log === "journal") {
    const ahead = last.snapshots.findIndex(({ fields }) => Number(fields.journal_seq) > point.seq);
    if (ahead >= 0) ends.snapshots = last.snapshots[ahead - 1]?.seq ?? 0;
  }
  const next = lines.journal.find(({ seq }) => seq > ends.journal)?.seq;
  const told = ("seq" in point && point.log === "journal") || ends.journal >= shared.journal;
  if (!told && next !== undefined && next !== ends.journal + 1) return undefined; // who knows when those were
  const content = upTo(one.content, ends);
  const empty = LOGS.every((log) => ends[log] === 0);
  return empty || !LOGS.every((log) => isAccounted(content.lines[log])) ? undefined : { ...content, from: one.id };
}

/** Up to where a backup has what the newest good one has; undefined when it is of a lineage that was left. */
function sharedUntil(kept: readonly Kept[], { descent }: Kept): Ends | undefined {
  const newest = kept.findLast(({ good }) => good)?.descent;
  if (newest?.id === descent.id) return endsBy(() => Infinity);
  return newest?.ancestors.find(({ id }) => id === descent.id)?.until;
}

function reaches(kept: readonly Kept[], one: Kept, point: Within): boolean {
  const shared = one.good ? sharedUntil(kept, one) : undefined;
  if (shared === undefined) return false;
  if ("seq" in point) return Math.min(lastSeqOf(one.content.lines[point.log]), shared[point.log]) >= point.seq;
  const newest = (kept.findLast(({ good }) => good) as Kept).descent;
  const line = [...newest.ancestors.map(({ id }) => id), newest.id];
  const next = line[line.indexOf(one.descent.id) + 1];
  if (one.instantMs < point.timeMs) return false;
  // From when the next lineage began, this one has not what was written there.
  return (
    next === undefined ||
    kept.some(({ good, descent }) => good && descent.id === next && point.timeMs < descent.begunMs)
  );
}

/** What stays of the records when a store is compacted; gap records are the business of the store. */
export function compacted(lines: Lines, policy: RetentionPolicy, nowMs: number): Lines {
  const base = basesOf(lines);
  return mapLines(lines, (log, all) => {
    if (log === "snapshots")
      return policy.journal === undefined ? all : all.filter((line) => line.seq >= (base.get(idOf(line))?.seq ?? 0));
    const retention = log === "dead_letters" ? undefined : policy[log];
    const cut = retention === undefined ? 0 : expiredUpTo(all, retention, nowMs);
    return all.filter((line) => isGap(line) || line.seq > cut || (log === "journal" && !isCovered(lines, base, line)));
  });
}

const idOf = ({ fields }: Line): string => String(fields.persistence_id);

/** The older of the two newest snapshots of each actor, of those that the journal knows of. */
function basesOf({ snapshots, journal }: Lines): Map<string, Line> {
  const known = ({ fields, atMs }: Line): boolean => {
    const event = journal.find(({ seq }) => seq === fields.journal_seq);
    if (event === undefined) return Number(fields.journal_seq) <= lastSeqOf(journal); // compacted
    const [place, size] = (event.fields.group ?? [1, 1]) as [number, number];
    return event.fields.revision === fields.revision && place === size && event.atMs <= atMs;
  };
  const bases = new Map<string, Line>();
  const counting = snapshots.filter((line) => !isGap(line) && known(line));
  for (const line of counting) {
    const own = counting.filter((one) => idOf(one) === idOf(line));
    bases.set(idOf(line), own[Math.max(0, own.length - 2)] as Line);
  }
  return bases;
}

function isCovered({ journal }: Lines, bases: ReadonlyMap<string, Line>, line: Line): boolean {
  const base = bases.get(idOf(line));
  const last = journal.findLast((one) => idOf(one) === idOf(line));
  return base !== undefined && line.seq <= Number(base.fields.journal_seq) && line !== last;
}

/** The last seq that is too old, too many or too much. */
function expiredUpTo(lines: readonly Line[], { maxRecords, maxAgeMs, maxBytes }: Retention, nowMs: number): number {
  const newestFirst = lines.filter((line) => !isGap(line)).reverse();
  let bytes = 0;
  for (const [i, line] of newestFirst.entries()) {
    bytes += Buffer.byteLength(line.text) + 1;
    const old = maxAgeMs !== undefined && line.atMs < nowMs - maxAgeMs;
    if (old || i >= (maxRecords ?? Infinity) || bytes > (maxBytes ?? Infinity)) return line.seq;
  }
  return 0;
}
