// Retention of backups: which go by a policy, and the parts that no backup names any more. In this order, so that a crash leaves
// nothing that looks like a backup and is none: 1. the catalog says what expires; 2. the manifests go; 3. the parts go.
import { refuseUnknown } from "../options.ts";
import { appendToCatalog, entriesOf } from "./catalog.ts";
import { assertKeeps, chooseKept, type KeepPolicy, MAYBE_PINNED } from "./keep.ts";
import {
  idOfManifest,
  type Manifest,
  MANIFEST_PREFIX,
  manifestName,
  PART_PREFIX,
  partName,
  partsOf,
} from "./manifest.ts";
import type { ObjectInfo, ObjectStore } from "./objects.ts";
import { type BackupInfo, viewRepository } from "./repository.ts";

export interface PruneOptions {
  readonly keep: KeepPolicy;
  /** Parts that no backup names are removed when they are so old, in milliseconds. Default: one hour. */
  readonly graceMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PrunedBackup {
  readonly id: string;
  readonly instant: number;
  readonly good: boolean;
  /** Why it stays; none: it goes. */
  readonly reasons: readonly string[];
}

export interface PruneReport {
  readonly ok: boolean;
  readonly verdict: string;
  readonly repository: string;
  readonly done: boolean;
  readonly backups: readonly PrunedBackup[];
  readonly parts: number;
  readonly bytes: number;
  /** Why parts were left that no backup names, or null. */
  readonly partsKept: string | null;
  /** Backups that stay only since an entry of the catalog is lost that may have pinned them. */
  readonly maybePinned: readonly string[];
  readonly anchor: string | undefined;
}

const GRACE_MS = 3_600_000;

/**
 * What would go, changing nothing. With `atMs`: which of the backups of today would be left then, as if none were made until then; so
 * only the rule of age (`withinMs`) answers otherwise than today. Rejects as {@link prune} does.
 */
export async function planPrune(objects: ObjectStore, options: PruneOptions, atMs?: number): Promise<PruneReport> {
  const { backups, watched, catalog } = await viewRepository(objects);
  const decided = decide(backups, options.keep, atMs ?? objects.env.clock.nowMs());
  const stay = backups.filter((_, i) => (decided[i] as PrunedBackup).reasons.length > 0);
  const { parts, bytes, partsKept } = await unnamed(objects, [...stay, ...watched], { ...options, graceMs: 0 });
  return reportOf(objects, decided, {
    done: false,
    atMs,
    parts: parts.length,
    bytes,
    partsKept,
    anchor: catalog.anchor,
  });
}

/**
 * Removes backups by a policy, for each store in the repository. Rejects with OPTION_INVALID (a policy that keeps nothing), REPOSITORY_LOCKED (a backup, a
 * restore or a verification is at work), BACKUP_NOT_FOUND, STORAGE_FAILED, or the signal's reason.
 */
export async function prune(objects: ObjectStore, options: PruneOptions): Promise<PruneReport> {
  refuseUnknown("a prune", options, ["keep", "graceMs", "signal"]);
  assertKeeps(options.keep);
  const hold = await objects.hold("exclusive", "prune");
  try {
    const { backups } = await viewRepository(objects);
    const decided = decide(backups, options.keep, objects.env.clock.nowMs());
    let anchor: string | undefined;
    for (const { id, reasons } of decided) {
      options.signal?.throwIfAborted();
      if (reasons.length > 0) continue;
      await hold.assertHeld();
      anchor = await appendToCatalog(objects, { type: "expired", backup: id, detail: describe(options.keep) });
    }
    const after = await viewRepository(objects);
    await removeExpired(objects, new Set(entriesOf(after.catalog.entries, "expired").map(({ backup }) => backup)));
    const { parts, bytes, partsKept } = await unnamed(objects, [...after.backups, ...after.watched], options);
    for (const { name } of parts) {
      options.signal?.throwIfAborted();
      await hold.assertHeld();
      await objects.remove(name);
    }
    return reportOf(objects, decided, {
      done: true,
      parts: parts.length,
      bytes,
      partsKept,
      anchor: anchor ?? after.catalog.anchor,
    });
  } finally {
    await hold.release();
  }
}

/** Each store of a repository for itself: one that is backed up rarely must not lose its backups to one that is backed up often. */
function decide(backups: readonly BackupInfo[], policy: KeepPolicy, nowMs: number): PrunedBackup[] {
  const stores = new Set(backups.map(({ manifest }) => manifest?.store));
  const kept = new Map<string, string[]>();
  for (const store of stores) {
    const own = backups.filter(({ manifest }) => manifest?.store === store);
    const keepable = own.map(({ id, good, pinned, maybePinned, manifest }) => ({
      id,
      good,
      pinned,
      maybePinned,
      instantMs: instantOf(manifest) * 1000,
    }));
    for (const [id, reasons] of chooseKept(keepable, policy, nowMs)) kept.set(id, reasons);
  }
  return backups.map(({ id, good, manifest }) => ({
    id,
    good,
    instant: instantOf(manifest),
    reasons: kept.get(id) ?? [],
  }));
}

function instantOf(manifest: Manifest | undefined): number {
  return manifest?.instant ?? 0;
}

async function removeExpired(objects: ObjectStore, expired: ReadonlySet<string>): Promise<void> {
  const names: string[] = [];
  for await (const { name } of objects.list(MANIFEST_PREFIX)) names.push(name);
  for (const name of names) {
    const id = idOfManifest(name);
    if (id !== undefined && expired.has(id)) await objects.remove(manifestName(id));
  }
}

/** Parts that no backup names. A backup whose manifest cannot be read may name any of them: then none is removed. */
async function unnamed(
  objects: ObjectStore,
  backups: readonly BackupInfo[],
  { graceMs = GRACE_MS }: PruneOptions,
): Promise<{ parts: readonly ObjectInfo[]; bytes: number; partsKept: string | null }> {
  const unreadable = backups.find(({ manifest }) => manifest === undefined);
  if (unreadable !== undefined)
    return { parts: [], bytes: 0, partsKept: `the manifest of ${unreadable.id} cannot be read: it may name any part` };
  const named = new Set<string>();
  for (const { manifest } of backups)
    for (const { log, part } of partsOf(manifest as Manifest)) named.add(partName(log, part));
  const before = objects.env.clock.nowMs() - graceMs;
  const parts: ObjectInfo[] = [];
  for await (const info of objects.list(PART_PREFIX))
    if (!named.has(info.name) && info.storedMs <= before) parts.push(info);
  return { parts, bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0), partsKept: null };
}

