// A repository of backups: what is in it, and what is known about each. Only objects and the catalog tell; nothing else is kept.
import { PapyraError } from "../errors.ts";
import { type Catalog, type CatalogEntry, entriesOf, readCatalog } from "./catalog.ts";
import {
  decodeManifest,
  idOfManifest,
  type Manifest,
  MANIFEST_PREFIX,
  manifestName,
  WATCH_PREFIX,
} from "./manifest.ts";
import { getUnjudged, type ObjectStore } from "./objects.ts";
import { inOrder, isNewer } from "./order.ts";
import { sha256Of } from "./sealed-json.ts";

export const SOURCE_DAMAGED = "its source was damaged when it was made";
export const FOUND_DAMAGED = "a verification found it damaged";
/** Each does what the ones before it do, too. */
export const VERIFY_LEVELS: readonly string[] = ["names", "checksums", "replay"];

/** A backup, and what the catalog says of it. */
export interface BackupInfo {
  readonly id: string;
  /** Undefined when it is damaged. */
  readonly manifest: Manifest | undefined;
  /** A good one: its source was whole, its manifest is what was written, and no verification found anything else. */
  readonly good: boolean;
  readonly problems: readonly string[];
  readonly pinned: boolean;
  /** An entry of the catalog is lost that may have pinned it: it stays until somebody pins or unpins it anew. */
  readonly maybePinned: boolean;
  readonly lastVerified: Extract<CatalogEntry, { type: "verified" }> | undefined;
  readonly lastDrilled: Extract<CatalogEntry, { type: "drilled" }> | undefined;
}

export interface RepositoryView {
  readonly location: string;
  /** The oldest first, whatever a wall clock said (order.ts). */
  readonly backups: readonly BackupInfo[];
  /** Up to where each watched store has been shipped: one for each store that is, or was, watched. */
  readonly watched: readonly BackupInfo[];
  readonly catalog: Catalog;
  /** What is wrong with the repository as a whole. */
  readonly problems: readonly string[];
}

/** Rejects with BACKUP_NOT_FOUND when there is no repository; FORMAT_UNKNOWN, STORAGE_FAILED. */
export async function viewRepository(
  objects: ObjectStore,
  options: { readonly anchor?: string | undefined } = {},
): Promise<RepositoryView> {
  const catalog = await readCatalog(objects, options.anchor);
  const backups: BackupInfo[] = [];
  const expired = new Set(entriesOf(catalog.entries, "expired").map(({ backup }) => backup));
  for await (const { name } of objects.list(MANIFEST_PREFIX)) {
    const id = idOfManifest(name);
    if (id === undefined || expired.has(id)) continue; // a prune that was interrupted has not removed its manifest yet
    const bytes = await getUnjudged(objects, name);
    if (bytes !== undefined) backups.push(infoOf(id, bytes, catalog));
  }
  // A copy by hand may be older than what was there when it was taken in: of these the entry says nothing.
  const entries = new Map(
    catalog.entries.filter(isCreation).map(({ n, backup, type }) => [backup, { n, made: type === "created" }]),
  );
  const watched: BackupInfo[] = [];
  for await (const { name } of objects.list(WATCH_PREFIX)) {
    const bytes = await getUnjudged(objects, name);
    if (bytes !== undefined) watched.push(watchedInfo(name, bytes));
  }
  if (backups.length === 0 && watched.length === 0 && catalog.anchor === undefined)
    throw noRepository(objects.location);
  return {
    location: objects.location,
    backups: inOrder(backups, entries),
    watched,
    catalog,
    problems: [...catalog.problems, ...perhapsPinned(backups), ...vanished(backups, catalog)],
  };
}

/** Whether a run over one backup, or over all that were there, was over this one. */
function covers(entry: CatalogEntry, own: readonly CatalogEntry[]): boolean {
  return own.includes(entry) || (entry.backup === "*" && (own[0]?.n ?? Number.POSITIVE_INFINITY) < entry.n);
}

function isCreation({ type }: CatalogEntry): boolean {
  return type === "created" || type === "adopted";
}

