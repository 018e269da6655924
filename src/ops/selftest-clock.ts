// The two clocks side by side: whether one goes back, how fine they are, how far they come apart. Papyra orders by seq and
// waits by the monotonic clock; wall time is data. Pure but for the clock it is given.
import type { Clock } from "../env/env.ts";
import type { ClockFacts } from "./selftest-report.ts";

export class ClockWatch {
  readonly #clock: Clock;
  readonly #startWallMs: number;
  readonly #startMonotonicMs: number;
  #wallMs: number;
  #monotonicMs: number;
  #samples = 1;
  #wallStepMs: number | undefined;
  #monotonicStepMs: number | undefined;
  #wallBackMs = 0;
  #monotonicBackMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#wallMs = this.#startWallMs = clock.nowMs();
    this.#monotonicMs = this.#startMonotonicMs = clock.monotonicMs();
  }

  sample(): void {
    const [wallMs, monotonicMs] = [this.#clock.nowMs(), this.#clock.monotonicMs()];
    const [wall, monotonic] = [wallMs - this.#wallMs, monotonicMs - this.#monotonicMs];
    if (wall > 0) this.#wallStepMs = Math.min(this.#wallStepMs ?? wall, wall);
    if (monotonic > 0) this.#monotonicStepMs = Math.min(this.#monotonicStepMs ?? monotonic, monotonic);
    this.#wallBackMs = Math.max(this.#wallBackMs, -wall);
    this.#monotonicBackMs = Math.max(this.#monotonicBackMs, -monotonic);
    [this.#wallMs, this.#monotonicMs] = [wallMs, monotonicMs];
    this.#samples += 1;
  }

  facts(): ClockFacts {
    this.sample();
    const elapsedMs = this.#monotonicMs - this.#startMonotonicMs;
    return {
      samples: this.#samples,
      elapsedMs,
      wallStepMs: this.#wallStepMs,
      monotonicStepMs: this.#monotonicStepMs,
      wallBackMs: this.#wallBackMs,
      monotonicBackMs: this.#monotonicBackMs,
      driftMs: this.#wallMs - this.#startWallMs - elapsedMs,
    };
  }
}
