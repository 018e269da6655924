// Chunks of a segment -> entries: runs of verified lines, gaps, seals, damage. The only place that knows about "\n".
// Damage is data, never an exception, and reading goes on behind it; one damaged line never takes a neighbour with it.
import { decodeRecord, LINE_BYTES_MAX, LINE_START, parseObject, SUFFIX_BYTES, SUFFIX_START, verifies } from "./codec.ts";
import type { GapRecord } from "./record.ts";

/** Lines that verified, with contiguous seqs. `bytes` is valid until the next entry is asked for. */
export interface Run {
  readonly type: "run";
  readonly offset: number;
  readonly bytes: Buffer;
  readonly count: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The greatest `durable` that a line of the run states, or 0. */
  readonly durable: number;
  /** The last line lacks its line break: what it says is whole, but it must be terminated before anything follows. */
  readonly unterminated: boolean;
}

/** A verified gap record. */
export interface Gap {
  readonly type: "gap";
  readonly offset: number;
  readonly bytes: Buffer;
  readonly record: GapRecord;
}

/** A verified control line: a seal, or a kind of a later release. */
export interface Control {
  readonly type: "control";
  readonly offset: number;
  readonly bytes: Buffer;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Bytes that are not a verified line. */
export interface Damage {
  readonly type: "damage";
  readonly offset: number;
  readonly length: number;
  /** How many line breaks the bytes hold: at least so many lines may have been lost here. */
  readonly lines: number;
  readonly kind: "malformed-line" | "checksum-mismatch";
  readonly detail: string;
}

/** Lines of a log that has no checksums: JSON objects, nothing more is known. */
export interface Unchecked {
  readonly type: "unchecked";
  readonly offset: number;
  readonly bytes: Buffer;
  readonly count: number;
}

export type Entry = Run | Gap | Control | Damage | Unchecked;

const NEWLINE = 0x0a;
const ANCHOR = Buffer.from(LINE_START);
const SUFFIX = Buffer.from(SUFFIX_START);
const KIND_GAP = Buffer.from(',"kind":"gap"');
/** How many (start, end) pairs are tried to find whole records inside a damaged line. */
const SALVAGE_TRIES_MAX = 4096;

/**
 * Splits the bytes of one segment, behind its identity line, into entries.
 * `seed` is the checksum's starting value, or undefined for a log without checksums.
 */
export class LineScanner {
  readonly #seed: number | undefined;
  /** Offset of the first byte that has not been given out in an entry. */
  #offset: number;
  #pending: Buffer = Buffer.alloc(0);
  /** Bytes dropped of a line that is too long to be held, or -1. */
  #skipped = -1;

  constructor(seed: number | undefined, offset: number) {
    this.#seed = seed;
    this.#offset = offset;
  }

  /** Where the bytes begin that are still waiting for their line break. */
  get pendingOffset(): number {
    return this.#offset;
  }

  get pendingBytes(): number {
    return this.#skipped >= 0 ? this.#skipped : this.#pending.length;
  }

  *push(chunk: Uint8Array): Generator<Entry, void, undefined> {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.#skipped >= 0) {
      const end = bytes.indexOf(NEWLINE);
      if (end < 0) {
        this.#skipped += bytes.length;
        return;
      }
      yield this.#tooLong(this.#skipped + end + 1, 1);
      bytes = bytes.subarray(end + 1);
    } else if (this.#pending.length > 0) {
      bytes = Buffer.concat([this.#pending, bytes]);
    }
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    const whole = bytes.subarray(0, end);
    const rest = bytes.subarray(end);
    this.#pending = Buffer.alloc(0);
    if (whole.length > 0) yield* this.#seed === undefined ? this.#unchecked(whole) : this.#checked(whole, this.#seed);
    if (rest.length > LINE_BYTES_MAX) this.#skipped = rest.length;
    else this.#pending = Buffer.from(rest); // a copy: the chunk belongs to the reader
  }

  /** The bytes after the last line break, once the segment has ended. */
  *end(): Generator<Entry, void, undefined> {
    if (this.#skipped >= 0) {
      yield this.#tooLong(this.#skipped, 0);
      return;
    }
    const rest = this.#pending;
    this.#pending = Buffer.alloc(0);
    if (rest.length === 0) return;
    if (this.#seed === undefined) yield this.#damage(rest.length, 0, "malformed-line", "the last line has no line break");
    else yield* this.#salvage(rest, 0, rest.length, this.#seed);
  }

  #tooLong(length: number, lines: number): Damage {
    this.#skipped = -1;
    return this.#damage(length, lines, "malformed-line", `a line of ${length} bytes; no line is longer than ${LINE_BYTES_MAX}`);
  }

  #damage(length: number, lines: number, kind: Damage["kind"], detail: string): Damage {
    const offset = this.#offset;
    this.#offset += length;
    return { type: "damage", offset, length, lines, kind, detail };
  }

