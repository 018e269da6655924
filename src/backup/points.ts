// Which backup, and how much of it, is the store at a point: the end, an instant, a record.
import type { Backend, StoreView } from "../backends/backend.ts";
import { identityOf } from "../backends/identities.ts";
import { PapyraError } from "../errors.ts";
import { encodeIdentity, seedOf } from "../log/codec.ts";
import { commonUntil } from "../log/lineage.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { linesBackwards } from "../ops/backwards.ts";
import { backupReader } from "./backup-reader.ts";
import type { Instant } from "./instant.ts";
import type { Manifest } from "./manifest.ts";
import type { ObjectStore } from "./objects.ts";
import { type BackupInfo, findBackup, newestGood, ofOneStore, type RepositoryView, withLines } from "./repository.ts";

/** Where in the history. */
export type Point =
  /** The end of the newest good backup, or of the one with this id (or the beginning of it). */
  | { readonly backup?: string }
  /** Every record with this time or an earlier one; milliseconds since the epoch. */
  | { readonly timeMs: number }
  /** Up to this record, and in the other logs up to its time. */
  | { readonly log: LogName; readonly seq: number };

type Within = Extract<Point, { timeMs: number } | { seq: number }>;
type Good = BackupInfo & { readonly manifest: Manifest };

/** A backup and how much of it. */
export interface Chosen {
  readonly manifest: Manifest;
  /** Empty: all of it. */
  readonly instant: Instant;
  readonly info: BackupInfo;
  /** A good backup that has other records up to the point, in a history that a later restore has cut off. */
  readonly passedOver: Manifest | undefined;
}

/**
 * Of the backups of one store, unless the point names one by its id. A time and a seq are those of one history: of the newest good
 * backup's lineage and those that it goes on from, as far as it does. Rejects with BACKUP_NOT_FOUND, BACKUP_DAMAGED, RESTORE_OUT_OF_RANGE
 * (naming the nearest points, and a backup of another history that has it), OPTION_INVALID (there are several stores, and none was named).
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
    return { manifest: info.manifest, instant: {}, info, passedOver: undefined };
  }
  const repository = withLines(ofOneStore(all, store));
  const good = [...repository.backups, ...repository.watched].filter(
    (info): info is Good => info.good && info.manifest !== undefined,
  );
  const newest = newestGood(repository)?.manifest;
  if (newest === undefined) throw outOfRange(describe(point), [], point);
  const passedOver = await cutOff(objects, good, newest, point);
  const own = good.filter(({ manifest }) => lineOf(newest).includes(manifest.lineage));
  const info = own.find((one) => reaches(one.manifest, point, newest, good));
  if (info === undefined)
    throw passedOver === undefined ? outside(own, newest, point) : onlyCutOff(passedOver, newest, point);
  return { ...(await cutAt(objects, info, newest, point, own)), passedOver };
}

async function cutAt(objects: ObjectStore, info: Good, newest: Manifest, point: Within, own: readonly Good[]) {
  const { manifest } = info;
  const backend = backupReader(objects, manifest);
  const view = await backend.view();
  const timeMs = "timeMs" in point ? point.timeMs : await timeOf(backend, view, point, own);
  const instant = {} as Record<LogName, number>;
  for (const log of LOG_NAMES) {
    const until = commonUntil(log, manifest, newest);
    const { seq, next } = await endAt(backend, view, log, timeMs);
    instant[log] = Math.min(seq, until);
    if (log !== "journal" || ("seq" in point && point.log === "journal") || seq >= until) continue;
    // What was taken out there may have happened before that time: without it, states would be those of an earlier one.
    if (next === undefined || next === seq + 1) continue;
    const gone = `journal seq ${seq + 1} to ${next - 1} were written before seq ${next}, and compaction or recovery has taken them out`;
    throw outOfRange(`${describe(point)}: ${gone} before the backup was made`, [manifest], point);
  }
  if ("seq" in point) instant[point.log] = point.seq;
  if ("seq" in point && point.log === "journal") {
    const last = await lastSnapshotOf(backend, view, point.seq, timeMs);
    instant.snapshots = Math.min(last, commonUntil("snapshots", manifest, newest));
  } else if (LOG_NAMES.every((log) => instant[log] === 0)) throw outOfRange(describe(point), [manifest], point);
  return { manifest, instant, info };
}

/** The lineages of a history, the oldest first. */
function lineOf({ ancestors, lineage }: Manifest): string[] {
  return [...ancestors.map((one) => one.lineage), lineage];
}

