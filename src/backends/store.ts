// The one writer of a store, over any backend: it numbers, stamps and encodes records, and commits them in groups. One
// append is in flight; everything that arrives meanwhile joins the next one. After a failure nothing more is accepted.
import { ensureError, PapyraError } from "../errors.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { encodeFields, encodeIdentity, encodeLine, seedOf } from "../log/codec.ts";
import { KIND_OF_LOG, type LogName, type LogRecord, type NewRecord } from "../log/record.ts";
import type { AppendedAt, Backend, Claim, StoreIdentity, StoreView } from "./backend.ts";
import { identityOf, readRecords } from "./check.ts";
import { type Location, readLocated } from "./locate.ts";

/** What an append resolved with. */
export interface Appended {
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The time that the last record carries, in milliseconds since the epoch. */
  readonly timestampMs: number;
  /** Where each record was put. */
  readonly at: readonly Location[];
}

/** Counters of an open store. */
export interface StoreStats {
  readonly appendedRecords: number;
  readonly batches: number;
  readonly bytes: number;
  readonly queuedRecords: number;
  /** Best-effort records that were given up. */
  readonly lostRecords: number;
  /** Why nothing more is acknowledged, or undefined. */
  readonly failure: Error | undefined;
}

/** The one writer of a store, open. */
export interface Store {
  readonly backend: Backend;
  readonly identity: StoreIdentity;
  /**
   * Resolves when the records are as durable as the store's policy says. They get contiguous seqs and are written in one
   * batch. Waits while the queue is full. Rejects with RECORD_INVALID, RECORD_TOO_LARGE, STORE_POISONED or STORE_CLOSED
   * when nothing was written, and with OUTCOME_UNKNOWN when it may have been.
   */
  append(log: LogName, records: readonly NewRecord[], options?: { readonly signal?: AbortSignal }): Promise<Appended>;
  /** Best effort: never waits, never throws; false, and counted, when the record is given up. */
  offer(log: LogName, record: NewRecord): boolean;
  /** Durable records with seqs in `[from, to]`, in order. Rejects with LOG_DAMAGED where a record is missing. */
  read(
    log: LogName,
    options?: { readonly from?: number; readonly to?: number },
  ): AsyncIterable<LogRecord & { readonly at: Location }>;
  /** The records at these places, which must be in the order of the log. Each is verified again: LOG_DAMAGED. */
  readAt(log: LogName, locations: readonly Location[]): AsyncIterable<LogRecord>;
  /** Seqs that are missing without an explanation since before the store was opened. */
  missing(log: LogName): readonly SeqRange[];
  /** The last seq that was acknowledged or found. */
  lastSeq(log: LogName): number;
  /** Resolves when everything accepted so far is durable; rejects when a write failed. */
  flush(): Promise<void>;
  stats(): StoreStats;
  /** Writes what is queued, makes it durable and lets go of the store. */
  close(): Promise<void>;
}

/** Where one log of an open store stands. */
export interface LogState {
  /** The last seq that was given to a record. */
  seq: number;
  /** The last seq that was acknowledged. */
  acknowledged: number;
  timestampMs: number;
  readonly seed: number;
  readonly missing: readonly SeqRange[];
  /** Seqs that were not there when the store was opened, accounted for or not. */
  readonly absent: readonly SeqRange[];
}

interface Waiting {
  readonly pending: Pending;
  /** Stops listening to the caller's signal. */
  readonly leave: () => void;
}

interface Pending {
  readonly log: LogName;
  readonly records: readonly { kind: string; fields: string }[];
  readonly bytes: number;
  readonly timestampMs: number;
  resolve(appended: Appended): void;
  reject(error: Error): void;
}

/** The longest that a line can be besides its fields: seq, durable, kind, time and checksum. */
const ENVELOPE_BYTES = 128;

/**
 * Who was just acknowledged gets so many turns of the microtask queue to ask again before the next batch is closed. Else
 * two halves of the callers would take turns, each waiting for the other's sync.
 */
const REJOIN_TURNS = 16;

/** The writer over a claim whose logs have been resumed (open.ts). */
export class StoreWriter implements Store {
  readonly backend: Backend;
  readonly identity: StoreIdentity;
  readonly #claim: Claim;
  readonly #logs: Readonly<Record<LogName, LogState>>;
  #queue: Pending[] = [];
  #queuedRecords = 0;
  #queuedBytes = 0;
  /** Appends that found the queue full, in the order in which they came. */
  #waiting: Waiting[] = [];
  /** Who flushes waits until so many records were settled. */
  #flushing: { readonly upTo: number; resolve(): void; reject(error: Error): void }[] = [];
  #acceptedRecords = 0;
  #settledRecords = 0;
  #running: Promise<void> | undefined;
  #failure: Error | undefined;
  #closed: Promise<void> | undefined;
  #appendedRecords = 0;
  #batches = 0;
  #bytes = 0;
  #lostRecords = 0;