  /** Whole lines of a log with checksums. Builds runs as long as seqs are contiguous. */
  *#checked(bytes: Buffer, seed: number): Generator<Entry, void, undefined> {
    let runStart = 0;
    let count = 0;
    let firstSeq = 0;
    let lastSeq = 0;
    let durable = 0;
    const take = (end: number): Run => {
      const run = this.#run(bytes.subarray(runStart, end), count, firstSeq, lastSeq, durable, false);
      count = 0;
      durable = 0;
      return run;
    };
    for (let start = 0; start < bytes.length; ) {
      const end = bytes.indexOf(NEWLINE, start) + 1;
      const ok = end - start <= LINE_BYTES_MAX && verifies(seed, bytes, start, end - 1);
      if (ok && header.read(bytes, start) && !header.gap) {
        if (count > 0 && header.seq !== lastSeq + 1) yield take(start);
        if (count === 0) {
          runStart = start;
          firstSeq = header.seq;
        }
        count += 1;
        lastSeq = header.seq;
        if (header.durable > durable) durable = header.durable;
      } else {
        if (count > 0) yield take(start);
        if (ok) yield this.#special(bytes.subarray(start, end), header.gap);
        else yield* this.#salvage(bytes, start, end, seed);
      }
      start = end;
    }
    if (count > 0) yield take(bytes.length);
  }

