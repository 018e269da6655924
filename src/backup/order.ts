// In which order backups are of a history, without asking a wall clock, which may have been set back between two of them. Pure.
import { LOG_NAMES } from "../log/record.ts";
import { type Manifest, newestIn, secondOf } from "./manifest.ts";

/** What the order needs to know of a backup. */
interface Placed {
  readonly id: string;
  /** Undefined when it is damaged. */
  readonly manifest: Manifest | undefined;
}

/** What the catalog says of how a backup came here. */
export interface Entry {
  readonly n: number;
  readonly made: boolean;
}

/**
 * The oldest first. Those that were made here follow each other as the catalog names them: nothing in it is ever changed. One that was
 * taken in as a copy, or whose entry is lost, goes where its history says (`byHistory`); only where no other is of its lineage, its
 * instant decides, and of one instant the catalog. `entries`: the number in the catalog by which each was made here or taken in.
 */
export function inOrder<T extends Placed>(backups: readonly T[], entries: ReadonlyMap<string, Entry>): T[] {
  const numberOf = ({ id }: Placed): number => entries.get(id)?.n ?? Number.MAX_SAFE_INTEGER;
  const later = (one: Placed, other: Placed): number =>
    instantOf(one) - instantOf(other) || numberOf(one) - numberOf(other);
  const isMade = ({ id }: Placed): boolean => entries.get(id)?.made === true;
  const ordered = backups.filter(isMade).sort((a, b) => numberOf(a) - numberOf(b));
  const others = backups.filter((one) => !isMade(one)).sort(later);
  for (const one of others) ordered.splice(placeOf(one, ordered, later), 0, one);
  return ordered;
}

/** In front of the first that has all that it has, and more, or is later; else behind the last one of its lineage. */
function placeOf(one: Placed, ordered: readonly Placed[], later: (one: Placed, other: Placed) => number): number {
  const compared = ordered.map((other) => byHistory(other.manifest, one.manifest));
  const beyond = compared.findIndex((order, i) => order === 1 || (order === 0 && later(ordered[i] as Placed, one) > 0));
  if (beyond >= 0) return beyond;
  const before = compared.findLastIndex((order) => order !== undefined);
  if (before >= 0) return before + 1;
  const { manifest } = one;
  const isOwn = (other: Placed): boolean => manifest === undefined || other.manifest?.store === manifest.store;
  const next = ordered.findIndex((other) => isOwn(other) && instantOf(other) > instantOf(one));
  return next < 0 ? ordered.length : next;
}

/**
 * Which of two reaches further, as with numbers: seqs of one lineage only grow, and so do the times of its records. Undefined where
 * that does not tell: they are of two lineages, or the one has more here and the other there, as when a store was put back by hand.
 */
export function byHistory(one: Manifest | undefined, other: Manifest | undefined): number | undefined {
  if (one === undefined || other === undefined) return undefined;
  if (one.store !== other.store || one.lineage !== other.lineage) return undefined;
  const steps = LOG_NAMES.map((log) => Math.sign(one.logs[log].last_seq - other.logs[log].last_seq));
  steps.push(Math.sign(newestIn(one.logs) - newestIn(other.logs)));
  if (steps.includes(1) && steps.includes(-1)) return undefined;
  return steps.find((step) => step !== 0) ?? 0;
}

/** Of a backup and of what a watch has shipped, which no entry of the catalog names: where their histories do not tell, by the instant. */
export function isNewer(watched: Placed, backup: Placed): boolean {
  const order = byHistory(watched.manifest, backup.manifest);
  if (order !== undefined && order !== 0) return order > 0;
  return instantOf(watched) >= instantOf(backup);
}

/** In whole seconds: a server's file tells no more of the time when it was begun. */
function instantOf({ id, manifest }: Placed): number {
  return Math.floor(manifest?.instant ?? secondOf(id));
}
