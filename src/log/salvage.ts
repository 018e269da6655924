// What is left in a damaged line: whole lines that were glued to other bytes, and what to say of the rest.
import { crc32 } from "node:zlib";
import { LINE_START, parseObject, statesCrc, SUFFIX_BYTES, SUFFIX_START } from "./codec.ts";

const ANCHOR = Buffer.from(LINE_START);
const SUFFIX = Buffer.from(SUFFIX_START);
const SEAL_ANCHOR = Buffer.from('{"kind":"seal",');
/** How much work goes into finding whole lines inside one damaged line: bytes summed, and a fixed price for each try. */
export const SALVAGE_WORK_MAX = 1 << 30;
const SALVAGE_WORK_PER_TRY = 256;

/** Where the next line may begin, at or behind `from`; -1 for nowhere. */
export function nextAnchor(line: Buffer, from: number): number {
  const record = line.indexOf(ANCHOR, from);
  const seal = line.indexOf(SEAL_ANCHOR, from);
  return record < 0 || (seal >= 0 && seal < record) ? seal : record;
}

/** Where the line that begins at `start` ends by its checksum, line break excluded; -1 when no end fits. */
export function wholeUntil(line: Buffer, start: number, seed: number, work: { left: number }): number {
  let crc = seed;
  let from = start;
  work.left -= line.length - start; // looking for anchors and suffixes
  for (let at = line.indexOf(SUFFIX, start); at >= 0 && work.left > 0; at = line.indexOf(SUFFIX, at + 1)) {
    work.left -= at - from + SALVAGE_WORK_PER_TRY;
    crc = crc32(line.subarray(from, at), crc);
    if (statesCrc(line, at, crc)) return at + SUFFIX_BYTES;
    from = at;
  }
  return -1;
}

/** What is wrong with bytes (without a line break) that do not verify. */
export function describeDamage(content: Buffer): { kind: "malformed-line" | "checksum-mismatch"; detail: string } {
  if (content.length === 0) return { kind: "malformed-line", detail: "an empty line" };
  if (content.every((byte) => byte === 0)) return { kind: "malformed-line", detail: `${content.length} zero bytes` };
  const value = parseObject(content);
  if (value === undefined) return { kind: "malformed-line", detail: "the bytes are not a JSON object" };
  if (!("crc" in value)) return { kind: "malformed-line", detail: "the line has no checksum" };
  const what = "seq" in value ? `seq ${String(value.seq)}` : "the line";
  return { kind: "checksum-mismatch", detail: `the checksum of ${what} does not match its bytes` };
}
