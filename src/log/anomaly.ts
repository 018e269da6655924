// A finding: what is wrong with a log, where, and what it means for acknowledged data. Data, never an exception.
import type { LogName } from "./record.ts";

/** Every verdict. docs/format.md and docs/operations.md say what each means and what to do. */
export const ANOMALY_KINDS = {
  "torn-tail": "bytes of an unfinished write at the end of a file",
  "checksum-mismatch": "a line whose bytes are not those that were written",
  "malformed-line": "bytes that are not a line of this format",
  "sequence-gap": "records are missing and nothing accounts for them",
  "out-of-order": "a record stands behind a later one",
  duplicate: "a record stands there twice",
  "foreign-line": "a line of another log, store or lineage",
  truncated: "acknowledged records are missing at the end",
  "missing-segment": "a file of the log is missing",
  "unexpected-file": "a file that no part of the store wrote",
  unreadable: "bytes that cannot be judged: nothing to check them against, or the storage fails",
} as const;

export type AnomalyKind = keyof typeof ANOMALY_KINDS;

/**
 * What is known about acknowledged data: "none" was lost, "lost" means it was, "unknown" means that nothing vouches
 * either way (the mark lags, or this is a copy).
 */
export type Acknowledged = "none" | "lost" | "unknown";

/** What an interrupted run left behind, which recovery removes: a temporary file, or a segment that compaction had replaced. */
export type Leftover = "temporary" | "superseded";

/** Inclusive. */
export interface SeqRange {
  readonly from: number;
  readonly to: number;
}

export interface Anomaly {
  readonly kind: AnomalyKind;
  /** The log concerned, or undefined for a file of the store itself. */
  readonly log: LogName | undefined;
  readonly file: string;
  /** Where in the file, in bytes. */
  readonly offset: number;
  /** How many bytes; 0 when something is missing. */
  readonly length: number;
  /** The records concerned, as far as it can be told. */
  readonly seqs: SeqRange | undefined;
  readonly acknowledged: Acknowledged;
  /** Where `acknowledged` is "unknown": why it cannot be told. */
  readonly why?: string | undefined;
  /** Which of them were acknowledged for certain and are gone. */
  readonly lostSeqs: SeqRange | undefined;
  /** They were not on the disk yet when the machine went down, and the store's durability policy allows that. */
  readonly allowed?: boolean | undefined;
  /** Of an unexpected file: what it was, if it is one of ours. */
  readonly leftover?: Leftover | undefined;
  /** Of damaged bytes in a segment whose seal says that nothing is missing in it: opening takes its word. */
  readonly underSeal?: boolean | undefined;
  readonly detail: string;
}

/**
 * Whether an anomaly is no reason to refuse to start: the leftover of an unfinished write that nobody was promised,
 * proved by the mark, behind which writing goes on in a new segment; damaged bytes of seqs that gap records account for, where
 * opening sees that these are not there; a file that is none of ours; a missing file in which nothing was, which opening makes anew;
 * a clean end in front of acknowledged records that a power cut took as the policy allows: whoever chose it has decided that.
 */
export function isHarmless(anomaly: Anomaly): boolean {
  const { kind, acknowledged, allowed, length } = anomaly;
  if (allowed === true && kind === "truncated" && length === 0) return true;
  if (acknowledged !== "none") return false;
  return kind === "torn-tail" || kind === "unexpected-file" || kind === "missing-segment" || isAccountedFor(anomaly);
}

/**
 * Seqs that nothing accounts for would make it a torn tail, or acknowledged data that is lost. Under a seal it is what an interrupted
 * recovery or compaction leaves, and only these end it: opening does not read such a segment, and who reads there later is refused.
 */
function isAccountedFor({ underSeal, ...anomaly }: Anomaly): boolean {
  return underSeal !== true && isDamagedRecord(anomaly);
}

/** Damaged bytes where records should be. */
export function isDamagedRecord({ kind, seqs, length }: Anomaly): boolean {
  return (kind === "malformed-line" || kind === "checksum-mismatch") && seqs !== undefined && length > 0;
}

export const MARK_LAGS =
  "the mark lags: the machine went down after it was written, and it may have missed the last records";

/** Why it cannot be told whether acknowledged data was lost. */
export function whyUnknown(reach: { readonly exact: boolean } | undefined, beside: boolean): string {
  if (beside) return "beside a writer the mark runs ahead of what was read; ask again when it is stopped";
  if (reach === undefined)
    return "no mark vouches for this log: it is a copy, or papyra.mark is gone or older than its file";
  return MARK_LAGS;
}
