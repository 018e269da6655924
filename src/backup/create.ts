// Creating a backup: one instant of a store, verified while it is copied, in a repository that has most of it already.
// 1. the closed segments are pinned, so that neither compaction nor recovery replaces them meanwhile;
// 2. the instant is fixed, and each log is read up to it through the very check that a scan makes, and stored on the way;
// 3. the manifest is stored: from here on the backup exists; 4. the catalog says so.
// Whatever ends it before 3 leaves parts that no manifest names: the next run finds and uses them, a prune removes them.
import type { Backend, Pin, StoreView } from "../backends/backend.ts";
import { readSteadily } from "../backends/steady.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { fraction, refuseUnknown } from "../options.ts";
import { quoted } from "../quoted.ts";
import { appendToCatalog } from "./catalog.ts";
import { type Instant, viewAt } from "./instant.ts";
import { BackupLogs, type CopiedLog } from "./copy-log.ts";
import { copyOf, type FrozenCopy, fromFrozen } from "./frozen.ts";
import {
  BACKUP_VERSION,
  type BackedUpLog,
  encodeManifest,
  type Manifest,
  manifestName,
  newBackupId,
  newestIn,
} from "./manifest.ts";
import { storeGroups } from "./groups.ts";
import type { ObjectStore } from "./objects.ts";
import { newestGood, viewRepository, withLines } from "./repository.ts";
import { sha256Of } from "./sealed-json.ts";
import { type DefinedActors, statesOf } from "./states.ts";