/** Until a run that is as thorough reads all of it and finds nothing. */
function isFoundDamaged(id: string, verified: readonly Extract<CatalogEntry, { type: "verified" }>[]): boolean {
  let depth: number | undefined;
  for (const { damaged = [], level, coverage } of verified) {
    const own = VERIFY_LEVELS.indexOf(level);
    if (damaged.includes(id)) depth = Math.max(own, depth ?? own);
    else if (depth !== undefined && coverage === 1 && own >= depth) depth = undefined;
  }
  return depth !== undefined;
}

/** What a lost entry may have been is known only of backups that were made later, and of those about which was said anew. */
function isPinUnknown(own: readonly CatalogEntry[], lost: readonly number[]): boolean {
  const known = own.filter(
    ({ type, n }) => (isPin(type) || type === "created" || type === "adopted") && !lost.includes(n),
  );
  const since = Math.max(0, ...known.map(({ n }) => n));
  return lost.some((n) => n > since);
}

function isPin(type: CatalogEntry["type"]): boolean {
  return type === "pinned" || type === "unpinned";
}

function infoOf(id: string, bytes: Buffer, { entries, lost }: Catalog): BackupInfo {
  const manifest = decodeManifest(bytes, manifestName(id));
  const own = entries.filter(({ backup }) => backup === id);
  const problems: string[] = [];
  if (manifest === undefined || manifest.id !== id) problems.push("its manifest is damaged");
  const created = own.find((entry) => entry.type === "created" || entry.type === "adopted");
  if (created !== undefined && "manifest" in created && created.manifest !== sha256Of(bytes))
    problems.push("its manifest is not the one that the catalog names");
  if (manifest?.verdict === "damaged") problems.push(SOURCE_DAMAGED);
  const verified = entriesOf(entries, "verified").filter((entry) => covers(entry, own));
  if (isFoundDamaged(id, verified)) problems.push(FOUND_DAMAGED);
  const pin = own.filter(({ type }) => isPin(type)).at(-1);
  return {
    id,
    manifest: problems.includes("its manifest is damaged") ? undefined : manifest,
    good: problems.length === 0,
    problems,
    pinned: pin?.type === "pinned",
    maybePinned: pin?.type !== "pinned" && isPinUnknown(own, lost),
    lastVerified: verified.at(-1),
    lastDrilled: entriesOf(own, "drilled").at(-1),
  };
}

/** It is renewed all the time, so that no entry of the catalog names it: its own checksum is what proves it. */
function watchedInfo(name: string, bytes: Buffer): BackupInfo {
  const manifest = decodeManifest(bytes, name);
  const problems = manifest === undefined ? ["its manifest is damaged"] : [];
  if (manifest?.verdict === "damaged") problems.push(SOURCE_DAMAGED);
  const id = manifest?.id ?? name;
  const good = problems.length === 0;
  const unasked = { pinned: false, maybePinned: false, lastVerified: undefined, lastDrilled: undefined };
  return { id, manifest, good, problems, ...unasked };
}

/** Those whose lines Papyra can read by itself: the others need a server that loads them. */
export function withLines(view: RepositoryView): RepositoryView {
  return { ...view, backups: view.backups.filter(({ manifest }) => manifest?.server_file === undefined) };
}

/** What reaches furthest of a store, or of any: a backup, or what a watch has shipped since. */
export function newestGood({ backups, watched }: RepositoryView, store?: string): BackupInfo | undefined {
  const isOne = ({ good, manifest }: BackupInfo): boolean => good && (store === undefined || manifest?.store === store);
  const made = backups.findLast(isOne);
  return watched
    .filter(isOne)
    .reduce<BackupInfo | undefined>(
      (newest, one) => (newest === undefined || isNewer(one, newest) ? one : newest),
      made,
    );
}

