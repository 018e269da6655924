// An open store, for whoever writes to it: the promises, which store-writer.ts keeps over any backend.
import type { SeqRange } from "../log/anomaly.ts";
import type { LogName, LogRecord, NewRecord } from "../log/record.ts";
import type { Backend, StoreIdentity } from "./backend.ts";
import type { Location } from "./locate.ts";

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

/** The store, in the hands of one maintenance. Everything rejects with STORE_POISONED once a write has failed. */
export interface Maintenance {
  /** Rejects with GROUP_BEHIND when a consumer group still needs one of these records. Changes nothing. */
  assertUnneeded(log: LogName, gone: readonly SeqRange[]): Promise<void>;
  /** Seals the active segment of a log, between two batches, and begins a new one. An empty one stays as it is. */
  seal(log: LogName): Promise<void>;
  /** Writes gap records, durably; from now on nobody expects to find the seqs that are `gone`. */
  account(log: LogName, gaps: readonly NewRecord[], gone: readonly SeqRange[]): Promise<void>;
  /** Puts a new closed segment in place, atomically and durably. */
  publish(segment: string, content: AsyncIterable<Uint8Array>): Promise<void>;
  /** Removes closed segments, durably. */
  remove(segments: readonly string[]): Promise<void>;
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
  /**
   * Lets `work` change closed segments while the store goes on being written; for operations such as compaction. Rejects
   * with STORE_LOCKED while another one is running.
   */
  maintain<T>(purpose: string, work: (maintenance: Maintenance) => Promise<T>): Promise<T>;
  stats(): StoreStats;
  /** Writes what is queued, makes it durable and lets go of the store. */
  close(): Promise<void>;
}

/** Who takes backups of an open store: a repository of \`papyra/backup\`. */
export interface BackupTaker<Options, Report> {
  take(store: Store, options?: Options): Promise<Report>;
}
