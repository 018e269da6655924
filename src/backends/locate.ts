// Records by their place in a log: what an index of a log remembers, and reading them back a window at a time.
import { PapyraError } from "../errors.ts";
import { allVerify } from "../log/block.ts";
import { decodeRecord, verifies } from "../log/codec.ts";
import type { LogRecord } from "../log/record.ts";
import type { Backend, OpenSegment } from "./backend.ts";

/** Where one line stands. */
export interface Location {
  readonly segment: string;
  /** Of the segment, whatever its name by now. */
  readonly id: string;
  readonly offset: number;
  /** Bytes of the line without its line break. */
  readonly length: number;
}

/** Lines that are so near to each other are read at once: one read of this size costs about as much as a small one. */
const WINDOW_BYTES = 512 << 10;
const NEWLINE = 0x0a;

/** What the checksum of the line at `start` begins with. */
export type SeedAt = (bytes: Buffer, start: number) => number;

/** The records at `locations`, which are in the order of the log; each is verified again. */
export async function* readLocated(
  backend: Backend,
  seedAt: SeedAt,
  locations: readonly Location[],
): AsyncGenerator<LogRecord, void, undefined> {
  const reader = new PartReader(backend);
  try {
    for (const window of windowsOf(locations)) {
      const records: LogRecord[] = [];
      await readWindow(reader, seedAt, window, (bytes, start, end) => {
        records.push(decodeRecord(bytes, start, end));
        return true;
      });
      yield* records;
    }
  } finally {
    await reader.close();
  }
}

/**
 * Takes in the line in `bytes[start, end)`, which has verified; says whether more are wanted. The bytes are valid during the
 * call.
 */
export type TakeLine<L extends Location> = (bytes: Buffer, start: number, end: number, location: L) => boolean;

/** Hands over the lines at `locations` one by one: whoever is done with each at once keeps little in memory, and is faster. */
export async function readLines<L extends Location>(
  backend: Backend,
  seedAt: SeedAt,
  locations: Iterable<L>,
  take: TakeLine<L>,
): Promise<void> {
  const reader = new PartReader(backend);
  try {
    for (const window of windowsOf(locations)) if (!(await readWindow(reader, seedAt, window, take))) return;
  } finally {
    await reader.close();
  }
}

/** Locations that are read at once. */
function* windowsOf<L extends Location>(locations: Iterable<L>): Generator<readonly L[], void, undefined> {
  let window: L[] = [];
  for (const location of locations) {
    if (window.length > 0 && !isNear(window, location)) {
      yield window;
      window = [];
    }
    window.push(location);
  }
  if (window.length > 0) yield window;
}

/** Reads parts of segments, and opens a segment once for all that are read of it one after the other. */
class PartReader {
  readonly #backend: Backend;
  #id: string | undefined;
  #open: OpenSegment | undefined;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async read({ segment, id }: Location, from: number, to: number): Promise<AsyncIterable<Uint8Array>> {
    if (this.#backend.openSegment === undefined) return this.#backend.read(segment, from, to, id);
    if (this.#open === undefined || this.#id !== id) {
      await this.close();
      this.#open = await this.#backend.openSegment(segment, id);
      this.#id = id;
    }
    return this.#open.read(from, to);
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.close();
  }
}

/** Places in the order of seqs are not always in that of the log. */
function isNear(window: readonly Location[], { id, offset, length }: Location): boolean {
  const first = window[0] as Location;
  const last = window[window.length - 1] as Location;
  return id === first.id && offset >= last.offset && offset + length - first.offset <= WINDOW_BYTES;
}

async function readWindow<L extends Location>(
  reader: PartReader,
  seedAt: SeedAt,
  locations: readonly L[],
  take: TakeLine<L>,
): Promise<boolean> {
  const first = locations[0] as Location;
  const { offset } = first;
  const last = locations[locations.length - 1] as Location;
  const to = last.offset + last.length + 1; // with the line break of the last one, if it has one
  const parts: Buffer[] = [];
  for await (const chunk of await reader.read(first, offset, to)) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    // A chunk is valid until the next is asked for. Most windows are one, which is then not copied.
    if (chunk.length === to - offset) return takeAll({ bytes, offset }, seedAt, locations, take);
    parts.push(Buffer.from(bytes));
  }
  return takeAll({ bytes: Buffer.concat(parts), offset }, seedAt, locations, take);
}

interface Window {
  readonly bytes: Buffer;
  /** Where in its segment it begins. */
  readonly offset: number;
}

function takeAll<L extends Location>(
  window: Window,
  seedAt: SeedAt,
  locations: readonly L[],
  take: TakeLine<L>,
): boolean {
  const whole = verifiesWhole(window, seedAt, locations);
  for (const location of locations) {
    if (!whole) assertVerifies(window, seedAt, location);
    const from = location.offset - window.offset;
    if (!take(window.bytes, from, from + location.length, location)) return false;
  }
  return true;
}

/**
 * Whether a window verifies that is nothing but the lines asked for: one checksum over all of them costs a fraction of one
 * for each. Where it does not, each line is verified alone.
 */
function verifiesWhole({ bytes, offset }: Window, seedAt: SeedAt, locations: readonly Location[]): boolean {
  if (locations.length === 1) return false;
  let next = offset;
  for (const location of locations) {
    if (location.offset !== next) return false;
    next += location.length + 1;
    if (bytes[next - offset - 1] !== NEWLINE) return false;
  }
  return allVerify(seedAt(bytes, 0), bytes); // a segment is of one lineage
}

function assertVerifies({ bytes, offset }: Window, seedAt: SeedAt, location: Location): void {
  const from = location.offset - offset;
  if (verifies(seedAt(bytes, from), bytes, from, from + location.length)) return;
  throw new PapyraError(
    "LOG_DAMAGED",
    `${location.segment} is damaged at byte ${location.offset}: the line no longer verifies`,
    {
      hint: "stop the system, then run: papyra persistence scan",
      details: { file: location.segment, offset: location.offset },
    },
  );
}