  constructor(backend: Backend, identity: StoreIdentity, claim: Claim, logs: Readonly<Record<LogName, LogState>>) {
    this.backend = backend;
    this.identity = identity;
    this.#claim = claim;
    this.#logs = logs;
  }

  async append(
    log: LogName,
    records: readonly NewRecord[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Appended> {
    const encoded = records.map((record) => this.#encode(record));
    if (encoded.length === 0) throw new PapyraError("OPTION_INVALID", "an append needs at least one record");
    const bytes = encoded.reduce((sum, record) => sum + record.bytes, 0);
    if (bytes > this.backend.limits.queueBytesMax) {
      throw new PapyraError(
        "RECORD_TOO_LARGE",
        `${encoded.length} records of ${bytes} bytes together are more than the queue may ever hold`,
        {
          hint: "append fewer at once, or raise queueBytesMax",
        },
      );
    }
    options.signal?.throwIfAborted();
    this.#assertOpen();
    return new Promise<Appended>((resolve, reject) => {
      const pending = { log, records: encoded, bytes, timestampMs: this.#nowMs(), resolve, reject };
      if (this.#hasRoom(encoded.length, bytes)) this.#enqueue(pending);
      else this.#wait(pending, options.signal);
    });
  }

  offer(log: LogName, record: NewRecord): boolean {
    let encoded: { kind: string; fields: string; bytes: number } | undefined;
    try {
      encoded = this.#encode(record);
    } catch {
      encoded = undefined; // the caller is told by `false`, and the count
    }
    if (
      encoded === undefined ||
      this.#failure !== undefined ||
      this.#closed !== undefined ||
      !this.#hasRoom(1, encoded.bytes)
    ) {
      this.#lostRecords += 1;
      return false;
    }
    const lost = (): void => void (this.#lostRecords += 1);
    this.#enqueue({
      log,
      records: [encoded],
      bytes: encoded.bytes,
      timestampMs: this.#nowMs(),
      resolve: ignore,
      reject: lost,
    });
    return true;
  }

  async *read(
    log: LogName,
    options: { readonly from?: number; readonly to?: number } = {},
  ): AsyncGenerator<LogRecord & { readonly at: Location }> {
    const state = this.#logs[log];
    const to = Math.min(options.to ?? Number.MAX_SAFE_INTEGER, state.acknowledged);
    const view = await this.backend.view();
    for await (const located of readRecords(this.backend, view, log, {
      from: options.from ?? 1,
      to,
      missing: state.missing,
      absent: state.absent,
    })) {
      const { record, segment, offset, length } = located;
      yield Object.assign(record, { at: { segment, offset, length } });
    }
  }

  readAt(log: LogName, locations: readonly Location[]): AsyncIterable<LogRecord> {
    return readLocated(this.backend, this.#logs[log].seed, locations);
  }

  missing(log: LogName): readonly SeqRange[] {
    return this.#logs[log].missing;
  }

  lastSeq(log: LogName): number {
    return this.#logs[log].acknowledged;
  }

  async flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#poisoned();
    if (this.#closed !== undefined) return this.#closed;
    return new Promise<void>((resolve, reject) => {
      this.#flushing.push({ upTo: this.#acceptedRecords, resolve, reject });
      this.#start();
    });
  }

  stats(): StoreStats {
    return {
      appendedRecords: this.#appendedRecords,
      batches: this.#batches,
      bytes: this.#bytes,
      queuedRecords: this.#queuedRecords,
      lostRecords: this.#lostRecords,
      failure: this.#failure,
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.resolve(); // `#closed` is set: nobody new gets in
    this.#refuseWaiting();
    while (this.#running !== undefined) await this.#running;
    await this.#claim.release();
  }

  #nowMs(): number {
    return this.backend.env.clock.nowMs();
  }

  #encode(record: NewRecord): { kind: string; fields: string; bytes: number } {
    const { kind, ...rest } = record;
    assertEnvelope(kind, rest);
    const fields = encodeFields(rest);
    const bytes = Buffer.byteLength(fields) + ENVELOPE_BYTES;
    const { lineBytesMax } = this.backend.limits;
    if (bytes > lineBytesMax) {
      throw new PapyraError(
        "RECORD_TOO_LARGE",
        `a ${kind} record of about ${bytes} bytes is longer than a line may be (${lineBytesMax})`,
        {
          hint: "store large content elsewhere and keep a reference, or raise lineBytesMax (at most 16 MiB)",
          details: { bytes, lineBytesMax },
        },
      );
    }
    return { kind, fields, bytes };
  }

  /** Nobody overtakes an append that waits. */
  #hasRoom(records: number, bytes: number): boolean {
    return this.#waiting.length === 0 && this.#fits(records, bytes);
  }

  #fits(records: number, bytes: number): boolean {
    const { queueRecordsMax, queueBytesMax } = this.backend.limits;
    if (this.#queuedRecords === 0) return true;
    return this.#queuedRecords + records <= queueRecordsMax && this.#queuedBytes + bytes <= queueBytesMax;
  }

  #wait(pending: Pending, signal: AbortSignal | undefined): void {
    const aborted = (): void => {
      this.#waiting = this.#waiting.filter((waiter) => waiter.pending !== pending);
      pending.reject(signal?.reason as Error); // whatever the caller gave as the reason
      this.#admit(); // who is behind may be smaller
    };
    signal?.addEventListener("abort", aborted, { once: true });
    this.#waiting.push({ pending, leave: () => signal?.removeEventListener("abort", aborted) });
  }

  /** Lets in who waits, in order, as far as there is room. */
  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#fits(next.pending.records.length, next.pending.bytes)) return;
      this.#waiting.shift();
      next.leave();
      this.#enqueue(next.pending);
    }
  }

  /** Nothing that waits will be written any more: the store is closed or has failed. */
  #refuseWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { pending, leave } of waiting) {
      leave();
      pending.reject(this.#failure === undefined ? this.#closedError() : this.#poisoned());
    }
  }

