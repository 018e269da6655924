// Verifying backups where they are, without restoring them: names and sizes, then every byte, then every line and every state.
// What was verified when is remembered in the repository, so that a run that is cut short by its time box goes on where it
// stopped; that memory is a cache and may be deleted.
import { PapyraError } from "../errors.ts";
import { scan } from "../ops/scan.ts";
import { refuseUnknown } from "../options.ts";
import { backupReader } from "./backup-reader.ts";
import { appendToCatalog } from "./catalog.ts";
import { type Manifest, type Part, type PartOf, partName, partsOf } from "./manifest.ts";
import { getUnjudged, type ObjectStore } from "./objects.ts";
import { type BackupInfo, findBackup, FOUND_DAMAGED, SOURCE_DAMAGED, viewRepository } from "./repository.ts";
import { decodeSealed, encodeSealed, sha256Of } from "./sealed-json.ts";
import { type DefinedActors, digestOfStates, foldStates } from "./states.ts";

/** Each level does what the ones before it do, too. */
export type VerifyLevel = "names" | "checksums" | "replay";

/** Which of the parts are read. */
export type Sample =
  /** The n-th of t shares: t runs, from 1/t to t/t, read everything once. */
  | { readonly share: number; readonly of: number }
  /** So many bytes, those first that were not verified for the longest time. */
  | { readonly bytes: number }
  | { readonly percent: number };

