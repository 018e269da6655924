// Where the records of persistent actors stand, in memory: of the active segment, of segments that no cache speaks for, and
// of caches that are asked so often that they were read whole. Forty-four bytes a record, in arrays of numbers, so that
// millions of records are no work for the garbage collector.
import type { Location } from "../backends/locate.ts";
import type { Place } from "../log/segment-index.ts";

/** A record that an index knows, and where it stands. */
export interface IndexedRecord extends Location, Place {
  readonly persistenceId: string;
}

/**
 * Records of one actor in the order of their seqs, each made when its turn comes: a history may have millions. `begin` gives
 * what makes the first one when it is called, then the next, `length` times: a generator would cost more than the records.
 */
export class RecordList implements Iterable<IndexedRecord> {
  readonly length: number;
  readonly begin: () => () => IndexedRecord;

  constructor(length: number, begin: () => () => IndexedRecord) {
    this.length = length;
    this.begin = begin;
  }

  [Symbol.iterator](): Iterator<IndexedRecord> {
    const next = this.begin();
    let left = this.length;
    return { next: () => (left-- > 0 ? { done: false, value: next() } : { done: true, value: undefined }) };
  }
}

/** Records that are there already. */
export function listOf(records: readonly IndexedRecord[]): RecordList {
  return new RecordList(records.length, () => {
    let i = 0;
    return () => records[i++] as IndexedRecord;
  });
}

/** Those in one part of a log, and between which seqs they are. */
export interface PartRecords {
  readonly list: RecordList;
  readonly firstSeq: number;
  readonly lastSeq: number;
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
  readonly #newest = new Map<string, { row: number }>();
  readonly #segments: Pick<Location, "segment" | "id">[] = [];
  readonly #segmentIds = new Map<string, number>();
  /** Whether a record stands behind a later one of its actor: then rows are not in the order of seqs. */
  #disordered = false;

  get size(): number {
    return this.#rows;
  }

  get actors(): number {
    return this.#newest.size;
  }

  /** Whether records of the segment with this id are among them. */
  isOf(id: string): boolean {
    return this.#segmentIds.has(id);
  }

  /** Every actor with its records. */
  *all(): Generator<[persistenceId: string, records: RecordList]> {
    for (const id of this.#newest.keys()) yield [id, this.#list(id, this.#rowsOf(id, 0, Number.MAX_SAFE_INTEGER))];
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
    columns.previous[row] = newest?.row ?? -1;
    if (newest !== undefined) {
      if (seq < (columns.seq[newest.row] as number)) this.#disordered = true;
      newest.row = row;
    }
    // A part of a string keeps the whole string in memory: an id that stays is copied.
    else this.#newest.set(Buffer.from(persistenceId).toString(), { row });
  }

  /** The records of one actor with seqs behind `afterSeq` and up to `toSeq`, if it has any. */
  recordsOf(persistenceId: string, afterSeq: number, toSeq: number = Number.MAX_SAFE_INTEGER): PartRecords | undefined {
    const rows = this.#rowsOf(persistenceId, afterSeq, toSeq);
    if (rows.length === 0) return undefined;
    const { seq } = this.#columns;
    const [firstSeq, lastSeq] = [seq[rows[0] as number] as number, seq[rows.at(-1) as number] as number];
    return { list: this.#list(persistenceId, rows), firstSeq, lastSeq };
  }

  #rowsOf(persistenceId: string, afterSeq: number, toSeq: number): number[] {
    const { seq, previous } = this.#columns;
    const rows: number[] = [];
    for (let row = this.#newest.get(persistenceId)?.row ?? -1; row >= 0; row = previous[row] as number) {
      if ((seq[row] as number) <= afterSeq) {
        if (this.#disordered) continue;
        break;
      }
      if ((seq[row] as number) <= toSeq) rows.push(row);
    }
    return this.#disordered ? rows.sort((a, b) => (seq[a] as number) - (seq[b] as number)) : rows.reverse();
  }

  #list(persistenceId: string, rows: readonly number[]): RecordList {
    return new RecordList(rows.length, () => {
      let i = 0;
      return () => this.#record(persistenceId, rows[i++] as number);
    });
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
