// The mark: how far the logs are known to reach, kept outside them, so that a log that was cut clean at a line is noticed
// and a torn write is told from lost data. A cache: it may lag and may be deleted; it never leads.
//
// Two slots in different 4 KiB blocks are overwritten in turn, so that a torn write of one leaves the other. The mark
// speaks only for the store it was written in: it names its own file and directory, and in any copy one of them is another.
import { crc32 } from "node:zlib";
import { parseObject } from "./codec.ts";
import type { Reach } from "./ledger.ts";
import { LOG_NAMES, type LogName } from "./record.ts";
import { SEQ_MAX } from "./seqs.ts";

export const MARK_SLOT_BYTES = 4096;
export const MARK_BYTES: number = 2 * MARK_SLOT_BYTES;
/** A mark whose file was changed so long after the mark was made was written over by a copy of an older one. */
const COPY_MS = 10_000;

/** How far one log reaches. */
export interface LogMark {
  /** Acknowledged up to here. */
  readonly written: number;
  /** Durable up to here. */
  readonly durable: number;
  /** The boot of the machine in which this was known. */
  readonly boot: string;
}

export interface Mark {
  readonly store: string;
  readonly lineage: string;
  /** Counts up with every mark; tells the newer slot. */
  readonly count: number;
  readonly atMs: number;
  /** The boot of the machine in which it was written. */
  readonly boot: string;
  /** "exact": made durable before every acknowledgement. "lagging": left to the operating system. */
  readonly mode: "exact" | "lagging";
  /** What an acknowledgement meant to its writer; a mark of an earlier release does not say it. */
  readonly durability?: "fsync" | "interval" | "os";
  /** Written at the end of a clean close: all of it is durable, and nothing is acknowledged until another mark is in its place. */
  readonly closed?: boolean;
  /** The id of the file it was written to. */
  readonly file: string;
  /** The id of the directory it was written in: a copy of hard links has the file, and another directory. Older marks have none. */
  readonly directory?: string;
  /** Null where nothing is known of a log. */
  readonly logs: Readonly<Record<LogName, LogMark | null>>;
  /** The other slot is damaged and may have been the newer one. Said by the reader, never written. */
  readonly stale?: boolean;
}

/** The bytes of a slot: one JSON line with a checksum, filled up with spaces. */
export function encodeMark(mark: Mark): Buffer {
  const body = JSON.stringify(mark).slice(0, -1);
  const crc = crc32(body).toString(16).padStart(8, "0");
  const slot = Buffer.alloc(MARK_SLOT_BYTES, " ");
  slot.write(`${body},"crc":"${crc}"}\n`);
  slot[MARK_SLOT_BYTES - 1] = 0x0a;
  return slot;
}

/** The newer of the two slots that are whole, or undefined. */
export function decodeMark(bytes: Uint8Array): Mark | undefined {
  return decodeSlots(bytes)?.newest;
}

/** The newer whole slot, and whether the other is damaged and may have been newer still: then the mark is not exact. */
export function decodeSlots(bytes: Uint8Array): { readonly newest: Mark; readonly stale: boolean } | undefined {
  const slots = [0, 1].map((slot) => Buffer.from(bytes.subarray(slot * MARK_SLOT_BYTES, (slot + 1) * MARK_SLOT_BYTES)));
  const [first, second] = slots.map(decodeSlot);
  if (first !== undefined && second !== undefined) {
    return { newest: first.count >= second.count ? first : second, stale: false };
  }
  const newest = first ?? second;
  const other = slots[first === undefined ? 0 : 1] as Buffer;
  return newest === undefined ? undefined : { newest, stale: !isOlder(other, newest.count) };
}

/** Whether a slot that is not whole was never written, or held the mark before `count`, as far as it can be read. */
function isOlder(slot: Buffer, count: number): boolean {
  const text = slot.toString("latin1");
  const stated = /"count":(\d+),/.exec(text);
  if (stated === null) return text === " ".repeat(MARK_SLOT_BYTES);
  if (Number(stated[1]) !== count - 1) return false;
  // One flipped bit can make the older count out of the newer one (1 out of 3): the slot's checksum tells.
  const newer = text.replace(stated[0], `"count":${count + 1},`);
  return decodeSlot(Buffer.from(newer, "latin1")) === undefined;
}

function decodeSlot(slot: Buffer): Mark | undefined {
  const eol = slot.indexOf(0x0a);
  const suffix = slot.lastIndexOf(',"crc":"', eol);
  if (eol < 0 || suffix < 0) return undefined;
  const fields = parseObject(slot.subarray(0, eol));
  if (fields === undefined || fields.crc !== crc32(slot.subarray(0, suffix)).toString(16).padStart(8, "0"))
    return undefined;
  const { crc: _, ...mark } = fields;
  return LOG_NAMES.every((log) => isKnown((mark.logs as Mark["logs"])[log])) ? (mark as unknown as Mark) : undefined;
}

function isKnown(known: LogMark | null | undefined): boolean {
  return known === null || (known !== undefined && Math.max(known.written, known.durable) <= SEQ_MAX);
}

/**
 * Whether a mark speaks for the store in which it was found. Not in a copy: there the file, or its directory, is another one. Not when an
 * older store was copied over this one: then its file was changed long after the mark in it was made. (It may be changed
 * before: after a power cut the times on disk may be older than the content.)
 */
export function speaksFor(mark: Mark, file: { id: string; changedMs: number }, directory: string): boolean {
  if (mark.directory !== undefined && mark.directory !== directory) return false;
  return mark.file === file.id && file.changedMs - mark.atMs <= COPY_MS;
}

/**
 * How far a log must reach by its mark. While the machine has not booted since, every write that was acknowledged is
 * still in its memory at least, and the mark was written before each acknowledgement: it is exact. After a boot it is so only
 * where everything that was acknowledged had been made durable: under a policy that promises less, more may be gone. That is so
 * also of what a lagging mark does not name: under such a policy the last acknowledged records may be gone together with the marks that
 * named them, unless the close was clean. A stale mark vouches for no end: the newer one may have known of more.
 */
export function reachOf(mark: Mark, log: LogName, bootId: string): Reach | undefined {
  const known = mark.logs[log];
  if (known === null) return undefined;
  const more = mark.stale === true;
  const { written, durable } = known;
  if (sameBoot(known, bootId)) return { seq: written, exact: !more, ...(more ? { more } : {}) };
  if (written > durable) return { seq: durable, acknowledged: written, exact: false, more: true };
  if (more) return { seq: durable, exact: false, more };
  if (mark.mode === "exact" || mark.closed === true) return { seq: durable, exact: true };
  return { seq: durable, exact: false, ...(mark.durability === "fsync" ? {} : { more: true }) };
}

/** Up to where each log was acknowledged when the mark was written. */
export function acknowledgedIn({ logs }: Mark): Partial<Record<LogName, number>> {
  const known = LOG_NAMES.flatMap((log) => (logs[log] === null ? [] : [[log, logs[log].written] as const]));
  return Object.fromEntries(known);
}

function sameBoot(mark: { readonly boot: string }, bootId: string): boolean {
  return bootId !== "" && mark.boot === bootId;
}
