// The journal and the snapshots of an open store, as persistent actors use them: an actor's own records and no others, and
// appends that are known at once. What is found where is known from caches, on the disk and in memory; the logs are the truth.
import type { Location } from "../backends/locate.ts";
import { isReplaced, VIEWS_MAX } from "../backends/steady.ts";
import type { Store } from "../backends/store.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { ActorLineReader } from "../log/actor-line.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { decodeRecord } from "../log/codec.ts";
import { normalise, subtract } from "../log/ranges.ts";
import type { JournalRecord, NewRecord, ReplayRecord, SnapshotRecord } from "../log/record.ts";
import type { Position } from "./history.ts";
import { type BuiltIndex, buildIndexes } from "./index-pass.ts";
import { type IndexedRecord, listOf } from "./record-index.ts";
import { type Decode, RecordReader, type Sink } from "./record-reader.ts";
import { SegmentCaches } from "./segment-caches.ts";
import type { IndexedLog } from "./segment-reading.ts";

/** A journal record before the store gives it a seq and a time. */
export type NewJournalRecord = Extract<NewRecord, { readonly kind: "journal" }>;
/** The same for a snapshot. */
export type NewSnapshotRecord = Extract<NewRecord, { readonly kind: "snapshot" }>;

/** What is counted in a journal, from the start of the system. */
export interface JournalCounters {
  /** Events of persistent actors that became durable. */
  eventsCommitted: number;
  /** How often a persistent actor began to read its history. */
  recoveries: number;
  /** Events that were read and applied by recoveries. */
  eventsReplayed: number;
  snapshotsTaken: number;
  /** Snapshots that could not be taken: best effort, the events are what counts. */
  snapshotsFailed: number;
  /** Snapshots that could not be used: broken, ahead of their journal, of another state version, or with a line that is damaged. */
  snapshotsIgnored: number;
  /** Revisions that recoveries went on without, because `historyGaps` accepts it. */
  revisionsAccepted: number;
  /** Closed segments that were read whole to learn what stands where, since no cache could tell. */
  segmentsIndexed: number;
  /** Caches of closed segments that could not be written: they cost time only. */
  indexWritesFailed: number;
}

/** The counters of a journal that nobody has used. */
export const NOTHING_COUNTED: Readonly<JournalCounters> = Object.freeze({
  eventsCommitted: 0,
  recoveries: 0,
  eventsReplayed: 0,
  snapshotsTaken: 0,
  snapshotsFailed: 0,
  snapshotsIgnored: 0,
  revisionsAccepted: 0,
  segmentsIndexed: 0,
  indexWritesFailed: 0,
});

/** Both indexes, and how often they have been made. */
export interface Indexes {
  readonly journal: BuiltIndex;
  readonly snapshots: BuiltIndex;
  readonly generation: number;
}

/** The journal and the snapshots of one store. */
export class Journal {
  readonly counters: JournalCounters = { ...NOTHING_COUNTED };
  readonly store: Store;
  readonly #events: RecordReader<ReplayRecord>;
  readonly #snapshots: RecordReader<SnapshotRecord>;
  readonly #caches: SegmentCaches;
  #caching: Promise<void> = Promise.resolve();
  #indexes: Indexes | undefined;
  #building: Promise<Indexes> | undefined;
  #generation = 0;
  /** Snapshots that are known not to be there. */
  #missingSnapshots: readonly SeqRange[] = [];
  /** What was appended while the indexes are being made. */
  #meanwhile: { readonly log: IndexedLog; readonly record: IndexedRecord }[] = [];

  constructor(store: Store) {
    this.store = store;
    this.#events = new RecordReader(store, "journal", eventDecoder());
    this.#snapshots = new RecordReader(store, "snapshots", decodeRecord as Decode<SnapshotRecord>);
    this.#caches = new SegmentCaches(store.backend, this.counters);
  }

