// Writes what happens to the store, best effort: it never waits, never throws and never breaks an actor. What could not be
// written is counted and told; this is the one place that goes on after a failed write.
import type { Store } from "../backends/store.ts";
import type { Clock } from "../env/env.ts";
import { ensureError, PapyraError } from "../errors.ts";
import type { LogName, NewRecord } from "../log/record.ts";
import type { AuditReport } from "./audit.ts";
import { deadLetterRecord, type DeadLetter } from "./dead-letters.ts";
import { eventRecord, type LifecycleEvent } from "./events.ts";
import type { Problems } from "./problems.ts";

const WATCH_MS = 250;

/** Records events, dead letters and audits in an open store. */
export class Recorder {
  /** Records that the store took; some of them may have been lost later. */
  accepted = 0;
  #lostLate = 0;
  #lostTold = 0;
  #closed = false;
  #watching = false;
  readonly #systemId: string;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #problems: Problems;

  constructor(systemId: string, store: Store, clock: Clock, problems: Problems) {
    this.#systemId = systemId;
    this.#store = store;
    this.#clock = clock;
    this.#problems = problems;
  }

  /** Records that were given up, for whatever reason. */
  get lost(): number {
    return this.#store.stats().lostRecords + this.#lostLate;
  }

  event(event: LifecycleEvent): void {
    this.#offer("events", eventRecord(this.#systemId, event));
  }

  deadLetter(letter: DeadLetter): void {
    this.#offer("dead_letters", deadLetterRecord(this.#systemId, letter, this.#store.backend.limits.lineBytesMax));
  }

  audit(report: AuditReport): void {
    this.#offer("audits", { kind: "audit", ...report });
  }

  /** Resolves when everything recorded so far is written; rejects when something was lost. */
  async flush(): Promise<void> {
    await this.#store.flush();
  }

  /** Writes what waits and closes the store. Resolves with what went wrong, once everything was tried. */
  async close(): Promise<Error | undefined> {
    const flushed = await failureOf(this.#store.flush());
    this.#closed = true;
    const closed = await failureOf(this.#store.close());
    const failure = flushed ?? closed;
    if (failure !== undefined) this.#problems.report(failure);
    if (this.lost > 0) {
      const cause = failure ?? this.#store.stats().failure;
      this.#problems.report(
        new PapyraError("STORAGE_FAILED", `${this.lost} records of what happened could not be written`, { cause }),
      );
    }
    return failure;
  }

  #offer(log: LogName, record: NewRecord): void {
    if (this.#closed) {
      this.#lostLate += 1;
      return;
    }
    if (this.#store.offer(log, record)) this.accepted += 1;
    this.#look();
    if (!this.#watching) this.#watch();
  }

  /** Tells of a store that has failed, or does not keep up. */
  #look(): void {
    const { failure, lostRecords } = this.#store.stats();
    if (failure !== undefined) this.#problems.report(failure);
    else if (lostRecords > this.#lostTold) {
      this.#problems.report(
        new PapyraError("QUEUE_FULL", "records of what happens are given up: the store cannot keep up"),
      );
    }
    this.#lostTold = lostRecords;
  }

  /** Looks again while records are being written: a failure must not wait for the next record to be noticed. */
  #watch(): void {
    this.#watching = true;
    this.#clock.after(
      WATCH_MS,
      () => {
        this.#watching = false;
        if (this.#closed) return;
        this.#look();
        const { failure, queuedRecords } = this.#store.stats();
        if (queuedRecords > 0 && failure === undefined) this.#watch();
      },
      "background",
    );
  }
}

/** What an operation failed with, as a value: the caller collects failures instead of stopping at the first. */
async function failureOf(operation: Promise<void>): Promise<Error | undefined> {
  try {
    await operation;
    return undefined;
  } catch (thrown) {
    return ensureError(thrown);
  }
}
