// Record <-> line. The checksum is the last member, in a suffix of fixed width, over the identity line and the bytes
// before the suffix as they were written: nothing is ever re-serialised to be checked, and each line verifies alone.
import { crc32 } from "node:zlib";
import { PapyraError } from "../errors.ts";
import { putAscii, putHex8, putNumber } from "./ascii.ts";
import { crcOf } from "./crc.ts";
import { JsonBytes } from "./json-bytes.ts";
import { FORMAT_VERSION, LOG_NAMES, type Identity, type LogName, type LogRecord } from "./record.ts";
import { isSeq } from "./seqs.ts";

/** Bytes of `,"crc":"xxxxxxxx"}`. */
export const SUFFIX_BYTES = 18;
export const SUFFIX_START = ',"crc":"';
const SUFFIX_END = '"}\n';
/** Every numbered line begins so; a quote inside a JSON string is escaped, so this marks the start of a record. */
export const LINE_START = '{"seq":';
/** The default and the greatest limit of a line, in bytes with its line break. */
export const LINE_BYTES_DEFAULT: number = 4 << 20;
export const LINE_BYTES_MAX: number = 16 << 20;

const HEX16: readonly string[] = Array.from({ length: 65536 }, (_, n) => n.toString(16).padStart(4, "0"));

function hex8(crc: number): string {
  return (HEX16[crc >>> 16] as string) + (HEX16[crc & 0xffff] as string);
}

/** The identity line, with its line break. */
export function encodeIdentity(identity: Identity): string {
  const { log, store, lineage, parent, after } = identity;
  return `${JSON.stringify({ papyra: FORMAT_VERSION, log, store, lineage, parent, after })}\n`;
}

/** What an identity line says: an identity, a version that this release does not know, or undefined for anything else. */
export function decodeIdentity(line: Uint8Array): Identity | { unknownVersion: unknown } | undefined {
  const value = parseObject(line);
  if (value === undefined || !("papyra" in value)) return undefined;
  if (value.papyra !== FORMAT_VERSION) return { unknownVersion: value.papyra };
  const { log, store, lineage, parent, after } = value;
  if (!LOG_NAMES.includes(log as LogName) || typeof store !== "string" || typeof lineage !== "string") return undefined;
  const identity = { log: log as LogName, store, lineage };
  return typeof parent === "string" && (after === 0 || isSeq(after)) ? { ...identity, parent, after } : identity;
}

/** The checksum's starting value for all lines under an identity line (given with its line break). */
export function seedOf(identityLine: string | Uint8Array): number {
  return crc32(identityLine as string);
}

const scratch = new JsonBytes();

/**
 * The part of a line that the caller decides: `,"name":value...` of each field, checked to survive JSON unchanged.
 * Rejects with RECORD_INVALID and the path of the offending value.
 */
export function encodeFields(fields: Readonly<Record<string, unknown>>): string {
  scratch.clear();
  scratch.members(fields, undefined);
  return scratch.toString();
}

/** One numbered line. `fields` comes from {@link encodeFields}; `durable` goes on the first record of a batch. */
export function encodeLine(
  seed: number,
  seq: number,
  durable: number | undefined,
  kind: string,
  timestampMs: number,
  fields: string,
): string {
  const mark = durable === undefined ? "" : `,"durable":${durable}`;
  const body = `${LINE_START}${seq}${mark}${stampOf(kind, timestampMs)}${fields}`;
  return `${body},"crc":"${hex8(crc32(body, seed))}"}\n`;
}

/** The members between the seq of a numbered line and its fields. */
export function stampOf(kind: string, timestampMs: number): string {
  return `,"kind":"${kind}","timestamp":${timestampMs / 1000}`;
}

/** The same bytes as `encodeLine`, written in place: the head of a line, up to where its fields go. Returns its end. */
export function putLineHead(bytes: Buffer, at: number, seq: number, stamp: Buffer): number {
  const end = putNumber(bytes, putAscii(bytes, at, LINE_START), seq);
  return end + stamp.copy(bytes, end);
}

/** Completes the line of which `[start, end)` is everything before its suffix; `view` is of the same bytes. */
export function putLineEnd(bytes: Buffer, view: DataView, start: number, end: number, seed: number): number {
  const crc = crcOf(view, start, end, seed);
  return putAscii(bytes, putHex8(bytes, putAscii(bytes, end, SUFFIX_START), crc), SUFFIX_END);
}

/** A control line (a seal): it has a checksum but no seq, since compaction makes it anew. */
export function encodeControlLine(seed: number, kind: string, fields: Readonly<Record<string, unknown>>): string {
  return completeLine(seed, `{"kind":${JSON.stringify(kind)}${encodeFields(fields)}`);
}

/** The line of which `body` is everything before its suffix. */
export function completeLine(seed: number, body: string): string {
  return `${body},"crc":"${hex8(crc32(body, seed))}"}\n`;
}

/** Whether `bytes[start, end)`, line break excluded, is a whole line that verifies under `seed`. Does not parse. */
export function verifies(seed: number, bytes: Buffer, start: number, end: number): boolean {
  const suffix = end - SUFFIX_BYTES;
  if (suffix <= start || !hasSuffix(bytes, suffix)) return false;
  return hexAt(bytes, suffix + 8) === crc32(bytes.subarray(start, suffix), seed);
}

/** Whether a suffix stands at `at` and states the checksum `crc`. */
export function statesCrc(bytes: Buffer, at: number, crc: number): boolean {
  return hasSuffix(bytes, at) && hexAt(bytes, at + 8) === crc;
}

/** Whether the bytes at `at` are a suffix: the fixed bytes around the eight digits. */
export function hasSuffix(bytes: Buffer, at: number): boolean {
  return (
    bytes[at] === 0x2c && // ,"crc":"
    bytes[at + 1] === 0x22 &&
    bytes[at + 2] === 0x63 &&
    bytes[at + 3] === 0x72 &&
    bytes[at + 4] === 0x63 &&
    bytes[at + 5] === 0x22 &&
    bytes[at + 6] === 0x3a &&
    bytes[at + 7] === 0x22 &&
    bytes[at + 16] === 0x22 && // "}
    bytes[at + 17] === 0x7d
  );
}

/** Eight lower-case hex digits as a number, or -1: upper case would be a flipped bit. */
function hexAt(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let i = 0; i < 8; i++) {
    const code = bytes[at + i] as number;
    const digit = code >= 0x30 && code <= 0x39 ? code - 0x30 : code >= 0x61 && code <= 0x66 ? code - 0x57 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The JSON object in some bytes, or undefined: invalid UTF-8 is never decoded to something else. */
export function parseObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(UTF8.decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined; // not JSON: the caller has an anomaly to report, not an exception
  }
}

const KNOWN_KINDS: ReadonlySet<unknown> = new Set(["event", "journal", "audit", "dead_letter", "snapshot", "gap"]);

/**
 * The record in a line that has verified: all of `bytes`, or `[start, end)` of them. Rejects with LOG_DAMAGED when its writer
 * put something else than JSON there.
 */
export function decodeRecord(bytes: Buffer, start = 0, end: number = bytes.length): LogRecord {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(bytes.toString("utf8", start, end)) as Record<string, unknown>;
  } catch (cause) {
    throw new PapyraError("LOG_DAMAGED", "a line verifies but is not JSON: its writer was not Papyra", { cause });
  }
  if (KNOWN_KINDS.has(fields.kind)) return fields as unknown as LogRecord;
  return {
    seq: fields.seq as number,
    timestamp: fields.timestamp as number,
    kind: "unknown",
    fields,
  };
}
