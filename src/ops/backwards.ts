// Reads the lines of a segment from its end towards its beginning, so that the newest records of a long history cost no
// more than those of a short one. Damage is counted, never thrown. Memory: one window, or one line if that is longer.
import type { Backend, Segment } from "../backends/backend.ts";
import { PapyraError } from "../errors.ts";
import { LINE_BYTES_MAX, parseObject } from "../log/codec.ts";
import { type Entry, LineScanner, linesOf } from "../log/lines.ts";

/** The first window is small: mostly a few lines are wanted. */
const WINDOW_BYTES_MIN = 64 << 10;
const WINDOW_BYTES_MAX = 1 << 20;

/** A line that is whole, as stored. */
export interface StoredLine {
  readonly file: string;
  readonly offset: number;
  /** Bytes of the line without its line break. */
  readonly length: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Bytes that are no whole line. */
export interface BadBytes {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
  readonly fields: undefined;
}

/**
 * The lines in `[from, segment.bytes)`, the last one first. With a `seed`, a line must verify. `live`: bytes behind the
 * last line break are in flight and no damage.
 */
export async function* linesBackwards(
  backend: Backend,
  segment: Segment,
  from: number,
  seed: number | undefined,
  live: boolean,
): AsyncGenerator<StoredLine | BadBytes, void, undefined> {
  /** What was read of a line whose beginning lies further up, the beginning first. */
  let held: Buffer[] = [];
  let heldBytes = 0;
  /** Of a line that is too long to be held, only its length is kept. */
  let tooLong = false;
  let ended = false;
  for (let to = segment.bytes, window = WINDOW_BYTES_MIN; to > from; window = Math.min(window * 4, WINDOW_BYTES_MAX)) {
    const start = Math.max(from, to - window);
    const bytes = await readBytes(backend, segment, start, to);
    to = start;
    // Everything behind the first line break of the window is whole; what stands before it began further up.
    const cut = start === from ? 0 : bytes.indexOf(0x0a) + 1;
    const begins = start === from || cut > 0;
    if (!begins) {
      heldBytes += bytes.length;
      if (heldBytes > LINE_BYTES_MAX) tooLong = true;
      held = tooLong ? [] : [bytes, ...held];
      continue;
    }
    if (tooLong) {
      const newline = bytes.lastIndexOf(0x0a);
      const end = start + newline + 1;
      yield { file: segment.name, offset: end, length: heldBytes + bytes.length - newline - 1, fields: undefined };
      ended = true;
      yield* judged(segment.name, bytes.subarray(cut, newline + 1), start + cut, seed, true);
    } else {
      const whole = held.length === 0 ? bytes.subarray(cut) : Buffer.concat([bytes.subarray(cut), ...held]);
      yield* judged(segment.name, whole, start + cut, seed, ended || live);
      if (whole.length > 0) ended = true;
    }
    held = cut === 0 ? [] : [bytes.subarray(0, cut)];
    heldBytes = cut;
    tooLong = false;
  }
}

/** The entries of some whole lines, the last one first. `open`: an unfinished last line is not judged. */
function* judged(
  file: string,
  bytes: Buffer,
  offset: number,
  seed: number | undefined,
  open: boolean,
): Generator<StoredLine | BadBytes, void, undefined> {
  const scanner = new LineScanner(seed, offset);
  const found: (StoredLine | BadBytes | { line: Buffer; offset: number })[] = [];
  const take = (entry: Entry): void => {
    if (entry.type === "damage") found.push({ file, offset: entry.offset, length: entry.length, fields: undefined });
    if (entry.type === "damage" || entry.type === "control") return;
    let at = entry.offset;
    for (const line of linesOf(entry)) {
      found.push({ line, offset: at });
      at += line.length + 1;
    }
  };
  for (const entry of scanner.push(bytes)) take(entry);
  if (!open) for (const entry of scanner.end()) take(entry);
  for (const one of found.reverse()) {
    if (!("line" in one)) yield one;
    else {
      const { line, offset: at } = one;
      // A line that verifies and is no JSON was not written by Papyra: the scan says so, and here it is damage.
      yield { file, offset: at, length: line.length, fields: parseObject(line) };
    }
  }
}

/** Bytes `[from, to)` of a segment. Rejects with STORAGE_FAILED when they are no longer there. */
export async function readBytes(
  backend: Backend,
  { name, id }: Pick<Segment, "name" | "id">,
  from: number,
  to: number,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of backend.read(name, from, to, id)) parts.push(Buffer.from(chunk));
  const bytes = Buffer.concat(parts);
  if (bytes.length < to - from) {
    throw new PapyraError("STORAGE_FAILED", `${name} became shorter while it was read`, {
      hint: "run the command again; if that happens twice, something else changes the store",
    });
  }
  return bytes;
}
