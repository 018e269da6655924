import type { NewRecord, LogName, LogRecord } from "../log/record.ts";
import type { Backend, StoreIdentity } from "./backend.ts";

/** What an append resolved with. */
export interface Appended {
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The time that the last record carries, in milliseconds since the epoch. */
  readonly timestampMs: number;
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
  /** Resolves when the records are as durable as the store's policy says; they are contiguous and one atomic batch. Waits while the queue is full. Rejects: RECORD_INVALID, RECORD_TOO_LARGE (nothing was written), OUTCOME_UNKNOWN (may or may not be stored), STORE_POISONED (not written), STORE_CLOSED (not written). */
  append(log: LogName, records: readonly NewRecord[], options?: { signal?: AbortSignal }): Promise<Appended>;
  /** Best effort, never waits and never throws: false (counted) when the queue is full, the store failed or the record cannot be stored. */
  offer(log: LogName, record: NewRecord): boolean;
  /** Verified records that are durable, in order. Rejects with LOG_DAMAGED at the first damaged line. */
  read(log: LogName, options?: { from?: number; to?: number }): AsyncIterable<LogRecord>;
  /** Everything accepted so far is written (or has failed) when it resolves. Rejects when something was lost. */
  flush(): Promise<void>;
  stats(): StoreStats;
  close(): Promise<void>;
}