  #assertOpen(): void {
    if (this.#failure !== undefined) throw this.#poisoned();
    if (this.#closed !== undefined) throw this.#closedError();
  }

  #closedError(): PapyraError {
    return new PapyraError("STORE_CLOSED", `the store ${this.backend.location} is closed; nothing was written`);
  }

  #poisoned(): PapyraError {
    return new PapyraError(
      "STORE_POISONED",
      `the store ${this.backend.location} failed earlier (${this.#failure?.message}); nothing was written`,
      {
        cause: this.#failure,
        hint: "mend the cause, then start again; papyra persistence scan shows what is stored",
      },
    );
  }

  #enqueue(pending: Pending): void {
    this.#queue.push(pending);
    this.#queuedRecords += pending.records.length;
    this.#queuedBytes += pending.bytes;
    this.#acceptedRecords += pending.records.length;
    this.#start();
  }

  #start(): void {
    // In a microtask of its own: whoever was acknowledged together has the chance to ask again together.
    this.#running ??= Promise.resolve().then(() => this.#run());
  }

  async #run(): Promise<void> {
    for (;;) {
      await this.#answerFlushes();
      if (this.#failure !== undefined) break;
      if (this.#queue.length === 0) {
        if (this.#flushing.length === 0) break;
        continue; // who came to flush in between
      }
      await this.#commit(this.#takeBatch());
      for (let i = 0; i < REJOIN_TURNS; i++) await undefined;
    }
    if (this.#failure !== undefined) {
      const rest = this.#queue;
      this.#queue = [];
      this.#queuedRecords = 0;
      this.#queuedBytes = 0;
      for (const pending of rest) pending.reject(this.#poisoned());
      this.#refuseWaiting();
    }
    this.#running = undefined;
  }

  /** Between batches, so that a flush ends although appends keep coming, and no sync overlaps a write. */
  async #answerFlushes(): Promise<void> {
    const due = this.#flushing.filter(({ upTo }) => upTo <= this.#settledRecords || this.#failure !== undefined);
    if (due.length === 0) return;
    this.#flushing = this.#flushing.filter((flush) => !due.includes(flush));
    try {
      if (this.#failure === undefined) await this.#claim.sync();
    } catch (error) {
      this.#failure ??= ensureError(error);
    }
    for (const flush of due) {
      if (this.#failure === undefined) flush.resolve();
      else flush.reject(this.#poisoned());
    }
  }

  #takeBatch(): Pending[] {
    const { batchBytesMax } = this.backend.limits;
    let bytes = 0;
    let count = 0;
    for (const pending of this.#queue) {
      if (count > 0 && bytes + pending.bytes > batchBytesMax) break;
      bytes += pending.bytes;
      count += 1;
    }
    const batch = count === this.#queue.length ? this.#queue : this.#queue.slice(0, count);
    this.#queue = count === this.#queue.length ? [] : this.#queue.slice(count);
    return batch;
  }

  async #commit(batch: readonly Pending[]): Promise<void> {
    const composed = this.#compose(batch);
    const parts = [...composed.values()];
    try {
      const placed = await this.#claim.append(parts);
      this.#batches += 1;
      parts.forEach((part, i) => this.#acknowledge(part, placed[i] as AppendedAt));
    } catch (error) {
      this.#failure = ensureError(error);
      const unknown = new PapyraError(
        "OUTCOME_UNKNOWN",
        `a write to ${this.backend.location} failed and may or may not be stored: ${this.#failure.message}`,
        {
          cause: error,
          hint: "start again: what is stored counts, what is not does not",
        },
      );
      for (const pending of batch) pending.reject(unknown);
    }
    for (const pending of batch) {
      this.#queuedRecords -= pending.records.length;
      this.#queuedBytes -= pending.bytes;
      this.#settledRecords += pending.records.length;
    }
    if (this.#failure === undefined) this.#admit();
  }

  /** Numbers, stamps and encodes a batch, log by log. The first line of each log states what was durable before it. */
  #compose(batch: readonly Pending[]): Map<LogName, ComposedPart> {
    const parts = new Map<LogName, { lines: string[]; appends: ComposedPart["appends"] }>();
    for (const pending of batch) {
      const state = this.#logs[pending.log];
      let part = parts.get(pending.log);
      if (part === undefined) parts.set(pending.log, (part = { lines: [], appends: [] }));
      state.timestampMs = Math.max(state.timestampMs, pending.timestampMs);
      const firstSeq = state.seq + 1;
      for (const { kind, fields } of pending.records) {
        state.seq += 1;
        const durable = part.lines.length === 0 ? this.#claim.durableSeq(pending.log) : undefined;
        part.lines.push(encodeLine(state.seed, state.seq, durable, kind, state.timestampMs, fields));
      }
      part.appends.push({ pending, firstSeq, lastSeq: state.seq, timestampMs: state.timestampMs });
    }
    return new Map(
      [...parts].map(([log, { lines, appends }]) => [
        log,
        { log, bytes: Buffer.from(lines.join("")), lastSeq: this.#logs[log].seq, lines, appends },
      ]),
    );
  }

  #acknowledge(part: ComposedPart, placed: AppendedAt): void {
    this.#logs[part.log].acknowledged = part.lastSeq;
    this.#appendedRecords += part.lines.length;
    this.#bytes += part.bytes.length;
    let offset = placed.offset;
    let line = 0;
    const ascii = part.bytes.length === part.lines.reduce((sum, text) => sum + text.length, 0);
    for (const { pending, firstSeq, lastSeq, timestampMs } of part.appends) {
      const at: Location[] = [];
      for (let seq = firstSeq; seq <= lastSeq; seq++) {
        const text = part.lines[line++] as string;
        const bytes = ascii ? text.length : Buffer.byteLength(text);
        at.push({ segment: placed.segment, offset, length: bytes - 1 });
        offset += bytes;
      }
      pending.resolve({ firstSeq, lastSeq, timestampMs, at });
    }
  }
}

interface ComposedPart {
  readonly log: LogName;
  readonly bytes: Buffer;
  readonly lastSeq: number;
  readonly lines: readonly string[];
  readonly appends: { pending: Pending; firstSeq: number; lastSeq: number; timestampMs: number }[];
}

function ignore(): void {}

const KINDS: ReadonlySet<string> = new Set([...Object.values(KIND_OF_LOG), "gap"]);
/** Given by the store alone; a second one in the same line would win when it is read. */
const RESERVED = ["seq", "durable", "timestamp", "crc"];

/** Callers without types could otherwise write lines that verify and lie about themselves. */
function assertEnvelope(kind: string, fields: object): void {
  if (!KINDS.has(kind))
    throw new PapyraError("RECORD_INVALID", `kind is ${JSON.stringify(kind)}, which is no kind of record`);
  const reserved = RESERVED.find((name) => name in fields);
  if (reserved !== undefined)
    throw new PapyraError("RECORD_INVALID", `${reserved} is given by the store, not by the record`);
}

/** The starting value of a log's checksums in a store, and the identity line itself. */
export function seedFor(view: StoreView, log: LogName): { seed: number; line: Buffer } {
  const identity = identityOf(view, log);
  if (identity === undefined) throw new PapyraError("INTERNAL", "a store without an identity was opened");
  const line = Buffer.from(encodeIdentity(identity));
  return { seed: seedOf(line), line };
}
