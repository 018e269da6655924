// Where the bytes of a log are in its stream. PURE. An entry holds one line; its id is `<segment>-<offset>`: the number of the
// segment, and where the line begins in it. So any offset is found by one lookup, and nothing has to be remembered: the bytes of a
// segment are its entries, one behind the other. Where ids and offsets part ways (a recovery keeps the ids of what stays,
// somebody deleted an entry), the segment has more than one run.
import { PapyraError } from "../errors.ts";
import type { LogName } from "../log/record.ts";
import { activeName, closedName, parseFileName } from "../log/segments.ts";

/** The id of an entry, as numbers. */
export interface EntryId {
  readonly ms: number;
  readonly off: number;
}

/** From this id on, up to the next run, an entry with the offset `id.off + n` in its id begins at `at + n`. */
export interface Run extends EntryId {
  readonly at: number;
}

export interface SegmentLayout {
  readonly number: number;
  readonly name: string;
  bytes: number;
  readonly runs: Run[];
}

/** What stays the same when the segment gets another name. What compaction made has the number of the first that it was made of. */
export function segmentId({ number, name }: SegmentLayout): string {
  const parsed = parseFileName(name);
  const compacted = parsed.type === "closed" && parsed.lastSeq !== undefined;
  return compacted ? `${number}.g${parsed.generation}` : String(number);
}

/** An entry as far as its place is concerned. */
export interface Placed {
  readonly id: EntryId;
  readonly bytes: number;
}

/** How far a log was written, as the server keeps it beside the entries; both change in one step. */
export interface LogEnd {
  readonly seq: number;
  /** The last id of the stream. */
  readonly last: string;
  /** The length of the active segment. */
  readonly bytes: number;
  /** How many entries the stream has. */
  readonly length: number;
  /** The id of the next entry. */
  readonly next: string;
}

export function parseId(text: string): EntryId {
  const [ms, off] = text.split("-").map(Number);
  if (Number.isSafeInteger(ms) && Number.isSafeInteger(off)) return { ms: ms as number, off: off as number };
  throw new PapyraError("STORAGE_FAILED", `the stream holds an entry with the id ${text}, which Papyra never gives`, {
    hint: `something else writes to the stream; remove that entry by hand: XDEL KEY ${text}`,
    details: { id: text },
  });
}

/** The same of the bytes of an id, of which a scan sees millions. */
export function parseIdBytes(bytes: Buffer): EntryId {
  const numbers = [0, 0] as [number, number];
  let at: 0 | 1 = 0;
  for (let i = 0; i < bytes.length; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit >= 0) numbers[at] = numbers[at] * 10 + digit;
    else at = 1;
  }
  const [ms, off] = numbers;
  return Number.isSafeInteger(ms) && Number.isSafeInteger(off) ? { ms, off } : parseId(bytes.toString());
}

export function idText({ ms, off }: EntryId): string {
  return `${ms}-${off}`;
}

export function isBefore(a: EntryId, b: EntryId): boolean {
  return a.ms < b.ms || (a.ms === b.ms && a.off < b.off);
}

/** Adds an entry behind the others of its segment. */
export function place(segment: SegmentLayout, { id, bytes }: Placed): void {
  const run = segment.runs.at(-1);
  const dense = run !== undefined && run.ms === id.ms && run.at + (id.off - run.off) === segment.bytes;
  if (!dense) segment.runs.push({ ...id, at: segment.bytes });
  segment.bytes += bytes;
}

/** Where an entry begins, by the runs; undefined when it is before the first. */
export function offsetOf(segment: SegmentLayout, id: EntryId): number | undefined {
  const run = segment.runs.findLast((candidate) => !isBefore(id, candidate));
  if (run === undefined || run.ms !== id.ms) return undefined;
  return run.at + (id.off - run.off);
}

/** The run in which a byte lies, and the id that an entry would have that begins there. */
export function idAt(segment: SegmentLayout, offset: number): { run: Run; id: EntryId } | undefined {
  const run = segment.runs.findLast((candidate) => candidate.at <= offset);
  return run === undefined ? undefined : { run, id: { ms: run.ms, off: run.off + (offset - run.at) } };
}

