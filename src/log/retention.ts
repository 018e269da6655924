// Retention: which records of a log are old enough to go. Always a beginning of the log: the records are looked at from the
// newest to the oldest, and from the first one on that is too old, too many or too much, all go. Pure.
import type { LogName } from "./record.ts";

/** Bounds of one log; a record that is beyond any of them is expired. Gap records never expire and are not counted. */
export interface Retention {
  /** The newest so many records stay. From 0 to 2^53 - 1. */
  readonly maxRecords?: number;
  /** Records that are older than so many milliseconds go. From 0 to 100 years. */
  readonly maxAgeMs?: number;
  /** The newest records stay whose lines together are no longer than so many bytes. From 0 to 2^53 - 1. */
  readonly maxBytes?: number;
}

/** The logs that have a retention. Which snapshots stay is decided by what the journal needs. */
export const RETAINED_LOGS = ["events", "journal", "audits", "dead_letters"] as const satisfies readonly LogName[];
export type RetainedLog = (typeof RETAINED_LOGS)[number];

/** What goes, log by log. A log that is not named keeps everything. */
export type RetentionPolicy = Readonly<Partial<Record<RetainedLog, Retention>>>;

/** So many snapshots of an actor stay when they do not say themselves. */
export const SNAPSHOTS_KEPT = 2;

/** Is told the records of a log, the newest one first. */
export class RetentionMeter {
  readonly #records: number;
  readonly #bytes: number;
  readonly #sinceMs: number;
  #seenRecords = 0;
  #seenBytes = 0;
  #expired = false;

  constructor({ maxRecords, maxAgeMs, maxBytes }: Retention, nowMs: number) {
    this.#records = maxRecords ?? Number.POSITIVE_INFINITY;
    this.#bytes = maxBytes ?? Number.POSITIVE_INFINITY;
    this.#sinceMs = maxAgeMs === undefined ? Number.NEGATIVE_INFINITY : nowMs - maxAgeMs;
  }

  /** Whether the next older record stays; its line has so many bytes, line break included. */
  keeps(timestampMs: number, lineBytes: number): boolean {
    this.#seenRecords += 1;
    this.#seenBytes += lineBytes;
    this.#expired ||= this.#seenRecords > this.#records || this.#seenBytes > this.#bytes || timestampMs < this.#sinceMs;
    return !this.#expired;
  }
}
