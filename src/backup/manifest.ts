// The manifest of a backup: which bytes, in which order, are the logs of one instant. It is written last: no manifest, no
// backup. Pure. docs/operations/backups-and-recovery.md is the normative text; fields are only added.
import type { GroupState } from "../backends/backend.ts";
import type { Ancestor } from "../log/lineage.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { PapyraError } from "../errors.ts";
import { decodeSealed, encodeSealed } from "./sealed-json.ts";

/** The version that this release writes, and the only one that it knows. */
export const BACKUP_VERSION = 1;

/** A stretch of a segment, in an object of its own. */
export interface Part {
  /** Of its bytes; it names the object. */
  readonly sha256: string;
  readonly bytes: number;
}

export interface BackedUpSegment {
  readonly name: string;
  /** The segment of the source; the next backup knows it by this, whatever its name is by then. */
  readonly id: string;
  readonly active: boolean;
  readonly bytes: number;
  /** In order; together they are the segment. */
  readonly parts: readonly Part[];
}

export interface BackedUpLog {
  readonly records: number;
  readonly first_seq: number | null;
  readonly last_seq: number;
  readonly first_timestamp: number | null;
  readonly last_timestamp: number | null;
  readonly segments: readonly BackedUpSegment[];
  /** The consumer groups that followed it, at the same instant; where the store's place has such. */
  readonly groups?: readonly GroupState[];
  /** Instead of `groups`, where they are many: together these parts are lines of JSON (groups.ts). */
  readonly group_parts?: readonly Part[];
}

/** What a part is of. */
export type PartOf = LogName | "rdb";

/**
 * A file of the server in which the store is, with whatever else that server held. The lines are in it alone: the segments of all logs are
 * empty, and what the manifest says of the logs is what a scratch server had that loaded it.
 */
export interface ServerFile {
  readonly kind: "rdb";
  readonly bytes: number;
  readonly sha256: string;
  /** In order; together they are the file. */
  readonly parts: readonly Part[];
  /** What it begins with: "REDIS0010". */
  readonly format: string;
  /** The version of the server that wrote it, by its own account; or null. */
  readonly server: string | null;
  /** The run of the server that was asked for it; null: none was, it was brought. */
  readonly run_id: string | null;
  /** What LASTSAVE said afterwards, in epoch seconds; null as above. */
  readonly last_save: number | null;
  /** When the server began to write it, by the file; epoch seconds. */
  readonly begun: number | null;
  /** What redis-check-rdb said of it in the end. */
  readonly check: string;
  /** Where in it the store is. */
  readonly database: number;
  readonly prefix: string;
  readonly system_id: string;
  readonly hash_tag: boolean;
  /** SHA-256 of all bytes of each log. */
  readonly digests: Readonly<Record<LogName, string>>;
}

/** States of the actors at that instant, folded by the definitions that were at hand. */
export interface BackedUpStates {
  readonly actors: number;
  /** SHA-256 over `persistence id, revision, digest` of each actor, a line each, sorted by id. */
  readonly sha256: string;
}

export interface Manifest {
  readonly papyra_backup: typeof BACKUP_VERSION;
  readonly id: string;
  readonly store: string;
  readonly lineage: string;
  readonly parent: string | null;
  readonly ancestors: readonly Ancestor[];
  /** When the store was made; epoch seconds, like all times here. */
  readonly store_created: number;
  readonly created: number;
  /** Everything that was acknowledged before this time is in it, and nothing that was written after it. */
  readonly instant: number;
  /** "live": beside its writer, from outside. "bgsave": its server was asked for a file. */
  readonly how: "in-process" | "live" | "stopped" | "adopted" | "watched" | "bgsave";
  readonly source: string;
  readonly verdict: "good" | "damaged";
  /** What a scan of these very bytes found, in words; none in a good one. */
  readonly anomalies: readonly string[];
  readonly note: string | null;
  readonly logs: Readonly<Record<LogName, BackedUpLog>>;
  readonly states: BackedUpStates | null;
  /** Only where the lines are in such a file. */
  readonly server_file?: ServerFile;
}

const BACKUPS = "backups/";
const PARTS = "segments/";
const ID = /^\d{8}T\d{6}Z-[0-9a-f]{6}$/;

/** An id that sorts by time. */
export function newBackupId(nowMs: number, hex6: string): string {
  return `${new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, "")}-${hex6}`;
}

/** When the newest record was written; 0: there is none. */
export function newestIn(logs: Manifest["logs"]): number {
  return Math.max(0, ...LOG_NAMES.map((log) => logs[log].last_timestamp ?? 0));
}

/** Of when an id is, in epoch seconds. */
export function secondOf(id: string): number {
  const text = id.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z.*$/, "$1-$2-$3T$4:$5:$6Z");
  return Date.parse(text) / 1000;
}

export function manifestName(id: string): string {
  return `${BACKUPS}${id}.json`;
}

/** The id of the backup whose manifest has this name, or undefined. */
export function idOfManifest(name: string): string | undefined {
  const id = name.startsWith(BACKUPS) && name.endsWith(".json") ? name.slice(BACKUPS.length, -5) : "";
  return ID.test(id) ? id : undefined;
}

export function partName(log: PartOf, { sha256 }: Pick<Part, "sha256">): string {
  return `${PARTS}${log}/${sha256}.part`;
}

export const WATCH_PREFIX = "watch/";
export const MANIFEST_PREFIX = BACKUPS;
export const PART_PREFIX = PARTS;

export function encodeManifest(manifest: Manifest): Buffer {
  return encodeSealed(manifest);
}

/** Undefined when it is damaged. Rejects with FORMAT_UNKNOWN for a version of a later release. */
export function decodeManifest(bytes: Buffer, name: string): Manifest | undefined {
  const fields = decodeSealed(bytes);
  if (fields === undefined || !("papyra_backup" in fields)) return undefined;
  if (fields.papyra_backup !== BACKUP_VERSION) {
    throw new PapyraError(
      "FORMAT_UNKNOWN",
      `${name} has version ${JSON.stringify(fields.papyra_backup)}; this release knows ${BACKUP_VERSION}`,
      { hint: "use the release of Papyra that wrote it" },
    );
  }
  return fields as unknown as Manifest; // its checksum says that this is what was written
}

/** The manifest that a watch renews for a store: its own object, since no entry of the catalog names it. */
export function watchName(store: string): string {
  return `${WATCH_PREFIX}${Buffer.from(store).toString("hex")}.json`;
}

/** Every part of a backup, with what it is of. */
export function* partsOf({ logs, server_file: file }: Manifest): Generator<{
  readonly log: PartOf;
  readonly part: Part;
}> {
  for (const part of file?.parts ?? []) yield { log: "rdb", part };
  for (const log of LOG_NAMES) {
    for (const { parts } of logs[log].segments) for (const part of parts) yield { log, part };
    for (const part of logs[log].group_parts ?? []) yield { log, part };
  }
}

/** How many bytes a restore of it writes, about. */
export function bytesOf({ logs, server_file: file }: Manifest): number {
  return LOG_NAMES.flatMap((log) => logs[log].segments).reduce((sum, { bytes }) => sum + bytes, file?.bytes ?? 0);
}