  /**
   * Calls `read` with the indexes. If it finds that they are not true (any longer), they are made again and it is called
   * again: a segment may have been compacted meanwhile, which happens to each once, or damaged.
   */
  async withIndexes<T>(read: (indexes: Indexes) => Promise<T>): Promise<T> {
    let damaged = 0;
    for (let times = 1; ; times++) {
      const indexes = await this.#ready();
      try {
        return await read(indexes);
      } catch (error) {
        const replaced = isReplaced(error) && times < VIEWS_MAX;
        if (!replaced) {
          if (!(isPapyraError(error, "LOG_DAMAGED") && (damaged += 1) === 1)) throw error;
          this.#caches.trusted = false; // what is damaged is found by reading only
        }
        if (this.#indexes?.generation === indexes.generation) this.#indexes = undefined;
      }
    }
  }

  /** Hands the actor's journal records behind `afterSeq` to `sink`. Rejects as {@link RecordReader.read} does. */
  async readEvents(
    { journal }: Indexes,
    persistenceId: string,
    afterSeq: number,
    sink: Sink<ReplayRecord>,
  ): Promise<void> {
    return this.#events.read(await journal.index.recordsOf(persistenceId, afterSeq), sink);
  }

  /** One journal record. */
  async eventAt(entry: IndexedRecord): Promise<ReplayRecord> {
    return one(this.#events, entry);
  }

  /** One snapshot. */
  async snapshotAt(entry: IndexedRecord): Promise<SnapshotRecord> {
    return one(this.#snapshots, entry);
  }

  /** Snapshots whose lines are damaged or missing, each told of once. Whose they were is not known. */
  newlyMissingSnapshots({ snapshots }: Indexes): readonly SeqRange[] {
    const missing = normalise([...this.store.missing("snapshots"), ...snapshots.absences.missing]);
    const news = subtract(missing, this.#missingSnapshots);
    this.#missingSnapshots = normalise([...this.#missingSnapshots, ...news]);
    return news;
  }

  /** Appends the events of one command, in one batch. Rejects as `Store.append` does. */
  async append(records: readonly NewJournalRecord[]): Promise<Position> {
    const appended = await this.store.append("journal", records);
    const places = appended.at;
    records.forEach(({ persistence_id: persistenceId, revision }, i) => {
      const seq = appended.firstSeq + i;
      this.#note("journal", { ...(places[i] as Location), persistenceId, seq, revision, journalSeq: seq });
    });
    this.counters.eventsCommitted += records.length;
    return { revision: (records.at(-1) as NewJournalRecord).revision, seq: appended.lastSeq };
  }

  /** Appends a snapshot. Rejects as `Store.append` does. */
  async appendSnapshot(record: NewSnapshotRecord): Promise<void> {
    const appended = await this.store.append("snapshots", [record]);
    const { persistence_id: persistenceId, revision, journal_seq: journalSeq } = record;
    const at = appended.at[0] as Location;
    this.#note("snapshots", { ...at, persistenceId, seq: appended.firstSeq, revision, journalSeq });
    this.counters.snapshotsTaken += 1;
  }

  /** Resolves when the caches of segments that were closed are written, or given up. */
  settled(): Promise<void> {
    return this.#caching;
  }

  /** The same for the end: the active segments get caches, too, so that the next start need not read them for its indexes. */
  async close(): Promise<void> {
    await this.settled();
    if (this.#indexes === undefined) return;
    await this.#caches.keepActive("journal");
    await this.#caches.keepActive("snapshots");
  }

  #note(log: IndexedLog, record: IndexedRecord): void {
    const known = this.#indexes?.[log];
    if (known !== undefined) this.#add(log, known, record);
    if (this.#building !== undefined) this.#meanwhile.push({ log, record });
  }

  /** A segment that is closed gets its cache, one after the other, and leaves the memory. */
  #add(log: IndexedLog, { index, lastSeq }: BuiltIndex, record: IndexedRecord): void {
    const closed = record.seq > lastSeq ? index.add(record) : undefined;
    if (closed === undefined) return;
    this.#caching = this.#caching.then(async () => {
      const cached = await this.#caches.cacheClosed(log, closed);
      if (cached !== undefined) index.replaceSegment(cached);
    });
  }

  async #ready(): Promise<Indexes> {
    if (this.#indexes !== undefined) return this.#indexes;
    this.#building ??= this.#build();
    return this.#building;
  }

  async #build(): Promise<Indexes> {
    this.#meanwhile = [];
    try {
      const { journal, snapshots } = await this.#buildBoth();
      this.#generation += 1;
      const indexes = { journal, snapshots, generation: this.#generation };
      for (const { log, record } of this.#meanwhile) this.#add(log, indexes[log], record);
      this.#indexes = indexes;
      return indexes;
    } finally {
      this.#building = undefined;
      this.#meanwhile = [];
    }
  }

  async #buildBoth(): Promise<Pick<Indexes, "journal" | "snapshots">> {
    for (;;) {
      const { trusted } = this.#caches;
      const indexes = await buildIndexes(this.store, this.#caches);
      if (trusted === this.#caches.trusted) return indexes;
    }
  }
}

/** Parses no more of a line than it has to. */
function eventDecoder(): Decode<ReplayRecord> {
  const lines = new ActorLineReader();
  return (bytes, start, end) => lines.event(bytes, start, end) ?? (decodeRecord(bytes, start, end) as JournalRecord);
}

async function one<R extends ReplayRecord | SnapshotRecord>(reader: RecordReader<R>, entry: IndexedRecord): Promise<R> {
  let found: R | undefined;
  await reader.read(listOf([entry]), (record) => {
    found = record;
  });
  if (found === undefined) throw new PapyraError("INTERNAL", "a record was asked for and none was read");
  return found;
}
