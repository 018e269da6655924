// Reads one segment for its index. Damage does not stop it: whose records are missing is judged actor by actor. Lines are
// verified, and read only as far as their ids: payloads are the most of a log and nobody asks for them yet.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { checkLog } from "../backends/check.ts";
import type { Location } from "../backends/locate.ts";
import { ActorLineReader } from "../log/actor-line.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { decodeRecord } from "../log/codec.ts";
import type { Control, Entry, Run } from "../log/lines.ts";
import type { GapRecord } from "../log/record.ts";
import { asSeal, sealDigest } from "../log/seal.ts";
import type { IndexHead } from "../log/segment-index.ts";
import type { RecordIndex } from "./record-index.ts";

const NEWLINE = 0x0a;

/** Whose records an index holds. */
export type IndexedLog = "journal" | "snapshots";

/** Whether the line with this seq counts. */
type Counts = (seq: number) => boolean;

/** What a cache of a segment says of it, apart from the places. */
export type SegmentFacts = Omit<IndexHead, "places" | "buckets">;

/** Adds what counts in a segment to `index`. */
export async function readSegment(
  backend: Backend,
  view: StoreView,
  log: IndexedLog,
  segment: Segment,
  index: RecordIndex,
  counts: Counts,
): Promise<SegmentReading> {
  const reading = new SegmentReading(index, counts);
  await checkLog(backend, { ...view, segments: [segment] }, log, {
    live: true,
    findingsMax: 1,
    onEntry: (entry) => reading.take(entry, segment),
  });
  return reading;
}

interface LastLine {
  readonly digest: string;
  readonly at: number;
  readonly end: number;
}

function lastLineOf({ bytes, offset }: Pick<Run, "bytes" | "offset">): LastLine {
  const from = bytes.lastIndexOf(NEWLINE, -2) + 1;
  return { digest: sealDigest(bytes.subarray(from)), at: offset + from, end: offset + bytes.length };
}

/** One reading of one segment. */
export class SegmentReading {
  readonly gaps: GapRecord[] = [];
  readonly #index: RecordIndex;
  readonly #counts: Counts;
  readonly #head = new ActorLineReader();
  readonly #runs: { from: number; to: number }[] = [];
  #records = 0;
  #whole = true;
  #seal: LastLine | undefined;
  #last: LastLine | undefined;

  constructor(index: RecordIndex, counts: Counts) {
    this.#index = index;
    this.#counts = counts;
  }

  /**
   * What may be kept of the segment: only when every line of it verified, in the order of the seqs, up to a seal that is about
   * these very lines. Then whoever finds that seal again at the end of the segment knows what stands before it.
   */
  get facts(): SegmentFacts | undefined {
    return this.#facts(this.#seal);
  }

  /**
   * The same of a segment that is not closed yet and ends at `bytes`: lines are only ever added to it, so that its last line, as
   * long as it is the last, tells as much.
   */
  factsOfActive(bytes: number): SegmentFacts | undefined {
    return this.#last?.end === bytes ? this.#facts(this.#last) : undefined;
  }

  #facts(last: LastLine | undefined): SegmentFacts | undefined {
    if (!this.#whole || last === undefined) return undefined;
    return { seal: last.digest, sealAt: last.at, runs: this.#runs, gaps: this.gaps };
  }

  take(entry: Entry, segment: Segment): void {
    if (this.#seal !== undefined || entry.type === "damage" || entry.unterminated) this.#whole = false;
    if (entry.type === "run") {
      this.#extend({ from: entry.firstSeq, to: entry.lastSeq }, entry.count);
      this.#lines(entry, segment);
      this.#last = lastLineOf(entry);
    } else if (entry.type === "gap") {
      this.#extend({ from: entry.record.seq, to: entry.record.seq }, 1);
      this.#counts(entry.record.seq);
      this.gaps.push(entry.record);
      this.#last = lastLineOf(entry);
    } else if (entry.type === "control") this.#control(entry);
  }

  #extend({ from, to }: SeqRange, count: number): void {
    this.#records += count;
    const last = this.#runs.at(-1);
    if (last !== undefined && from <= last.to) this.#whole = false;
    else if (last?.to === from - 1) last.to = to;
    else this.#runs.push({ from, to });
  }

  #control({ fields, bytes, offset }: Control): void {
    const seal = asSeal(fields);
    if (seal === undefined) return;
    const [first, last] = [this.#runs[0]?.from ?? 0, this.#runs.at(-1)?.to ?? 0];
    const same = seal.bytes === offset && seal.records === this.#records;
    if (!same || seal.first_seq !== first || seal.last_seq !== last) this.#whole = false;
    this.#seal = lastLineOf({ bytes, offset });
  }

  #lines(run: Run, { name: segment, id }: Segment): void {
    const { bytes, offset } = run;
    const head = this.#head;
    for (let start = 0; start < bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, start);
      const end = newline < 0 ? bytes.length : newline;
      const [at, length] = [offset + start, end - start];
      if (!head.read(bytes, start)) {
        this.#parsed(bytes.subarray(start, end), { segment, id, offset: at, length });
      } else if (this.#counts(head.seq)) {
        const { persistenceId, seq, revision, journalSeq } = head;
        this.#index.add({ persistenceId, seq, revision, journalSeq, segment, id, offset: at, length });
      }
      start = end + 1;
    }
  }

  /** Written by another program, in another order of members: all that counts is what the members say. */
  #parsed(line: Buffer, at: Location): void {
    const record = decodeRecord(line);
    const counts = this.#counts(record.seq);
    if (record.kind !== "journal" && record.kind !== "snapshot") return;
    const { persistence_id: persistenceId, seq, revision } = record;
    if (!counts || typeof persistenceId !== "string") return;
    const stated = record.kind === "snapshot" ? record.journal_seq : seq;
    const journalSeq = Number.isSafeInteger(stated) ? stated : 0; // of no journal
    this.#index.add({ ...at, persistenceId, seq, revision, journalSeq });
  }
}