function describe(policy: KeepPolicy): string {
  const rules = Object.entries(policy).filter(([, value]) => value !== undefined);
  return rules.map(([rule, value]) => `${rule} ${value}`).join(", ");
}

function reportOf(
  objects: ObjectStore,
  backups: readonly PrunedBackup[],
  {
    atMs,
    ...more
  }: Pick<PruneReport, "done" | "parts" | "bytes" | "partsKept" | "anchor"> & { atMs?: number | undefined },
): PruneReport {
  const goes = backups.filter(({ reasons }) => reasons.length === 0).length;
  const verb = more.done ? "removed" : "would remove";
  const maybePinned = backups
    .filter(({ reasons }) => reasons.length === 1 && reasons[0] === MAYBE_PINNED)
    .map(({ id }) => id);
  const unsure =
    maybePinned.length === 0
      ? ""
      : `; ${maybePinned.length} stay since the catalog is damaged: what is lost of it may have pinned them`;
  const when =
    atMs === undefined
      ? ""
      : `on ${new Date(atMs).toISOString()}, if no backup is made until then, ${backups.length - goes} could still be restored: `;
  const verdict = `${when}${verb} ${goes} of ${backups.length} backups and ${more.parts} parts (${more.bytes} bytes)${unsure}`;
  return { ok: true, verdict, repository: objects.location, backups, maybePinned, ...more };
}
