// Chunks of a segment -> entries: runs of verified lines, gaps, seals, damage. The only place that knows about "\n".
// Damage is data, never an exception, and reading goes on behind it; one damaged line never takes a neighbour with it.
import { allVerify } from "./block.ts";
import { LINE_BYTES_MAX, parseObject, verifies } from "./codec.ts";
import { header, whyAbsurd } from "./header.ts";
import type { GapRecord } from "./record.ts";
import { describeDamage, nextAnchor, SALVAGE_WORK_MAX, wholeUntil } from "./salvage.ts";

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
  /** As for a run. */
  readonly unterminated: boolean;
}

/** A verified control line: a seal, or a kind of a later release. */
export interface Control {
  readonly type: "control";
  readonly offset: number;
  readonly bytes: Buffer;
  readonly fields: Readonly<Record<string, unknown>>;
  /** As for a run. */
  readonly unterminated: boolean;
}

/** Bytes that are not a verified line. */
export interface Damage {
  readonly type: "damage";
  readonly offset: number;
  readonly length: number;
  /** How many line breaks the bytes hold: at least so many lines may have been lost here. */
  readonly lines: number;
  readonly kind: "malformed-line" | "checksum-mismatch" | "foreign-line";
  readonly detail: string;
}

/** Lines of a log that has no checksums: JSON objects, nothing more is known. */
export interface Unchecked {
  readonly type: "unchecked";
  readonly offset: number;
  readonly bytes: Buffer;
  readonly count: number;
  /** As for a run. An object that is closed cannot be the beginning of a longer one. */
  readonly unterminated: boolean;
}

export type Entry = Run | Gap | Control | Damage | Unchecked;

const NEWLINE = 0x0a;
/**
 * Splits the bytes of one segment, behind its identity line, into entries.
 * `seed` is the checksum's starting value, or undefined for a log without checksums.
 */
