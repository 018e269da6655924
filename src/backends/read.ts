// The records of a log one after the other, for who trusts nothing: each line is verified again, and where one is missing
// that was there before, reading fails instead of passing over it.
import { PapyraError } from "../errors.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { decodeRecord, seedOf } from "../log/codec.ts";
import { upToItsEnd } from "../log/beyond.ts";
import { judgeHead } from "../log/identity.ts";
import { type Entry, LineScanner, linesOf } from "../log/lines.ts";
import { subtract } from "../log/ranges.ts";
import type { LogName, LogRecord } from "../log/record.ts";
import type { Backend, Segment, StoreView } from "./backend.ts";
import { identityOf, lastSeqOf } from "./identities.ts";
import { readerOf, readHead, type SegmentReader, sealedUpTo } from "./segment-ends.ts";
import { isReplaced, VIEWS_MAX } from "./steady.ts";

/** A record and where its line stands. */
export interface LocatedRecord {
  readonly record: LogRecord;
  readonly segment: string;
  readonly id: string;
  readonly offset: number;
  /** Bytes of the line without its line break. */
  readonly length: number;
}

/** Which records to read. */
export interface ReadRange {
  readonly from: number;
  readonly to: number;
  /** Seqs that the log's account found missing without an explanation. */
  readonly missing: readonly SeqRange[];
  /** Seqs that were not there when the log was checked: any other that is not there has been lost since. */
  readonly absent: readonly SeqRange[];
}

/**
 * The verified records of a log with seqs in `[from, to]`, in order. Rejects with LOG_DAMAGED where the reading would pass
 * over a missing one, and where records stand out of order. Damaged bytes where nothing is missing (an unfinished write)
 * are passed over; so are closed segments that end before `from`, by a seal that agrees with their name.
 */
export async function* readRecords(
  backend: Backend,
  view: StoreView,
  log: LogName,
  options: ReadRange,
): AsyncGenerator<LocatedRecord, void, undefined> {
  let previous = 0;
  for (const segment of view.segments.filter((candidate) => candidate.log === log)) {
    const expected = identityOf(view, log, segment);
    const source = await readerOf(backend, segment);
    const head = judgeHead(await readHead(source, segment, expected), log, expected, []);
    if (head.type !== "ok" && head.type !== "damaged")
      throw damaged(segment.name, 0, "it cannot be told which log it belongs to");
    const from = head.type === "ok" ? head.line.length : head.bytes;
    const last = head.type === "ok" ? await lastBefore(source, segment, seedOf(head.line), previous, options.from) : 0;
    const end = lastSeqOf(view, log, segment);
    if (last > 0 && last <= end) {
      previous = last;
      continue;
    }
    for await (const entry of entriesOf(source, segment, from, seedOf(head.line), end)) {
      if (entry.type !== "run" && entry.type !== "gap") continue;
      let offset = entry.offset;
      for (const line of linesOf(entry)) {
        const located = {
          record: decodeRecord(line),
          segment: segment.name,
          id: segment.id,
          offset,
          length: line.length,
        };
        const { seq } = located.record;
        if (seq > options.to) return;
        if (seq <= previous) throw damaged(segment.name, offset, `seq ${seq} stands behind seq ${previous}`);
        assertNothingMissing(options, Math.max(previous + 1, options.from), seq - 1, segment.name, offset);
        previous = seq;
        offset += line.length + 1;
        if (seq >= options.from) yield located;
      }
    }
  }
  assertNothingMissing(options, Math.max(previous + 1, options.from), options.to, `the end of ${log}`, 0);
}

/** The last seq of a segment that comes behind `previous` and ends before `from`, of which no record was asked for; or 0. */
async function lastBefore(
  backend: SegmentReader,
  segment: Segment,
  seed: number,
  previous: number,
  from: number,
): Promise<number> {
  const { firstSeq } = segment;
  if (firstSeq === undefined || firstSeq <= previous || firstSeq >= from) return 0;
  const last = (await sealedUpTo(backend, segment, seed)) ?? 0;
  return last < from ? last : 0;
}

/** The same beside compaction: where a segment was replaced meanwhile, reading goes on with a new view of the store. */
export async function* readSteadyRecords(
  backend: Backend,
  log: LogName,
  range: SeqRange,
  known: () => Pick<ReadRange, "missing" | "absent">,
): AsyncGenerator<LocatedRecord, void, undefined> {
  let { from } = range;
  for (let views = 1; ; views++) {
    const view = await backend.view();
    const { missing, absent } = known(); // behind the view: what was compacted before it is known
    try {
      for await (const located of readRecords(backend, view, log, { from, to: range.to, missing, absent })) {
        yield located;
        from = located.record.seq + 1;
      }
      return;
    } catch (error) {
      if (!isReplaced(error) || views === VIEWS_MAX) throw error;
    }
  }
}

/** The entries of a segment, also a last line that is whole but for its line break: the account counts it, too. */
async function* entriesOf(
  backend: SegmentReader,
  segment: Segment,
  from: number,
  seed: number,
  end: number,
): AsyncGenerator<Entry> {
  const scanner = new LineScanner(seed, from);
  for await (const chunk of backend.read(segment.name, from, segment.bytes, segment.id))
    yield* upToItsEnd(scanner.push(chunk), end);
  yield* upToItsEnd(scanner.end(), end);
}

function assertNothingMissing(known: ReadRange, from: number, to: number, file: string, offset: number): void {
  if (from > to) return;
  const hit = known.missing.find((range) => range.from <= to && range.to >= from);
  if (hit !== undefined) throw damaged(file, offset, `seq ${hit.from} to ${hit.to} are missing before it`);
  const [since] = subtract([{ from, to }], known.absent);
  if (since !== undefined) throw damaged(file, offset, `seq ${since.from} to ${since.to} were there and are gone`);
}

function damaged(file: string, offset: number, detail: string): PapyraError {
  return new PapyraError("LOG_DAMAGED", `${file} is damaged at byte ${offset}: ${detail}`, {
    hint: "run: papyra persistence scan, then papyra persistence recover --mode quarantine",
    details: { file, offset },
  });
}
