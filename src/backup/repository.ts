// A repository of backups: what is in it, and what is known about each. Only objects and the catalog tell; nothing else is kept.
import { PapyraError } from "../errors.ts";
import { type Catalog, type CatalogEntry, entriesOf, readCatalog } from "./catalog.ts";
import { secondOf, decodeManifest, idOfManifest, type Manifest, MANIFEST_PREFIX, manifestName } from "./manifest.ts";
import type { ObjectStore } from "./objects.ts";
import { sha256Of } from "./sealed-json.ts";

/** A backup, and what the catalog says of it. */
export interface BackupInfo {
  readonly id: string;
  /** Undefined when it is damaged. */
  readonly manifest: Manifest | undefined;
  /** A good one: its source was whole, and its manifest is what was written. */
  readonly good: boolean;
  readonly problems: readonly string[];
  readonly pinned: boolean;
  readonly lastVerified: Extract<CatalogEntry, { type: "verified" }> | undefined;
  readonly lastDrilled: Extract<CatalogEntry, { type: "drilled" }> | undefined;
}

export interface RepositoryView {
  readonly location: string;
  /** In the order in which they were made. */
  readonly backups: readonly BackupInfo[];
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
    const bytes = await objects.get(name);
    if (bytes !== undefined) backups.push(infoOf(id, bytes, catalog.entries));
  }
  const numbers = new Map(catalog.entries.filter(isCreation).map(({ n, backup }) => [backup, n]));
  const number = ({ id }: BackupInfo): number => numbers.get(id) ?? Number.MAX_SAFE_INTEGER;
  const made = ({ id, manifest }: BackupInfo): number => manifest?.created ?? secondOf(id);
  backups.sort((a, b) => made(a) - made(b) || number(a) - number(b)); // several may be of one moment
  if (backups.length === 0 && catalog.anchor === undefined) throw noRepository(objects.location);
  return {
    location: objects.location,
    backups,
    catalog,
    problems: [...catalog.problems, ...vanished(backups, catalog)],
  };
}

/** Whether a run over one backup, or over all that were there, was over this one. */
function covers(entry: CatalogEntry, own: readonly CatalogEntry[]): boolean {
  return own.includes(entry) || (entry.backup === "*" && (own[0]?.n ?? Number.POSITIVE_INFINITY) < entry.n);
}

function isCreation({ type }: CatalogEntry): boolean {
  return type === "created" || type === "adopted";
}

function infoOf(id: string, bytes: Buffer, entries: readonly CatalogEntry[]): BackupInfo {
  const manifest = decodeManifest(bytes, manifestName(id));
  const own = entries.filter(({ backup }) => backup === id);
  const problems: string[] = [];
  if (manifest === undefined || manifest.id !== id) problems.push("its manifest is damaged");
  const created = own.find((entry) => entry.type === "created" || entry.type === "adopted");
  if (created !== undefined && "manifest" in created && created.manifest !== sha256Of(bytes))
    problems.push("its manifest is not the one that the catalog names");
  if (manifest?.verdict === "damaged") problems.push("its source was damaged when it was made");
  const pin = own.filter(({ type }) => type === "pinned" || type === "unpinned").at(-1);
  return {
    id,
    manifest: problems.includes("its manifest is damaged") ? undefined : manifest,
    good: problems.length === 0,
    problems,
    pinned: pin?.type === "pinned",
    lastVerified: entriesOf(entries, "verified").findLast((entry) => covers(entry, own)),
    lastDrilled: entriesOf(own, "drilled").at(-1),
  };
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
  const found =
    wanted === "latest"
      ? view.backups.filter(({ good }) => good).slice(-1)
      : view.backups.filter(({ id }) => id.startsWith(wanted));
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

function noRepository(location: string): PapyraError {
  return new PapyraError("BACKUP_NOT_FOUND", `there is no repository of backups at ${location}`, {
    hint: "check the path; the first `papyra backup create` makes one",
    details: { location },
  });
}