/** Whether a backup of one of the lineages of the newest one has everything of that history up to the point. */
function reaches(manifest: Manifest, point: Within, newest: Manifest, good: readonly Good[]): boolean {
  if ("seq" in point) {
    const last = Math.min(manifest.logs[point.log].last_seq, commonUntil(point.log, manifest, newest));
    return point.seq >= 1 && point.seq <= last;
  }
  if (manifest.instant * 1000 < point.timeMs) return false;
  if (manifest.lineage === newest.lineage) return true;
  // Where the next lineage had begun by then, the history has records that a backup of this one cannot have.
  const line = lineOf(newest);
  const next = line[line.indexOf(manifest.lineage) + 1];
  const begun = good.find((one) => one.manifest.lineage === next)?.manifest.store_created;
  return begun !== undefined && point.timeMs < begun * 1000;
}

/** The first good backup that has records up to the point which are not of the history of the newest one. */
async function cutOff(
  objects: ObjectStore,
  good: readonly Good[],
  newest: Manifest,
  point: Within,
): Promise<Manifest | undefined> {
  const seen = new Set<string>();
  for (const { manifest } of good) {
    const { lineage, instant, logs } = manifest;
    const isElsewhere = (log: LogName, last: number): boolean => last > commonUntil(log, manifest, newest);
    if ("seq" in point) {
      if (logs[point.log].last_seq >= point.seq && isElsewhere(point.log, point.seq)) return manifest;
      continue;
    }
    // Of one lineage, all that reach so far have the same records up to there.
    if (seen.has(lineage) || instant * 1000 < point.timeMs) continue;
    const more = LOG_NAMES.filter((log) => isElsewhere(log, logs[log].last_seq));
    if (more.length > 0) seen.add(lineage);
    const backend = backupReader(objects, manifest);
    const view = await backend.view();
    for (const log of more) if (isElsewhere(log, (await endAt(backend, view, log, point.timeMs)).seq)) return manifest;
  }
  return undefined;
}

/** When the record of a point was written. */
async function timeOf(
  backend: Backend,
  view: StoreView,
  point: { readonly log: LogName; readonly seq: number },
  good: readonly Good[],
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

function describe(point: Within): string {
  return "timeMs" in point ? new Date(point.timeMs).toISOString() : `${point.log}:${point.seq}`;
}

function outside(own: readonly Good[], newest: Manifest, point: Within): PapyraError {
  const spans = own.map(({ manifest }) => {
    const logs = LOG_NAMES.map((log) => {
      const last_seq = Math.min(manifest.logs[log].last_seq, commonUntil(log, manifest, newest));
      return [log, { ...manifest.logs[log], last_seq }] as const;
    });
    return { ...manifest, logs: Object.fromEntries(logs) as Manifest["logs"] };
  });
  return outOfRange(describe(point), spans, point);
}

function onlyCutOff({ id, lineage }: Manifest, newest: Manifest, point: Within): PapyraError {
  return new PapyraError(
    "RESTORE_OUT_OF_RANGE",
    `${describe(point)} is in no good backup of the present history (lineage ${newest.lineage}); backup ${id} has it, of lineage ${lineage}, which a later restore has cut off there`,
    {
      hint: `to restore that backup, to its end: papyra backup restore --target <dir> --to-backup ${id}`,
      details: { cutOff: id, lineage, current: newest.lineage },
    },
  );
}

/** What can be reached instead, next to the point. */
export function outOfRange(what: string, good: readonly Manifest[], point: Within): PapyraError {
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
