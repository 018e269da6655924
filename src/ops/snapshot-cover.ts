// Which journal records the snapshots make dispensable, and which snapshots stay for that. A snapshot counts when its digest
// is that of its state and the journal tells the history that it says to have seen; what does not count covers nothing. Where
// that place of the journal was destroyed, an actor may still begin with it: it covers nothing, and stays as others do.
import { digestOf } from "../actors/digest.ts";
import type { Backend, StoreView } from "../backends/backend.ts";
import { within } from "../log/ranges.ts";
import type { SeqRange } from "../log/anomaly.ts";
import type { JournalRecord, LogRecord, SnapshotRecord } from "../log/record.ts";
import { SNAPSHOTS_KEPT } from "../log/retention.ts";
import { passOver, type PassOptions } from "./record-pass.ts";

/** What stays of the journal and the snapshots of each actor. Memory grows with the number of actors. */
export interface SnapshotCover {
  /** Whether a journal record may go. */
  covers(record: JournalRecord): boolean;
  /** Whether a snapshot may go. */
  isSurplus(record: SnapshotRecord): boolean;
}

/** A snapshot that may be a base. */
interface Candidate {
  readonly seq: number;
  readonly revision: number;
  readonly journalSeq: number;
  readonly timestamp: number;
  confirmed: boolean;
  /** An actor may begin with it. */
  usable: boolean;
}

interface Actor {
  /** The newest ones, in the order of the log. */
  candidates: Candidate[];
  keep: number;
  /** Its newest journal record always stays: it tells that the actor has a history, whatever becomes of its snapshots. */
  lastSeq: number;
  /** The oldest of those that stay. */
  base: Candidate | undefined;
}

/** The seqs of the journal at which nothing stands, or need stand: gone for good reason, or destroyed. Normalised. */
export interface GoneOfJournal {
  readonly compacted: readonly SeqRange[];
  readonly destroyed: readonly SeqRange[];
}

/** So many of an actor's newest snapshots are looked at besides those that are to stay: some may not count. */
const SPARE = 8;

/** Reads both logs once. */
export async function coverOf(
  backend: Backend,
  view: StoreView,
  gone: GoneOfJournal,
  options: PassOptions,
): Promise<SnapshotCover> {
  const actors = new Map<string, Actor>();
  await passOver(backend, view, "snapshots", options, (record) => addSnapshot(actors, record));
  for (const { candidates } of actors.values()) {
    for (const one of candidates) {
      const place = { from: one.journalSeq, to: one.journalSeq };
      one.confirmed = within(place, gone.compacted).length > 0;
      one.usable = one.confirmed || within(place, gone.destroyed).length > 0;
    }
  }
  await passOver(backend, view, "journal", options, (record) => confirm(actors, record));
  for (const actor of actors.values()) {
    const counting = actor.candidates.filter(({ usable }) => usable).slice(-actor.keep);
    actor.base = counting[0];
  }
  return {
    covers({ seq, persistence_id }) {
      const actor = actors.get(persistence_id);
      return actor?.base?.confirmed === true && seq <= actor.base.journalSeq && seq < actor.lastSeq;
    },
    isSurplus({ seq, persistence_id }) {
      const base = actors.get(persistence_id)?.base;
      return base !== undefined && seq < base.seq;
    },
  };
}

function addSnapshot(actors: Map<string, Actor>, record: LogRecord): void {
  if (record.kind !== "snapshot" || !isWhole(record)) return;
  const { persistence_id: id, seq, revision, journal_seq: journalSeq, timestamp } = record;
  const keep = keepOf(record);
  const known = actors.get(id);
  const candidate = { seq, revision, journalSeq, timestamp, confirmed: false, usable: false };
  if (known === undefined) {
    actors.set(id, { candidates: [candidate], keep, lastSeq: 0, base: undefined });
    return;
  }
  known.keep = keep; // the newest one says how many
  known.candidates.push(candidate);
  if (known.candidates.length > keep + SPARE) known.candidates.shift();
}

/** Whether its bytes are those of a state: the digest says so. */
function isWhole({ payload, digest, revision, journal_seq }: SnapshotRecord): boolean {
  if (!Number.isSafeInteger(revision) || !Number.isSafeInteger(journal_seq)) return false;
  try {
    return digestOf(payload) === digest;
  } catch {
    return false; // what JSON holds and a state cannot
  }
}

function keepOf({ keep }: SnapshotRecord): number {
  return Number.isSafeInteger(keep) && (keep as number) >= 1 ? (keep as number) : SNAPSHOTS_KEPT;
}

/** The journal must say the same of the place where the snapshot was taken: that revision, at the end of its group, before it. */
function confirm(actors: ReadonlyMap<string, Actor>, record: LogRecord): void {
  if (record.kind !== "journal") return;
  const actor = actors.get(record.persistence_id);
  if (actor === undefined) return;
  actor.lastSeq = record.seq;
  const [position = 1, size = 1] = record.group ?? [];
  for (const one of actor.candidates) {
    if (one.journalSeq !== record.seq) continue;
    one.confirmed = one.revision === record.revision && position === size && one.timestamp >= record.timestamp;
    one.usable = one.confirmed;
  }
}
