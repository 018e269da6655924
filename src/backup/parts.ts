// The bytes of a segment, cut into parts and stored, each under the hash of its content: what is there already is not stored
// again. Where an earlier backup has cut, it is cut again, as long as the bytes are the same.
import { createHash } from "node:crypto";
import { type Part, type PartOf, partName } from "./manifest.ts";
import { CONTENT_BYTES_MAX, getUnjudged, type ObjectStore } from "./objects.ts";

/** A part ends at the first line break behind so many bytes: one request, and a few of them in memory. */
const PART_BYTES = 8 << 20;
const NEWLINE = 0x0a;

/** Where the parts of one backup go, and how many there were. */
export class PartSink {
  readonly objects: ObjectStore;
  /** What is not stored yet of the segment at hand; used again for the next one. */
  readonly buffer: Buffer = Buffer.allocUnsafeSlow(CONTENT_BYTES_MAX);
  readBytes = 0;
  storedBytes = 0;

  readonly #share: number;
  #workedSinceMs: number;

  /** `share`: of the time, how much is worked; the rest belongs to whoever else is in this process. */
  constructor(objects: ObjectStore, share: number = 1) {
    this.objects = objects;
    this.#share = share;
    this.#workedSinceMs = objects.env.clock.monotonicMs();
  }

  /** Called after each piece of work. */
  async rest(): Promise<void> {
    if (this.#share >= 1) return;
    const { clock } = this.objects.env;
    const worked = clock.monotonicMs() - this.#workedSinceMs;
    if (worked <= 0) return;
    await new Promise<void>((resolve) => void clock.after(worked * (1 / this.#share - 1), resolve, "foreground"));
    this.#workedSinceMs = clock.monotonicMs();
  }

  async store(log: PartOf, bytes: Buffer, sha256: string): Promise<Part> {
    const part = { sha256, bytes: bytes.length };
    const name = partName(log, part);
    const there = await getUnjudged(this.objects, name);
    if (there?.equals(bytes) === true) return part; // one that is damaged is mended
    await this.objects.put(name, bytes);
    this.storedBytes += bytes.length;
    return part;
  }
}

/** Stores one segment from where the stored parts end; one at a time for each sink. */
export class PartWriter {
  readonly #sink: PartSink;
  readonly #log: PartOf;
  readonly #parts: Part[];
  /** Where an earlier backup has cut, the next one first. */
  #known: Part[];
  /** Bytes in the buffer, and of how many of them the hash was taken: piece by piece, so that nobody waits for long. */
  #held = 0;
  #hashed = 0;
  #hash = createHash("sha256");
  /** Up to where bytes were taken. */
  offset: number;

  /** `stored` are parts that are taken as they are; `known` those that may follow. */
  constructor(
    sink: PartSink,
    log: PartOf,
    start: { readonly stored: readonly Part[]; readonly known: readonly Part[] },
  ) {
    this.#sink = sink;
    this.#log = log;
    this.#parts = [...start.stored];
    this.#known = isScattered(start.known) ? [] : [...start.known];
    this.offset = start.stored.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The bytes that follow; they are copied. */
  async push(chunk: Uint8Array): Promise<void> {
    let rest = chunk;
    while (rest.length > 0) {
      const taken = rest.subarray(0, (this.#known[0]?.bytes ?? CONTENT_BYTES_MAX) - this.#held);
      this.#sink.buffer.set(taken, this.#held);
      this.#held += taken.length;
      this.offset += taken.length;
      this.#sink.readBytes += taken.length;
      this.#takeIn();
      rest = rest.subarray(taken.length);
      await this.#cut();
    }
    await this.#sink.rest();
  }

  /** Stores what is left and resolves with all parts. */
  async end(): Promise<readonly Part[]> {
    this.#known = [];
    if (this.#held > 0) await this.#store(this.#held);
    return this.#parts;
  }

  async #cut(): Promise<void> {
    const { buffer } = this.#sink;
    const known = this.#known[0];
    if (known !== undefined) {
      if (this.#held < known.bytes) return;
      if (this.#hashOf(this.#held) === known.sha256) {
        this.#known.shift();
        await this.#store(this.#held);
        return;
      }
      this.#known = []; // other bytes than then: from here on it is another segment
      this.#startHash();
      this.#takeIn();
    }
    while (this.#held >= PART_BYTES) {
      const newline = buffer.subarray(0, this.#held).indexOf(NEWLINE, PART_BYTES - 1);
      if (newline < 0 && this.#held < CONTENT_BYTES_MAX) return;
      await this.#store(newline < 0 ? CONTENT_BYTES_MAX : newline + 1);
    }
  }

  /** Stores the first bytes of the buffer as a part. */
  async #store(bytes: number): Promise<void> {
    const { buffer } = this.#sink;
    const sha256 = this.#hashOf(bytes);
    this.#parts.push(await this.#sink.store(this.#log, buffer.subarray(0, bytes), sha256));
    buffer.copyWithin(0, bytes, this.#held);
    this.#held -= bytes;
    this.#startHash();
  }

  #startHash(): void {
    this.#hashed = 0;
    this.#hash = createHash("sha256");
  }

  /** Takes what may go into the next part for sure: it ends behind so many bytes at the earliest. */
  #takeIn(): void {
    const to = Math.min(this.#held, this.#known[0]?.bytes ?? PART_BYTES);
    if (to <= this.#hashed) return;
    this.#hash.update(this.#sink.buffer.subarray(this.#hashed, to));
    this.#hashed = to;
  }

  #hashOf(bytes: number): string {
    return this.#hash.copy().update(this.#sink.buffer.subarray(this.#hashed, bytes)).digest("hex");
  }
}

/** So many parts that are far from full may follow each other at the end of a segment. */
const SMALL_PARTS_MAX = 16;

/**
 * Of the parts of a segment that has grown by so many bytes, those that stay. Many small backups leave many small parts: the
 * last ones are put together with what is new as soon as that is as much as they are, so that each byte is stored anew a few
 * times only, however often the segment grows.
 */
export function keptParts(parts: readonly Part[], newBytes: number): readonly Part[] {
  let small = 0;
  while (small < parts.length && (parts[parts.length - 1 - small] as Part).bytes < PART_BYTES / 2) small += 1;
  if (small <= SMALL_PARTS_MAX) return parts;
  let kept = parts.length;
  for (let sum = newBytes; kept > parts.length - small && (parts[kept - 1] as Part).bytes <= sum; kept--)
    sum += (parts[kept - 1] as Part).bytes;
  return parts.slice(0, kept);
}

/** A segment that is read as a whole again is cut anew when its parts are many and small. */
function isScattered(parts: readonly Part[]): boolean {
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  return parts.length > 8 + (4 * bytes) / PART_BYTES;
}
