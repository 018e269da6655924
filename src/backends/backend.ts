// The contract of a backend: the few verbs with which a store is kept somewhere. Every operation (scan, recover, start-up
// check, replay, ...) is written once over these; testing/backend-contract.ts is the suite that each backend must pass.
//
// What every backend guarantees:
// - Reading changes nothing and needs no lock.
// - `append` puts lines at the end of their logs, in order, and resolves when they are as durable as `durability` says.
//   A rejected append has an unknown outcome; the claim accepts nothing more.
// - `rewrite` leaves a segment as it was or as it shall be, whatever happens in between.
// - One claim at a time, across processes; a claim ends with its process.
import type { Env } from "../env/env.ts";
import type { Ancestor } from "../log/lineage.ts";
import type { Leftover, SeqRange } from "../log/anomaly.ts";
import type { LogName } from "../log/record.ts";
import type { Reach } from "../log/ledger.ts";
import type { StoreLimits } from "./limits.ts";
import type { LookAhead } from "./look-ahead.ts";

/** Who a store is. */
export interface StoreIdentity {
  readonly store: string;
  readonly lineage: string;
  /** The lineage this one was made from, or null. */
  readonly parent: string | null;
  readonly createdMs: number;
  /** Where this lineage took its history over from, the oldest first: what a restore has left in the logs. */
  readonly ancestors?: readonly Ancestor[] | undefined;
}

/** Who holds the writer's claim. */
export interface ClaimOwner {
  readonly pid: number;
  readonly host: string;
  readonly sinceMs: number;
  readonly purpose: string;
}

/** One piece of a log, in the order of the log. Only the last one, the active one, is appended to. */
export interface Segment {
  readonly name: string;
  /** Undefined for a lone file whose name is not that of a log. */
  readonly log: LogName | undefined;
  readonly bytes: number;
  readonly active: boolean;
  /** What its name says of the first seq in it. */
  readonly firstSeq: number | undefined;
  /** Stays the same when the segment is closed and gets another name. */
  readonly id: string;
  /** When anything about it was last changed, in milliseconds since the epoch, as far as its place keeps account of that. */
  readonly changedMs?: number | undefined;
}

/** A segment that does not count any more, since another one stands for its seqs. */
export interface Superseded extends Segment {
  /** The name of the one that replaces it. */
  readonly by: string;
}

/** Something that is wrong with the store apart from its lines. */
export interface StoreFinding {
  readonly kind: "checksum-mismatch" | "missing-segment" | "unexpected-file" | "unreadable";
  readonly file: string;
  readonly detail: string;
  readonly log?: LogName;
  /** How many bytes are damaged. */
  readonly bytes?: number;
  /** Of an unexpected file: what it was, if it is one of ours. */
  readonly leftover?: Leftover;
}

/** An entry that was given to a consumer and not acknowledged. Without a seq when it is of no record, or was deleted. */
export type PendingState = readonly [seq: number | null, id: string, deliveredMs: number, deliveries: number];

/** A consumer group that follows a log; by seqs, which mean the same wherever the log is kept. */
export interface GroupState {
  readonly group: string;
  /** Every record up to this one was given out. */
  readonly seq: number;
  /** The id at which it stands, in this place. */
  readonly id: string;
  readonly consumers: readonly { readonly consumer: string; readonly pending: readonly PendingState[] }[];
}

/** What a reader learns about a store before it reads any log. */
export interface StoreView {
  /** Undefined when nothing says who the store is: a lone log, or one of the Python Papyra. */
  readonly identity: StoreIdentity | undefined;
  /** Whether the store's own record of its identity is whole; else it was rebuilt from the logs. */
  readonly identityRecorded: boolean;
  /** The living writer, if there is one. */
  readonly writer: ClaimOwner | undefined;
  readonly segments: readonly Segment[];
  /** Some logs have older segments, too, and only the newest were asked for. */
  readonly older?: boolean | undefined;
  /** What compaction has replaced and not removed yet: nothing in it counts. */
  readonly superseded: readonly Superseded[];
  readonly findings: readonly StoreFinding[];
  /** How far a log must reach, as far as anything outside it vouches. */
  reach(log: LogName): Reach | undefined;
  /**
   * Beside a living writer: the last seq of each log that was acknowledged, all at one instant before the segments were
   * listed. What stands behind may be in flight. Undefined when nothing tells.
   */
  readonly acknowledged?: Readonly<Partial<Record<LogName, number>>> | undefined;
  /** The consumer groups at that instant; only where they were asked for. */
  readonly groups?: Readonly<Record<LogName, readonly GroupState[]>> | undefined;
}

