// Every file name of a store, built and parsed here and nowhere else.
import { LOG_NAMES, type LogName } from "./record.ts";
import { SEQ_MAX } from "./seqs.ts";

/** Store id, format version, lineage. */
export const STORE_FILE = "papyra.json";
/** Held by the one writer; the kernel frees it. */
export const LOCK_FILE = "papyra.lock";
/** Held by whoever keeps closed segments as they are, or replaces them. */
export const PIN_FILE = "papyra.pin";
/** Up to where the logs are known to reach; a cache. */
export const MARK_FILE = "papyra.mark";
/** Where recovery keeps damaged bytes when no other place is named. */
export const QUARANTINE_DIR = "quarantine";
/** Caches of where the records of each actor stand in closed segments; worth nothing. */
export const INDEX_DIR = "index";

/** What a file name in a store directory stands for. */
export type FileName =
  | { readonly type: "active"; readonly log: LogName }
  | ClosedName
  | { readonly type: "store" | "lock" | "mark" | "quarantine" | "index" }
  | { readonly type: "temporary" }
  | { readonly type: "unexpected" };

/** The name of a closed segment. */
export interface ClosedName {
  readonly type: "closed";
  readonly log: LogName;
  readonly firstSeq: number;
  /** Of a compacted segment: it stands for every seq from `firstSeq` to this one. */
  readonly lastSeq: number | undefined;
  readonly generation: number;
}

const CLOSED = /^([a-z_]+)\.(\d{20})(?:-(\d{20}))?(?:\.g([1-9]\d{0,8}))?\.ndjson$/;
/** Only of names that are ours: another program's temporary files are not for us to judge. */
const TEMPORARY = /^(papyra\.(json|mark)|[a-z_]+(\.\d{20}(-\d{20})?)?(\.g\d+)?\.ndjson)\.tmp-[0-9a-f]{8}$/;

/** The file that a log is appended to. */
export function activeName(log: LogName): string {
  return `${log}.ndjson`;
}

/** A file that is no longer appended to: the log, its first seq in 20 digits, and a generation after the first. */
export function closedName(log: LogName, firstSeq: number, generation: number = 0): string {
  const suffix = generation === 0 ? "" : `.g${generation}`;
  return `${log}.${digits(firstSeq)}${suffix}.ndjson`;
}

/**
 * What compaction made of closed segments: it stands for all seqs from `firstSeq` to `lastSeq`. From the moment when it has
 * this name, those that it was made of are superseded: one rename publishes any number of them.
 */
export function compactedName(log: LogName, firstSeq: number, lastSeq: number, generation: number): string {
  return `${log}.${digits(firstSeq)}-${digits(lastSeq)}.g${generation}.ndjson`;
}

/** In its directory, the cache that tells what stands where in a closed segment. */
export function indexName(segment: string): string {
  return segment.replace(/\.ndjson$/, ".index");
}

/** In the same directory, the cache of what the seals of the closed segments of a log say. */
export function endsName(log: LogName): string {
  return `${log}.seals`;
}

/** In the same directory, the cache of the first lines of those of the closed segments of a log. */
export function headsName(log: LogName): string {
  return `${log}.heads`;
}

function digits(seq: number): string {
  return String(seq).padStart(20, "0");
}

export function parseFileName(name: string): FileName {
  if (name === STORE_FILE) return { type: "store" };
  if (name === LOCK_FILE || name === PIN_FILE) return { type: "lock" };
  if (name === MARK_FILE) return { type: "mark" };
  if (name === QUARANTINE_DIR) return { type: "quarantine" };
  if (name === INDEX_DIR) return { type: "index" };
  if (TEMPORARY.test(name)) return { type: "temporary" };
  const log = LOG_NAMES.find((candidate) => name === activeName(candidate));
  if (log !== undefined) return { type: "active", log };
  const match = CLOSED.exec(name);
  const closedLog = LOG_NAMES.find((candidate) => candidate === match?.[1]);
  if (match === null || closedLog === undefined) return { type: "unexpected" };
  const firstSeq = Number(match[2]);
  const lastSeq = match[3] === undefined ? undefined : Number(match[3]);
  const generation = Number(match[4] ?? 0);
  const compacted = lastSeq !== undefined && lastSeq >= firstSeq && generation > 0;
  if ((lastSeq ?? firstSeq) > SEQ_MAX || (lastSeq !== undefined && !compacted)) return { type: "unexpected" };
  return { type: "closed", log: closedLog, firstSeq, lastSeq, generation };
}

/** The files of one log in the order in which their lines follow each other. Those that are superseded do not count. */
export function orderSegments(names: readonly string[], log: LogName): string[] {
  return arrange(names, log).ordered;
}

/** The files that compaction has replaced and not removed yet, each with the name of the one that replaces it. */
export function supersededSegments(names: readonly string[], log: LogName): ReadonlyMap<string, string> {
  return arrange(names, log).superseded;
}

type Named = ClosedName & { readonly name: string };

function arrange(
  names: readonly string[],
  log: LogName,
): { ordered: string[]; superseded: ReadonlyMap<string, string> } {
  const closed: Named[] = [];
  let active: string | undefined;
  for (const name of names) {
    if (!name.startsWith(`${log}.`)) continue;
    const parsed = parseFileName(name);
    if (parsed.type === "active" && parsed.log === log) active = name;
    if (parsed.type === "closed" && parsed.log === log) closed.push({ name, ...parsed });
  }
  closed.sort((a, b) => a.firstSeq - b.firstSeq || a.generation - b.generation);
  const superseded = supersededIn(closed);
  const ordered = closed.map(({ name }) => name).filter((name) => !superseded.has(name));
  return { ordered: active === undefined ? ordered : [...ordered, active], superseded };
}

/** By the names alone: a segment that begins within the seqs of a compacted one of a later generation. */
function supersededIn(closed: readonly Named[]): Map<string, string> {
  const superseded = new Map<string, string>();
  // Those that reach here: a walk along the seqs, since a store may have a hundred thousand of them.
  let reaching: Named[] = [];
  let next = 0;
  for (const { name, firstSeq, generation } of closed) {
    reaching = reaching.filter(({ lastSeq }) => firstSeq <= (lastSeq as number));
    for (let other = closed[next]; other !== undefined && other.firstSeq <= firstSeq; other = closed[++next]) {
      if (other.lastSeq !== undefined && firstSeq <= other.lastSeq) reaching.push(other);
    }
    const by = reaching.find((other) => other.generation > generation);
    if (by !== undefined) superseded.set(name, by.name);
  }
  return superseded;
}
