// Recovering one actor: the newest snapshot that can be trusted, then the events behind it. A snapshot is a shortcut and
// never the truth: one that is broken or ahead of its journal is passed over, reported, and costs only time.
import { PapyraError } from "../errors.ts";
import type { SeqRange } from "../log/anomaly.ts";
import type { SnapshotRecord } from "../log/record.ts";
import { countOf, intersect } from "../log/ranges.ts";
import { FoldState, readSnapshot } from "./fold.ts";
import { BEGINNING, type Position } from "./history.ts";
import type { Indexes, Journal } from "./journal.ts";
import type { Definition } from "./persistent.ts";
import type { IndexedRecord } from "./record-index.ts";

/** In a message; its details have all. */
const RANGES_TOLD = 5;

/** What an actor begins with. */
export interface Recovered extends Position {
  readonly state: unknown;
  /** The revision of the newest snapshot that could be used, or 0. */
  readonly snapshotRevision: number;
  /** The time of the oldest event behind it, in milliseconds since the epoch. */
  readonly waitingMs: number | undefined;
}

interface Base extends Position {
  readonly state: unknown;
}

/**
 * Reads an actor's history. `report` is told what is wrong with snapshots, and what was gone on without.
 * Rejects with HISTORY_DAMAGED, EVENT_UNKNOWN, STORAGE_FAILED.
 */
export async function recoverActor(
  journal: Journal,
  definition: Definition,
  persistenceId: string,
  report: (error: PapyraError) => void,
): Promise<Recovered> {
  const { counters } = journal;
  counters.recoveries += 1;
  return journal.withIndexes(async (indexes) => {
    reportMissingSnapshots(journal, indexes, report);
    const { base, reach } = await chooseBase(journal, indexes, definition, persistenceId, report);
    const { location } = journal.store.backend;
    const hint = `run: papyra persistence scan --path ${location}, then papyra persistence recover --path ${location} --mode quarantine`;
    const fold = new FoldState(
      definition,
      persistenceId,
      { absences: indexes.journal.absences, base: base ?? BEGINNING, hint },
      base,
    );
    let waitingMs: number | undefined;
    await journal.readEvents(indexes, persistenceId, base?.seq ?? 0, (record, at) => {
      waitingMs ??= Math.round(record.timestamp * 1000);
      fold.push(record, at);
    });
    fold.end(reach);
    counters.eventsReplayed += fold.events;
    reportAccepted(fold, persistenceId, report);
    counters.revisionsAccepted += fold.acceptedRevisions;
    const { state, revision, seq } = fold;
    return { state, revision, seq, snapshotRevision: base?.revision ?? 0, waitingMs };
  });
}

function reportAccepted(fold: FoldState, persistenceId: string, report: (error: PapyraError) => void): void {
  const revisions = fold.acceptedRevisions;
  if (revisions === 0) return;
  const what = `${persistenceId} goes on without ${revisions} lost event(s), as its \`historyGaps\` accepts`;
  report(new PapyraError("HISTORY_DAMAGED", what, { details: { persistenceId, revisions } }));
}

/** Any actor may be concerned, and none need notice: it goes on from an older one. */
function reportMissingSnapshots(journal: Journal, indexes: Indexes, report: (error: PapyraError) => void): void {
  const seqs = journal.newlyMissingSnapshots(indexes);
  if (seqs.length === 0) return;
  journal.counters.snapshotsIgnored += countOf(seqs);
  const list = seqs.slice(0, RANGES_TOLD).map(({ from, to }) => (from === to ? `${from}` : `${from} to ${to}`));
  if (seqs.length > RANGES_TOLD) list.push("...");
  const what = `of the log snapshots seq ${list.join(", ")} are damaged or missing: the actors whose they were go on from older ones, or from their events`;
  const hint = `run: papyra persistence scan --path ${journal.store.backend.location}`;
  report(new PapyraError("LOG_DAMAGED", what, { hint, details: { log: "snapshots", seqs } }));
}

/** The newest usable snapshot, and how far the journal must reach by what the snapshots have seen of it. */
async function chooseBase(
  journal: Journal,
  indexes: Indexes,
  definition: Definition,
  persistenceId: string,
  report: (error: PapyraError) => void,
): Promise<{ base: Base | undefined; reach: Position }> {
  let base: Base | undefined;
  let reach = BEGINNING;
  const ignore = (entry: IndexedRecord, why: string): void => {
    journal.counters.snapshotsIgnored += 1;
    const what = `the snapshot of ${persistenceId} at revision ${entry.revision} is not used: ${why}`;
    const { segment: file, offset } = entry;
    const hint = `run: papyra persistence scan --path ${journal.store.backend.location}`;
    report(new PapyraError("LOG_DAMAGED", what, { hint, details: { persistenceId, seq: entry.seq, file, offset } }));
  };
  for (const entry of [...(await indexes.snapshots.index.recordsOf(persistenceId, 0))].reverse()) {
    if (base !== undefined && entry.revision <= reach.revision) continue;
    const record = await journal.snapshotAt(entry);
    const foreign = await whyForeign(journal, indexes, entry, record);
    if (foreign !== undefined) {
      ignore(entry, foreign);
      continue;
    }
    if (entry.revision > reach.revision) reach = { revision: entry.revision, seq: entry.journalSeq };
    if (base !== undefined) continue;
    const verdict = readSnapshot(definition, record);
    if (verdict.usable) base = { state: verdict.state, revision: entry.revision, seq: entry.journalSeq };
    else if (verdict.why === "broken") ignore(entry, verdict.detail);
    else journal.counters.snapshotsIgnored += 1;
  }
  return { base, reach };
}

/** Why a snapshot is not one of this journal, as it is now; undefined if it is. */
async function whyForeign(
  journal: Journal,
  indexes: Indexes,
  entry: IndexedRecord,
  snapshot: SnapshotRecord,
): Promise<string | undefined> {
  const { journalSeq, revision, persistenceId } = entry;
  if (journalSeq > journal.store.lastSeq("journal")) return "it is ahead of its journal, which was copied earlier";
  const [row] = await indexes.journal.index.recordsOf(persistenceId, journalSeq - 1, journalSeq);
  if (row === undefined) {
    const { compacted, missing, lost } = indexes.journal.absences;
    if (isIn([compacted], journalSeq)) return undefined;
    if (!isIn([missing, lost], journalSeq)) return "the journal tells another history";
    const leavesRoom = await hasRoomFor(indexes, entry);
    return leavesRoom ? undefined : "the journal tells another history around the record that it names, which is gone";
  }
  if (row.revision !== revision) return "the journal tells another history";
  // A journal that was copied earlier and has grown since may have the same numbers at the same place.
  const { timestamp } = await journal.eventAt(row);
  return timestamp > snapshot.timestamp ? "the journal was written anew after it" : undefined;
}

/**
 * The record that a snapshot names is gone, and may have been another one: what is left of the actor must be older before it
 * and newer behind it. (Of a write that was torn revisions may stand before it that were taken again: then it is not used either.)
 */
async function hasRoomFor(
  { journal }: Indexes,
  { persistenceId, journalSeq, revision }: IndexedRecord,
): Promise<boolean> {
  for (const other of await journal.index.recordsOf(persistenceId, 0)) {
    if (other.seq < journalSeq ? other.revision >= revision : other.revision <= revision) return false;
  }
  return true;
}

function isIn(absent: readonly (readonly SeqRange[])[], seq: number): boolean {
  return absent.some((ranges) => intersect(ranges, [{ from: seq, to: seq }]).length > 0);
}
