// SHA-256 over the bytes of a segment before its seal, while they stream by. A seal is known as one when the whole line is
// there, and then its first bytes have gone by already: so the bytes of a line that has not ended are held back.
import { createHash } from "node:crypto";
import { LINE_BYTES_MAX } from "./codec.ts";

const NOTHING = Buffer.alloc(0);

export class SegmentHash {
  readonly #hash = createHash("sha256");
  /** Up to here every byte went into the hash. */
  #hashed = 0;
  /** Copies of the bytes behind that, but for those of the chunk at hand. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #chunk: Buffer = NOTHING;

  /** The next bytes of the segment, before their lines are looked at. */
  begin(chunk: Uint8Array): void {
    this.#chunk = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }

  /** Every line before `offset` has been looked at, and the chunk belongs to its reader again. */
  end(offset: number): void {
    let rest = this.#chunk;
    if (offset > this.#hashed) {
      rest = rest.subarray(offset - this.#hashed - this.#heldBytes); // a line ended: nothing before it is a seal's
      this.#take(this.#chunk.subarray(0, this.#chunk.length - rest.length));
    }
    this.#held.push(Buffer.from(rest));
    this.#heldBytes += rest.length;
    if (this.#heldBytes > LINE_BYTES_MAX) this.#take(NOTHING); // too long for a line, and so for a seal
    this.#chunk = NOTHING;
  }

  /** The digest of all bytes before `offset`, where a line begins that was not looked at before. */
  before(offset: number): string {
    const hash = this.#hash.copy();
    let left = offset - this.#hashed;
    for (const part of [...this.#held, this.#chunk]) {
      if (left > 0) hash.update(part.subarray(0, left));
      left -= part.length;
    }
    return hash.digest("hex");
  }

  #take(more: Buffer): void {
    for (const part of [...this.#held, more]) {
      this.#hash.update(part);
      this.#hashed += part.length;
    }
    this.#held = [];
    this.#heldBytes = 0;
  }
}
