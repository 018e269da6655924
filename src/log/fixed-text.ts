// Comparing bytes with texts that are known beforehand, such as the names of members: four bytes at a time.

/** An ASCII text of at least four characters. */
export class FixedText {
  #length = 0;
  #words = new Int32Array(0);
  /** The last four bytes: those that are left over, and some of those before. */
  #last = 0;

  constructor(text: string) {
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    this.become(new DataView(bytes.buffer), 0, bytes.length);
  }

  /** Where it ends in `view` if it stands at `at`, else -1. */
  endAt(view: DataView, at: number): number {
    const length = this.#length;
    const end = at + length;
    if (end > view.byteLength) return -1;
    const words = this.#words;
    for (let i = 0, to = length >>> 2; i < to; i++) if (view.getInt32(at + 4 * i, true) !== words[i]) return -1;
    return view.getInt32(end - 4, true) === this.#last ? end : -1;
  }

  /** From now on it is what stands in `view` from `from` to `to`. */
  become(view: DataView, from: number, to: number): void {
    this.#length = to - from;
    if (this.#words.length < this.#length >>> 2) this.#words = new Int32Array(this.#length >>> 2);
    for (let i = 0; i < this.#length >>> 2; i++) this.#words[i] = view.getInt32(from + 4 * i, true);
    this.#last = view.getInt32(to - 4, true);
  }
}
