// The one writer of a store, over any backend: it commits appends in groups. One write is in flight; everything that
// arrives meanwhile joins the next one. After a failure nothing more is accepted.
import { ensureError, PapyraError } from "../errors.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { seedsOf } from "../log/lineage.ts";
import type { LogName, LogRecord, NewRecord } from "../log/record.ts";
import { Acknowledger } from "./acknowledger.ts";
import { AppendQueue } from "./append-queue.ts";
import type { Backend, Claim, StoreIdentity } from "./backend.ts";
import type { Batch, Caller, LogState } from "./batch.ts";
import { EncodedRecords } from "./encoded-records.ts";
import { type Location, readLocated } from "./locate.ts";
import { Maintainer } from "./maintenance.ts";
import { readSteadyRecords } from "./read.ts";
import { outcomeUnknown, storeClosed, storePoisoned, tooLargeForQueue } from "./refusals.ts";
import { Rotation } from "./rotation.ts";
import type { Appended, Maintenance, Store, StoreStats } from "./store.ts";

/**
 * Who was just acknowledged gets so many turns of the microtask queue to ask again before the next batch is closed. Else
 * two halves of the callers would take turns, each waiting for the other's sync.
 */
const REJOIN_TURNS = 16;
/** So many bytes are worth a write of their own: the callers of the batch before are told while the disk is at work on them. */
const WORTH_A_WRITE_BYTES = 32 << 10;

/** The writer over a claim whose logs have been resumed (open.ts). */
export class StoreWriter implements Store {
  readonly backend: Backend;
  readonly identity: StoreIdentity;
  readonly #claim: Claim;
  readonly #logs: Readonly<Record<LogName, LogState>>;
  readonly #queue: AppendQueue;
  readonly #rotation: Rotation;
  /** Used for one append after the other; undefined while it is in use. */
  #spare: EncodedRecords | undefined;
  readonly #maintainer: Maintainer;
  /** Logs that are to be sealed between two batches. */
  #sealing: { readonly log: LogName; readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  /** Who flushes waits until so many records were settled. */
  #flushing: { readonly upTo: number; resolve(): void; reject(error: Error): void }[] = [];
  #running: Promise<void> | undefined;
  #failure: Error | undefined;
  #closed: Promise<void> | undefined;
  readonly #acknowledger: Acknowledger;
  #appendedRecords = 0;
  #batches = 0;
  #bytes = 0;
  #lostRecords = 0;
  readonly #ignore: Caller = { resolve: () => undefined, reject: () => void (this.#lostRecords += 1) };

