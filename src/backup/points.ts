// Which backup, and how much of it, is the store at a point: the end, an instant, a record.
import type { Backend, StoreView } from "../backends/backend.ts";
import { identityOf } from "../backends/identities.ts";
import { PapyraError } from "../errors.ts";
import { encodeIdentity, seedOf } from "../log/codec.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { linesBackwards } from "../ops/backwards.ts";
import { backupReader } from "./backup-reader.ts";
import type { Instant } from "./instant.ts";
import type { Manifest } from "./manifest.ts";
import type { ObjectStore } from "./objects.ts";
import { type BackupInfo, findBackup, ofOneStore, type RepositoryView, withLines } from "./repository.ts";

/** Where in the history. */
export type Point =
  /** The end of the newest good backup, or of the one with this id (or the beginning of it). */
  | { readonly backup?: string }
  /** Every record with this time or an earlier one; milliseconds since the epoch. */
  | { readonly timeMs: number }
  /** Up to this record, and in the other logs up to its time. */
  | { readonly log: LogName; readonly seq: number };

/** A backup and how much of it. */
export interface Chosen {
  readonly manifest: Manifest;
  /** Empty: all of it. */
  readonly instant: Instant;
  readonly info: BackupInfo;
}

/**
 * Of the backups of one store, unless the point names one by its id. Rejects with BACKUP_NOT_FOUND, BACKUP_DAMAGED, RESTORE_OUT_OF_RANGE (naming the
 * nearest points), OPTION_INVALID (there are several stores, and none was named).
 */
export async function choosePoint(
  objects: ObjectStore,
  all: RepositoryView,
  point: Point,
  store: string | undefined,
): Promise<Chosen> {
  if (!("timeMs" in point) && !("seq" in point)) {
    const { backup = "latest" } = point;
    const info = findBackup(backup === "latest" ? ofOneStore(all, store) : all, backup);
    return { manifest: info.manifest, instant: {}, info };
  }
  const repository = withLines(ofOneStore(all, store));
  const good = [...repository.backups, ...repository.watched].filter(
    (info): info is BackupInfo & { manifest: Manifest } => info.good && info.manifest !== undefined,
  );
  const info = good.find(({ manifest }) => reaches(manifest, point));
  if (info === undefined)
    throw outOfRange(
      describe(point),
      good.map(({ manifest }) => manifest),
      point,
    );
  const { manifest } = info;
  const backend = backupReader(objects, manifest);
  const view = await backend.view();
  const timeMs = "timeMs" in point ? point.timeMs : await timeOf(backend, view, point, good);
  const last = {} as Record<LogName, number>;
  for (const log of LOG_NAMES) {
    const { seq, next } = await endAt(backend, view, log, timeMs);
    last[log] = seq;
    // What was taken out there may have happened before that time: without it, states would be those of an earlier one.
    if (log !== "journal" || ("seq" in point && point.log === "journal") || next === undefined || next === seq + 1)
      continue;
    const gone = `journal seq ${seq + 1} to ${next - 1} were written before seq ${next}, and compaction or recovery has taken them out`;
    throw outOfRange(`${describe(point)}: ${gone} before the backup was made`, [manifest], point);
  }
  if ("seq" in point) last[point.log] = point.seq;
  if ("seq" in point && point.log === "journal")
    last.snapshots = await lastSnapshotOf(backend, view, point.seq, timeMs);
  else if (LOG_NAMES.every((log) => last[log] === 0)) throw outOfRange(describe(point), [manifest], point);
  return { manifest, instant: last, info };
}

function reaches({ instant, logs }: Manifest, point: Extract<Point, { timeMs: number } | { seq: number }>): boolean {
  return "timeMs" in point ? instant * 1000 >= point.timeMs : logs[point.log].last_seq >= point.seq && point.seq >= 1;
}

