// The one error class and the one table of codes. A failure is a PapyraError; a finding in a log is data (log/anomaly.ts);
// a bug of ours is an assertion. docs/errors.md lists the same codes; a test keeps the two equal.

/**
 * Every code a PapyraError can carry: what it means, the exit code of the command line, and whether trying the same
 * call again later can help. Tell errors apart by code, never by text or class.
 */
export const ERRORS = {
  OPTION_INVALID: { summary: "an option or argument is wrong", exit: 64, retryable: false },
  CONFIG_INVALID: { summary: "the configuration file cannot be used", exit: 64, retryable: false },
  STORE_NOT_FOUND: { summary: "there is no store or log at that path", exit: 10, retryable: false },
  STORE_LOCKED: { summary: "another process holds the store", exit: 11, retryable: true },
  LOCK_UNAVAILABLE: { summary: "this platform offers no kernel lock", exit: 74, retryable: false },
  STORE_UNCHECKED: {
    summary: "the log was not written by Papyra and is never appended to",
    exit: 74,
    retryable: false,
  },
  STORE_DAMAGED: { summary: "the store is too damaged to be written without recovery", exit: 4, retryable: false },
  STARTUP_REFUSED: { summary: "the startup check found anomalies", exit: 4, retryable: false },
  RECOVERY_INCOMPLETE: { summary: "anomalies remain after recovery", exit: 5, retryable: false },
  STORE_CHANGED: { summary: "the store is not as it was when that was planned or done", exit: 64, retryable: false },
  QUARANTINE_DAMAGED: { summary: "what a recovery has kept is not what it was", exit: 2, retryable: false },
  FORMAT_UNKNOWN: { summary: "the format version is not known to this release", exit: 16, retryable: false },
  STORAGE_FULL: { summary: "there is no space left", exit: 15, retryable: false },
  STORAGE_FAILED: { summary: "the storage could not be read or written", exit: 74, retryable: true },
  STORE_POISONED: { summary: "an earlier write failed; nothing more is acknowledged", exit: 74, retryable: false },
  STORE_FENCED: { summary: "another writer has taken the store over", exit: 11, retryable: false },
  HISTORY_CHANGED: {
    summary: "the server holds another history than the one that was written",
    exit: 74,
    retryable: false,
  },
  GROUP_BEHIND: { summary: "a consumer group still needs what compaction would take out", exit: 74, retryable: true },
  GROUP_NOT_FOUND: { summary: "there is no consumer group of that name", exit: 10, retryable: false },
  GROUP_PENDING: {
    summary: "a consumer group has pending entries that would be forgotten",
    exit: 74,
    retryable: true,
  },
  DURABILITY_REFUSED: { summary: "the server keeps data less safely than it must", exit: 74, retryable: false },
  REPOSITORY_LOCKED: { summary: "another process works on the repository", exit: 11, retryable: true },
  BACKUP_NOT_FOUND: { summary: "there is no such backup or repository", exit: 10, retryable: false },
  BACKUP_DAMAGED: { summary: "a backup is not what it was, or its source was damaged", exit: 13, retryable: false },
  KEY_WRONG: { summary: "an encrypted repository needs another key", exit: 12, retryable: false },
  RESTORE_OUT_OF_RANGE: { summary: "no backup reaches the point that was asked for", exit: 14, retryable: false },
  TARGET_NOT_EMPTY: { summary: "a restore never overwrites what is there", exit: 64, retryable: false },
  CLIENT_MISSING: { summary: "a package or a program that is needed is not installed", exit: 64, retryable: false },
  STORE_CLOSED: { summary: "the store is closed", exit: 74, retryable: false },
  OUTCOME_UNKNOWN: { summary: "a write failed and may or may not be stored", exit: 74, retryable: false },
  LOG_DAMAGED: { summary: "a damaged line stands where a record was asked for", exit: 2, retryable: false },
  RECORD_INVALID: { summary: "a value cannot be stored as JSON without changing it", exit: 64, retryable: false },
  RECORD_TOO_LARGE: { summary: "a record is larger than a line may be", exit: 64, retryable: false },
  QUEUE_FULL: { summary: "the write queue is full", exit: 74, retryable: true },
  HISTORY_DAMAGED: { summary: "an actor's history is incomplete or damaged", exit: 2, retryable: false },
  EVENT_UNKNOWN: { summary: "a stored event cannot be applied by the actor's definition", exit: 2, retryable: false },
  REPLAY_DIVERGED: { summary: "replaying the same history gave another state", exit: 2, retryable: false },
  ACTOR_STOPPED: { summary: "the actor is not running", exit: 70, retryable: false },
  ACTOR_FAILED: { summary: "the actor failed while handling the message", exit: 70, retryable: false },
  MAILBOX_FULL: { summary: "the actor's mailbox is full", exit: 70, retryable: true },
  NAME_TAKEN: { summary: "an actor of that name is running", exit: 64, retryable: false },
  ASK_TIMEOUT: { summary: "no reply came in time; the message may still be handled", exit: 74, retryable: false },
  ASK_ABORTED: { summary: "the caller gave up waiting; the message may still be handled", exit: 130, retryable: false },
  SYSTEM_STOPPED: { summary: "the actor system is not running", exit: 70, retryable: false },
  INTERRUPTED: { summary: "a signal stopped the command", exit: 130, retryable: true },
  INTERNAL: { summary: "a bug in Papyra", exit: 70, retryable: false },
} as const satisfies Record<string, { summary: string; exit: number; retryable: boolean }>;

/** One of the stable codes of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** What may accompany an error besides its code and message. */
export interface ErrorExtras {
  readonly cause?: unknown;
  /** The next step, as a sentence or a command to run. */
  readonly hint?: string;
  /** Facts for programs: paths, offsets, sequence numbers. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The only error that Papyra throws on purpose.
 *
 * @example
 * ```ts
 * import { isPapyraError, PapyraError } from "papyra";
 * const error = new PapyraError("STORE_LOCKED", "the store ./persistence is held by pid 4711");
 * if (!isPapyraError(error, "STORE_LOCKED")) throw error;
 * ```
 */
export class PapyraError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, "cause" in extras ? { cause: extras.cause } : undefined);
    this.name = "PapyraError";
    this.code = code;
    this.hint = extras.hint;
    this.details = extras.details ?? {};
  }

  /** Whether the same call may succeed later without anybody changing anything else. */
  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

/** Whether `error` is a PapyraError, optionally of one code. Works across two loaded copies of the package. */
export function isPapyraError(error: unknown, code?: ErrorCode): error is PapyraError {
  return (
    error instanceof Error &&
    error.name === "PapyraError" &&
    "code" in error &&
    (code === undefined || error.code === code)
  );
}

/** Turns whatever was thrown into an Error, once, at a boundary. Anything can be thrown, also what has no text. */
export function ensureError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  let text: string;
  try {
    text = String(thrown);
  } catch {
    text = `a value of type ${typeof thrown}`; // an object without a prototype has no text
  }
  return new Error(`something that is not an Error was thrown: ${text}`);
}
