// A restore begins a new lineage: what it took over keeps the checksums under which it was written, and what follows has its
// own. Which lineage a segment is of follows from the seq at which it begins; no segment is of two.
import { encodeIdentity, LINE_START, seedOf } from "./codec.ts";
import { type Identity, LOG_NAMES, type LogName } from "./record.ts";

/** A lineage that the history of a store was taken over from, and its last seq in each log that belongs to it. */
export interface Ancestor {
  readonly lineage: string;
  readonly until: Readonly<Record<LogName, number>>;
}

/** The lineages of a store: its own, and those before it, the oldest first. */
export interface Lineages {
  readonly store: string;
  readonly lineage: string;
  readonly ancestors?: readonly Ancestor[] | undefined;
}

/** Which of the ancestors the line of `log` with this seq is of, or -1: none, as is the active segment, whose name has no seq. */
function ancestorAt({ ancestors = [] }: Lineages, log: LogName, seq: number | undefined): number {
  return seq === undefined ? -1 : ancestors.findIndex(({ until }) => seq <= until[log]);
}

/** The last seq that the lineage has in `log` that a segment is of which begins at `seq`. */
export function lastSeqAt(lineages: Lineages, log: LogName, seq: number | undefined): number {
  return lineages.ancestors?.[ancestorAt(lineages, log, seq)]?.until[log] ?? Number.POSITIVE_INFINITY;
}

/** The identity of the lines of `log` with this seq, or of the active segment, which has no first seq in its name. */
export function identityAt(lineages: Lineages, log: LogName, seq: number | undefined): Identity {
  const { store, ancestors = [] } = lineages;
  const at = ancestorAt(lineages, log, seq);
  const index = at < 0 ? ancestors.length : at;
  const lineage = ancestors[index]?.lineage ?? lineages.lineage;
  const before = ancestors[index - 1];
  return before === undefined
    ? { log, store, lineage }
    : { log, store, lineage, parent: before.lineage, after: before.until[log] };
}

/** The first line of an active segment. */
export function activeIdentityLine(lineages: Lineages, log: LogName): Buffer {
  return Buffer.from(encodeIdentity(identityAt(lineages, log, undefined)));
}

/** Every identity that a segment of the store can have. */
export function allIdentities(lineages: Lineages): Identity[] {
  return LOG_NAMES.flatMap((log) => [
    identityAt(lineages, log, undefined),
    ...(lineages.ancestors ?? []).map(({ until }) => identityAt(lineages, log, until[log])),
  ]);
}

/** Up to which seq of `log` two stores have the same records, however far each of them goes. */
export function commonUntil(log: LogName, one: Lineages, other: Lineages): number {
  const others = withOwn(other);
  let common = 0;
  for (const [i, { lineage, until }] of withOwn(one).entries()) {
    const same = others[i];
    if (same?.lineage !== lineage) break; // from here on each has a future of its own
    common = Math.min(until?.[log] ?? Number.POSITIVE_INFINITY, same.until?.[log] ?? Number.POSITIVE_INFINITY);
  }
  return common;
}

function withOwn({ lineage, ancestors = [] }: Lineages): { lineage: string; until?: Ancestor["until"] }[] {
  return [...ancestors, { lineage }];
}

/** What the checksum of a line of `log` begins with, by the seq at its head. */
export function seedsOf(lineages: Lineages, log: LogName): (bytes: Buffer, start: number) => number {
  const seedFor = (seq: number | undefined): number => seedOf(encodeIdentity(identityAt(lineages, log, seq)));
  const own = seedFor(undefined);
  const ancestors = (lineages.ancestors ?? []).map(({ until }) => ({ last: until[log], seed: seedFor(until[log]) }));
  if (ancestors.length === 0) return () => own;
  return (bytes, start) => {
    const seq = Number.parseInt(
      bytes.toString("latin1", start + LINE_START.length, start + LINE_START.length + 16),
      10,
    );
    return ancestors.find(({ last }) => seq <= last)?.seed ?? own;
  };
}

/**
 * The lineages that identity lines tell of, where nothing else does: the store is the one that most of them name, its
 * lineage the one that no other goes on from, and each names the one before it. Undefined when there are none.
 */
export function lineagesFrom(stated: readonly Identity[]): Lineages | undefined {
  const store = mostNamed(stated.map((identity) => identity.store));
  if (store === undefined) return undefined;
  const own = stated.filter((identity) => identity.store === store);
  const lineage = newestOf(own) as string;
  const ancestors: Ancestor[] = [];
  const seen = new Set([lineage]);
  for (let child = lineage; ; ) {
    const named = own.filter((identity) => identity.lineage === child);
    const heads = named.filter(({ parent }) => parent !== undefined);
    // Compaction may have left nothing of a lineage in between: then what is left of others is older than all of it.
    const parent = named.length > 0 ? heads[0]?.parent : newestOf(own.filter((one) => !goesOnFrom(seen, one, own)));
    if (parent === undefined || seen.has(parent)) break;
    seen.add(parent);
    const later = ancestors[0]?.until;
    const until = Object.fromEntries(
      LOG_NAMES.map((log) => [log, heads.find((head) => head.log === log)?.after ?? later?.[log] ?? 0]),
    ) as Record<LogName, number>;
    ancestors.unshift({ lineage: parent, until });
    child = parent;
  }
  return ancestors.length === 0 ? { store, lineage } : { store, lineage, ancestors };
}

/** Whether a lineage is one of these, or goes on from one of these by another way. */
function goesOnFrom(these: ReadonlySet<string>, { lineage }: Identity, own: readonly Identity[]): boolean {
  const seen = new Set<string>();
  for (let at: string | undefined = lineage; at !== undefined && !seen.has(at); ) {
    if (these.has(at)) return true;
    seen.add(at);
    at = own.find((identity) => identity.lineage === at && identity.parent !== undefined)?.parent;
  }
  return false;
}

/** The lineage that no other goes on from; of several, the one that most name. */
function newestOf(own: readonly Identity[]): string | undefined {
  const parents = new Set(own.map(({ parent }) => parent));
  const newest = own.filter(({ lineage }) => !parents.has(lineage));
  return mostNamed((newest.length > 0 ? newest : own).map((identity) => identity.lineage));
}

function mostNamed(names: readonly string[]): string | undefined {
  const votes = new Map<string, number>();
  for (const name of names) votes.set(name, (votes.get(name) ?? 0) + 1);
  return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0];
}
