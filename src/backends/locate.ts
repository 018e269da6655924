// Records by their place in a log: what an index of a log remembers, and reading them back a window at a time.
import { PapyraError } from "../errors.ts";
import { decodeRecord, verifies } from "../log/codec.ts";
import type { LogRecord } from "../log/record.ts";
import type { Backend } from "./backend.ts";

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
const WINDOW_BYTES = 256 << 10;

/** What the checksum of the line at `start` begins with. */
export type SeedAt = (bytes: Buffer, start: number) => number;

/** The records at `locations`, which are in the order of the log; each is verified again. */
export async function* readLocated(
  backend: Backend,
  seedAt: SeedAt,
  locations: readonly Location[],
): AsyncGenerator<LogRecord, void, undefined> {
  for await (const records of readWindows(backend, seedAt, locations)) yield* records;
}

/** The same, a window at a time: for who reads so many that waiting for each of them would cost more than reading it. */
export async function* readWindows(
  backend: Backend,
  seedAt: SeedAt,
  locations: readonly Location[],
): AsyncGenerator<LogRecord[], void, undefined> {
  for (let first = 0; first < locations.length; ) {
    const start = locations[first] as Location;
    let last = first;
    for (let next = locations[last + 1]; next !== undefined; next = locations[last + 1]) {
      if (next.id !== start.id || next.offset + next.length - start.offset > WINDOW_BYTES) break;
      if (next.offset < (locations[last] as Location).offset) break; // in the order of seqs, not always that of the log
      last += 1;
    }
    const end = locations[last] as Location;
    const window = await readWindow(backend, start, start.offset, end.offset + end.length);
    yield locations.slice(first, last + 1).map((location) => recordIn(window, start.offset, seedAt, location));
    first = last + 1;
  }
}

function recordIn(window: Buffer, windowOffset: number, seedAt: SeedAt, location: Location): LogRecord {
  const from = location.offset - windowOffset;
  if (!verifies(seedAt(window, from), window, from, from + location.length)) {
    throw new PapyraError(
      "LOG_DAMAGED",
      `${location.segment} is damaged at byte ${location.offset}: the line no longer verifies`,
      {
        hint: "stop the system, then run: papyra persistence scan",
        details: { file: location.segment, offset: location.offset },
      },
    );
  }
  return decodeRecord(window.subarray(from, from + location.length));
}

async function readWindow(backend: Backend, at: Location, from: number, to: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of backend.read(at.segment, from, to, at.id)) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}
