// A buffer that grows: appending to a segment in memory must not copy all of it.
export class Growing {
  static #made = 0;
  readonly id: string;
  #bytes = Buffer.alloc(4096);
  #length = 0;

  constructor(id: string = String((Growing.#made += 1))) {
    this.id = id;
  }

  append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(this.#bytes.length * 2, this.#length + bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  get length(): number {
    return this.#length;
  }

  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}
