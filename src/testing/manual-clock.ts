// A clock for tests that moves only when it is told to. It promises to fire timers in the order of their due times (then
// of their making), each at exactly its due time. It never waits for what a timer started: that is the caller's to await.
import type { Clock } from "../env/env.ts";

interface Timer {
  readonly dueMs: number;
  readonly fn: () => void;
}

/** A {@link Clock} that stands still until a test moves it. */
export class ManualClock implements Clock {
  #wallMs: number;
  #monotonicMs: number;
  readonly #timers = new Set<Timer>();

  constructor(wallMs: number = Date.UTC(2026, 0, 1), monotonicMs: number = 0) {
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
  }

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, fn: () => void, _kind: "foreground" | "background"): () => void {
    const timer: Timer = { dueMs: this.#monotonicMs + Math.max(0, delayMs), fn };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** How many timers wait to fire. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** Moves time forward and fires every timer that comes due, also those that fired timers set. */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`a clock cannot advance by ${ms} ms; set() moves the wall clock back`);
    const endMs = this.#monotonicMs + ms;
    for (let timer = this.#next(endMs); timer !== undefined; timer = this.#next(endMs)) {
      this.#timers.delete(timer);
      this.#moveTo(timer.dueMs);
      timer.fn();
    }
    this.#moveTo(endMs);
  }

  /** Jumps the wall clock, also backwards, as an administrator or NTP would: no timer fires, monotonic time stays. */
  set(wallMs: number): void {
    this.#wallMs = wallMs;
  }

  #next(endMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= endMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }

  #moveTo(monotonicMs: number): void {
    const stepMs = monotonicMs - this.#monotonicMs;
    if (stepMs <= 0) return; // a timer that advanced the clock itself has already been further
    this.#monotonicMs = monotonicMs;
    this.#wallMs += stepMs;
  }
}
