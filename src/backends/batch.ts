// A batch in the making: appends that will be written together. Each is numbered, stamped and put behind the others as
// it comes, in the bytes that are written in the end, so that closing a batch costs next to nothing.
import { putAscii } from "../log/ascii.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { LINE_START, putLineEnd, putLineHead, stampOf, SUFFIX_BYTES } from "../log/codec.ts";
import type { LogName } from "../log/record.ts";
import type { AppendedAt, AppendPart } from "./backend.ts";
import { type EncodedRecords, ENVELOPE_BYTES } from "./encoded-records.ts";
import type { Location } from "./locate.ts";
import type { Appended } from "./store.ts";

/** The segment of a log that is appended to. */
export interface ActiveSegment {
  /** Of its first record; undefined while it has none. */
  firstSeq: number | undefined;
  firstMs: number | undefined;
  bytes: number;
  /** The digest of the seal of the segment before, or null when that has none. */
  readonly previousSeal: string | null;
}

/** Where one log of an open store stands. */
export interface LogState {
  /** The last seq that was given to a record. */
  seq: number;
  /** The last seq that was acknowledged. */
  acknowledged: number;
  timestampMs: number;
  readonly seed: number;
  segment: ActiveSegment;
  readonly missing: readonly SeqRange[];
  /** Seqs that were not there when the store was opened, accounted for or not, and those that were compacted since. */
  absent: readonly SeqRange[];
}

/** Who is told what became of an append. */
export interface Caller {
  resolve(appended: Appended): void;
  reject(error: Error): void;
}

/** Buffers for lines, used again and again: while one is written, the next one is filled. */
export class LineBuffers {
  static readonly #FIRST_BYTES = 64 << 10;
  static readonly #KEPT_BYTES = 4 << 20;
  static readonly #KEPT = 4;
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(LineBuffers.#FIRST_BYTES);
  }

  giveBack(buffer: Buffer): void {
    if (this.#free.length < LineBuffers.#KEPT && buffer.length <= LineBuffers.#KEPT_BYTES) this.#free.push(buffer);
  }
}

const NOTHING = Buffer.alloc(0);

interface FirstLine {
  readonly seq: number;
  readonly stamp: Buffer;
}

/** So many lines get their checksums in one go: one at a time, between all the rest, an append takes a twentieth longer. */
const SUFFIXES_AT_ONCE = 32;

/** The lines of one log in a batch, one behind the other, and room for the envelope of the first in front. */
class PartLines {
  readonly log: LogName;
  readonly state: LogState;
  #bytes: Buffer;
  /** Of the same bytes: several at once are read faster through it. */
  #view: DataView;
  #start = ENVELOPE_BYTES;
  #end = ENVELOPE_BYTES;
  /** Where each line ends. */
  readonly #ends: number[] = [];
  /** So many of them have their suffix, or, the first, will get it last. */
  #complete = 1;
  /** The envelope of the first line is written last, when it is known what is durable. */
  #first: FirstLine | undefined;
  /** The stamp of the lines of one kind and instant. */
  #stamp = NOTHING;
  #stampKind = "";
  #stampMs = Number.NaN;
  #placed: AppendedAt = { segment: "", id: "", offset: 0 };
  /** The last seq in it; the log may be further on already. */
  #lastSeq = 0;

