// What is told of a failure: to whoever asked, to the parent, and to those who watch.
import { PapyraError } from "../errors.ts";
import type { CellHost } from "./cell-host.ts";
import { errorText } from "./caught.ts";
import type { Envelope } from "./context.ts";
import type { FailurePhase } from "./events.ts";

/** What failed, where, and what comes of it. */
export interface Crash {
  readonly error: Error;
  readonly phase: FailurePhase;
  readonly decision: string;
  /** The message that was in hand. */
  readonly envelope?: Envelope | undefined;
}

/** The failure of an actor, as others see it. */
export function failureOf(address: string, error: Error, cause: unknown): PapyraError {
  return new PapyraError("ACTOR_FAILED", `${address} failed: ${errorText(error)}`, { cause, details: { address } });
}

/** What a behaviour of our own returns for a message that it does not accept: no failure, and only its sender's business. */
export class Refusal {
  readonly error: Error;

  constructor(error: Error) {
    this.error = error;
  }
}

/** Hands the reply to whoever asked. A refused message that nobody asked with becomes a dead letter. */
export function answer(
  host: Pick<CellHost, "deadLetter">,
  address: string,
  { ask, message }: Envelope,
  reply: unknown,
): void {
  if (!(reply instanceof Refusal)) ask?.reply(reply);
  else if (ask !== undefined) ask.fail(reply.error);
  else host.deadLetter(address, message, `refused: ${errorText(reply.error)}`);
}

/** Counts a failure and tells of it. */
export function publishCrash(
  host: Pick<CellHost, "counters" | "idOf" | "publish">,
  address: string,
  crash: Crash,
): void {
  const { error, phase, decision, envelope } = crash;
  const message = envelope && { messageId: host.idOf(envelope.id), correlationId: host.idOf(envelope.chain) };
  host.counters.failures += 1;
  host.publish({ type: "ActorCrashed", address, error, phase, decision, message });
}
