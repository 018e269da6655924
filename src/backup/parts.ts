// The bytes of a segment, cut into parts and stored, each under the hash of its content: what is there already is not stored
// again. Where an earlier backup has cut, it is cut again, as long as the bytes are the same.
import type { LogName } from "../log/record.ts";
import { type Part, partName } from "./manifest.ts";
import { CONTENT_BYTES_MAX, type ObjectStore } from "./objects.ts";
import { sha256Of } from "./sealed-json.ts";

/** A part ends at the first line break behind so many bytes: one request, and a few of them in memory. */
const PART_BYTES = 8 << 20;
const NEWLINE = 0x0a;

/** How much was read and how much of it was new. */
export interface PartCounts {
  readBytes: number;
  storedBytes: number;
  storedParts: number;
}

/** Stores one segment from `from` on. */
export class PartWriter {
  readonly #objects: ObjectStore;
  readonly #log: LogName;
  readonly #counts: PartCounts;
  readonly #parts: Part[];
  /** Where an earlier backup has cut, the next one first. */
  #known: Part[];
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Up to where bytes were taken. */
  offset: number;

  /** `stored` are parts in front of `from` that are taken as they are; `known` those that may follow. */
  constructor(
    objects: ObjectStore,
    log: LogName,
    counts: PartCounts,
    start: { readonly stored: readonly Part[]; readonly known: readonly Part[] },
  ) {
    this.#objects = objects;
    this.#log = log;
    this.#counts = counts;
    this.#parts = [...start.stored];
    this.#known = isScattered(start.known) ? [] : [...start.known];
    this.offset = start.stored.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The bytes that follow; they are copied. */
  async push(chunk: Uint8Array): Promise<void> {
    let rest = chunk;
    while (rest.length > 0) {
      const wanted = (this.#known[0]?.bytes ?? CONTENT_BYTES_MAX) - this.#heldBytes;
      const taken = rest.subarray(0, wanted);
      this.#held.push(Buffer.from(taken));
      this.#heldBytes += taken.length;
      this.offset += taken.length;
      this.#counts.readBytes += taken.length;
      rest = rest.subarray(taken.length);
      await this.#cut();
    }
  }

  /** Stores what is left and resolves with all parts. */
  async end(): Promise<readonly Part[]> {
    this.#known = [];
    if (this.#heldBytes > 0) await this.#store(Buffer.concat(this.#held));
    this.#held = [];
    this.#heldBytes = 0;
    return this.#parts;
  }

  async #cut(): Promise<void> {
    const known = this.#known[0];
    if (known !== undefined) {
      if (this.#heldBytes < known.bytes) return;
      const bytes = Buffer.concat(this.#held);
      if (sha256Of(bytes) === known.sha256) {
        this.#known.shift();
        await this.#store(bytes);
        this.#hold(undefined);
        return;
      }
      this.#known = []; // other bytes than then: from here on it is another segment
    }
    while (this.#heldBytes >= PART_BYTES) {
      const bytes = Buffer.concat(this.#held);
      const newline = bytes.indexOf(NEWLINE, PART_BYTES - 1);
      if (newline < 0 && bytes.length < CONTENT_BYTES_MAX) {
        this.#hold(bytes);
        return;
      }
      const end = newline < 0 ? CONTENT_BYTES_MAX : newline + 1;
      await this.#store(bytes.subarray(0, end));
      this.#hold(bytes.subarray(end));
    }
  }

  #hold(bytes: Buffer | undefined): void {
    this.#held = bytes === undefined || bytes.length === 0 ? [] : [bytes];
    this.#heldBytes = bytes?.length ?? 0;
  }

  async #store(bytes: Buffer): Promise<void> {
    const part = { sha256: sha256Of(bytes), bytes: bytes.length };
    this.#parts.push(part);
    const name = partName(this.#log, part);
    if ((await this.#objects.stat(name))?.bytes === bytes.length) return;
    await this.#objects.put(name, bytes);
    this.#counts.storedBytes += bytes.length;
    this.#counts.storedParts += 1;
  }
}

/** Many small backups of a growing segment leave many small parts: they are put together when it is read as a whole again. */
export function isScattered(parts: readonly Part[]): boolean {
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  return parts.length > 8 + (4 * bytes) / PART_BYTES;
}
