// Every file name of a store, built and parsed here and nowhere else.
import { LOG_NAMES, type LogName } from "./record.ts";

/** Store id, format version, lineage. */
export const STORE_FILE = "papyra.json";
/** Held by the one writer; the kernel frees it. */
export const LOCK_FILE = "papyra.lock";
/** Up to where the logs are known to reach; a cache. */
export const MARK_FILE = "papyra.mark";
/** Where recovery keeps damaged bytes when no other place is named. */
export const QUARANTINE_DIR = "quarantine";

/** What a file name in a store directory stands for. */
export type FileName =
  | { readonly type: "active"; readonly log: LogName }
  | { readonly type: "closed"; readonly log: LogName; readonly firstSeq: number; readonly generation: number }
  | { readonly type: "store" | "lock" | "mark" | "quarantine" }
  | { readonly type: "temporary" }
  | { readonly type: "unexpected" };

const CLOSED = /^([a-z_]+)\.(\d{20})(?:\.g([1-9]\d{0,8}))?\.ndjson$/;
/** Only of names that are ours: another program's temporary files are not for us to judge. */
const TEMPORARY = /^(papyra\.(json|mark)|[a-z_]+(\.\d{20})?(\.g\d+)?\.ndjson)\.tmp-[0-9a-f]{8}$/;

/** The file that a log is appended to. */
export function activeName(log: LogName): string {
  return `${log}.ndjson`;
}

/** A file that is no longer appended to: the log, its first seq in 20 digits, and a generation after the first. */
export function closedName(log: LogName, firstSeq: number, generation: number = 0): string {
  const suffix = generation === 0 ? "" : `.g${generation}`;
  return `${log}.${String(firstSeq).padStart(20, "0")}${suffix}.ndjson`;
}

export function parseFileName(name: string): FileName {
  if (name === STORE_FILE) return { type: "store" };
  if (name === LOCK_FILE) return { type: "lock" };
  if (name === MARK_FILE) return { type: "mark" };
  if (name === QUARANTINE_DIR) return { type: "quarantine" };
  if (TEMPORARY.test(name)) return { type: "temporary" };
  const log = LOG_NAMES.find((candidate) => name === activeName(candidate));
  if (log !== undefined) return { type: "active", log };
  const match = CLOSED.exec(name);
  const closedLog = LOG_NAMES.find((candidate) => candidate === match?.[1]);
  const firstSeq = Number(match?.[2]);
  if (match === null || closedLog === undefined || !Number.isSafeInteger(firstSeq)) return { type: "unexpected" };
  return { type: "closed", log: closedLog, firstSeq, generation: Number(match[3] ?? 0) };
}

/** The files of one log in the order in which their lines follow each other. */
export function orderSegments(names: readonly string[], log: LogName): string[] {
  const closed: { name: string; firstSeq: number; generation: number }[] = [];
  let active: string | undefined;
  for (const name of names) {
    const parsed = parseFileName(name);
    if (parsed.type === "active" && parsed.log === log) active = name;
    if (parsed.type === "closed" && parsed.log === log) closed.push({ name, ...parsed });
  }
  closed.sort((a, b) => a.firstSeq - b.firstSeq || a.generation - b.generation);
  const ordered = closed.map((segment) => segment.name);
  return active === undefined ? ordered : [...ordered, active];
}
