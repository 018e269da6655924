// The bounds of a store, the same for every backend: everything has one.
import { wholeNumber } from "../options.ts";
import type { RetentionPolicy } from "../log/retention.ts";
import { resolveRetention } from "./retention-options.ts";

/** Bounds of a store. */
export interface StoreLimits {
  /** The longest line, in bytes. From 1 KiB to 16 MiB. Default 4 MiB. */
  readonly lineBytesMax: number;
  /** How many records may wait to be written. From 1 to 10 million. Default 100,000. */
  readonly queueRecordsMax: number;
  /** How many bytes may wait to be written. From 64 KiB to 4 GiB. Default 64 MiB. */
  readonly queueBytesMax: number;
  /** How many bytes one batch may take. From 64 KiB to 256 MiB. Default 8 MiB. */
  readonly batchBytesMax: number;
  /**
   * A segment that would grow beyond so many bytes is sealed, and the next one begins; a batch that is longer alone stays
   * whole. Opening a store reads its closed segments at their ends only, and the active one as a whole. From 4 KiB to 1 TiB
   * (in practice: one file a log). Default 64 MiB.
   */
  readonly segmentBytes: number;
  /**
   * A segment whose first record is so many milliseconds old is sealed before the next record is written. From 1 second to
   * 10 years. Default: never.
   */
  readonly segmentAgeMs: number;
  /**
   * Which records are old enough to go: at once out of what is inspected, and for good when the store is compacted. Journal
   * records go only when a verified snapshot covers them, and are shown until then. Default: everything stays.
   */
  readonly retention: RetentionPolicy;
}

export const LIMITS_DEFAULT: StoreLimits = {
  lineBytesMax: 4 << 20,
  queueRecordsMax: 100_000,
  queueBytesMax: 64 << 20,
  batchBytesMax: 8 << 20,
  segmentBytes: 64 << 20,
  segmentAgeMs: Number.POSITIVE_INFINITY,
  retention: {},
};

/** Checks limits that every backend shares. */
export function resolveLimits(options: Partial<StoreLimits>): StoreLimits {
  return Object.freeze({
    lineBytesMax: wholeNumber("lineBytesMax", options.lineBytesMax, LIMITS_DEFAULT.lineBytesMax, 1 << 10, 16 << 20),
    queueRecordsMax: wholeNumber(
      "queueRecordsMax",
      options.queueRecordsMax,
      LIMITS_DEFAULT.queueRecordsMax,
      1,
      10_000_000,
    ),
    queueBytesMax: wholeNumber("queueBytesMax", options.queueBytesMax, LIMITS_DEFAULT.queueBytesMax, 64 << 10, 2 ** 32),
    batchBytesMax: wholeNumber(
      "batchBytesMax",
      options.batchBytesMax,
      LIMITS_DEFAULT.batchBytesMax,
      64 << 10,
      256 << 20,
    ),
    segmentBytes: wholeNumber("segmentBytes", options.segmentBytes, LIMITS_DEFAULT.segmentBytes, 4 << 10, 2 ** 40),
    segmentAgeMs: wholeNumber(
      "segmentAgeMs",
      options.segmentAgeMs,
      LIMITS_DEFAULT.segmentAgeMs,
      1000,
      10 * 366 * 24 * 3_600_000,
    ),
    retention: resolveRetention(options.retention),
  });
}
