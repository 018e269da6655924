// The first members of a numbered line, read without parsing it: what a scan needs of a line that has verified.
import { LINE_START } from "./codec.ts";
import { isSeq, SEQ_MAX } from "./seqs.ts";

const KIND_GAP = Buffer.from(',"kind":"gap"');
const COMMA = 0x2c;
const SEQ_START = LINE_START.length;
/** More digits than any seq has. */
const STATED_BYTES = 24;

/** Reads the first members of a numbered line without parsing it; one object for all, so that nothing is allocated. */
export const header = {
  seq: 0,
  durable: 0,
  gap: false,
  /** Whether the seqs are whole numbers that a line may state. */
  sound: false,
  /** Whether the line is numbered; then the fields hold what it says. */
  read(bytes: Buffer, start: number): boolean {
    this.seq = 0;
    this.durable = 0;
    this.gap = false;
    if (bytes[start + 2] !== 0x73 /* s */ || bytes[start + 3] !== 0x65 /* e */ || bytes[start + 4] !== 0x71 /* q */)
      return false;
    let at = start + SEQ_START;
    for (let code = bytes[at] as number; code >= 0x30 && code <= 0x39; code = bytes[++at] as number) {
      this.seq = this.seq * 10 + (code - 0x30);
    }
    this.sound = this.seq >= 1 && this.seq <= SEQ_MAX && bytes[at] === COMMA;
    if (bytes[at + 2] === 0x64 /* the d of "durable" */) {
      at += ',"durable":'.length;
      for (let code = bytes[at] as number; code >= 0x30 && code <= 0x39; code = bytes[++at] as number) {
        this.durable = this.durable * 10 + (code - 0x30);
      }
      this.sound &&= this.durable <= SEQ_MAX && bytes[at] === COMMA;
    }
    this.gap = bytes[at + 9] === 0x67 /* g */ && KIND_GAP.equals(bytes.subarray(at, at + KIND_GAP.length));
    return true;
  },
};

/**
 * Why a verified line, whose header was just read, cannot be a record, or undefined. `gap` is what it accounts for: seqs before
 * its own, or it would hide what is lost later.
 */
export function whyAbsurd(bytes: Buffer, gap: Readonly<Record<string, unknown>> | undefined): string | undefined {
  if (!header.sound) {
    const stated = bytes.toString("latin1", SEQ_START, SEQ_START + STATED_BYTES).replace(/,"(?!durable).*/, "");
    return `the line verifies and states seq ${stated}: seqs are whole numbers from 1 to ${SEQ_MAX}`;
  }
  if (gap === undefined) return undefined;
  const { from, to } = gap;
  if (isSeq(from) && isSeq(to) && from <= to && to < header.seq) return undefined;
  return `the gap record of seq ${header.seq} verifies and names seqs ${String(from)} to ${String(to)}: it stands behind what it accounts for`;
}