export class LineScanner {
  readonly #seed: number | undefined;
  /** Offset of the first byte that has not been given out in an entry. */
  #offset: number;
  /** The bytes after the last line break, as they came: joined once, when their line break is there. */
  #held: Buffer[] = [];
  #heldBytes = 0;
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
    return this.#skipped >= 0 ? this.#skipped : this.#heldBytes;
  }

  *push(chunk: Uint8Array): Generator<Entry, void, undefined> {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const first = bytes.indexOf(NEWLINE);
    if (this.#skipped >= 0) {
      if (first < 0) {
        this.#skipped += bytes.length;
        return;
      }
      yield this.#tooLong(this.#skipped + first + 1, 1);
      bytes = bytes.subarray(first + 1);
    } else if (first >= 0 && this.#heldBytes > 0) {
      // Only the line that was cut is put together: joining it with the whole chunk would copy everything once more.
      yield* this.#whole(this.#release(bytes.subarray(0, first + 1)));
      bytes = bytes.subarray(first + 1);
    }
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (end > 0) yield* this.#whole(bytes.subarray(0, end));
    this.#hold(bytes.subarray(end));
  }

  #whole(lines: Buffer): Generator<Entry, void, undefined> {
    return this.#seed === undefined ? this.#unchecked(lines) : this.#checked(lines, this.#seed);
  }

  /** The bytes after the last line break, once the segment has ended. */
  *end(): Generator<Entry, void, undefined> {
    if (this.#skipped >= 0) {
      yield this.#tooLong(this.#skipped, 0);
      return;
    }
    const rest = this.#release(Buffer.alloc(0));
    if (rest.length === 0) return;
    if (this.#seed !== undefined) yield* this.#salvage(rest, this.#seed);
    else if (parseObject(rest) !== undefined) {
      yield { type: "unchecked", offset: this.#offset, bytes: rest, count: 1, unterminated: true };
    } else yield this.#damage(rest.length, 0, "malformed-line", "the last line has no line break");
  }

  #hold(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#heldBytes += rest.length;
    if (this.#heldBytes < LINE_BYTES_MAX) {
      this.#held.push(Buffer.from(rest)); // a copy: the chunk belongs to the reader
      return;
    }
    this.#skipped = this.#heldBytes; // with its line break it is longer than any line
    this.#held = [];
    this.#heldBytes = 0;
  }

  #release(more: Buffer): Buffer {
    const bytes = Buffer.concat([...this.#held, more]);
    this.#held = [];
    this.#heldBytes = 0;
    return bytes;
  }

  #tooLong(length: number, lines: number): Damage {
    this.#skipped = -1;
    return this.#damage(
      length,
      lines,
      "malformed-line",
      `a line of ${length} bytes; no line is longer than ${LINE_BYTES_MAX}`,
    );
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
    const whole = allVerify(seed, bytes);
    for (let start = 0; start < bytes.length; ) {
      const end = bytes.indexOf(NEWLINE, start) + 1;
      const ok = (whole || verifies(seed, bytes, start, end - 1)) && end - start <= LINE_BYTES_MAX;
      if (ok && header.read(bytes, start) && header.sound && !header.gap) {
        const { seq, durable: stated } = header; // before a yield: another scan may read headers meanwhile
        if (count > 0 && seq !== lastSeq + 1) yield take(start);
        if (count === 0) {
          runStart = start;
          firstSeq = seq;
        }
        count += 1;
        lastSeq = seq;
        if (stated > durable) durable = stated;
      } else {
        if (count > 0) yield take(start);
        if (ok) yield this.#special(bytes.subarray(start, end), false);
        else if (end - start > LINE_BYTES_MAX) yield this.#tooLong(end - start, 1);
        else yield* this.#salvage(bytes.subarray(start, end), seed);
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

  /** A verified line that is not an ordinary record. What its writer left incomplete is never guessed at. */
  #special(bytes: Buffer, unterminated: boolean): Run | Gap | Control | Damage {
    const fields = parseObject(bytes) ?? {};
    const numbered = header.read(bytes, 0);
    const isGap = header.gap && typeof fields.from === "number" && typeof fields.to === "number";
    const absurd = numbered ? whyAbsurd(bytes, isGap ? fields : undefined) : undefined;
    if (absurd !== undefined) return this.#damage(bytes.length, unterminated ? 0 : 1, "malformed-line", absurd);
    if (numbered && !isGap) return this.#run(bytes, 1, header.seq, header.seq, header.durable, unterminated);
    const offset = this.#offset;
    this.#offset += bytes.length;
    return isGap
      ? { type: "gap", offset, bytes, record: fields as unknown as GapRecord, unterminated }
      : { type: "control", offset, bytes, fields, unterminated };
  }

  /**
   * A line that does not verify may hold whole lines: a lost line break glues two, a torn write glues what follows.
   * A line can only start at an anchor and end at a suffix; the checksum decides.
   */
  *#salvage(line: Buffer, seed: number): Generator<Entry, void, undefined> {
    const work = { left: SALVAGE_WORK_MAX };
    let junkFrom = 0;
    for (let at = nextAnchor(line, 0); at >= 0 && work.left > 0; ) {
      const found = wholeUntil(line, at, seed, work);
      if (found < 0) {
        at = nextAnchor(line, at + 1);
        continue;
      }
      if (at > junkFrom) yield this.#junk(line.subarray(junkFrom, at));
      const terminated = line[found] === NEWLINE;
      junkFrom = terminated ? found + 1 : found;
      yield this.#special(line.subarray(at, junkFrom), !terminated);
      at = nextAnchor(line, junkFrom);
    }
    if (junkFrom < line.length) yield this.#junk(line.subarray(junkFrom));
  }

  #junk(bytes: Buffer): Damage {
    const lines = bytes.at(-1) === NEWLINE ? 1 : 0;
    const { kind, detail } = describeDamage(bytes.subarray(0, bytes.length - lines));
    return this.#damage(bytes.length, lines, kind, detail);
  }

  *#unchecked(bytes: Buffer): Generator<Entry, void, undefined> {
    let runStart = 0;
    let count = 0;
    const take = (end: number): Unchecked => {
      const offset = this.#offset;
      this.#offset += end - runStart;
      const run: Unchecked = {
        type: "unchecked",
        offset,
        bytes: bytes.subarray(runStart, end),
        count,
        unterminated: false,
      };
      count = 0;
      return run;
    };
    for (let start = 0; start < bytes.length; ) {
      const end = bytes.indexOf(NEWLINE, start) + 1;
      const long = end - start > LINE_BYTES_MAX;
      if (!long && parseObject(bytes.subarray(start, end)) !== undefined) {
        if (count === 0) runStart = start;
        count += 1;
      } else {
        if (count > 0) yield take(start);
        if (long) yield this.#tooLong(end - start, 1);
        else yield this.#damage(end - start, 1, "malformed-line", "the line is not a JSON object");
      }
      start = end;
    }
    if (count > 0) yield take(bytes.length);
  }
}

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
