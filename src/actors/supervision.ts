// What becomes of an actor that failed. Pure: the same failure, history, policy and time give the same decision. In the
// spirit of OTP: restarting is for faults that pass, so it is limited to a number within a window of time, after which
// the actor stops, or its parent answers for it.
import { PapyraError, ensureError } from "../errors.ts";
import { oneOf, refuseUnknown, wholeNumber } from "../options.ts";
import type { FailurePhase } from "./events.ts";

/**
 * - `restart`: a new incarnation with a fresh state takes over; the failed message is gone, the others wait.
 * - `resume`: the actor goes on with the state it has, as if the failed message had not come.
 * - `stop`: the actor stops; its waiting messages become dead letters.
 * - `escalate`: the actor stops, and the failure counts as one of its parent; without a parent it is reported as a problem.
 */
export type Directive = "restart" | "resume" | "stop" | "escalate";

const DIRECTIVES: readonly Directive[] = ["restart", "resume", "stop", "escalate"];

/** What a supervision function may look at. */
export interface Failure {
  readonly error: Error;
  readonly phase: FailurePhase;
}

/** How failures of one actor are answered. */
export interface SupervisionOptions {
  /** One answer for every failure, or a pure function of it. Default "restart". */
  readonly onFailure?: Directive | ((failure: Failure) => Directive);
  /** Restarts allowed within `withinMs`, 0 to 1,000,000. Default 3. */
  readonly restartsMax?: number;
  /** The window in milliseconds, 1 to 2,147,483,647. Default 5000. */
  readonly withinMs?: number;
  /** What happens when there were too many restarts. Default "stop". */
  readonly whenExhausted?: "stop" | "escalate";
  /** Milliseconds to wait before a restart, 0 to 3,600,000, doubled with each one in the window. Default 0. */
  readonly backoffMs?: number;
  /** The longest wait, in milliseconds, 0 to 3,600,000. Default 30,000, or `backoffMs` if that is more. */
  readonly backoffMsMax?: number;
}

/** Checked options, all present. */
export type SupervisionPolicy = Required<SupervisionOptions>;

const DEFAULTS: SupervisionPolicy = {
  onFailure: "restart",
  restartsMax: 3,
  withinMs: 5000,
  whenExhausted: "stop",
  backoffMs: 0,
  backoffMsMax: 30_000,
};

const TIMER_MS_MAX = 2_147_483_647;
const BACKOFF_MS_MAX = 3_600_000;

/** Checks options and fills in the defaults. Rejects with OPTION_INVALID. */
export function resolvePolicy(
  input: SupervisionOptions = {},
  defaults: SupervisionPolicy = DEFAULTS,
): SupervisionPolicy {
  refuseUnknown("supervision", input, Object.keys(DEFAULTS));
  const { onFailure } = input;
  const backoffMs = wholeNumber("supervision.backoffMs", input.backoffMs, defaults.backoffMs, 0, BACKOFF_MS_MAX);
  const backoffMsMax = Math.max(defaults.backoffMsMax, backoffMs);
  return Object.freeze({
    onFailure:
      typeof onFailure === "function"
        ? onFailure
        : onFailure === undefined
          ? defaults.onFailure
          : oneOf("supervision.onFailure", onFailure, "restart", DIRECTIVES),
    restartsMax: wholeNumber("supervision.restartsMax", input.restartsMax, defaults.restartsMax, 0, 1_000_000),
    withinMs: wholeNumber("supervision.withinMs", input.withinMs, defaults.withinMs, 1, TIMER_MS_MAX),
    whenExhausted: oneOf("supervision.whenExhausted", input.whenExhausted, defaults.whenExhausted, [
      "stop",
      "escalate",
    ]),
    backoffMs,
    backoffMsMax: wholeNumber("supervision.backoffMsMax", input.backoffMsMax, backoffMsMax, 0, BACKOFF_MS_MAX),
  });
}

/** What to do now. */
export interface Decision {
  readonly directive: Directive;
  /** In words, for the record. */
  readonly reason: string;
  /** Milliseconds to wait before a restart. */
  readonly delayMs: number;
  /** The times of the restarts that still count, this one included. */
  readonly history: readonly number[];
}

/** Decides. `history` holds the times of earlier restarts, oldest first; `nowMs` is of the same monotonic clock. */
export function decide(
  failure: Failure,
  history: readonly number[],
  policy: SupervisionPolicy,
  nowMs: number,
): Decision {
  const recent = history.filter((atMs) => nowMs - atMs < policy.withinMs);
  const { directive, note } = wanted(failure, policy);
  // An actor that has not started has no state to go on with, so resuming it means trying again.
  const restarts = directive === "restart" || (directive === "resume" && failure.phase === "started");
  if (!restarts) return { directive, reason: note ?? directive, delayMs: 0, history: recent };
  if (recent.length >= policy.restartsMax) {
    const exhausted = policy.whenExhausted;
    const reason = `${exhausted}: more than ${policy.restartsMax} restarts within ${policy.withinMs} ms`;
    return { directive: exhausted, reason, delayMs: 0, history: recent };
  }
  const delayMs = Math.min(policy.backoffMs * 2 ** Math.min(recent.length, 30), policy.backoffMsMax);
  return { directive: "restart", reason: "restart", delayMs, history: [...recent, nowMs] };
}

function wanted(failure: Failure, policy: SupervisionPolicy): { directive: Directive; note?: string } {
  if (typeof policy.onFailure !== "function") return { directive: policy.onFailure };
  try {
    const directive = policy.onFailure(failure);
    if (DIRECTIVES.includes(directive)) return { directive };
    throw new PapyraError("OPTION_INVALID", `supervision.onFailure returned ${String(directive)}`);
  } catch (thrown) {
    // A supervisor that fails cannot be trusted with another try, and must not take the system down.
    return { directive: "stop", note: `stop: supervision.onFailure failed: ${ensureError(thrown).message}` };
  }
}