/** When the record of a point was written. */
async function timeOf(
  backend: Backend,
  view: StoreView,
  point: { readonly log: LogName; readonly seq: number },
  good: readonly { readonly manifest: Manifest }[],
): Promise<number> {
  for await (const { seq, timestamp } of stampsBackwards(backend, view, point.log)) {
    if (seq === point.seq) return Math.round(timestamp * 1000);
    if (seq < point.seq) break;
  }
  throw outOfRange(
    `${describe(point)} is not there: compaction or recovery has taken it out`,
    good.map(({ manifest }) => manifest),
    point,
  );
}

/** The last seq of a log that was written at this time or before, or 0, and the next one that is there. */
async function endAt(
  backend: Backend,
  view: StoreView,
  log: LogName,
  timeMs: number,
): Promise<{ readonly seq: number; readonly next: number | undefined }> {
  let next: number | undefined;
  for await (const { seq, timestamp } of stampsBackwards(backend, view, log)) {
    if (Math.round(timestamp * 1000) <= timeMs) return { seq, next };
    next = seq;
  }
  return { seq: 0, next };
}

/** The last snapshot of that time in front of all that have seen more of the journal: those are of a future that is left. */
async function lastSnapshotOf(backend: Backend, view: StoreView, journalSeq: number, timeMs: number): Promise<number> {
  let last: number | undefined;
  for await (const { seq, timestamp, seen } of stampsBackwards(backend, view, "snapshots")) {
    const atMs = Math.round(timestamp * 1000);
    if (atMs > timeMs) continue;
    last = typeof seen === "number" && seen > journalSeq ? undefined : (last ?? seq);
    if (atMs < timeMs) break; // what is older has seen nothing of that moment
  }
  return last ?? 0;
}

/** `seen` is of a snapshot: up to where it has seen the journal. */
async function* stampsBackwards(
  backend: Backend,
  view: StoreView,
  log: LogName,
): AsyncGenerator<{ readonly seq: number; readonly timestamp: number; readonly seen: unknown }> {
  for (const segment of view.segments.filter((one) => one.log === log).reverse()) {
    const identity = identityOf(view, log, segment);
    if (identity === undefined) return;
    const line = encodeIdentity(identity);
    const head = Math.min(Buffer.byteLength(line), segment.bytes);
    for await (const { fields } of linesBackwards(backend, segment, head, seedOf(line), true)) {
      const { seq, timestamp, journal_seq: seen } = fields ?? {};
      if (typeof seq === "number" && typeof timestamp === "number") yield { seq, timestamp, seen };
    }
  }
}

function describe(point: Extract<Point, { timeMs: number } | { seq: number }>): string {
  return "timeMs" in point ? new Date(point.timeMs).toISOString() : `${point.log}:${point.seq}`;
}

/** What can be reached instead, next to the point. */
export function outOfRange(
  what: string,
  good: readonly Manifest[],
  point: Extract<Point, { timeMs: number } | { seq: number }>,
): PapyraError {
  const spans = good.map(({ id, instant, logs }) => {
    if ("seq" in point)
      return `${id} reaches from ${point.log}:${logs[point.log].first_seq ?? "nothing"} to ${point.log}:${logs[point.log].last_seq}`;
    const firsts = LOG_NAMES.flatMap((log) => logs[log].first_timestamp ?? []);
    const from = firsts.length === 0 ? "nothing" : new Date(Math.min(...firsts) * 1000).toISOString();
    return `${id} reaches from ${from} to ${new Date(instant * 1000).toISOString()}`;
  });
  const nearest = spans.length <= 2 ? spans : [spans[0] as string, spans.at(-1) as string];
  return new PapyraError("RESTORE_OUT_OF_RANGE", `no good backup reaches ${what}`, {
    hint:
      nearest.length === 0
        ? "there is no good backup: papyra backup list"
        : `the nearest that can be reached: ${nearest.join("; ")}`,
    details: { nearest },
  });
}
