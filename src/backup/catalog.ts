// The catalog of a repository: what was done to it and found out about it, one object an entry, each with the SHA-256 of the
// one before. Nothing in it is ever changed; whoever keeps its last hash elsewhere (an anchor) can prove that none is missing.
import { PapyraError } from "../errors.ts";
import { getUnjudged, type ObjectStore } from "./objects.ts";
import { decodeSealed, encodeSealed, sha256Of } from "./sealed-json.ts";

const PREFIX = "catalog/";
const ENTRY = /^catalog\/(\d{12})\.json$/;
const TRIES_MAX = 100;

/** What an entry says besides who, when and which. */
export type CatalogEvent =
  | {
      readonly type: "created" | "adopted";
      readonly backup: string;
      readonly manifest: string;
      readonly verdict: string;
    }
  | {
      readonly type: "verified";
      /** Or "*": all that were there. */
      readonly backup: string;
      readonly level: string;
      readonly ok: boolean;
      readonly coverage: number;
      readonly detail: string;
      /** The ids of the backups that are not what was stored. */
      readonly damaged?: readonly string[];
    }
  | {
      readonly type: "drilled";
      readonly backup: string;
      readonly outcome: "pass" | "fail" | "inconclusive";
      readonly detail: string;
      readonly seconds: number;
    }
  | {
      readonly type: "replayed-aof";
      /** None: it is of a server's append-only file as it is. */
      readonly backup: "";
      readonly store: string;
      readonly source: string;
      readonly outcome: "pass" | "fail" | "inconclusive";
      readonly detail: string;
      readonly seconds: number;
    }
  | { readonly type: "restored"; readonly backup: string; readonly target: string; readonly lineage: string }
  | { readonly type: "pinned" | "unpinned"; readonly backup: string; readonly detail: string }
  | { readonly type: "expired"; readonly backup: string; readonly detail: string };

export type CatalogEntry = CatalogEvent & {
  readonly n: number;
  /** SHA-256 of the bytes of the entry before, or null. */
  readonly previous: string | null;
  /** Epoch seconds. */
  readonly at: number;
  readonly host: string;
};

export interface Catalog {
  readonly entries: readonly CatalogEntry[];
  /** What is wrong with it, in words. */
  readonly problems: readonly string[];
  /** The numbers of the entries that are missing, damaged or replaced: what they said is not known any more. */
  readonly lost: readonly number[];
  /** `number:sha256` of the last entry: kept elsewhere, it proves later that nothing before it was changed or removed. */
  readonly anchor: string | undefined;
}

/** The entries of one type. */
export function entriesOf<T extends CatalogEntry["type"]>(
  entries: readonly CatalogEntry[],
  type: T,
): Extract<CatalogEntry, { type: T }>[] {
  return entries.filter((entry): entry is Extract<CatalogEntry, { type: T }> => entry.type === type);
}

function anchorOf(n: number, bytes: Uint8Array): string {
  return `${n}:${sha256Of(bytes)}`;
}

function nameOf(n: number): string {
  return `${PREFIX}${String(n).padStart(12, "0")}.json`;
}

/** Adds an entry behind the last one; of several at once each finds its place. Resolves with the new anchor. */
export async function appendToCatalog(objects: ObjectStore, event: CatalogEvent): Promise<string> {
  const { clock, host } = objects.env;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    let last = 0;
    for await (const { name } of objects.list(PREFIX)) last = Math.max(last, Number(ENTRY.exec(name)?.[1] ?? 0));
    while ((await objects.stat(nameOf(last + 1))) !== undefined) last += 1; // a listing may lag
    const before = last === 0 ? undefined : await getUnjudged(objects, nameOf(last));
    const entry: CatalogEntry = {
      n: last + 1,
      previous: before === undefined ? null : sha256Of(before),
      at: clock.nowMs() / 1000,
      host: host.name,
      ...event,
    };
    const bytes = encodeSealed(entry);
    if (await objects.put(nameOf(last + 1), bytes, { ifAbsent: true })) return anchorOf(last + 1, bytes);
  }
  throw new PapyraError("REPOSITORY_LOCKED", `the catalog of ${objects.location} is written all the time by others`, {
    hint: "try again",
  });
}

/** Reads all of it and follows its chain. With an `anchor`, also says whether that entry is still the one that it was. */
export async function readCatalog(objects: ObjectStore, anchor?: string): Promise<Catalog> {
  const entries: CatalogEntry[] = [];
  const problems: string[] = [];
  const lost = new Set<number>();
  const hashes = new Map<number, string>();
  let n = 0;
  for await (const { name } of objects.list(PREFIX)) {
    const number = Number(ENTRY.exec(name)?.[1] ?? 0);
    if (number === 0) {
      problems.push(`${name} is no entry of a catalog`);
      continue;
    }
    for (n += 1; n < number; n++) {
      problems.push(`${nameOf(n)} is missing`);
      lost.add(n);
    }
    const bytes = (await getUnjudged(objects, name)) ?? Buffer.alloc(0);
    hashes.set(n, sha256Of(bytes));
    const entry = decodeSealed(bytes) as CatalogEntry | undefined;
    if (entry === undefined || entry.n !== n) {
      problems.push(`${name} is damaged`);
      lost.add(n);
      continue;
    }
    if (entry.previous !== (hashes.get(n - 1) ?? null)) {
      problems.push(`${name} does not follow the entry before it`);
      if (!lost.has(n - 1)) for (const either of [n - 1, n]) if (either > 0) lost.add(either); // one of them was replaced
    }
    entries.push(entry);
  }
  const last = hashes.get(n);
  if (anchor !== undefined) problems.push(...againstAnchor(anchor, hashes));
  return { entries, problems, lost: [...lost], anchor: last === undefined ? undefined : `${n}:${last}` };
}

function againstAnchor(anchor: string, hashes: ReadonlyMap<number, string>): string[] {
  const [, number, hash] = /^(\d{1,12}):([0-9a-f]{64})$/.exec(anchor) ?? [];
  if (number === undefined) {
    throw new PapyraError("OPTION_INVALID", `${JSON.stringify(anchor)} is no anchor`, {
      hint: "an anchor is what `papyra backup list` prints, for example 12:<64 hex digits>",
    });
  }
  const found = hashes.get(Number(number));
  if (found === hash) return [];
  return found === undefined
    ? [`the catalog ends before entry ${number}, which the anchor names: it was rolled back`]
    : [`entry ${number} of the catalog is not the one that the anchor names: it was replaced`];
}
