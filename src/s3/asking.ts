// Requests that are made until the answer is known, under one deadline for each call of the store. So everything that is
// asked here must be safe to ask twice.
import type { Env } from "../env/env.ts";
import { ensureError, PapyraError } from "../errors.ts";
import { type Failure, failureOf, isPassing, s3Failure } from "./failures.ts";
import type { S3Timing } from "./options.ts";

const PAUSE_MS = { first: 50, most: 5000 };

/** The answer that a failure is for who asked, if it is one. */
type Expected<T> = (failure: Failure) => { readonly answer: T } | undefined;

/** Makes requests, and remembers whether anybody ever answered. */
export class Asking {
  readonly #env: Env;
  readonly #timing: S3Timing;
  readonly #location: string;
  readonly #secrets: readonly string[];
  #reached = false;

  constructor(env: Env, about: { timing: S3Timing; location: string; secrets: readonly string[] }) {
    this.#env = env;
    this.#timing = about.timing;
    this.#location = about.location;
    this.#secrets = about.secrets;
  }

  /** Begins one call of the store: `what` it does, in words, for messages. Its time runs from the first request. */
  begin(what: string): Call {
    let end: number | undefined;
    const endMs = (): number => (end ??= this.#env.clock.monotonicMs() + this.#timing.deadlineMs);
    return {
      pause: (ms) => this.#pause(ms, endMs()),
      ask: (request, expected) => this.#ask(request, { what, end: endMs(), expected }),
    };
  }

  async #ask<T>(
    request: (signal: AbortSignal) => Promise<T>,
    { what, end, expected }: { what: string; end: number; expected: Expected<T> | undefined },
  ): Promise<T> {
    const { clock } = this.#env;
    const where = `${what} in ${this.#location}`;
    let told: Failure | undefined; // the last thing that the server said
    for (let attempts = 1; ; attempts++) {
      const leftMs = end - clock.monotonicMs();
      let failure: Failure;
      try {
        const answer = await inTime(request, clock, Math.min(this.#timing.requestTimeoutMs, Math.max(1, leftMs)));
        this.#reached = true;
        return answer;
      } catch (thrown) {
        const error = ensureError(thrown);
        if (error instanceof PapyraError) throw error;
        failure = failureOf(error, this.#secrets);
      }
      if (failure.status !== undefined) {
        this.#reached = true;
        told = failure;
      }
      const taken = expected?.(failure);
      if (taken !== undefined) return taken.answer;
      if (!isPassing(failure, this.#reached)) throw s3Failure(failure, where, attempts);
      const pauseMs = Math.min(PAUSE_MS.most, PAUSE_MS.first * 2 ** (attempts - 1));
      if (!(await this.#pause(pauseMs, end))) {
        const times = attempts === 1 ? "once" : `${attempts} times`;
        throw s3Failure(told ?? failure, `${where} within ${this.#timing.deadlineMs} ms, tried ${times}`, attempts);
      }
    }
  }

  /** Waits between half of that and all of it, so that many who wait do not come back at once; false when time is over. */
  async #pause(ms: number, end: number): Promise<boolean> {
    const { clock, random } = this.#env;
    const waitMs = (ms * (1 + Number.parseInt(random.hex(2), 16) / 0xffff)) / 2;
    if (clock.monotonicMs() + waitMs >= end) return false;
    await new Promise<void>((resolve) => void clock.after(waitMs, resolve, "foreground"));
    return true;
  }
}

/** One call of the store, under its deadline. */
export interface Call {
  /** Asks until there is an answer. `expected` may take a failure for one. */
  ask<T>(request: (signal: AbortSignal) => Promise<T>, expected?: Expected<T>): Promise<T>;
  /** Waits about so long, or resolves with false when the deadline would be over. */
  pause(ms: number): Promise<boolean>;
}

/** Rejects when there is no answer in time, whatever the request does about its signal. */
function inTime<T>(request: (signal: AbortSignal) => Promise<T>, clock: Env["clock"], ms: number): Promise<T> {
  const aborting = new AbortController();
  return new Promise((resolve, reject) => {
    const late = (): void => {
      reject(Object.assign(new Error(`no answer within ${Math.round(ms)} ms`), { code: "ETIMEDOUT" }));
      aborting.abort();
    };
    const cancel = clock.after(ms, late, "foreground");
    request(aborting.signal).then(resolve, reject).finally(cancel);
  });
}