/** The first id that belongs to a segment. */
export function firstId(segment: SegmentLayout): EntryId {
  const [run] = segment.runs;
  return run ?? { ms: segment.number, off: 0 };
}

export function encodeLayout(segments: readonly SegmentLayout[]): string {
  const list = segments.map(({ number, name, bytes, runs }) => [
    number,
    name,
    bytes,
    runs.map(({ ms, off, at }) => [ms, off, at]),
  ]);
  return JSON.stringify(list);
}

/** Undefined when it is none: then the stream itself tells. */
export function decodeLayout(text: string | undefined): SegmentLayout[] | undefined {
  if (text === undefined) return undefined;
  try {
    const list = JSON.parse(text) as [number, string, number, [number, number, number][]][];
    return list.map(([number, name, bytes, runs]) => ({
      number,
      name,
      bytes,
      runs: runs.map(([ms, off, at]) => ({ ms, off, at })),
    }));
  } catch {
    return undefined;
  }
}

export function encodeEnd({ seq, last, bytes, length, next }: LogEnd): string {
  return [seq, last, bytes, length, next].join(" ");
}

export function decodeEnd(text: string | undefined): LogEnd | undefined {
  const match = /^(\d+) (\d+-\d+) (\d+) (\d+) (\d+-\d+)$/.exec(text ?? "");
  if (match === null) return undefined;
  const [, seq, last, bytes, length, next] = match as unknown as [string, string, string, string, string, string];
  return { seq: Number(seq), last, bytes: Number(bytes), length: Number(length), next };
}

/**
 * The layout of a stream by its entries alone. What belongs to no segment that is known belongs to the one before it:
 * somebody else's entries are bytes in the log, for a scan to judge.
 */
export class LayoutBuilder {
  readonly #log: LogName;
  readonly #known: ReadonlyMap<number, SegmentLayout> | undefined;
  readonly #segments: SegmentLayout[] = [];
  readonly #firstSeqs: (number | undefined)[] = [];

  constructor(log: LogName, known: readonly SegmentLayout[] | undefined) {
    this.#log = log;
    // A compacted segment has entries of all those that it was made of.
    const numbers = (known ?? []).flatMap((segment) =>
      [segment.number, ...segment.runs.map(({ ms }) => ms)].map((ms) => [ms, segment] as const),
    );
    this.#known = known && new Map(numbers);
  }

  add(entry: Placed, line: Buffer): void {
    const { ms } = entry.id;
    const known = this.#known?.get(ms);
    const [first] = this.#known?.values() ?? [];
    let current = this.#segments.at(-1);
    const own = known?.number ?? ms;
    // Without names, a segment is what begins at its first byte: a compacted one has entries of several numbers.
    const begins = this.#known === undefined ? entry.id.off === 0 : known !== undefined;
    if (current === undefined || (current.number !== own && begins)) {
      const { number, name } = known ?? first ?? { number: ms, name: "" };
      if (current?.number !== number) {
        this.#segments.push((current = { number, name, bytes: 0, runs: [] }));
        this.#firstSeqs.push(undefined);
      }
    }
    place(current as SegmentLayout, entry);
    this.#firstSeqs[this.#segments.length - 1] ??= seqIn(line);
  }

  /** Segments whose names nobody knows any more are named after their first records; the last is the active one. */
  finish(): SegmentLayout[] {
    const names = new Set(this.#segments.map(({ name }) => name));
    return this.#segments.map((segment, i) => {
      if (segment.name !== "") return segment;
      let name = activeName(this.#log);
      for (let generation = 0; i < this.#segments.length - 1; generation++) {
        name = closedName(this.#log, this.#firstSeqs[i] ?? 1, generation);
        if (!names.has(name)) break;
      }
      names.add(name);
      return { ...segment, name };
    });
  }
}

/** The seq that a line says it has. */
export function seqIn(line: Buffer): number | undefined {
  const match = /^\{"seq":(\d{1,15}),/.exec(line.toString("latin1", 0, 32));
  return match === null ? undefined : Number(match[1]);
}