/** Keeps the closed segments of a store as they are. */
export interface Pin {
  release(): Promise<void>;
}

/** A store as it was at one instant, kept aside until it is let go. */
export interface Frozen {
  readonly backend: Backend;
  /** About how much it takes where the store is kept. */
  readonly bytes: number;
  /** What an interrupted run had left, and is removed now. */
  readonly leftovers: number;
  /** Rejects with STORAGE_FAILED when it is gone. */
  assertHeld(): Promise<void>;
  release(): Promise<void>;
}

/** Bytes to append to one log: whole lines. */
export interface AppendPart {
  readonly log: LogName;
  readonly bytes: Uint8Array;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** Where a part was put. */
export interface AppendedAt {
  readonly segment: string;
  /** Of the segment: its name may change. */
  readonly id: string;
  readonly offset: number;
}

/** A change of a segment: at `offset`, `remove` bytes go and `insert` comes. In order, not overlapping. */
export interface Splice {
  readonly offset: number;
  readonly remove: number;
  readonly insert: Uint8Array;
}

/** The writer's claim on a store. */
export interface Claim {
  /** What a reader sees, by the same argument, but for the writer, who is the holder of this claim. Rejects with STORE_NOT_FOUND. */
  view(newest?: number): Promise<StoreView>;
  /** Makes the store: its identity and an empty active segment for each log that has none. What exists is kept. Idempotent. */
  create(identity: StoreIdentity): Promise<void>;
  /**
   * Appends to several logs at once; the parts are in the order given. Resolves as durable as the policy says. Calls
   * `underway`, if it can tell, whenever it only waits, so that other work fits in: a little while a call is on its way, and
   * a lot once all was sent and the disk is at work.
   */
  append(parts: readonly AppendPart[], underway?: (wait: "call" | "disk") => void): Promise<AppendedAt[]>;
  /** Up to which seq a log is known to be durable. */
  durableSeq(log: LogName): number;
  /** Makes everything appended so far durable, whatever the policy. */
  sync(): Promise<void>;
  /** Tells where a log ends before the first append to it: at `bytes` of its active segment, with `lastSeq`. */
  resume(log: LogName, bytes: number, lastSeq: number): Promise<void>;
  /** Leaves the active segment as it is, under the name of a closed one that begins at `closedSeq`, and begins a new one. */
  startSegment(log: LogName, identityLine: Uint8Array, closedSeq: number, lastSeq: number): Promise<void>;
  /** Publishes a changed segment atomically. */
  rewrite(segment: string, splices: readonly Splice[]): Promise<void>;
  /**
   * Rejects with GROUP_BEHIND when somebody who follows the log has not read or not acknowledged one of these records, which compaction is
   * about to take out. A place that nobody follows lacks it.
   */
  assertUnneeded?(log: LogName, gone: readonly SeqRange[]): Promise<void>;
  /** Puts a new closed segment in place, atomically and durably. No segment has its name. */
  publish(segment: string, content: AsyncIterable<Uint8Array>): Promise<void>;
  /** Removes closed segments, durably, and their caches: those that were replaced, or in which nothing is left. */
  remove(segments: readonly string[]): Promise<void>;
  /** Vouches that these logs are durable up to these seqs and no further; what was known of other logs stays. */
  vouch(lastSeqs: Readonly<Partial<Record<LogName, number>>>): Promise<void>;
  /** Removes the temporary files of interrupted runs; returns their names. */
  tidy(): Promise<readonly string[]>;
  /** Ends the claim. After a clean release everything is durable. */
  release(): Promise<void>;
}

/** Something that the place of a store says of itself. */
export interface BackendFact {
  readonly name: "server" | "safe keeping" | "append-only file";
  /** "warn": it could be better; "note": neither good nor bad. */
  readonly verdict: "good" | "bad" | "warn" | "note";
  readonly detail: string;
  /** What to do about a bad one. */
  readonly hint: string | undefined;
}

/** Bytes `[from, to)` of a cache, fewer where it ends before; undefined when they cannot be read. */
export type ReadPart = (from: number, to: number) => Promise<Buffer | undefined>;

/** A segment that was opened. */
export interface OpenSegment {
  /** As {@link Backend.read}; also when the segment was closed, replaced or removed since it was opened. */
  read(from: number, to: number): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** A place where a store can be kept. */
export interface Backend {
  readonly kind: "memory" | "files" | "redis";
  /** For messages: a path or an address. */
  readonly location: string;
  /** What an acknowledgement means here, in words; printed by the tools. */
  readonly durability: string;
  readonly limits: StoreLimits;
  readonly env: Env;
  /**
   * Rejects with STORE_NOT_FOUND when nothing is there. With `newest`, where looking at segments costs time, the view of a log of
   * many may have so many of them only, the last ones, and says so in `older`.
   */
  view(newest?: number): Promise<StoreView>;
  /** The same with the consumer groups, all of one instant. A place that has none lacks it. */
  viewWithGroups?(): Promise<StoreView>;
  /**
   * Bytes `[from, to)` of a segment, in chunks that are valid until the next is asked for or the reading ends. With the `id` that a view or an
   * append told, it is that very segment, also when it was closed meanwhile and another one has its name. Rejects with
   * STORE_NOT_FOUND when it is gone.
   */
  read(segment: string, from: number, to: number, id?: string): AsyncIterable<Uint8Array>;
  /**
   * Opens a segment for who reads many parts of it; rejects as `read` does. A place where reading opens nothing lacks it.
   */
  openSegment?(segment: string, id: string): Promise<OpenSegment>;
  /**
   * Starts threads, at most so many, that look at closed segments ahead of who reads their logs: each with the line that it
   * should begin with. A place that has none lacks it. The caller ends them.
   */
  lookAhead?(segments: readonly (readonly [Segment, identity: string])[], threads: number): LookAhead;
  /** Keeps bytes that recovery takes out, with their reasons, durably, before anything is removed. */
  quarantine(directory: string, files: ReadonlyMap<string, AsyncIterable<Uint8Array>>): Promise<void>;
  /** Bytes of what `quarantine` has kept. Rejects with STORE_NOT_FOUND. */
  readKept(directory: string, file: string): AsyncIterable<Uint8Array>;
  /**
   * Calls `use` with what reads a cache, which is opened once however many parts are read; resolves with undefined when it is
   * not there. Whoever reads it verifies what it gets: a cache may be deleted, cut, stale or damaged at any time. Backends that
   * keep none lack both.
   */
  readCache?<T>(name: string, use: (read: ReadPart) => Promise<T>): Promise<T | undefined>;
  /** Keeps a cache, in place of the one of that name; not durably. It needs no claim, since nothing depends on it. */
  writeCache?(name: string, bytes: Uint8Array): Promise<void>;
  /** How many bytes can still be stored here; Infinity when nothing says so. */
  freeBytes(): Promise<number>;
  /** Asks the place how safely it keeps what it is given, for doctor; `durability` is what it said last. */
  examine?(): Promise<readonly BackendFact[]>;
  /**
   * Keeps everybody else from replacing or removing closed segments: backup, compaction and recovery exclude one another by
   * it, across processes. A writer does not need it. Rejects with STORE_LOCKED, naming the holder. A backend on which
   * nothing but its writer changes segments lacks it.
   */
  pin?(purpose: string): Promise<Pin>;
  /**
   * Copies the store inside its place, all logs and groups at one instant, so that nothing that is done to it changes what is read.
   * Rejects with STORAGE_FULL when there is no room for it, and with STORE_LOCKED when another run holds such a copy.
   */
  freeze?(purpose: string): Promise<Frozen>;
  /** Becomes the one writer. Rejects with STORE_LOCKED, naming the holder. */
  claim(purpose: string): Promise<Claim>;
  /** Begins a store aside, where none is yet. Rejects with TARGET_NOT_EMPTY, and with STORE_LOCKED when another one does so. */
  stage?(purpose: string): Promise<Stage>;
}

/** A store in the making: built aside, where nobody looks for it, and put in its place by one step. */
export interface Stage {
  /** Reads what was built so far. */
  readonly backend: Backend;
  /** How many bytes can be stored there. */
  freeBytes(): Promise<number>;
  /** Builds it, by a claim that is not used afterwards. */
  build(work: (claim: Claim) => Promise<void>): Promise<void>;
  /** Makes consumer groups in what was built, where they stood; a place that has none lacks it. */
  makeGroups?(log: LogName, groups: readonly GroupState[]): Promise<void>;
  /** Puts it in place, all or nothing. Rejects with TARGET_NOT_EMPTY when something came there meanwhile. */
  publish(): Promise<void>;
  /** Removes what was not published, as far as it can. */
  discard(): Promise<void>;
}
