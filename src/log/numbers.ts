// Whole numbers as bytes, small ones as few. The first byte holds whether more follow, the sign and the lowest six bits; each
// further one whether more follow and seven bits. What lies in between, texts and checksums, is bytes as they are. Pure.

const MORE = 0x80;
const NEGATIVE = 0x40;
/** What the bits of a first byte, and of each further one, count up to. */
const FIRST = 0x40;
const NEXT = 0x80;
/** Those of a safe integer: 6 bits and seven times 7 are more than 53. */
const NUMBER_BYTES_MAX = 8;

/** Writes numbers and bytes one behind the other. */
export class NumberWriter {
  #bytes = Buffer.allocUnsafe(4096);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What was written from there on; valid until more is. */
  since(from: number): Buffer {
    return this.#bytes.subarray(from, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /** Throws for what is no safe integer: nothing else comes back as it was. */
  number(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer`);
    this.#reserve(NUMBER_BYTES_MAX);
    const bytes = this.#bytes;
    const amount = Math.abs(value);
    let at = this.#length;
    let rest = Math.floor(amount / FIRST);
    bytes[at++] = (amount % FIRST) | (value < 0 ? NEGATIVE : 0) | (rest > 0 ? MORE : 0);
    while (rest > 0) {
      const more = Math.floor(rest / NEXT);
      bytes[at++] = (rest % NEXT) | (more > 0 ? MORE : 0);
      rest = more;
    }
    this.#length = at;
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const longer = Buffer.allocUnsafe(2 * (this.#length + more));
    longer.set(this.since(0));
    this.#bytes = longer;
  }
}

/** Reads what {@link NumberWriter} wrote. Behind the end everything is zero. */
export class NumberReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length;
  }

  number(): number {
    const bytes = this.#bytes;
    const first = bytes[this.#at++] ?? 0;
    let value = first & (FIRST - 1);
    if (first >= MORE) {
      let unit = FIRST;
      for (let byte = MORE; byte >= MORE; unit *= NEXT) {
        byte = bytes[this.#at++] ?? 0;
        value += (byte & (NEXT - 1)) * unit;
      }
    }
    return (first & NEGATIVE) === 0 ? value : -value;
  }

  bytes(length: number): Uint8Array {
    const from = this.#at;
    this.#at += length;
    return this.#bytes.subarray(from, this.#at);
  }
}
