// Questions that wait for their reply. Each settles exactly once: by reply, failure, time-out, abort, or the end of the
// actor. One timer serves all questions with the same time-out, and one that is answered at once never sets a timer.
import type { Clock } from "../env/env.ts";
import { PapyraError } from "../errors.ts";

/** How often questions came to an end without a reply. */
export interface AskCounters {
  asks: number;
  asksTimedOut: number;
  asksAborted: number;
}

/** A question that waits. */
export class PendingAsk {
  next: PendingAsk | undefined;
  previous: PendingAsk | undefined;
  readonly deadlineMs: number;
  readonly target: string;
  readonly #line: AskLine;
  readonly #resolve: (reply: unknown) => void;
  readonly #reject: (error: Error) => void;
  #settled = false;
  #signal: AbortSignal | undefined;

  constructor(line: AskLine, target: string, resolve: (reply: unknown) => void, reject: (error: Error) => void) {
    this.#line = line;
    this.target = target;
    this.#resolve = resolve;
    this.#reject = reject;
    this.deadlineMs = line.deadlineMs();
    line.add(this);
  }

  /** Gives up when `signal` is aborted. */
  watch(signal: AbortSignal): void {
    this.#signal = signal;
    if (signal.aborted) this.handleEvent();
    else signal.addEventListener("abort", this, { once: true });
  }

  get settled(): boolean {
    return this.#settled;
  }

  reply(value: unknown): void {
    if (this.#settle()) this.#resolve(value);
  }

  fail(error: Error): void {
    if (this.#settle()) this.#reject(error);
  }

  expire(): void {
    if (!this.#settle()) return;
    this.#line.counters.asksTimedOut += 1;
    const { timeoutMs } = this.#line;
    this.#reject(
      new PapyraError("ASK_TIMEOUT", `${this.target} did not reply within ${timeoutMs} ms`, {
        details: { address: this.target, timeoutMs },
      }),
    );
  }

  /** The signal was aborted. */
  handleEvent(): void {
    if (!this.#settle()) return;
    this.#line.counters.asksAborted += 1;
    const { target } = this;
    this.#reject(
      new PapyraError("ASK_ABORTED", `gave up waiting for the reply of ${target}`, {
        cause: this.#signal?.reason,
        details: { address: target },
      }),
    );
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#line.remove(this);
    this.#signal?.removeEventListener("abort", this);
    return true;
  }
}

/** All questions with one time-out, in the order in which they run out. */
class AskLine {
  readonly timeoutMs: number;
  readonly counters: AskCounters;
  readonly #clock: Clock;
  #first: PendingAsk | undefined;
  #last: PendingAsk | undefined;
  #cancelTimer: (() => void) | undefined;

  constructor(timeoutMs: number, clock: Clock, counters: AskCounters) {
    this.timeoutMs = timeoutMs;
    this.#clock = clock;
    this.counters = counters;
  }

  get empty(): boolean {
    return this.#first === undefined;
  }

  deadlineMs(): number {
    return this.#clock.monotonicMs() + this.timeoutMs;
  }

  add(ask: PendingAsk): void {
    ask.previous = this.#last;
    if (this.#last === undefined) this.#first = ask;
    else this.#last.next = ask;
    this.#last = ask;
  }

  remove(ask: PendingAsk): void {
    if (ask.previous === undefined) this.#first = ask.next;
    else ask.previous.next = ask.next;
    if (ask.next === undefined) this.#last = ask.previous;
    else ask.next.previous = ask.previous;
    ask.next = undefined;
    ask.previous = undefined;
    if (this.#first === undefined) {
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
    }
  }

  /** Sets the timer for the first question, unless one is set: it may fire early, never late. */
  arm(): void {
    if (this.#first === undefined || this.#cancelTimer !== undefined) return;
    const delayMs = Math.max(0, Math.ceil(this.#first.deadlineMs - this.#clock.monotonicMs()));
    this.#cancelTimer = this.#clock.after(delayMs, this.#expire, "foreground");
  }

  readonly #expire = (): void => {
    this.#cancelTimer = undefined;
    const nowMs = this.#clock.monotonicMs();
    while (this.#first !== undefined && this.#first.deadlineMs <= nowMs) this.#first.expire();
    this.arm();
  };
}

/** So many different time-outs are remembered; time-outs computed for each question must not pile up. */
const LINES_KEPT = 16;

/** All questions that wait in a system. */
export class Asks {
  readonly #lines = new Map<number, AskLine>();
  readonly #clock: Clock;
  readonly #counters: AskCounters;

  constructor(clock: Clock, counters: AskCounters) {
    this.#clock = clock;
    this.#counters = counters;
  }

  /** The questions with this time-out, to add one to. */
  line(timeoutMs: number): AskLine {
    let line = this.#lines.get(timeoutMs);
    if (line === undefined) {
      line = new AskLine(timeoutMs, this.#clock, this.#counters);
      this.#lines.set(timeoutMs, line);
    }
    return line;
  }

  /** Sets the timers that are missing. Called after each run of actors, when most questions have been answered. */
  readonly arm = (): void => {
    for (const [timeoutMs, line] of this.#lines) {
      if (line.empty && this.#lines.size > LINES_KEPT) this.#lines.delete(timeoutMs);
      else line.arm();
    }
  };
}
