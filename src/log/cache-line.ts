// A cache that is one JSON line with a checksum of its own. Pure.
import { completeLine, parseObject, verifies } from "./codec.ts";

const SEED = 0;
const NEWLINE = 0x0a;

export function encodeCacheLine(kind: string, version: number, fields: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(completeLine(SEED, JSON.stringify({ kind, version, ...fields }).slice(0, -1)));
}

/** Its fields; undefined when these are other bytes than were written, or those of another version. */
export function decodeCacheLine(kind: string, version: number, bytes: Buffer): Record<string, unknown> | undefined {
  if (bytes.at(-1) !== NEWLINE || !verifies(SEED, bytes, 0, bytes.length - 1)) return undefined;
  const fields = parseObject(bytes) ?? {};
  return fields.kind === kind && fields.version === version ? fields : undefined;
}
