// Reads one segment for its index. Damage does not stop it: whose records are missing is judged actor by actor. Lines are
// verified, and read only as far as their ids: payloads are the most of a log and nobody asks for them yet.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { checkLog } from "../backends/check.ts";
import type { Location } from "../backends/locate.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { decodeRecord } from "../log/codec.ts";
import { type Control, type Entry, linesOf, type Run } from "../log/lines.ts";
import type { GapRecord } from "../log/record.ts";
import { asSeal, sealDigest } from "../log/seal.ts";
import type { IndexHead } from "../log/segment-index.ts";
import { type IndexedRecord, RecordIndex } from "./record-index.ts";

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

/** One reading of one segment. */
export class SegmentReading {
  readonly gaps: GapRecord[] = [];
  readonly #index: RecordIndex;
  readonly #counts: Counts;
  readonly #runs: { from: number; to: number }[] = [];
  #records = 0;
  #whole = true;
  #seal: { readonly digest: string; readonly at: number } | undefined;

  constructor(index: RecordIndex, counts: Counts) {
    this.#index = index;
    this.#counts = counts;
  }

  /**
   * What may be kept of the segment: only when every line of it verified, in the order of the seqs, up to a seal that is about
   * these very lines. Then whoever finds that seal again at the end of the segment knows what stands before it.
   */
  get facts(): SegmentFacts | undefined {
    if (!this.#whole || this.#seal === undefined) return undefined;
    return { seal: this.#seal.digest, sealAt: this.#seal.at, runs: this.#runs, gaps: this.gaps };
  }

  take(entry: Entry, segment: Segment): void {
    if (this.#seal !== undefined || entry.type === "damage" || entry.unterminated) this.#whole = false;
    if (entry.type === "run") {
      this.#extend({ from: entry.firstSeq, to: entry.lastSeq }, entry.count);
      this.#lines(entry, segment);
    } else if (entry.type === "gap") {
      this.#extend({ from: entry.record.seq, to: entry.record.seq }, 1);
      this.#counts(entry.record.seq);
      this.gaps.push(entry.record);
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
    this.#seal = { digest: sealDigest(bytes), at: offset };
  }

  #lines(run: Run, { name: segment, id }: Segment): void {
    let { offset } = run;
    for (const line of linesOf(run)) {
      const at = { segment, id, offset, length: line.length };
      offset += line.length + 1;
      const record = headOf(line, at);
      if (record === undefined) this.#counts((decodeRecord(line) as { seq: number }).seq);
      else if (this.#counts(record.seq)) this.#index.add(record);
    }
  }
}

/** The longest beginning of a line that holds its ids. */
const HEAD_BYTES = 4096;
const HEAD =
  /^\{"seq":(\d+),(?:"durable":\d+,)?"kind":"(?:journal|snapshot)","timestamp":[^,]+,"system_id":"[^"]*","persistence_id":"([\x20\x21\x23-\x5b\x5d-\x7e]*)","revision":(\d+)(?:,"journal_seq":(\d+))?[,}]/;

/** What an index needs of a line, or undefined when it is not the line of a persistent actor. */
function headOf(line: Buffer, at: Location): IndexedRecord | undefined {
  const match = HEAD.exec(line.toString("latin1", 0, Math.min(line.length, HEAD_BYTES)));
  if (match !== null) {
    const seq = Number(match[1]);
    const journalSeq = match[4] === undefined ? seq : Number(match[4]);
    return { persistenceId: match[2] as string, seq, revision: Number(match[3]), journalSeq, at };
  }
  // Written by another program, in another order of members: all that counts is what the members say.
  const record = decodeRecord(line);
  if (record.kind !== "journal" && record.kind !== "snapshot") return undefined;
  const { persistence_id: persistenceId, seq, revision } = record;
  if (typeof persistenceId !== "string") return undefined;
  return { persistenceId, seq, revision, journalSeq: record.kind === "snapshot" ? record.journal_seq : seq, at };
}