function perhapsPinned(backups: readonly BackupInfo[]): string[] {
  const unknown = backups.filter(({ maybePinned }) => maybePinned).map(({ id }) => id);
  if (unknown.length === 0) return [];
  const which =
    unknown.length === 1 ? `the backup ${unknown[0]}` : `${unknown.length} backups (the first is ${unknown[0]})`;
  return [
    `what is lost of the catalog may have pinned ${which}: no prune removes them until papyra backup pin, or unpin, says it anew`,
  ];
}

/** Backups that the catalog names and that are gone without having expired. */
function vanished(backups: readonly BackupInfo[], { entries }: Catalog): string[] {
  const there = new Set(backups.map(({ id }) => id));
  const expired = new Set(entries.filter(({ type }) => type === "expired").map(({ backup }) => backup));
  return entries
    .filter((entry) => isCreation(entry) && !there.has(entry.backup) && !expired.has(entry.backup))
    .map(({ backup }) => `the backup ${backup} is gone, and nothing in the catalog says why`);
}

/** One backup by its id, the beginning of it, or "latest": the newest good one. Rejects with BACKUP_NOT_FOUND. */
export function locateBackup(view: RepositoryView, wanted: string): BackupInfo {
  const all = [...view.backups, ...view.watched];
  const found =
    wanted === "latest"
      ? [newestGood(view)].filter((one) => one !== undefined)
      : all.filter(({ id }) => id.startsWith(wanted));
  const [one, other] = found;
  if (one !== undefined && other === undefined) return one;
  const what = one === undefined ? `there is no backup ${wanted} in` : `several backups begin with ${wanted} in`;
  throw new PapyraError("BACKUP_NOT_FOUND", `${what} ${view.location}`, {
    hint: "papyra backup list names those that are there",
  });
}

/** The same, where its manifest is needed. Rejects with BACKUP_NOT_FOUND, BACKUP_DAMAGED. */
export function findBackup(view: RepositoryView, wanted: string): BackupInfo & { readonly manifest: Manifest } {
  const one = locateBackup(view, wanted);
  if (one.manifest === undefined) {
    throw new PapyraError(
      "BACKUP_DAMAGED",
      `the backup ${one.id} in ${view.location} cannot be used: ${one.problems.join("; ")}`,
      {
        hint: "use another one: papyra backup list",
      },
    );
  }
  return { ...one, manifest: one.manifest };
}

/** The stores that backups are of. */
export function storesOf({ backups, watched }: Pick<RepositoryView, "backups" | "watched">): string[] {
  return [...new Set([...backups, ...watched].flatMap(({ manifest }) => manifest?.store ?? []))];
}

/** The drills of backups of a store; of one that is gone nobody can tell whose it was. */
export function drillsOf({ backups, catalog }: RepositoryView, store: string | undefined) {
  const others = new Set(backups.filter(({ manifest }) => manifest?.store !== store).map(({ id }) => id));
  return entriesOf(catalog.entries, "drilled").filter(({ backup }) => !others.has(backup));
}

/** What there is of one store. Without a name there must be one alone: the newest backup of any store is nobody's wish. */
export function ofOneStore(view: RepositoryView, store: string | undefined): RepositoryView {
  const stores = storesOf(view);
  if (store === undefined && stores.length < 2) return view;
  if (store === undefined) {
    throw new PapyraError("OPTION_INVALID", `${view.location} holds backups of several stores: ${stores.join(", ")}`, {
      hint: "say which: --store <id>, or name the backup (papyra backup list)",
    });
  }
  const isOwn = ({ manifest }: BackupInfo): boolean => manifest?.store === store;
  if (stores.includes(store))
    return { ...view, backups: view.backups.filter(isOwn), watched: view.watched.filter(isOwn) };
  throw new PapyraError("BACKUP_NOT_FOUND", `there is no backup of the store ${store} in ${view.location}`, {
    hint: `there are backups of ${stores.join(", ") || "none"}: papyra backup list`,
  });
}

function noRepository(location: string): PapyraError {
  return new PapyraError("BACKUP_NOT_FOUND", `there is no repository of backups at ${location}`, {
    hint: "check the path; the first `papyra backup create` makes one",
    details: { location },
  });
}
