// The bounded queue in front of the writer: batches that are filled while another one is written, and, when there is no
// room, those who wait, in the order in which they came.
import type { LogName } from "../log/record.ts";
import { Batch, type Caller, LineBuffers, type LogState } from "./batch.ts";
import type { EncodedRecords } from "./encoded-records.ts";
import type { StoreLimits } from "./limits.ts";

/**
 * A batch is not closed early while it has fewer bytes than are encoded during one write, or than this: two halves of those
 * who append, of which one encodes while the other waits for the disk, are faster than all of them together, unless the disk
 * is slow. The rate is less than that of encoding, which goes on during a write and makes it seem longer.
 */
const HALF_BYTES = 160 << 10;
const ENCODED_BYTES_PER_MS = 64 << 10;

interface Waiting {
  readonly log: LogName;
  readonly records: EncodedRecords;
  readonly nowMs: number;
  readonly caller: Caller;
  /** Stops listening to the caller's signal. */
  readonly leave: () => void;
}

export class AppendQueue {
  readonly #limits: StoreLimits;
  readonly #logs: Readonly<Record<LogName, LogState>>;
  readonly #buffers = new LineBuffers();
  /** The last one is being filled. */
  #batches: Batch[] = [];
  #waiting: Waiting[] = [];
  /** Not settled yet: what is being written is among them. */
  #records = 0;
  #bytes = 0;
  #acceptedRecords = 0;
  #settledRecords = 0;
  #batchBytesMax: number;

  constructor(limits: StoreLimits, logs: Readonly<Record<LogName, LogState>>) {
    this.#limits = limits;
    this.#logs = logs;
    this.#batchBytesMax = limits.batchBytesMax;
    this.noteWrite(0);
  }

  get records(): number {
    return this.#records;
  }

  /** How many records ever got a place, and of how many it is known what became of them. */
  get acceptedRecords(): number {
    return this.#acceptedRecords;
  }

  get settledRecords(): number {
    return this.#settledRecords;
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0;
  }

  /** How many bytes would be written next. */
  get nextBytes(): number {
    return this.#batches[0]?.bytes ?? 0;
  }

  /** How long the last write took. */
  noteWrite(ms: number): void {
    this.#batchBytesMax = Math.min(this.#limits.batchBytesMax, Math.max(HALF_BYTES, ms * ENCODED_BYTES_PER_MS));
  }

  /** Nobody overtakes an append that waits. */
  hasRoom(records: EncodedRecords): boolean {
    return this.#waiting.length === 0 && this.#fits(records);
  }

  add(log: LogName, records: EncodedRecords, nowMs: number, caller: Caller): void {
    const { bytes, count } = records;
    let batch = this.#batches.at(-1);
    if (batch === undefined || batch.bytes + bytes > this.#batchBytesMax)
      this.#batches.push((batch = new Batch(this.#logs, this.#buffers)));
    batch.add(log, records, nowMs, caller);
    this.#records += count;
    this.#bytes += bytes;
    this.#acceptedRecords += count;
  }

  /** Waits for room; `records` is not touched any more by the caller. Rejects with the signal's reason. */
  wait(log: LogName, records: EncodedRecords, nowMs: number, caller: Caller, signal: AbortSignal | undefined): void {
    const aborted = (): void => {
      this.#waiting = this.#waiting.filter((waiter) => waiter.caller !== caller);
      caller.reject(signal?.reason as Error); // whatever the caller gave as the reason
      this.admit(); // who is behind may be smaller
    };
    signal?.addEventListener("abort", aborted, { once: true });
    const leave = (): void => signal?.removeEventListener("abort", aborted);
    this.#waiting.push({ log, records, nowMs, caller, leave });
  }

  /** The batch that is to be written next. */
  take(): Batch | undefined {
    return this.#batches.shift();
  }

  /** It is known what became of a batch: there is room again. */
  settle(batch: Batch): void {
    this.#records -= batch.records;
    this.#bytes -= batch.bytes;
    this.#settledRecords += batch.records;
  }

  /** Lets in who waits, in order, as far as there is room. */
  admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#fits(next.records)) return;
      this.#waiting.shift();
      next.leave();
      this.add(next.log, next.records, next.nowMs, next.caller);
    }
  }

  /** What waits will not be written any more: the store is closed, or has failed. */
  refuseWaiting(why: () => Error): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { caller, leave } of waiting) {
      leave();
      caller.reject(why());
    }
  }

  /** Nothing will be written any more. */
  refuseAll(why: () => Error): void {
    const batches = this.#batches;
    this.#batches = [];
    this.#records = 0;
    this.#bytes = 0;
    for (const batch of batches) batch.reject(why());
    this.refuseWaiting(why);
  }

  #fits(records: EncodedRecords): boolean {
    const { queueRecordsMax, queueBytesMax } = this.#limits;
    if (this.#records === 0) return true;
    return this.#records + records.count <= queueRecordsMax && this.#bytes + records.bytes <= queueBytesMax;
  }
}
