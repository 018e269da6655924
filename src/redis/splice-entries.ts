// Which entries of a segment stay as they are, and which lines are new, when bytes go and others come. PURE.
import type { Splice } from "../backends/backend.ts";

export class SpliceEntries {
  readonly #splices: readonly Splice[];
  #next = 0;
  #position = 0;
  /** Up to where bytes are removed by a splice that began in an earlier entry. */
  #removedTo = 0;
  /** New bytes that are not put yet. */
  #new: Buffer[] = [];

  constructor(splices: readonly Splice[]) {
    this.#splices = splices;
  }

  /** The next entry: the lines that come before it, and whether it stays. */
  next({ bytes }: { readonly bytes: Buffer }): { before: Buffer[]; keep: boolean } {
    const start = this.#position;
    const end = start + bytes.length;
    this.#position = end;
    this.#insertAt(start);
    const upcoming = this.#splices[this.#next];
    // A line without its line break is opened again for the one that is inserted behind it.
    const completed = upcoming?.offset === end && upcoming.remove === 0 && bytes.at(-1) !== 0x0a;
    const stays = this.#removedTo <= start && !completed && (upcoming === undefined || upcoming.offset >= end);
    if (stays) return { before: this.#lines(), keep: true };
    let cursor = Math.max(start, this.#removedTo);
    for (let splice = upcoming; splice !== undefined && splice.offset < end; splice = this.#splices[this.#next]) {
      if (splice.offset > cursor) this.#new.push(Buffer.from(bytes.subarray(cursor - start, splice.offset - start)));
      this.#new.push(Buffer.from(splice.insert));
      this.#removedTo = splice.offset + splice.remove;
      cursor = Math.max(cursor, Math.min(end, this.#removedTo));
      this.#next += 1;
    }
    if (cursor < end) this.#new.push(Buffer.from(bytes.subarray(cursor - start)));
    return { before: [], keep: false };
  }

  /** The lines that come behind the last entry. */
  end(): Buffer[] {
    for (const { insert } of this.#splices.slice(this.#next)) this.#new.push(Buffer.from(insert));
    this.#next = this.#splices.length;
    return this.#lines();
  }

  #insertAt(offset: number): void {
    for (let splice = this.#splices[this.#next]; splice?.offset === offset && splice.remove === 0; ) {
      this.#new.push(Buffer.from(splice.insert));
      splice = this.#splices[(this.#next += 1)];
    }
  }

  #lines(): Buffer[] {
    const bytes = Buffer.concat(this.#new);
    this.#new = [];
    const lines: Buffer[] = [];
    for (let from = 0; from < bytes.length; ) {
      const to = bytes.indexOf(0x0a, from) + 1 || bytes.length;
      lines.push(bytes.subarray(from, to));
      from = to;
    }
    return lines;
  }
}
