// A picture of the running system, taken from what is true of each actor. Pure. The fields are those of the Python Papyra;
// in a healthy system `registry_orphans` and `registry_dead` are empty.
import type { AuditRecord } from "../log/record.ts";

/** What an audit looks at in one actor. */
export interface AuditedActor {
  readonly address: string;
  readonly state: "alive" | "stopping" | "restarting" | "stopped";
  /** Whether it was spawned by an actor that is no longer there. */
  readonly orphan: boolean;
}

/** What an audit found. */
export type AuditReport = Omit<AuditRecord, "seq" | "timestamp" | "durable" | "kind" | "payload">;

/** How many addresses of a sort are named; the counts are always exact. */
const NAMED_MAX = 100;

/** Counts the actors. `actors` is the whole registry. */
export function auditOf(state: {
  readonly systemId: string;
  readonly actors: Iterable<AuditedActor>;
  readonly deadLetters: number;
  readonly recordsLost: number;
}): AuditReport {
  const count = { alive: 0, stopping: 0, restarting: 0, stopped: 0 };
  const orphans: string[] = [];
  const dead: string[] = [];
  for (const actor of state.actors) {
    count[actor.state] += 1;
    if (actor.orphan && orphans.length < NAMED_MAX) orphans.push(actor.address);
    if (actor.state === "stopped" && dead.length < NAMED_MAX) dead.push(actor.address);
  }
  const running = count.alive + count.stopping + count.restarting;
  return {
    system_id: state.systemId,
    total_actors: running,
    alive_actors: count.alive,
    stopping_actors: count.stopping,
    restarting_actors: count.restarting,
    registry_size: running + count.stopped,
    registry_orphans: orphans,
    registry_dead: dead,
    dead_letters_count: state.deadLetters,
    records_lost_count: state.recordsLost,
  };
}
