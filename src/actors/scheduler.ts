// Decides when actors run: in turns, a few messages each, inside a microtask, so that a message costs no timer and no
// promise. It gives the event loop its turn every few milliseconds, even if actors keep each other busy for ever.
import type { Clock } from "../env/env.ts";
import { Mailbox } from "./mailbox.ts";

/** Something that has work to do, in portions. */
export interface Runnable {
  /** Does at most so many pieces of work, and schedules itself again if there is more. Never throws. */
  run(piecesMax: number): void;
}

/** Few enough that a burst for one actor does not hold up the others, enough that changing over costs little. */
const PIECES_MAX = 32;
/** How long actors run before the event loop is asked for a turn; if it gets none, they stop after as long again. */
const SLICE_MS = 5;

/** Runs whatever has work to do, round robin. */
export class Scheduler {
  readonly #ready = new Mailbox<Runnable>(Number.MAX_SAFE_INTEGER);
  readonly #clock: Clock;
  readonly #afterRun: () => void;
  #state: "idle" | "queued" | "running" | "parked" = "idle";
  #sliceStartMs = 0;
  /** Whether a timer is set whose firing proves that the event loop had a turn. */
  #turnAsked = false;

  constructor(clock: Clock, afterRun: () => void) {
    this.#clock = clock;
    this.#afterRun = afterRun;
  }

  /** Puts `runnable` at the end of the line. */
  enqueue(runnable: Runnable): void {
    this.#ready.push(runnable);
    this.wake();
  }

  /** Makes sure that a run, and what follows each run, takes place soon. */
  wake(): void {
    if (this.#state !== "idle") return;
    this.#state = "queued";
    queueMicrotask(this.#run);
  }

  readonly #run = (): void => {
    this.#state = "running";
    let parked = this.#overtime();
    while (!parked) {
      const next = this.#ready.shift();
      if (next === undefined) break;
      next.run(PIECES_MAX);
      parked = this.#overtime();
    }
    this.#state = parked ? "parked" : "idle";
    this.#afterRun();
  };

  /** Whether the event loop has waited too long. The first time, it is only asked to show that it has a turn. */
  #overtime(): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#sliceStartMs < SLICE_MS) return false;
    if (this.#turnAsked) return true;
    this.#turnAsked = true;
    this.#sliceStartMs = nowMs;
    this.#clock.after(0, this.#turn, "foreground");
    return false;
  }

  readonly #turn = (): void => {
    this.#turnAsked = false;
    this.#sliceStartMs = this.#clock.monotonicMs();
    if (this.#state === "parked") this.#run();
  };
}