export interface CreateOptions {
  /** Text for people; it is kept in the manifest. */
  readonly note?: string | undefined;
  /** Also folds the states of all actors of these definitions from what was stored, and keeps their digest. */
  readonly states?: DefinedActors | undefined;
  /**
   * Of the time, how much is worked: the rest belongs to the system in whose process the backup is taken. From 0.01 to 1.
   * Default 0.15 of an open store, 1 from outside.
   */
  readonly share?: number | undefined;
  /**
   * Reads a copy that the server makes of the store at one instant, instead of the store itself: for a store in Redis from which somebody
   * deletes meanwhile, or whose groups have very much pending. It needs the server's memory once more. Default false.
   */
  readonly freeze?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the bytes read so far and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** How the instant is known. */
export interface CreateSource {
  readonly how?: Manifest["how"];
  /** Called right before the store is looked at: up to where each log counts. Default: what the backend says. */
  readonly instant?: () => Promise<Instant>;
}

export interface CreateReport {
  readonly ok: boolean;
  readonly verdict: string;
  readonly backup: Manifest;
  readonly repository: string;
  readonly readBytes: number;
  readonly storedBytes: number;
  readonly seconds: number;
  /** Why compaction and recovery could not be kept away, or null: then they were. */
  readonly unpinned: string | null;
  /** The frozen copy that was read, and is gone again; null: the store itself was read. */
  readonly frozen: FrozenCopy | null;
  /** The catalog's new anchor. */
  readonly anchor: string;
}

/**
 * Makes a backup of a store, also while it is written. A damaged source makes a backup that is marked as damaged: it is
 * listed, can be restored, and never counts. Rejects with STORE_NOT_FOUND, STORE_UNCHECKED, STORE_LOCKED (compaction, recovery or
 * another backup is at work), REPOSITORY_LOCKED, STORAGE_FULL, STORAGE_FAILED, or the signal's reason.
 */
export async function createBackup(
  backend: Backend,
  objects: ObjectStore,
  options: CreateOptions = {},
  source: CreateSource = {},
): Promise<CreateReport> {
  refuseUnknown("a backup", options, ["note", "states", "share", "freeze", "signal", "onProgress"]);
  fraction("share", options.share, 1, 0.01, 1);
  const { clock } = backend.env;
  const started = clock.monotonicMs();
  return withParts(backend, objects, { ...options, purpose: "backup" }, source, async (made, unpinned) => {
    const { id: backup, verdict, how } = made.manifest;
    const bytes = encodeManifest(made.manifest);
    await objects.put(manifestName(backup), bytes, { ifAbsent: true });
    const type = how === "adopted" ? "adopted" : "created";
    const anchor = await appendToCatalog(objects, { type, backup, manifest: sha256Of(bytes), verdict });
    return reportOf(objects, made, { unpinned, anchor, seconds: (clock.monotonicMs() - started) / 1000 });
  });
}

/** Steps 1 and 2: `publish` is called when everything that the manifest names is stored. */
export async function withParts<T>(
  backend: Backend,
  objects: ObjectStore,
  options: CreateOptions & { readonly purpose: string },
  source: CreateSource,
  publish: (made: Made, unpinned: string | null) => Promise<T>,
): Promise<T> {
  const hold = await objects.hold("shared", options.purpose);
  try {
    const { pin, unpinned } = await tryPin(backend, options.purpose);
    try {
      return await fromFrozen(backend, options, source.instant, async (from, frozen) => {
        const made = await readSteadily(from, (view) => make(from, view, objects, options, source));
        await hold.assertHeld();
        await frozen?.assertHeld();
        return publish({ ...made, frozen: copyOf(frozen) }, unpinned);
      });
    } finally {
      await pin?.release();
    }
  } finally {
    await hold.release();
  }
}

/** A manifest whose parts are stored, and which is not stored itself. */
export interface Made {
  readonly manifest: Manifest;
  readonly frozen: FrozenCopy | null;
  readonly readBytes: number;
  readonly storedBytes: number;
}

/** Fixes the instant, and stores what the repository lacks of it. */
async function make(
  backend: Backend,
  seen: StoreView,
  objects: ObjectStore,
  options: CreateOptions,
  source: CreateSource,
): Promise<Omit<Made, "frozen">> {
  const { clock, random } = backend.env;
  const { identity } = seen;
  if (identity === undefined) throw unchecked(backend);
  const createdMs = clock.nowMs();
  // What was acknowledged before now is in a view that is made behind it.
  const own = await source.instant?.();
  const grouped = await backend.viewWithGroups?.();
  const view = grouped ?? (await look(backend));
  // Groups are of the instant of their view; it lies behind the other one.
  const instant = (grouped === undefined ? own : undefined) ?? view.acknowledged ?? {};
  const cut = await viewAt(backend, view, instant);
  const previous = await previousOf(objects, identity.store);
  const copy = new BackupLogs(backend, objects, cut, previous, options);
  const logs = {} as Record<LogName, BackedUpLog>;
  const anomalies: string[] = cut.findings.map(({ file, detail }) => `${file}: ${detail}`);
  for (const log of LOG_NAMES) {
    const copied: CopiedLog = await copy.log(log);
    const groups = grouped?.groups?.[log];
    logs[log] = { ...copied.log, ...(groups === undefined ? {} : await storeGroups(copy.sink, log, groups)) };
    anomalies.push(...copied.anomalies);
  }
  const manifest: Manifest = {
    papyra_backup: BACKUP_VERSION,
    id: newBackupId(createdMs, random.hex(3)),
    store: identity.store,
    lineage: identity.lineage,
    parent: identity.parent,
    ancestors: identity.ancestors ?? [],
    store_created: identity.createdMs / 1000,
    created: createdMs / 1000,
    // When a copy was made, nobody has said: it holds nothing that is younger than its newest record.
    instant: source.how === "adopted" ? newestIn(logs) : createdMs / 1000,
    how: source.how ?? (view.writer === undefined ? "stopped" : "live"),
    source: backend.location,
    verdict: anomalies.length === 0 ? "good" : "damaged",
    anomalies,
    note: options.note ?? null,
    logs,
    states: null,
  };
  const states =
    options.states === undefined ? null : await statesOf(objects, manifest, options.states, options.signal);
  const { readBytes, storedBytes } = copy.sink;
  return { manifest: { ...manifest, states }, readBytes, storedBytes };
}

/** A store that is opened while it is looked at is looked at again: beside a writer its mark says what was one instant. */
async function look(backend: Backend): Promise<StoreView> {
  const view = await backend.view();
  if (view.writer !== undefined) return view;
  const again = await backend.view();
  return again.writer === undefined ? view : again;
}

/** The newest good backup of the same store: what it has is not stored again, and where it ends the reading begins. */
async function previousOf(objects: ObjectStore, store: string): Promise<Manifest | undefined> {
  try {
    return newestGood(withLines(await viewRepository(objects)), store)?.manifest;
  } catch (error) {
    if (isPapyraError(error, "BACKUP_NOT_FOUND")) return undefined; // the first backup makes the repository
    throw error;
  }
}

/** On storage that this process may only read, nothing can be pinned; a segment that is replaced meanwhile is noticed. */
async function tryPin(backend: Backend, purpose: string): Promise<{ pin: Pin | undefined; unpinned: string | null }> {
  if (backend.pin === undefined) return { pin: undefined, unpinned: null };
  try {
    return { pin: await backend.pin(purpose), unpinned: null };
  } catch (error) {
    const errno = isPapyraError(error, "STORAGE_FAILED") ? error.details.errno : undefined;
    if (errno !== "EACCES" && errno !== "EROFS" && errno !== "EPERM") throw error;
    return { pin: undefined, unpinned: `nothing can be written there (${errno})` };
  }
}

function reportOf(
  objects: ObjectStore,
  { manifest, frozen, readBytes, storedBytes }: Made,
  more: { readonly unpinned: string | null; readonly anchor: string; readonly seconds: number },
): CreateReport {
  const ok = manifest.verdict === "good";
  const records = LOG_NAMES.reduce((sum, log) => sum + manifest.logs[log].records, 0);
  const what = `backup ${manifest.id}: ${records} records${frozen === null ? "" : " from a frozen copy"}`;
  return {
    ok,
    verdict: ok
      ? `${what}, every line verified`
      : `${what}, DAMAGED: its source has ${manifest.anomalies.length} anomalies`,
    backup: manifest,
    repository: objects.location,
    frozen,
    readBytes,
    storedBytes,
    ...more,
  };
}

function unchecked({ location }: Backend): PapyraError {
  return new PapyraError(
    "STORE_UNCHECKED",
    `${location} holds logs without checksums: a backup of them could not be verified`,
    {
      hint: `copy them: cp -r ${quoted(location)} <somewhere>`,
    },
  );
}
