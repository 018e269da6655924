// Reads indexed records for many actors at once. After a restart thousands of actors recover together, and their records
// lie mixed in the same bytes: whoever waits while a read is under way is served by the next one, in one pass over the log.
import { type Location, readLines, type SeedAt } from "../backends/locate.ts";
import type { Store } from "../backends/store.ts";
import { ensureError, PapyraError } from "../errors.ts";
import { seedsOf } from "../log/lineage.ts";
import type { ReplayRecord, SnapshotRecord } from "../log/record.ts";
import type { IndexedRecord, RecordList } from "./record-index.ts";

/** Takes in one record; what it throws ends the reading of its actor, and no other. */
export type Sink<R> = (record: R, at: Location) => void;

/** Makes a record of the line in `bytes[start, end)`, which has verified. */
export type Decode<R> = (bytes: Buffer, start: number, end: number) => R;

interface Request<R> {
  readonly entries: RecordList;
  readonly sink: Sink<R>;
  /** How many entries have been handed over. */
  done: number;
  settled: boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** So many records are sorted and read in one pass, unless one actor alone has more. */
const PASS_RECORDS_MAX = 100_000;
/** So many passes run side by side: one actor with a very long history must not hold up all the others. */
const PASSES_MAX = 4;

/** Reads records of one log. */
export class RecordReader<R extends ReplayRecord | SnapshotRecord> {
  readonly #store: Store;
  readonly #seedAt: SeedAt;
  readonly #decode: Decode<R>;
  #waiting: Request<R>[] = [];
  #passes = 0;

  constructor(store: Store, log: "journal" | "snapshots", decode: Decode<R>) {
    this.#store = store;
    this.#decode = decode;
    this.#seedAt = seedsOf(store.identity, log);
  }

  /**
   * Hands the records of one actor to `sink`, in the order given. Rejects with what the sink throws, and with LOG_DAMAGED
   * where another record stands than the index says.
   */
  read(entries: RecordList, sink: Sink<R>): Promise<void> {
    if (entries.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entries, sink, done: 0, settled: false, resolve, reject });
      if (this.#passes >= PASSES_MAX) return;
      this.#passes += 1;
      // In a microtask of its own: whoever begins together is served together.
      void Promise.resolve().then(() => this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) await this.#pass(this.#take());
    this.#passes -= 1;
  }

  #take(): Request<R>[] {
    let records = 0;
    let count = 0;
    for (const request of this.#waiting) {
      if (count > 0 && records + request.entries.length > PASS_RECORDS_MAX) break;
      records += request.entries.length;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** Serves all requests in one pass, or, where that fails, each from where it stands: only some are concerned. */
  async #pass(requests: readonly Request<R>[]): Promise<void> {
    try {
      await this.#readAll(requests);
    } catch (thrown) {
      if (requests.length === 1) settle(requests[0] as Request<R>, ensureError(thrown));
      else for (const request of requests) if (!request.settled) await this.#pass([request]);
    }
  }

  async #readAll(requests: readonly Request<R>[]): Promise<void> {
    if (requests.length === 1) return this.#readOne(requests[0] as Request<R>);
    const due = requests.flatMap((request) => [...dueOf(request)].map((entry) => ({ entry, request })));
    due.sort((a, b) => a.entry.seq - b.entry.seq);
    let i = 0;
    const entries = due.map(({ entry }) => entry);
    await readLines(this.#store.backend, this.#seedAt, entries, (bytes, start, end, entry) => {
      const { request } = due[i++] as { request: Request<R> };
      if (!request.settled) handOver(this.#decode(bytes, start, end), entry, request);
      return true;
    });
  }

  /** The same for one alone, whose records need no sorting. */
  async #readOne(request: Request<R>): Promise<void> {
    await readLines(this.#store.backend, this.#seedAt, dueOf(request), (bytes, start, end, entry) => {
      handOver(this.#decode(bytes, start, end), entry, request);
      return !request.settled;
    });
  }
}

/** What has not been handed over. */
function dueOf<R>({ entries, done }: Request<R>): Iterable<IndexedRecord> {
  return done === 0 ? entries : [...entries].slice(done);
}

function handOver<R extends ReplayRecord | SnapshotRecord>(record: R, entry: IndexedRecord, to: Request<R>): void {
  try {
    assertSame(record, entry);
    to.sink(record, entry);
    to.done += 1;
    if (to.done === to.entries.length) settle(to, undefined);
  } catch (thrown) {
    settle(to, ensureError(thrown));
  }
}

function settle<R>(request: Request<R>, error: Error | undefined): void {
  request.settled = true;
  if (error === undefined) request.resolve();
  else request.reject(error);
}

/** Another line of the same length may stand there by now, and verify. */
function assertSame(
  record: ReplayRecord | SnapshotRecord,
  { seq, persistenceId, segment, offset }: IndexedRecord,
): void {
  if (record.seq === seq && record.persistence_id === persistenceId) return;
  throw new PapyraError("LOG_DAMAGED", `${segment} holds another record at byte ${offset} than before`, {
    hint: "is something else changing the store?",
    details: { file: segment, offset, seq },
  });
}
