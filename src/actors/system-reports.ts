// What a system says of itself.
import type { Counters } from "./cell-host.ts";
import type { JournalCounters } from "./journal.ts";

/** What is counted in a system, from its start. */
export interface SystemMetrics extends Readonly<Counters>, Readonly<JournalCounters> {
  /** Actors that have not stopped. */
  readonly actors: number;
  /** Records of what happened that the store took. */
  readonly recordsAccepted: number;
  /** Records of what happened that were given up: the queue was full, or the store failed. */
  readonly recordsLost: number;
  /** What `onProblem` is told, repeated problems included. */
  readonly problems: number;
}

/** How a system came to its end. */
export interface StopReport {
  /** Whether every actor stopped in time and everything was recorded. */
  readonly ok: boolean;
  /** Addresses of actors that did not stop in time and were given up; the first 100. */
  readonly givenUp: readonly string[];
  /** Messages that reached nobody, from the start of the system. */
  readonly deadLetters: number;
  readonly recordsLost: number;
  /** Why the store could not be written or closed. */
  readonly failure: Error | undefined;
}