export interface VerifyOptions {
  /** One backup by its id, or "latest". Default: all of them. */
  readonly backup?: string | undefined;
  /** Default: checksums. */
  readonly level?: VerifyLevel | undefined;
  readonly sample?: Sample | undefined;
  /** No part is begun after so many milliseconds. */
  readonly timeBoxMs?: number | undefined;
  /** The last anchor, kept elsewhere: removal, replacement and rolling back of anything older is found. */
  readonly anchor?: string | undefined;
  /** For the level "replay": the states are folded twice, and compared with the manifests. */
  readonly states?: DefinedActors | undefined;
  /** For the level "replay", of a backup that is a file of a server: has one load it; what is wrong, in words, or nothing. */
  readonly loadFile?: ((manifest: Manifest) => Promise<string>) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface VerifiedBackup {
  readonly id: string;
  readonly ok: boolean;
  /** Whether its source was whole; one that is not can still be stored intact. */
  readonly good: boolean;
  readonly problems: readonly string[];
}

export interface VerifyReport {
  readonly ok: boolean;
  readonly verdict: string;
  readonly repository: string;
  readonly level: VerifyLevel;
  readonly backups: readonly VerifiedBackup[];
  /** Of the repository as a whole: the catalog, what is gone, the anchor. */
  readonly problems: readonly string[];
  /** The parts of these backups, and how many of them were read. */
  readonly parts: number;
  readonly partsRead: number;
  readonly bytes: number;
  readonly bytesRead: number;
  /** From 0 to 1: how much of the bytes was read in this run. */
  readonly coverage: number;
  /** When the part was verified that was not verified for the longest time, in epoch seconds; null: never. */
  readonly oldestVerified: number | null;
  readonly anchor: string | undefined;
}

interface StoredPart {
  readonly name: string;
  readonly log: PartOf;
  readonly part: Part;
  readonly backups: string[];
}

const MEMORY = "state/verified.json";

/** Rejects with BACKUP_NOT_FOUND, REPOSITORY_LOCKED, OPTION_INVALID, STORAGE_FAILED, or the signal's reason. What is damaged is in the report. */
export async function verifyBackups(objects: ObjectStore, options: VerifyOptions = {}): Promise<VerifyReport> {
  refuseUnknown("a verification", options, [
    "backup",
    "level",
    "sample",
    "timeBoxMs",
    "anchor",
    "states",
    "loadFile",
    "signal",
    "onProgress",
  ]);
  const hold = await objects.hold("shared", "verify");
  try {
    return await verify(objects, options);
  } finally {
    await hold.release();
  }
}

async function verify(objects: ObjectStore, options: VerifyOptions): Promise<VerifyReport> {
  const { level = "checksums" } = options;
  const repository = await viewRepository(objects, { anchor: options.anchor });
  const all = [...repository.backups, ...repository.watched];
  const chosen = options.backup === undefined ? all : [findBackup(repository, options.backup)];
  const problems = new Map<string, string[]>(chosen.map((info) => [info.id, problemsOf(info)]));
  const say = (backups: readonly string[], what: string): void => {
    for (const id of backups) (problems.get(id) as string[]).push(what);
  };
  const parts = collect(chosen);
  await checkNames(objects, parts, say, options);
  const read =
    level === "names" ? { partsRead: 0, bytesRead: 0, oldest: null } : await checkBytes(objects, parts, say, options);
  if (level === "replay") {
    for (const { id, manifest } of chosen) {
      if (manifest !== undefined && (problems.get(id) as string[]).length === 0)
        say([id], await replayed(objects, manifest, options));
    }
  }
  const backups = chosen.map(({ id, good }) => {
    const found = (problems.get(id) as string[]).filter((what) => what !== "");
    return { id, ok: found.length === 0, good, problems: found };
  });
  const bytes = sumOf(parts);
  const ok = repository.problems.length === 0 && backups.every((one) => one.ok);
  const coverage = bytes === 0 ? 1 : read.bytesRead / bytes;
  const report = {
    ok,
    repository: objects.location,
    level,
    backups,
    problems: repository.problems,
    parts: parts.length,
    partsRead: read.partsRead,
    bytes,
    bytesRead: read.bytesRead,
    coverage,
    oldestVerified: read.oldest,
  };
  const verdict = verdictOf(report);
  const anchor = await appendToCatalog(objects, {
    type: "verified",
    backup: options.backup === undefined ? "*" : (chosen[0] as BackupInfo).id,
    level,
    ok,
    coverage,
    detail: verdict,
    damaged: backups.filter((one) => !one.ok).map(({ id }) => id),
  });
  return { ...report, verdict, anchor };
}

/** That its source was damaged is no problem of what is stored, and what an earlier run has found is found again, or mended. */
function problemsOf({ problems }: BackupInfo): string[] {
  return problems.filter((what) => what !== SOURCE_DAMAGED && what !== FOUND_DAMAGED);
}

/** Every part once, with the backups that it is of. */
function collect(backups: readonly BackupInfo[]): StoredPart[] {
  const parts = new Map<string, StoredPart>();
  for (const { id, manifest } of backups) {
    for (const { log, part } of manifest === undefined ? [] : partsOf(manifest)) {
      const name = partName(log, part);
      const known = parts.get(name) ?? { name, log, part, backups: [] };
      parts.set(name, known);
      if (known.backups.at(-1) !== id) known.backups.push(id);
    }
  }
  return [...parts.values()];
}

type Say = (backups: readonly string[], what: string) => void;

async function checkNames(
  objects: ObjectStore,
  parts: readonly StoredPart[],
  say: Say,
  { signal }: VerifyOptions,
): Promise<void> {
  for (const { name, part, backups } of parts) {
    signal?.throwIfAborted();
    const stat = await objects.stat(name);
    if (stat === undefined) say(backups, `${name} is gone`);
    else if (stat.bytes !== part.bytes) say(backups, `${name} has ${stat.bytes} bytes instead of ${part.bytes}`);
  }
}

async function checkBytes(
  objects: ObjectStore,
  parts: readonly StoredPart[],
  say: Say,
  options: VerifyOptions,
): Promise<{ partsRead: number; bytesRead: number; oldest: number | null }> {
  const { clock } = objects.env;
  const remembered = await recall(objects);
  const due = chooseParts(parts, remembered, options.sample);
  const total = sumOf(due);
  const until = clock.monotonicMs() + (options.timeBoxMs ?? Number.POSITIVE_INFINITY);
  let partsRead = 0;
  let bytesRead = 0;
  try {
    for (const { name, part, backups } of due) {
      options.signal?.throwIfAborted();
      if (clock.monotonicMs() >= until) break;
      const bytes = await getUnjudged(objects, name);
      if (bytes === undefined || sha256Of(bytes) !== part.sha256) {
        const seen = (await objects.stat(name))?.bytes !== part.bytes; // by its size
        if (!seen) say(backups, `${name} is not what was stored: its checksum differs`);
        remembered.delete(name);
      } else remembered.set(name, Math.round(clock.nowMs() / 1000));
      partsRead += 1;
      bytesRead += part.bytes;
      options.onProgress?.(bytesRead, total);
    }
  } finally {
    await objects.put(MEMORY, encodeSealed({ verified: Object.fromEntries(remembered) }));
  }
  const times = parts.map(({ name }) => remembered.get(name));
  const oldest = times.includes(undefined) || times.length === 0 ? null : Math.min(...(times as number[]));
  return { partsRead, bytesRead, oldest };
}

/** What was not verified for the longest time comes first. */
function chooseParts(
  parts: readonly StoredPart[],
  remembered: ReadonlyMap<string, number>,
  sample: Sample | undefined,
): StoredPart[] {
  const sorted = [...parts].sort(
    (a, b) => (remembered.get(a.name) ?? 0) - (remembered.get(b.name) ?? 0) || (a.name < b.name ? -1 : 1),
  );
  if (sample === undefined) return sorted;
  if ("share" in sample) {
    const { share, of } = sample;
    return sorted.filter(({ part }) => Number.parseInt(part.sha256.slice(0, 12), 16) % of === share - 1);
  }
  const most = "bytes" in sample ? sample.bytes : (sumOf(parts) * sample.percent) / 100;
  let taken = 0;
  return sorted.filter(({ part }) => {
    if (taken >= most) return false;
    taken += part.bytes;
    return true;
  });
}

async function recall(objects: ObjectStore): Promise<Map<string, number>> {
  const bytes = await getUnjudged(objects, MEMORY);
  const verified = bytes === undefined ? undefined : decodeSealed(bytes)?.verified;
  return new Map(Object.entries((verified ?? {}) as Record<string, number>));
}

/** Reads every line and folds every state; what is wrong, in words, or nothing. */
async function replayed(objects: ObjectStore, manifest: Manifest, options: VerifyOptions): Promise<string> {
  const { signal, states: definitions, loadFile } = options;
  try {
    if (manifest.server_file !== undefined && loadFile !== undefined) return await loadFile(manifest);
    const reader = backupReader(objects, manifest);
    const report = await scan(reader, { signal });
    if (!report.ok && manifest.verdict === "good") return report.verdict;
    if (definitions === undefined || manifest.verdict === "damaged") return "";
    const replay = await foldStates(reader, definitions, { signal, verify: true });
    if (!replay.ok) return replay.verdict;
    const { states } = manifest;
    if (states !== null && states.sha256 !== digestOfStates(replay).sha256)
      return "the states are not those of the instant when it was made";
    return "";
  } catch (error) {
    if (error instanceof PapyraError && error.code === "BACKUP_DAMAGED") return error.message;
    throw error;
  }
}

function sumOf(parts: readonly StoredPart[]): number {
  return parts.reduce((sum, { part }) => sum + part.bytes, 0);
}

function verdictOf(report: Omit<VerifyReport, "verdict" | "anchor">): string {
  const { backups, problems, level, parts, partsRead, coverage } = report;
  const bad = backups.filter(({ ok }) => !ok).length;
  const read =
    level === "names"
      ? `${parts} parts by name and size`
      : `${partsRead} of ${parts} parts read, ${percent(coverage)} of the bytes`;
  if (report.ok) return `${backups.length} backups are what was stored (${read})`;
  const whole = problems.length === 0 ? "" : `, and the repository has ${problems.length} problems`;
  return `${bad} of ${backups.length} backups are damaged${whole} (${read})`;
}

function percent(share: number): string {
  return `${Math.floor(share * 1000) / 10} %`;
}
