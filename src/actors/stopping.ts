// A stop under way: until when waiting messages are handled, when the actor is given up, and the promise of its end.
import type { Clock } from "../env/env.ts";
import { oneOf, refuseUnknown } from "../options.ts";
import { timeoutMs } from "./actor-options.ts";
import type { StopOptions } from "./behaviour.ts";
import type { StopReason } from "./events.ts";

/** How an actor is to come to its end. Times are of the monotonic clock. */
export interface StopRequest {
  readonly reason: StopReason;
  /** Whether waiting messages are handled first, and until when. */
  readonly drain: boolean;
  readonly drainUntilMs: number;
  readonly giveUpAtMs: number;
}

/** This part of the time for a stop may go into waiting messages; the rest is for the message in hand and the hooks. */
const DRAIN_SHARE = 0.75;

/** A request to stop within `limitMs` from `nowMs`. */
export function stopWithin(limitMs: number, nowMs: number, reason: StopReason, drain: boolean): StopRequest {
  return { reason, drain, drainUntilMs: nowMs + limitMs * DRAIN_SHARE, giveUpAtMs: nowMs + limitMs };
}

const STOP_KEYS = ["mailbox", "timeoutMs"] as const satisfies readonly (keyof StopOptions)[];

/** Checks the options of a stop. Rejects with OPTION_INVALID. */
export function resolveStop(input: StopOptions | undefined, defaults: Required<StopOptions>): Required<StopOptions> {
  if (input === undefined) return defaults;
  refuseUnknown("stop", input, STOP_KEYS);
  return {
    mailbox: oneOf("mailbox", input.mailbox, defaults.mailbox, ["drain", "dead-letters"]),
    timeoutMs: timeoutMs("timeoutMs", input.timeoutMs, defaults.timeoutMs),
  };
}

/** The request of somebody who wants one actor to stop. Rejects with OPTION_INVALID. */
export function stopRequested(options: StopOptions | undefined, limitMs: number, nowMs: number): StopRequest {
  const resolved = resolveStop(options, { mailbox: "dead-letters", timeoutMs: limitMs });
  return stopWithin(resolved.timeoutMs, nowMs, "stopped", resolved.mailbox === "drain");
}

/** A stop under way. */
export class Stopping implements StopRequest {
  readonly reason: StopReason;
  drain: boolean;
  drainUntilMs: number;
  giveUpAtMs: number;
  readonly done: Promise<void>;
  #resolve = (): void => {};
  #cancelTimer: (() => void) | undefined;

  constructor(request: StopRequest) {
    this.reason = request.reason;
    this.drain = request.drain;
    this.drainUntilMs = request.drainUntilMs;
    this.giveUpAtMs = request.giveUpAtMs;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Another request came: the stricter one counts. */
  hasten(request: StopRequest): void {
    this.drain &&= request.drain;
    this.drainUntilMs = Math.min(this.drainUntilMs, request.drainUntilMs);
    this.giveUpAtMs = Math.min(this.giveUpAtMs, request.giveUpAtMs);
  }

  /** Calls `onDrainOver` when waiting messages have had their time, and `onGiveUp` when the actor has had all of it. */
  watch(clock: Clock, onDrainOver: () => void, onGiveUp: () => void): void {
    const nowMs = clock.monotonicMs();
    const atMs = this.drain ? Math.min(this.drainUntilMs, this.giveUpAtMs) : this.giveUpAtMs;
    this.#cancelTimer?.();
    this.#cancelTimer = clock.after(
      Math.max(0, Math.ceil(atMs - nowMs)),
      () => {
        if (!this.drain || clock.monotonicMs() >= this.giveUpAtMs) return onGiveUp();
        this.drain = false;
        this.watch(clock, onDrainOver, onGiveUp);
        onDrainOver();
      },
      "foreground",
    );
  }

  /** The actor has stopped or was given up. */
  finish(): void {
    this.#cancelTimer?.();
    this.#resolve();
  }
}
