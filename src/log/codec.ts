// Record <-> line. The checksum is the last member, in a suffix of fixed width, over the identity line and the bytes
// before the suffix as they were written: nothing is ever re-serialised to be checked, and each line verifies alone.
import { crc32 } from "node:zlib";
import { PapyraError } from "../errors.ts";
import { FORMAT_VERSION, LOG_NAMES, type Identity, type LogName, type LogRecord } from "./record.ts";

/** Bytes of `,"crc":"xxxxxxxx"}`. */
export const SUFFIX_BYTES = 18;
export const SUFFIX_START = ',"crc":"';
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
  const { log, store, lineage } = identity;
  return `${JSON.stringify({ papyra: FORMAT_VERSION, log, store, lineage })}\n`;
}

/** What an identity line says: an identity, a version that this release does not know, or undefined for anything else. */
export function decodeIdentity(line: Uint8Array): Identity | { unknownVersion: unknown } | undefined {
  const value = parseObject(line);
  if (value === undefined || !("papyra" in value)) return undefined;
  if (value.papyra !== FORMAT_VERSION) return { unknownVersion: value.papyra };
  const { log, store, lineage } = value;
  if (!LOG_NAMES.includes(log as LogName) || typeof store !== "string" || typeof lineage !== "string") return undefined;
  return { log: log as LogName, store, lineage };
}

/** The checksum's starting value for all lines under an identity line (given with its line break). */
export function seedOf(identityLine: string | Uint8Array): number {
  return crc32(identityLine as string);
}

/**
 * The part of a line that the caller decides: `,"name":value...` of each field, checked to survive JSON unchanged.
 * Rejects with RECORD_INVALID and the path of the offending value.
 */
export function encodeFields(fields: Readonly<Record<string, unknown>>): string {
  for (const name in fields) {
    const value = fields[name];
    if (typeof value !== "string" && value !== undefined) assertStorable(value, name, undefined);
  }
  const text = JSON.stringify(fields);
  return text.length === 2 ? "" : `,${text.slice(1, -1)}`;
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
  const body = `{"seq":${seq}${mark},"kind":"${kind}","timestamp":${timestampMs / 1000}${fields}`;
  return `${body},"crc":"${hex8(crc32(body, seed))}"}\n`;
}

/** A control line (a seal): it has a checksum but no seq, since compaction makes it anew. */
export function encodeControlLine(seed: number, kind: string, fields: Readonly<Record<string, unknown>>): string {
  const body = `{"kind":${JSON.stringify(kind)}${encodeFields(fields)}`;
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

/** The record in a line that has verified. Rejects with LOG_DAMAGED when its writer put something else than JSON there. */
export function decodeRecord(line: Buffer): LogRecord {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line.toString("utf8")) as Record<string, unknown>;
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

/**
 * Refuses what JSON.stringify would drop or change without a word. Objects must be plain: a Date, a Map or a class
 * would come back as something else.
 */
function assertStorable(value: unknown, path: string, ancestors: Ancestors): void {
  switch (typeof value) {
    case "string":
    case "boolean":
      return;
    case "number":
      if (!Number.isFinite(value) || Object.is(value, -0))
        throw notStorable(path, Object.is(value, -0) ? "-0" : String(value));
      return;
    case "object":
      if (value === null) return;
      break;
    default:
      throw notStorable(path, typeof value);
  }
  for (let a = ancestors; a !== undefined; a = a.up) {
    if (a.value === value) throw notStorable(path, "a value that contains itself");
  }
  if (ancestors !== undefined && ancestors.depth >= DEPTH_MAX) {
    throw notStorable(path, `more than ${DEPTH_MAX} levels of nesting`);
  }
  const here = { value, up: ancestors, depth: (ancestors?.depth ?? 0) + 1 };
  if (Array.isArray(value)) {
    if (Object.getPrototypeOf(value) !== Array.prototype) throw notStorable(path, "an instance of a class of arrays");
    if (Object.keys(value).length !== value.length) throw notStorable(path, "an array with holes or extra members");
    for (let i = 0; i < value.length; i++) assertStorable(value[i], `${path}[${i}]`, here);
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw notStorable(path, `an instance of ${(value as object).constructor?.name || "a class"}`);
  }
  if (Object.getOwnPropertySymbols(value).length > 0) throw notStorable(path, "an object with symbol keys");
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") throw notStorable(path, "an object with toJSON()");
  for (const [key, member] of Object.entries(value)) assertStorable(member, `${path}.${key}`, here);
}

const DEPTH_MAX = 200;
type Ancestors = { readonly value: unknown; readonly up: Ancestors; readonly depth: number } | undefined;

function notStorable(path: string, what: string): PapyraError {
  return new PapyraError("RECORD_INVALID", `${path} is ${what}, which JSON cannot hold unchanged`, {
    hint: "store a string or a plain number instead, and convert in the event handler",
    details: { path, what },
  });
}
