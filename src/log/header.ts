// The first members of a numbered line, read without parsing it: what a scan needs of a line that has verified.
import { LINE_START } from "./codec.ts";

const KIND_GAP = Buffer.from(',"kind":"gap"');

/** Reads the first members of a numbered line without parsing it; one object for all, so that nothing is allocated. */
export const header = {
  seq: 0,
  durable: 0,
  gap: false,
  /** Whether the line is numbered; then the fields hold what it says. */
  read(bytes: Buffer, start: number): boolean {
    this.seq = 0;
    this.durable = 0;
    this.gap = false;
    if (bytes[start + 2] !== 0x73 /* s */ || bytes[start + 3] !== 0x65 /* e */ || bytes[start + 4] !== 0x71 /* q */)
      return false;
    let at = start + LINE_START.length;
    for (let code = bytes[at] as number; code >= 0x30 && code <= 0x39; code = bytes[++at] as number) {
      this.seq = this.seq * 10 + (code - 0x30);
    }
    if (bytes[at + 2] === 0x64 /* the d of "durable" */) {
      at += ',"durable":'.length;
      for (let code = bytes[at] as number; code >= 0x30 && code <= 0x39; code = bytes[++at] as number) {
        this.durable = this.durable * 10 + (code - 0x30);
      }
    }
    this.gap = bytes[at + 9] === 0x67 /* g */ && KIND_GAP.equals(bytes.subarray(at, at + KIND_GAP.length));
    return true;
  },
};