  #run(bytes: Buffer, count: number, firstSeq: number, lastSeq: number, durable: number, unterminated: boolean): Run {
    const offset = this.#offset;
    this.#offset += bytes.length;
    return { type: "run", offset, bytes, count, firstSeq, lastSeq, durable, unterminated };
  }

  #special(bytes: Buffer, gap: boolean): Gap | Control {
    const offset = this.#offset;
    this.#offset += bytes.length;
    if (gap) return { type: "gap", offset, bytes, record: decodeRecord(bytes) as GapRecord };
    return { type: "control", offset, bytes, fields: parseObject(bytes) ?? {} };
  }

  /**
   * A line that does not verify may hold whole records: a lost line break glues two, a torn write glues what follows.
   * A record can only start at the anchor and end at a suffix; the checksum decides.
   */
  *#salvage(bytes: Buffer, start: number, end: number, seed: number): Generator<Entry, void, undefined> {
    let tries = 0;
    let junkFrom = start;
    let at = start;
    while (tries < SALVAGE_TRIES_MAX) {
      const anchor = bytes.indexOf(ANCHOR, at);
      if (anchor < 0 || anchor >= end) break;
      let recordEnd = -1;
      for (let s = bytes.indexOf(SUFFIX, anchor); s >= 0 && s < end && tries < SALVAGE_TRIES_MAX; s = bytes.indexOf(SUFFIX, s + 1)) {
        tries += 1;
        if (s + SUFFIX_BYTES <= end && verifies(seed, bytes, anchor, s + SUFFIX_BYTES)) {
          recordEnd = s + SUFFIX_BYTES;
          break;
        }
      }
      if (recordEnd < 0) {
        at = anchor + 1;
        continue;
      }
      if (anchor > junkFrom) yield this.#junk(bytes, junkFrom, anchor);
      const terminated = recordEnd < end && bytes[recordEnd] === NEWLINE;
      const record = bytes.subarray(anchor, terminated ? recordEnd + 1 : recordEnd);
      header.read(bytes, anchor);
      if (header.gap && terminated) yield this.#special(record, true);
      else yield this.#run(record, 1, header.seq, header.seq, header.durable, !terminated);
      at = anchor + record.length;
      junkFrom = at;
    }
    if (junkFrom < end) yield this.#junk(bytes, junkFrom, end);
  }

  #junk(bytes: Buffer, start: number, end: number): Damage {
    const lines = bytes[end - 1] === NEWLINE ? 1 : 0;
    const content = bytes.subarray(start, end - lines);
    if (content.length === 0) return this.#damage(end - start, lines, "malformed-line", "an empty line");
    if (content.every((byte) => byte === 0)) {
      return this.#damage(end - start, lines, "malformed-line", `${content.length} zero bytes`);
    }
    const value = parseObject(content);
    if (value === undefined) return this.#damage(end - start, lines, "malformed-line", "the bytes are not a JSON object");
    if (!("crc" in value)) return this.#damage(end - start, lines, "malformed-line", "the line has no checksum");
    return this.#damage(
      end - start,
      lines,
      "checksum-mismatch",
      `the checksum of ${"seq" in value ? `seq ${String(value.seq)}` : "the line"} does not match its bytes`,
    );
  }

  *#unchecked(bytes: Buffer): Generator<Entry, void, undefined> {
    let runStart = 0;
    let count = 0;
    const take = (end: number): Unchecked => {
      const offset = this.#offset;
      this.#offset += end - runStart;
      const run: Unchecked = { type: "unchecked", offset, bytes: bytes.subarray(runStart, end), count };
      count = 0;
      return run;
    };
    for (let start = 0; start < bytes.length; ) {
      const end = bytes.indexOf(NEWLINE, start) + 1;
      if (parseObject(bytes.subarray(start, end)) !== undefined) {
        if (count === 0) runStart = start;
        count += 1;
      } else {
        if (count > 0) yield take(start);
        yield this.#damage(end - start, 1, "malformed-line", "the line is not a JSON object");
      }
      start = end;
    }
    if (count > 0) yield take(bytes.length);
  }
}

/** Reads the first members of a numbered line without parsing it; one object for all, so that nothing is allocated. */
const header = {
  seq: 0,
  durable: 0,
  gap: false,
  /** Whether the line is numbered; then the fields hold what it says. */
  read(bytes: Buffer, start: number): boolean {
    this.seq = 0;
    this.durable = 0;
    this.gap = false;
    if (bytes[start + 2] !== 0x73 /* the s of "seq" */ || bytes[start + 3] !== 0x65) return false;
    let at = start + LINE_START.length;
    for (let code = bytes[at] as number; code >= 0x30 && code <= 0x39; code = bytes[++at] as number) {
      this.seq = this.seq * 10 + code - 0x30;
    }
    if (bytes[at + 2] === 0x64 /* the d of "durable" */) {
      at += ',"durable":'.length;
      for (let code = bytes[at] as number; code >= 0x30 && code <= 0x39; code = bytes[++at] as number) {
        this.durable = this.durable * 10 + code - 0x30;
      }
    }
    this.gap = bytes[at + 9] === 0x67 /* g */ && KIND_GAP.equals(bytes.subarray(at, at + KIND_GAP.length));
    return true;
  },
};

/** The lines of a run, one by one, without their line breaks. */
export function* linesOf(run: { readonly bytes: Buffer }): Generator<Buffer, void, undefined> {
  const { bytes } = run;
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, start);
    if (end < 0) {
      yield bytes.subarray(start);
      return;
    }
    yield bytes.subarray(start, end);
    start = end + 1;
  }
}