  constructor(log: LogName, state: LogState, bytes: Buffer) {
    this.log = log;
    this.state = state;
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  get count(): number {
    return this.#ends.length;
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  add(records: EncodedRecords, record: number): void {
    const { state } = this;
    const from = records.startOf(record);
    const to = records.endOf(record);
    this.#room(to - from + ENVELOPE_BYTES);
    const seq = state.seq + 1;
    state.seq = seq;
    this.#lastSeq = seq;
    const stamp = this.#stampFor(records.kindOf(record), state.timestampMs);
    const bytes = this.#bytes;
    const { fields } = records;
    const start = this.#end;
    const first = this.#first === undefined;
    const head = first ? start : putLineHead(bytes, start, seq, stamp);
    const body = head + to - from;
    fields.copy(bytes, head, from, to);
    this.#end = body + SUFFIX_BYTES + 1;
    if (first) this.#first = { seq, stamp };
    this.#ends.push(this.#end);
    if (this.#ends.length - this.#complete >= SUFFIXES_AT_ONCE) this.#putSuffixes();
  }

  #putSuffixes(): void {
    for (let line = this.#complete; line < this.#ends.length; line++)
      this.#putSuffix(this.#ends[line - 1] as number, this.#ends[line] as number);
    this.#complete = this.#ends.length;
  }

  #putSuffix(start: number, end: number): void {
    putLineEnd(this.#bytes, this.#view, start, end - SUFFIX_BYTES - 1, this.state.seed);
  }

  /** Completes the first line, which states what is durable now. */
  close(durable: number): AppendPart {
    this.#putSuffixes();
    const { seq, stamp } = this.#first as FirstLine;
    const head = `${LINE_START}${seq},"durable":${durable}${stamp.toString()}`;
    this.#start = ENVELOPE_BYTES - head.length;
    putAscii(this.#bytes, this.#start, head);
    this.#putSuffix(this.#start, this.#ends[0] as number);
    const bytes = this.#bytes.subarray(this.#start, this.#end);
    return { log: this.log, bytes, firstSeq: seq, lastSeq: this.#lastSeq };
  }

  /** The lines were put there; their bytes are no longer needed. Returns the buffer. */
  place(placed: AppendedAt): Buffer {
    this.#placed = placed;
    const bytes = this.#bytes;
    this.#bytes = NOTHING;
    this.#view = viewOf(NOTHING);
    return bytes;
  }

  locate(line: number): Location {
    const start = line === 0 ? this.#start : (this.#ends[line - 1] as number);
    const { segment, id, offset } = this.#placed;
    return { segment, id, offset: offset + start - this.#start, length: (this.#ends[line] as number) - start - 1 };
  }

  #stampFor(kind: string, timestampMs: number): Buffer {
    if (timestampMs !== this.#stampMs || kind !== this.#stampKind) {
      this.#stampMs = timestampMs;
      this.#stampKind = kind;
      this.#stamp = Buffer.from(stampOf(kind, timestampMs));
    }
    return this.#stamp;
  }

  #room(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, needed));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
    this.#view = viewOf(larger);
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** What an append resolves with. Where its lines stand is worked out for those who ask. */
class Placed implements Appended {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly timestampMs: number;
  readonly #part: PartLines;
  readonly #firstLine: number;

  constructor(part: PartLines, count: number) {
    this.lastSeq = part.lastSeq;
    this.firstSeq = this.lastSeq - count + 1;
    this.timestampMs = part.state.timestampMs;
    this.#part = part;
    this.#firstLine = part.count - count;
  }

  get at(): readonly Location[] {
    const count = this.lastSeq - this.firstSeq + 1;
    return Array.from({ length: count }, (_, i) => this.#part.locate(this.#firstLine + i));
  }
}

export class Batch {
  readonly #logs: Readonly<Record<LogName, LogState>>;
  readonly #buffers: LineBuffers;
  /** In the order in which the logs came. */
  readonly #parts: PartLines[] = [];
  readonly #placed: Placed[] = [];
  readonly #callers: Caller[] = [];
  #told = 0;
  /** What the queue has counted of it. */
  records = 0;
  bytes = 0;
  /** How long the lines are, once it is closed. */
  lineBytes = 0;

  constructor(logs: Readonly<Record<LogName, LogState>>, buffers: LineBuffers) {
    this.#logs = logs;
    this.#buffers = buffers;
  }

  add(log: LogName, records: EncodedRecords, nowMs: number, caller: Caller): void {
    const state = this.#logs[log];
    state.timestampMs = Math.max(state.timestampMs, nowMs);
    let part = this.#parts.find((candidate) => candidate.log === log);
    if (part === undefined) this.#parts.push((part = new PartLines(log, state, this.#buffers.take())));
    for (let record = 0; record < records.count; record++) part.add(records, record);
    this.#placed.push(new Placed(part, records.count));
    this.#callers.push(caller);
    this.records += records.count;
    this.bytes += records.bytes;
  }

  /** Nothing is added any more: what is to be written. The first line of each log states what was durable before it. */
  close(durableSeq: (log: LogName) => number): AppendPart[] {
    const parts = this.#parts.map((part) => part.close(durableSeq(part.log)));
    this.lineBytes = parts.reduce((sum, { bytes }) => sum + bytes.length, 0);
    return parts;
  }

  /** It is stored, and there: from now on it can be read, and its callers may be told. */
  place(placed: readonly AppendedAt[]): void {
    this.#parts.forEach((part, i) => {
      part.state.acknowledged = part.lastSeq;
      this.#buffers.giveBack(part.place(placed[i] as AppendedAt));
    });
  }

  get callers(): number {
    return this.#callers.length;
  }

  /** So many callers were not told yet. */
  get untold(): number {
    return this.#callers.length - this.#told;
  }

  /** Tells the next `count` callers that theirs is stored. */
  tell(count: number): void {
    const end = Math.min(this.#told + count, this.#callers.length);
    for (; this.#told < end; this.#told++)
      (this.#callers[this.#told] as Caller).resolve(this.#placed[this.#told] as Placed);
  }

  reject(error: Error): void {
    for (const caller of this.#callers) caller.reject(error);
  }
}
