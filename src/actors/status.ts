// The states of an actor, and what an audit calls them. Pure.
import type { AuditedActor } from "./audit.ts";

/**
 * - `new`: begins an incarnation at its next turn · `starting`: in `started` · `ready` · `busy`: a message is in hand
 * - `ending`: this incarnation ends, another follows · `waiting`: until another may begin
 * - `closing`: comes to its end · `stopped`
 */
export type Status = "new" | "starting" | "ready" | "busy" | "ending" | "waiting" | "closing" | "stopped";

/** Whether user code of the actor may be running or waiting for something. */
export function hasCodeRunning(status: Status): boolean {
  return status === "starting" || status === "busy" || status === "ending" || status === "closing";
}

/** What an audit calls an actor in this state. */
export function auditStateOf(status: Status, stopping: boolean, restarts: number): AuditedActor["state"] {
  if (status === "stopped") return "stopped";
  if (stopping) return "stopping";
  const again = restarts > 0 && (status === "new" || status === "starting");
  return again || status === "ending" || status === "waiting" ? "restarting" : "alive";
}
