// What happens to actors, as data, and how it is recorded: the names and reasons are those of the Python Papyra where it
// had them. Pure. Error texts are clipped so that no error can be too large to be recorded.
import type { NewRecord } from "../log/record.ts";
import { clip, errorText } from "./caught.ts";
import type { DeadLetter } from "./dead-letters.ts";

/** Why an actor, or one incarnation of it, came to its end. */
export type StopReason =
  /** Somebody asked for it. */
  | "stopped"
  /** Its parent stopped or was restarted. */
  | "parent stopped"
  | "system stopped"
  /** It failed and its supervision said stop, or it failed too often. */
  | "failed"
  /** It failed and another incarnation takes its place under the same address and mailbox. */
  | "restarting"
  /** It was still busy when the time for stopping ran out. What it does from then on is ignored. */
  | "given up";

/** Where in its life an actor failed. */
export type FailurePhase = "started" | "receive" | "stopped" | "child";

/** Ids of the message that was in hand. */
export interface MessageIds {
  readonly messageId: string;
  readonly correlationId: string;
}

/** The first message is handled after this. */
export interface ActorStarted {
  readonly type: "ActorStarted";
  readonly address: string;
}

export interface ActorStopped {
  readonly type: "ActorStopped";
  readonly address: string;
  readonly reason: StopReason;
}

/** Something threw. What came of it follows as an event of its own. */
export interface ActorCrashed {
  readonly type: "ActorCrashed";
  readonly address: string;
  readonly error: Error;
  readonly phase: FailurePhase;
  /** What supervision decided, and why if it is not obvious: "restart", "stop: 4 failures within 5000 ms". */
  readonly decision: string;
  readonly message: MessageIds | undefined;
}

/** A new incarnation took over, with a fresh state and the same mailbox. */
export interface ActorRestarted {
  readonly type: "ActorRestarted";
  readonly address: string;
  readonly reason: string;
  /** How many incarnations there have been before this one. */
  readonly restarts: number;
}

/** Everything that subscribers are told. */
export type ActorEvent = ActorStarted | ActorStopped | ActorCrashed | ActorRestarted | DeadLetter;

/** A lifecycle event: what goes to the events log. */
export type LifecycleEvent = Exclude<ActorEvent, DeadLetter>;

/** The record of an event. */
export function eventRecord(systemId: string, event: LifecycleEvent): NewRecord {
  return {
    kind: "event",
    system_id: systemId,
    actor_address: event.address,
    event_type: event.type,
    payload: payloadOf(event),
  };
}

function payloadOf(event: LifecycleEvent): Record<string, unknown> {
  switch (event.type) {
    case "ActorStarted":
      return {};
    case "ActorStopped":
      return { reason: event.reason };
    case "ActorRestarted":
      return { reason: clip(event.reason), restarts: event.restarts };
    case "ActorCrashed":
      return {
        error: errorText(event.error),
        reason: clip(event.decision),
        phase: event.phase,
        ...(event.message && { message_id: event.message.messageId, correlation_id: event.message.correlationId }),
      };
  }
}
