// A bounded first-in-first-out queue in a chain of small chunks: nothing is copied when it grows, and it costs nothing
// while it is unused. It refuses when full; what becomes of a refused item is the caller's to say.

/** Small enough to be cheap for an actor that has a few messages, large enough that chunks hardly count in a long queue. */
const CHUNK_ITEMS = 128;
/** A chunk that has held more is let go once it is empty: an actor that was busy once must not stay big for ever. */
const KEPT_ITEMS = 16;

interface Chunk<T> {
  readonly items: (T | undefined)[];
  next: Chunk<T> | undefined;
}

/** A bounded queue. */
export class Mailbox<T> {
  #first: Chunk<T> | undefined;
  #last: Chunk<T> | undefined;
  /** Where the first item is in the first chunk, and where the next one goes in the last. */
  #head = 0;
  #tail = 0;
  #length = 0;
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return this.#length;
  }

  /** Puts an item at the end; false when the queue is full. */
  push(item: T): boolean {
    if (this.#length >= this.#max) return false;
    let last = this.#last;
    if (last === undefined || this.#tail === CHUNK_ITEMS) last = this.#addChunk();
    last.items[this.#tail] = item;
    this.#tail += 1;
    this.#length += 1;
    return true;
  }

  /** Takes the first item, or undefined when there is none. */
  shift(): T | undefined {
    const first = this.#first;
    if (first === undefined || this.#length === 0) return undefined;
    const item = first.items[this.#head];
    first.items[this.#head] = undefined;
    this.#head += 1;
    this.#length -= 1;
    if (this.#length === 0) this.#rewind(first);
    else if (this.#head === CHUNK_ITEMS) {
      this.#first = first.next;
      this.#head = 0;
    }
    return item;
  }

  #addChunk(): Chunk<T> {
    const chunk: Chunk<T> = { items: [], next: undefined };
    if (this.#last === undefined) this.#first = chunk;
    else this.#last.next = chunk;
    this.#last = chunk;
    this.#tail = 0;
    return chunk;
  }

  /** The queue is empty: its only chunk is used again from its start, unless it is large. */
  #rewind(chunk: Chunk<T>): void {
    const kept = chunk.items.length <= KEPT_ITEMS ? chunk : undefined;
    this.#first = kept;
    this.#last = kept;
    this.#head = 0;
    this.#tail = 0;
  }
}
