// From records to a state: the one fold, used by the running actor, by replay and by verification. Pure and synchronous:
// the same records and definition give the same state, on every run and machine.
import type { Location } from "../backends/locate.ts";
import { ensureError, isPapyraError, PapyraError } from "../errors.ts";
import type { ReplayRecord, SnapshotRecord } from "../log/record.ts";
import { digestOf } from "./digest.ts";
import { ActorHistory, type HistoryOptions, type Position } from "./history.ts";
import type { AnyPersistentActor, Definition, UpcastEvent } from "./persistent.ts";
import { definitionOf } from "./persistent.ts";
import { settle, settleParsed } from "./plain.ts";

/** The state before the first event. */
export function initialState(definition: Definition): unknown {
  return settle(definition.initial(), "the initial state");
}

/** The state after an event that is about to be stored. Throws what its handler throws; RECORD_INVALID for a bad state. */
export function evolve(definition: Definition, state: unknown, type: string, payload: unknown): unknown {
  const handler = definition.events.get(type);
  if (handler === undefined) {
    throw new PapyraError("OPTION_INVALID", `${definition.type} has no event \`${type}\``, {
      hint: `it has: ${[...definition.events.keys()].join(", ")}`,
    });
  }
  return settle(handler(state, settle(payload, "payload")), "state");
}

/**
 * The state after a stored event, through the upcaster if it is of an older version.
 * Rejects with EVENT_UNKNOWN when the definition cannot apply it.
 */
export function applyEvent(definition: Definition, state: unknown, record: ReplayRecord, at?: Location): unknown {
  try {
    const { event_type, version, payload } = record;
    if (version > definition.version) {
      throw new PapyraError("EVENT_UNKNOWN", `it has version ${version}, the definition ${definition.version}`);
    }
    if (version === definition.version || definition.upcast === undefined)
      return applyOne(definition, state, event_type, settleParsed(payload, "payload"));
    let next = state;
    for (const { type, payload: given } of eventsOf(definition.upcast(event_type, payload, version), record)) {
      next = applyOne(definition, next, type, given);
    }
    return next;
  } catch (thrown) {
    throw notApplied(definition, record, at, thrown);
  }
}

function applyOne(definition: Definition, state: unknown, type: string, payload: unknown): unknown {
  if (!definition.events.has(type)) {
    throw new PapyraError("EVENT_UNKNOWN", `the definition has no event \`${type}\``);
  }
  return evolve(definition, state, type, payload);
}

/** The events that an upcaster made of a stored one. */
function eventsOf(upcasted: unknown, { event_type, version }: ReplayRecord): readonly UpcastEvent[] {
  const list = Array.isArray(upcasted) ? (upcasted as readonly UpcastEvent[]) : [upcasted as UpcastEvent];
  if (list.some((event) => typeof event?.type !== "string")) {
    throw new PapyraError("EVENT_UNKNOWN", `upcast returned no event for \`${event_type}\` of version ${version}`);
  }
  return list;
}

function notApplied(
  definition: Definition,
  record: ReplayRecord,
  at: Location | undefined,
  thrown: unknown,
): PapyraError {
  const { persistence_id, revision, seq, event_type, version } = record;
  const cause = ensureError(thrown);
  const place = at === undefined ? `seq ${seq} of the journal` : `seq ${seq}, ${at.segment}, byte ${at.offset}`;
  return new PapyraError(
    "EVENT_UNKNOWN",
    `event \`${event_type}\` (version ${version}, revision ${revision}) of ${persistence_id} at ${place} cannot be applied: ${cause.message}`,
    {
      cause,
      hint: `${remedyFor(definition, version, cause)}; to see it: papyra inspect journal --from ${seq} --limit 1`,
      details: {
        persistenceId: persistence_id,
        eventType: event_type,
        version,
        revision,
        seq,
        file: at?.segment,
        offset: at?.offset,
      },
    },
  );
}

function remedyFor({ type, version }: Definition, storedVersion: number, cause: Error): string {
  if (storedVersion > version) return `deploy a definition of ${type} with version ${storedVersion} or newer`;
  if (isPapyraError(cause, "EVENT_UNKNOWN")) return `give ${type} a handler or an \`upcast\` for it`;
  return "mend the event handler";
}

/** What became of a snapshot that was looked at. */
export type SnapshotVerdict =
  | { readonly usable: true; readonly state: unknown }
  | { readonly usable: false; readonly why: "broken" | "other-version"; readonly detail: string };

/** Whether a snapshot can be the base of a fold: its digest verifies, and its state is of a shape that is known. */
export function readSnapshot(definition: Definition, record: SnapshotRecord): SnapshotVerdict {
  const unusable = (why: "broken" | "other-version", detail: string): SnapshotVerdict => ({
    usable: false,
    why,
    detail,
  });
  try {
    if (digestOf(record.payload) !== record.digest) return unusable("broken", "its digest does not match its state");
    const from = record.version ?? 1;
    if (from === definition.stateVersion) return { usable: true, state: settle(record.payload, "snapshot") };
    if (from > definition.stateVersion || definition.upcastState === undefined) {
      return unusable("other-version", `its state has version ${from}, the definition ${definition.stateVersion}`);
    }
    return { usable: true, state: settle(definition.upcastState(record.payload, from), "the upcasted state") };
  } catch (thrown) {
    return unusable("broken", ensureError(thrown).message);
  }
}

/** A fold over the records of one actor, in the order of their seqs. */
export class FoldState {
  readonly #definition: Definition;
  readonly #history: ActorHistory;
  #state: unknown;
  #events = 0;

  /** `base` is a state to begin with, and where in the history it stands. */
  constructor(
    actor: AnyPersistentActor | Definition,
    persistenceId: string,
    options: HistoryOptions,
    base?: { readonly state: unknown },
  ) {
    this.#definition = "commands" in actor ? actor : definitionOf(actor);
    this.#history = new ActorHistory(persistenceId, { gaps: this.#definition.historyGaps, ...options });
    this.#state = base === undefined ? initialState(this.#definition) : base.state;
  }

  get state(): unknown {
    return this.#state;
  }

  get revision(): number {
    return this.#history.revision;
  }

  get seq(): number {
    return this.#history.seq;
  }

  /** How many events were applied. */
  get events(): number {
    return this.#events;
  }

  get acceptedRevisions(): number {
    return this.#history.acceptedRevisions;
  }

  /** Takes in the next record. Rejects with HISTORY_DAMAGED or EVENT_UNKNOWN; the fold must not go on then. */
  push(record: ReplayRecord, at?: Location): void {
    for (const counting of this.#history.push(record, at)) {
      this.#state = applyEvent(this.#definition, this.#state, counting, counting === record ? at : undefined);
      this.#events += 1;
    }
  }

  /** The records have ended. Rejects with HISTORY_DAMAGED when the end of the history is missing. */
  end(reach?: Position): void {
    this.#history.end(reach);
  }

  digest(): string {
    return digestOf(this.#state);
  }
}
