// Where the records of persistent actors stand, in memory: of the active segment, of segments that no cache speaks for, and
// of caches that are asked so often that they were read whole. Forty-four bytes a record, in arrays of numbers, so that
// millions of records are no work for the garbage collector.
import type { Location } from "../backends/locate.ts";

/** A record that an index knows, and where it stands. */
export interface IndexedRecord extends Location {
  readonly persistenceId: string;
  readonly seq: number;
  readonly revision: number;
  /** Of a snapshot: the journal seq of its revision. Of a journal record: its own seq. */
  readonly journalSeq: number;
}

/** Records of one actor in the order of their seqs, each made when its turn comes: a history may have millions. */
export interface RecordList extends Iterable<IndexedRecord> {
  readonly length: number;
}

/** Those in one part of a log. */
export interface PartRecords extends RecordList {
  at(i: number): IndexedRecord | undefined;
}

export const NO_RECORDS: PartRecords = [];

/** The list whose record at `i` is `recordAt(i)`. */
export function partRecords(length: number, recordAt: (i: number) => IndexedRecord): PartRecords {
  return {
    length,
    at: (i) => (i >= 0 && i < length ? recordAt(i) : undefined),
    *[Symbol.iterator]() {
      for (let i = 0; i < length; i++) yield recordAt(i);
    },
  };
}

const ROWS_MIN = 1024;

/** The rows of a table of numbers, in columns that grow. */
class Columns {
  seq = new Float64Array(ROWS_MIN);
  revision = new Float64Array(ROWS_MIN);
  journalSeq = new Float64Array(ROWS_MIN);
  offset = new Float64Array(ROWS_MIN);
  length = new Uint32Array(ROWS_MIN);
  segment = new Uint32Array(ROWS_MIN);
  /** The row before, of the same actor, or -1. */
  previous = new Int32Array(ROWS_MIN);

  grow(): void {
    const rows = this.seq.length * 2;
    const longer = <A extends Float64Array | Uint32Array | Int32Array>(old: A, made: A): A => (made.set(old), made);
    this.seq = longer(this.seq, new Float64Array(rows));
    this.revision = longer(this.revision, new Float64Array(rows));
    this.journalSeq = longer(this.journalSeq, new Float64Array(rows));
    this.offset = longer(this.offset, new Float64Array(rows));
    this.length = longer(this.length, new Uint32Array(rows));
    this.segment = longer(this.segment, new Uint32Array(rows));
    this.previous = longer(this.previous, new Int32Array(rows));
  }
}

/** The records of one log by persistence id. */
export class RecordIndex {
  readonly #columns = new Columns();
  #rows = 0;
  readonly #newest = new Map<string, number>();
  readonly #segments: Pick<Location, "segment" | "id">[] = [];
  readonly #segmentIds = new Map<string, number>();
  /** Whether a record stands behind a later one: then rows are not in the order of seqs. */
  #disordered = false;
  #maxSeq = 0;

  get size(): number {
    return this.#rows;
  }

  get actors(): number {
    return this.#newest.size;
  }

  /** Of each actor the seq, revision, journal seq, offset and length of every record, from the last row to the first. */
  *rows(): Generator<[persistenceId: string, numbers: number[]]> {
    const { seq, revision, journalSeq, offset, length, previous } = this.#columns;
    for (const [id, newest] of this.#newest) {
      const numbers: number[] = [];
      for (let row = newest; row >= 0; row = previous[row] as number) {
        numbers.push(seq[row] as number, revision[row] as number, journalSeq[row] as number);
        numbers.push(offset[row] as number, length[row] as number);
      }
      yield [id, numbers];
    }
  }

  add(record: IndexedRecord): void {
    const { persistenceId, seq } = record;
    const columns = this.#columns;
    const row = this.#rows++;
    if (row === columns.seq.length) columns.grow();
    columns.seq[row] = seq;
    columns.revision[row] = record.revision;
    columns.journalSeq[row] = record.journalSeq;
    columns.offset[row] = record.offset;
    columns.length[row] = record.length;
    columns.segment[row] = this.#segmentId(record);
    const newest = this.#newest.get(persistenceId);
    columns.previous[row] = newest ?? -1;
    // A part of a string keeps the whole string in memory: an id that stays is copied.
    this.#newest.set(newest === undefined ? Buffer.from(persistenceId).toString() : persistenceId, row);
    if (seq < this.#maxSeq) this.#disordered = true;
    else this.#maxSeq = seq;
  }

  /** The records of one actor with seqs behind `afterSeq` and up to `toSeq`. */
  recordsOf(persistenceId: string, afterSeq: number, toSeq: number = Number.MAX_SAFE_INTEGER): PartRecords {
    const { seq, previous } = this.#columns;
    const rows: number[] = [];
    for (let row = this.#newest.get(persistenceId) ?? -1; row >= 0; row = previous[row] as number) {
      if ((seq[row] as number) <= afterSeq) {
        if (this.#disordered) continue;
        break;
      }
      if ((seq[row] as number) <= toSeq) rows.push(row);
    }
    if (this.#disordered) rows.sort((a, b) => (seq[a] as number) - (seq[b] as number));
    else rows.reverse();
    return partRecords(rows.length, (i) => this.#record(persistenceId, rows[i] as number));
  }

  #record(persistenceId: string, row: number): IndexedRecord {
    const { seq, revision, journalSeq, offset, length, segment } = this.#columns;
    const where = this.#segments[segment[row] as number] as Pick<Location, "segment" | "id">;
    return {
      persistenceId,
      seq: seq[row] as number,
      revision: revision[row] as number,
      journalSeq: journalSeq[row] as number,
      segment: where.segment,
      id: where.id,
      offset: offset[row] as number,
      length: length[row] as number,
    };
  }

  #segmentId({ segment, id }: Location): number {
    let number = this.#segmentIds.get(id);
    if (number === undefined) {
      number = this.#segments.push({ segment, id }) - 1;
      this.#segmentIds.set(id, number);
    }
    return number;
  }
}
