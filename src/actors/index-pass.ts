// The one pass over a log that makes an index of it. Damage does not stop it: whose records are missing is judged actor by
// actor. Lines are verified, and read only as far as their ids: payloads are the most of a log and nobody asks for them yet.
import type { Segment } from "../backends/backend.ts";
import { checkLog } from "../backends/check.ts";
import type { Location } from "../backends/locate.ts";
import { readSteadily } from "../backends/steady.ts";
import type { Store } from "../backends/store.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { decodeRecord } from "../log/codec.ts";
import { linesOf } from "../log/lines.ts";
import { normalise, subtract } from "../log/ranges.ts";
import type { GapRecord } from "../log/record.ts";
import { type Absences, absencesOf } from "./history.ts";
import { type IndexedRecord, RecordIndex } from "./record-index.ts";

/** An index and what its log lacks. */
export interface BuiltIndex {
  readonly index: RecordIndex;
  readonly absences: Absences;
  /** The last seq that the pass has seen, or knows to be absent. */
  readonly lastSeq: number;
}

/** Reads a log once. */
export async function buildIndex(store: Store, log: "journal" | "snapshots"): Promise<BuiltIndex> {
  const lastSeq = store.lastSeq(log); // before the view: what was acknowledged by then is in it
  return readSteadily(store.backend, async (view) => {
    const pass = new IndexPass(lastSeq);
    await checkLog(store.backend, view, log, {
      live: true,
      findingsMax: 1,
      onEntry: (entry, segment) => {
        if (entry.type === "gap") pass.gap(entry.record);
        else if (entry.type === "run") pass.lines(entry, segment);
      },
    });
    return { index: pass.index, absences: pass.absences(), lastSeq };
  });
}

class IndexPass {
  readonly index = new RecordIndex();
  readonly #gaps: GapRecord[] = [];
  readonly #lastSeq: number;
  #holes: SeqRange[] = [];
  #maxSeq = 0;

  /** Records behind `lastSeq` are not acknowledged yet. */
  constructor(lastSeq: number) {
    this.#lastSeq = lastSeq;
  }

  /** One behind `lastSeq` counts as well: compaction writes it before it removes anything, and that may be gone by now. */
  gap(record: GapRecord): void {
    if (this.#see(record.seq) || record.seq > this.#lastSeq) this.#gaps.push(record);
  }

  lines(run: { readonly offset: number; readonly bytes: Buffer }, { name: segment, id }: Segment): void {
    let { offset } = run;
    for (const line of linesOf(run)) {
      const at = { segment, id, offset, length: line.length };
      offset += line.length + 1;
      const record = headOf(line, at);
      if (record === undefined) this.#see((decodeRecord(line) as { seq: number }).seq);
      else if (this.#see(record.seq)) this.index.add(record);
    }
  }

  absences(): Absences {
    return absencesOf(normalise([...this.#holes, { from: this.#maxSeq + 1, to: this.#lastSeq }]), this.#gaps);
  }

  /** Whether a line with this seq counts: not if it is a second copy, which recovery would remove. */
  #see(seq: number): boolean {
    if (seq > this.#lastSeq) return false;
    if (seq > this.#maxSeq) {
      if (seq > this.#maxSeq + 1) this.#holes.push({ from: this.#maxSeq + 1, to: seq - 1 });
      this.#maxSeq = seq;
      return true;
    }
    if (!this.#holes.some(({ from, to }) => from <= seq && seq <= to)) return false;
    this.#holes = subtract(this.#holes, [{ from: seq, to: seq }]);
    return true;
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
