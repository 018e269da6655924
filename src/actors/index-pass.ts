// Makes the indexes of the two logs of persistent actors: of closed segments the caches are asked, and what has none is read.
// Which seqs are absent comes out of the same pass.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { readSteadily } from "../backends/steady.ts";
import type { Store } from "../backends/store.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { normalise, subtract } from "../log/ranges.ts";
import type { GapRecord } from "../log/record.ts";
import { type Absences, absencesOf } from "./history.ts";
import { type IndexPart, LogIndex } from "./log-index.ts";
import { RecordIndex } from "./record-index.ts";
import type { SegmentCaches } from "./segment-caches.ts";
import { type IndexedLog, readSegment, type SegmentFacts } from "./segment-reading.ts";

/** An index and what its log lacks. */
export interface BuiltIndex {
  readonly index: LogIndex;
  readonly absences: Absences;
  /** The last seq that the pass has seen, or knows to be absent. */
  readonly lastSeq: number;
}

/** Makes the indexes of both logs, by one look at the store. */
export async function buildIndexes(store: Store, caches: SegmentCaches): Promise<Record<IndexedLog, BuiltIndex>> {
  // Before the view: what was acknowledged by then is in it.
  const lastSeqs = { journal: store.lastSeq("journal"), snapshots: store.lastSeq("snapshots") };
  const { backend } = store;
  return readSteadily(backend, async (view) => ({
    journal: await buildIndex(backend, view, "journal", lastSeqs.journal, caches),
    snapshots: await buildIndex(backend, view, "snapshots", lastSeqs.snapshots, caches),
  }));
}

async function buildIndex(
  backend: Backend,
  view: StoreView,
  log: IndexedLog,
  lastSeq: number,
  caches: SegmentCaches,
): Promise<BuiltIndex> {
  const pass = new IndexPass(lastSeq);
  const parts: IndexPart[] = [];
  /** Without caches all segments share one part. */
  let shared = new RecordIndex();
  let active: Segment | undefined;
  /** What a cache tells of the active segment. */
  let beginning: IndexPart | undefined;
  const segments = view.segments.filter((segment) => segment.log === log);
  const known = await caches.known(log, segments);
  for (const segment of segments) {
    const cached = segment.active ? await caches.openActive(segment) : await caches.open(segment, known);
    if (segment.active) active = segment;
    if (cached !== undefined && pass.follows(cached.head)) {
      pass.takeIn(cached.head);
      if (segment.active) beginning = cached;
      else parts.push(cached);
      continue;
    }
    const follows = pass.maxSeq;
    const index = caches.kept ? new RecordIndex() : shared;
    const reading = await readSegment(backend, view, log, segment, index, (seq) => pass.see(seq));
    for (const gap of reading.gaps) pass.gap(gap);
    const { facts } = reading;
    if (!caches.kept || segment.active) {
      shared = index;
      continue;
    }
    const orderly = facts !== undefined && (facts.runs[0]?.from ?? 0) > follows && pass.isAcknowledged(facts);
    parts.push((orderly ? await caches.keep(segment, reading, index, known) : undefined) ?? index);
  }
  await known?.keep();
  const index = new LogIndex(parts, caches.kept, (segment) => caches.readAgain(view, log, segment, known));
  index.resume(active?.id, shared, beginning);
  return { index, absences: pass.absences(), lastSeq };
}

class IndexPass {
  readonly #gaps: GapRecord[] = [];
  readonly #lastSeq: number;
  #holes: SeqRange[] = [];
  maxSeq = 0;

  /** Records behind `lastSeq` are not acknowledged yet. */
  constructor(lastSeq: number) {
    this.#lastSeq = lastSeq;
  }

  /** Whether a segment as a whole comes behind what was seen, and is acknowledged: then all of it counts. */
  follows(facts: SegmentFacts): boolean {
    return (facts.runs[0]?.from ?? 0) > this.maxSeq && this.isAcknowledged(facts);
  }

  isAcknowledged({ runs }: SegmentFacts): boolean {
    return (runs.at(-1)?.to ?? 0) <= this.#lastSeq;
  }

  /** A segment that follows. */
  takeIn({ runs, gaps }: SegmentFacts): void {
    for (const { from, to } of runs) {
      this.see(from);
      this.maxSeq = to;
    }
    for (const gap of gaps) this.gap(gap);
  }

  gap(record: GapRecord): void {
    this.#gaps.push(record);
  }

  absences(): Absences {
    return absencesOf(normalise([...this.#holes, { from: this.maxSeq + 1, to: this.#lastSeq }]), this.#gaps);
  }

  /** Whether a line with this seq counts: not if it is a second copy, which recovery would remove. */
  see(seq: number): boolean {
    if (seq > this.#lastSeq) return false;
    if (seq > this.maxSeq) {
      if (seq > this.maxSeq + 1) this.#holes.push({ from: this.maxSeq + 1, to: seq - 1 });
      this.maxSeq = seq;
      return true;
    }
    if (!this.#holes.some(({ from, to }) => from <= seq && seq <= to)) return false;
    this.#holes = subtract(this.#holes, [{ from: seq, to: seq }]);
    return true;
  }
}
