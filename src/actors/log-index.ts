// Where the records of each persistent actor stand in one log: closed segments by their caches, where they have any, and
// everything else in memory. It is kept up to date from what is appended, and can be thrown away and made again.
import type { Segment } from "../backends/backend.ts";
import { PapyraError } from "../errors.ts";
import { CachedSegment } from "./cached-segment.ts";
import { type IndexedRecord, listOf, type PartRecords, RecordIndex, RecordList } from "./record-index.ts";

/** A closed segment, or the segments that are only in memory. */
export type IndexPart = CachedSegment | RecordIndex;

/** A segment that was read again, and the part that stands for it from now on: its new cache, if that could be written. */
export interface Reloaded {
  readonly index: RecordIndex;
  readonly part: IndexPart;
}

/** Reads a segment whose cache turned out to be wrong. */
export type ReadAgain = (segment: Segment) => Promise<Reloaded>;

/** The records of one log by persistence id. */
export class LogIndex {
  readonly #parts: IndexPart[];
  readonly #readAgain: ReadAgain;
  readonly #again = new Map<CachedSegment, Promise<Reloaded>>();
  /** What is appended goes into the last part. */
  #last: RecordIndex;
  #lastId: string | undefined;
  readonly #splits: boolean;

  /** `parts` in the order of the log. With `splits`, each segment that is appended to gets a part of its own. */
  constructor(parts: readonly IndexPart[], splits: boolean, readAgain: ReadAgain) {
    this.#last = new RecordIndex();
    this.#parts = [...parts, this.#last];
    this.#splits = splits;
    this.#readAgain = readAgain;
  }

  /** How many records are held in memory. */
  get size(): number {
    return this.#parts.reduce((sum, part) => sum + (part instanceof RecordIndex ? part.size : 0), 0);
  }

  /** Takes in a record that was appended. Returns the id of the segment that is closed since. */
  add(record: IndexedRecord): string | undefined {
    const { id } = record;
    const closed = this.#splits && this.#lastId !== id ? this.#lastId : undefined;
    if (closed !== undefined) this.#parts.push((this.#last = new RecordIndex()));
    this.#lastId = id;
    this.#last.add(record);
    return closed;
  }

  /**
   * The records up to here stand in the active segment: what is appended joins them. `beginning` is a part for the beginning of
   * that segment, if there is one.
   */
  resume(id: string | undefined, part: RecordIndex, beginning: IndexPart | undefined): void {
    this.#parts.pop();
    if (beginning !== undefined) this.#parts.push(beginning);
    this.#parts.push((this.#last = part));
    this.#lastId = id;
  }

  /**
   * The cache of a segment that is closed speaks for all of it from now on. Several parts may have done so: one for its beginning,
   * or for what was read of it when the index was made, and one for what was appended since.
   */
  replaceSegment(by: CachedSegment): void {
    const { id } = by.segment;
    const at = this.#parts.findIndex((part) => isOf(part, id));
    if (at < 0) return;
    this.#parts.splice(at, 1, by);
    for (let i = this.#parts.length - 1; i > at; i--)
      if (isOf(this.#parts[i] as IndexPart, id)) this.#parts.splice(i, 1);
  }

  /** Another part says the same from now on. */
  #replace(part: IndexPart, by: IndexPart): void {
    const at = this.#parts.indexOf(part);
    if (at >= 0) this.#parts[at] = by;
  }

  /** The records of one actor with seqs behind `afterSeq` and up to `toSeq`, in the order of their seqs. */
  async recordsOf(
    persistenceId: string,
    afterSeq: number,
    toSeq: number = Number.MAX_SAFE_INTEGER,
  ): Promise<RecordList> {
    const parts: PartRecords[] = [];
    const now = this.#parts.slice(); // parts are replaced meanwhile, and two may become one
    for (const part of now) {
      let found = await part.recordsOf(persistenceId, afterSeq, toSeq);
      if (found === "unknown")
        found = (await this.#reload(part as CachedSegment)).recordsOf(persistenceId, afterSeq, toSeq);
      if (found !== undefined) parts.push(found);
    }
    return joined(parts);
  }

  /** Once for all who ask meanwhile. */
  async #reload(part: CachedSegment): Promise<RecordIndex> {
    let again = this.#again.get(part);
    if (again === undefined) {
      again = this.#readAgain(part.segment);
      this.#again.set(part, again);
    }
    try {
      const { index, part: by } = await again;
      this.#replace(part, by);
      return index;
    } finally {
      this.#again.delete(part); // it would keep the index in memory, and what could not be read for a while from being read
    }
  }
}

/** Whether a part holds records of the segment with this id. */
function isOf(part: IndexPart, id: string): boolean {
  return part instanceof RecordIndex ? part.isOf(id) : part.segment.id === id;
}

/** Lists as one: one behind the other, if that is their order. */
function joined(parts: readonly PartRecords[]): RecordList {
  const lists = parts.map(({ list }) => list);
  const chain = new RecordList(
    lists.reduce((sum, { length }) => sum + length, 0),
    () => chained(lists),
  );
  if (parts.every(({ firstSeq }, i) => i === 0 || firstSeq > (parts[i - 1] as PartRecords).lastSeq)) return chain;
  return listOf([...chain].sort((a, b) => a.seq - b.seq));
}

/** What makes the records of one list after the other. */
function chained(lists: readonly RecordList[]): () => IndexedRecord {
  let at = -1;
  let left = 0;
  let next: () => IndexedRecord;
  return () => {
    while (left === 0) {
      const list = lists[++at] as RecordList;
      [left, next] = [list.length, list.begin()];
    }
    left -= 1;
    return next();
  };
}

/** A segment is not what its cache and its seal say of it. */
export function changedSegment({ name }: Segment): PapyraError {
  return new PapyraError("LOG_DAMAGED", `${name} is no longer what its seal says`, {
    hint: "run: papyra persistence scan",
    details: { file: name },
  });
}
