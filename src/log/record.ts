// What a log holds: the logs of a store, the kinds of records and their fields. Names are snake_case, those of the
// Python Papyra where it had them. User data lives only in `payload`. docs/format.md is the normative text.

/** The format version written in every identity line. */
export const FORMAT_VERSION = 1;

/** The logs of a store, in the order in which tools show them. */
export const LOG_NAMES = ["events", "journal", "audits", "dead_letters", "snapshots"] as const;
export type LogName = (typeof LOG_NAMES)[number];

/** Who a log belongs to: the first line of each of its segments. */
export interface Identity {
  readonly log: LogName;
  readonly store: string;
  readonly lineage: string;
  /** The lineage that this one goes on from, and the last seq of this log that belongs to that one. */
  readonly parent?: string;
  readonly after?: number;
}

/** What every numbered record carries. */
export interface RecordBase {
  readonly seq: number;
  /** Epoch seconds with fractions; never decreasing within a log. */
  readonly timestamp: number;
  /** On the first record of a batch: every record up to this seq was durable when the batch was written. */
  readonly durable?: number;
}

/** Something that happened to an actor. */
export interface EventRecord extends RecordBase {
  readonly kind: "event";
  readonly system_id: string;
  readonly actor_address: string;
  readonly event_type: string;
  readonly payload: unknown;
}

/** What a persistent actor decided. Its state is a fold over these. */
export interface JournalRecord extends RecordBase {
  readonly kind: "journal";
  readonly system_id: string;
  readonly persistence_id: string;
  /** Contiguous per actor from 1, never reset. */
  readonly revision: number;
  readonly event_type: string;
  /** Version of the event's schema. */
  readonly version: number;
  /** `[position, size]` when one command persisted several events: all of them count, or none. */
  readonly group?: readonly [position: number, size: number];
  /** The message that led to this event. */
  readonly message_id?: string;
  /** The message at the start of the chain of messages that led here. */
  readonly correlation_id?: string;
  readonly payload: unknown;
}

/** What applying an event again takes of its record. */
export type ReplayRecord = Omit<JournalRecord, "durable" | "system_id" | "message_id" | "correlation_id">;

/** A folded state: a shortcut for replay, never the truth. */
export interface SnapshotRecord extends RecordBase {
  readonly kind: "snapshot";
  readonly system_id: string;
  readonly persistence_id: string;
  /** The last revision that is folded in. */
  readonly revision: number;
  /** The journal seq of that revision. */
  readonly journal_seq: number;
  /** SHA-256 over the canonical JSON of the state. */
  readonly digest: string;
  /** Version of the state's shape; 1 when it is left out. */
  readonly version?: number;
  /** How many of the actor's newest snapshots stay when the store is compacted; 2 when it is left out. */
  readonly keep?: number;
  readonly payload: unknown;
}

/** A picture of the running system, with the fields of the Python Papyra. */
export interface AuditRecord extends RecordBase {
  readonly kind: "audit";
  readonly system_id: string;
  readonly total_actors: number;
  readonly alive_actors: number;
  readonly stopping_actors: number;
  readonly restarting_actors: number;
  readonly registry_size: number;
  readonly registry_orphans: readonly string[];
  readonly registry_dead: readonly string[];
  readonly dead_letters_count: number;
  /** Best-effort records that were given up since the start, because the queue was full or the store failed. */
  readonly records_lost_count: number;
  readonly payload?: unknown;
}

/** A message that reached nobody. */
export interface DeadLetterRecord extends RecordBase {
  readonly kind: "dead_letter";
  readonly system_id: string;
  readonly target: string;
  readonly message_type: string;
  readonly reason: string;
  readonly payload: unknown;
}

export type GapReason = "compacted" | "quarantined" | "lost";

/** Accounts for seqs that are no longer in the log. */
export interface GapRecord extends RecordBase {
  readonly kind: "gap";
  readonly from: number;
  readonly to: number;
  readonly reason: GapReason;
  /** Who removed them: a tool and the id of its run. */
  readonly by: string;
  /** Seqs from `from` to `to` of which the record does not speak; sorted and disjoint. See log/gaps.ts. */
  readonly kept?: readonly (readonly [from: number, to: number])[];
  /** In the journal: whose events are among them, as far as the damaged bytes still said so. A hint, not a proof. */
  readonly concerns?: readonly { readonly persistence_id: string; readonly revision: number }[];
}

/** Any record of this release. A kind that is not known is kept and passed on as it is. */
export type LogRecord =
  | EventRecord
  | JournalRecord
  | SnapshotRecord
  | AuditRecord
  | DeadLetterRecord
  | GapRecord
  | UnknownRecord;

export interface UnknownRecord extends RecordBase {
  readonly kind: "unknown";
  readonly fields: Readonly<Record<string, unknown>>;
}

type Unnumbered<R> = R extends RecordBase ? Omit<R, "seq" | "timestamp" | "durable"> : never;

/** A record before the store gives it a seq and a time. */
export type NewRecord = Unnumbered<Exclude<LogRecord, UnknownRecord>>;

/** The kind of record that each log holds, besides gaps. */
export const KIND_OF_LOG: Readonly<Record<LogName, NewRecord["kind"]>> = {
  events: "event",
  journal: "journal",
  audits: "audit",
  dead_letters: "dead_letter",
  snapshots: "snapshot",
};
