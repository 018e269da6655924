// Why an append was refused, or what is not known of it.
import { PapyraError } from "../errors.ts";
import type { LogName } from "../log/record.ts";
import { SEQ_MAX } from "../log/seqs.ts";
import { quoted } from "../quoted.ts";

export function storeClosed(location: string): PapyraError {
  return new PapyraError("STORE_CLOSED", `the store ${location} is closed; nothing was written`);
}

/** After `failure` the writer accepts nothing more. */
export function storePoisoned(location: string, failure: Error | undefined): PapyraError {
  return new PapyraError(
    "STORE_POISONED",
    `the store ${location} failed earlier (${failure?.message}); nothing was written`,
    { cause: failure, hint: "mend the cause, then start again; papyra persistence scan shows what is stored" },
  );
}

export function outcomeUnknown(location: string, failure: Error): PapyraError {
  return new PapyraError(
    "OUTCOME_UNKNOWN",
    `a write to ${location} failed and may or may not be stored: ${failure.message}`,
    { cause: failure, hint: "start again: what is stored counts, what is not does not" },
  );
}

export function tooLargeForQueue(count: number, bytes: number): PapyraError {
  return new PapyraError(
    "RECORD_TOO_LARGE",
    `${count} records of ${bytes} bytes together are more than the queue may ever hold`,
    { hint: "append fewer at once, or raise queueBytesMax" },
  );
}

/** What counts on from `lastSeq` could not be read back. */
export function noSeqsLeft(location: string, log: LogName, lastSeq: number): PapyraError {
  return new PapyraError(
    "STORE_DAMAGED",
    `the log ${log} of ${location} goes up to seq ${lastSeq}, and no record has a greater one than ${SEQ_MAX}: there are too few left to go on`,
    {
      hint: `no writer counts so far. Look what is missing before it: papyra persistence scan --path ${quoted(location)}; then restore a backup from before: papyra backup list`,
      details: { log, lastSeq },
    },
  );
}