  constructor(backend: Backend, identity: StoreIdentity, claim: Claim, logs: Readonly<Record<LogName, LogState>>) {
    this.backend = backend;
    this.identity = identity;
    this.#claim = claim;
    this.#logs = logs;
    this.#queue = new AppendQueue(backend.limits, logs);
    this.#acknowledger = new Acknowledger(this.#queue, () => this.#failure !== undefined);
    this.#rotation = new Rotation(backend, identity, claim, logs);
    this.#maintainer = new Maintainer({
      claim,
      logs,
      location: backend.location,
      assertOpen: () => this.#assertOpen(),
      append: (log, records) => this.append(log, records),
      flush: () => this.flush(),
      seal: (log) => this.#seal(log),
    });
  }

  /** Not an async function, whose promise would only be one more: everything that is thrown becomes a rejection. */
  append(
    log: LogName,
    records: readonly NewRecord[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Appended> {
    return new Promise<Appended>((resolve, reject) => {
      const encoded = this.#encode(records);
      const { signal } = options;
      this.#assertFitting(encoded);
      signal?.throwIfAborted();
      this.#assertOpen();
      const caller = { resolve, reject };
      if (this.#queue.hasRoom(encoded)) this.#enqueue(log, encoded, caller);
      else this.#queue.wait(log, encoded, this.#nowMs(), caller, signal);
    });
  }

  offer(log: LogName, record: NewRecord): boolean {
    try {
      this.#assertOpen();
      const encoded = this.#encode([record]);
      if (this.#queue.hasRoom(encoded)) {
        this.#enqueue(log, encoded, this.#ignore);
        return true;
      }
      this.#giveBack(encoded);
    } catch {
      // the caller is told by `false`, and the count
    }
    this.#lostRecords += 1;
    return false;
  }

  async *read(
    log: LogName,
    options: { readonly from?: number; readonly to?: number } = {},
  ): AsyncGenerator<LogRecord & { readonly at: Location }> {
    const { from = 1, to = Number.MAX_SAFE_INTEGER } = options;
    const range = { from, to: Math.min(to, this.#logs[log].acknowledged) };
    for await (const located of readSteadyRecords(this.backend, log, range, () => this.#logs[log])) {
      const { record, segment, id, offset, length } = located;
      yield Object.assign(record, { at: { segment, id, offset, length } });
    }
  }

  readAt(log: LogName, locations: readonly Location[]): AsyncIterable<LogRecord> {
    return readLocated(this.backend, seedsOf(this.identity, log), locations);
  }

  maintain<T>(purpose: string, work: (maintenance: Maintenance) => Promise<T>): Promise<T> {
    return this.#maintainer.run(purpose, work);
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
      this.#flushing.push({ upTo: this.#queue.acceptedRecords, resolve, reject });
      this.#start();
    });
  }

  stats(): StoreStats {
    return {
      appendedRecords: this.#appendedRecords,
      batches: this.#batches,
      bytes: this.#bytes,
      queuedRecords: this.#queue.records,
      lostRecords: this.#lostRecords,
      failure: this.#failure,
    };
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    await Promise.resolve(); // `#closed` is set: nobody new gets in
    this.#queue.refuseWaiting(() => this.#whyRefused());
    while (this.#running !== undefined) await this.#running;
    await this.#claim.release();
  }

  #nowMs(): number {
    return this.backend.env.clock.nowMs();
  }

  /** A getter in a record may append in its turn, so that the spare is taken before anything is encoded. */
  #encode(records: readonly NewRecord[]): EncodedRecords {
    const encoded = this.#spare ?? new EncodedRecords();
    this.#spare = undefined;
    encoded.clear();
    for (const record of records) encoded.add(record, this.backend.limits.lineBytesMax);
    return encoded;
  }

  #giveBack(encoded: EncodedRecords): void {
    if (encoded.isSmall) this.#spare = encoded;
  }

  #assertFitting({ count, bytes }: EncodedRecords): void {
    if (count === 0) throw new PapyraError("OPTION_INVALID", "an append needs at least one record");
    if (bytes > this.backend.limits.queueBytesMax) throw tooLargeForQueue(count, bytes);
  }

  #assertOpen(): void {
    if (this.#failure !== undefined || this.#closed !== undefined) throw this.#whyRefused();
  }

  #whyRefused(): PapyraError {
    return this.#failure === undefined ? storeClosed(this.backend.location) : this.#poisoned();
  }

  #poisoned(): PapyraError {
    return storePoisoned(this.backend.location, this.#failure);
  }

  #enqueue(log: LogName, encoded: EncodedRecords, caller: Caller): void {
    this.#queue.add(log, encoded, this.#nowMs(), caller);
    this.#giveBack(encoded);
    this.#start();
  }

  #start(): void {
    // In a microtask of its own: whoever was acknowledged together has the chance to ask again together.
    this.#running ??= Promise.resolve().then(() => this.#run());
  }

  async #run(): Promise<void> {
    for (;;) {
      await this.#answerFlushes();
      if (this.#sealing.length > 0) await this.#sealDue();
      if (this.#failure !== undefined) break;
      const batch = this.#queue.take();
      if (batch === undefined && this.#flushing.length === 0 && this.#sealing.length === 0) break;
      if (batch === undefined) continue; // who came to flush in between
      await this.#commit(batch);
      if (this.#failure === undefined && this.#queue.nextBytes >= WORTH_A_WRITE_BYTES) continue;
      this.#acknowledger.tellAll();
      for (let i = 0; i < REJOIN_TURNS; i++) await Promise.resolve();
    }
    this.#acknowledger.tellAll(); // what was stored before something failed
    if (this.#failure !== undefined) this.#queue.refuseAll(() => this.#poisoned());
    this.#running = undefined;
  }

  #seal(log: LogName): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#assertOpen();
      this.#sealing.push({ log, resolve, reject });
      this.#start();
    });
  }

  async #sealDue(): Promise<void> {
    this.#acknowledger.tellAll(); // a seal counts what was acknowledged
    for (const { log, resolve, reject } of this.#sealing.splice(0)) {
      try {
        if (this.#failure !== undefined) throw this.#poisoned();
        if (this.#logs[log].segment.firstSeq !== undefined) await this.#rotation.seal(log);
        resolve();
      } catch (error) {
        this.#failure ??= ensureError(error);
        reject(ensureError(error));
      }
    }
  }

  /** Between batches, so that a flush ends although appends keep coming, and no sync overlaps a write. */
  async #answerFlushes(): Promise<void> {
    const settled = this.#queue.settledRecords;
    const due = this.#flushing.filter(({ upTo }) => upTo <= settled || this.#failure !== undefined);
    if (due.length === 0) return;
    this.#flushing = this.#flushing.filter((flush) => !due.includes(flush));
    if (this.#failure === undefined)
      await this.#claim.sync().catch((error: unknown) => void (this.#failure = ensureError(error)));
    for (const flush of due) {
      if (this.#failure === undefined) flush.resolve();
      else flush.reject(this.#poisoned());
    }
  }

  async #commit(batch: Batch): Promise<void> {
    try {
      const parts = batch.close((log) => this.#claim.durableSeq(log));
      for (const log of this.#rotation.due(parts, this.#nowMs())) {
        this.#acknowledger.tellAll(); // its seal counts that
        await this.#rotation.seal(log);
      }
      const { clock } = this.backend.env;
      const startedMs = clock.monotonicMs();
      const placed = await this.#claim.append(parts, (wait) => this.#acknowledger.tell(wait));
      this.#acknowledger.tellAll();
      this.#queue.noteWrite(clock.monotonicMs() - startedMs);
      this.#rotation.note(parts, placed);
      this.#batches += 1;
      this.#appendedRecords += batch.records;
      this.#bytes += batch.lineBytes;
      this.#acknowledger.hold(batch, placed);
    } catch (error) {
      this.#failure = ensureError(error);
      batch.reject(outcomeUnknown(this.backend.location, this.#failure));
      this.#queue.settle(batch);
    }
  }
}
