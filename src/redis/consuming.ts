// What one consumer is given, batch by batch: first what it was given before and did not acknowledge, then what others were given
// and did not acknowledge for too long, then what is new.
import type { Clock } from "../env/env.ts";
import type { ResolvedConsume } from "./consumer-options.ts";
import type { Delivery, EntryReader, GivenEntry } from "./delivery.ts";
import type { GroupStream, PendingEntry } from "./group-stream.ts";

/** About so many bytes are asked for at once, whatever the batch. */
const PAGE_BYTES = 4 << 20;

/** Over a connection of its own: a question that is kept open holds up all that come behind it. */
export class Consuming {
  readonly #stream: GroupStream;
  readonly #reader: EntryReader;
  readonly #clock: Clock;
  readonly #consumer: string;
  readonly #options: ResolvedConsume;
  #left: number;
  #lineBytes = 0;
  /** Behind this id everything that this consumer was given as new in this run. */
  #newAfter = "0-0";

  constructor(
    stream: GroupStream,
    of: { readonly reader: EntryReader; readonly clock: Clock; readonly consumer: string },
    options: ResolvedConsume,
  ) {
    this.#stream = stream;
    this.#reader = of.reader;
    this.#clock = of.clock;
    this.#consumer = of.consumer;
    this.#options = options;
    this.#left = options.limit;
  }

  async *batches(): AsyncGenerator<readonly Delivery[], void, undefined> {
    try {
      for await (const entries of this.#entries()) {
        const deliveries = (await this.#opened(entries)).slice(0, this.#left);
        this.#left -= deliveries.length;
        if (deliveries.length > 0) yield deliveries;
        if (this.#left <= 0) return;
      }
    } finally {
      this.#stream.connection.close();
    }
  }

  async *#entries(): AsyncGenerator<readonly GivenEntry[], void, undefined> {
    const { follow, blockMs, claimIdleMs } = this.#options;
    this.#newAfter = await this.#asked(this.#stream.position());
    yield* this.#pending("-", { consumer: this.#consumer });
    yield* this.#pending("-", { idleMs: claimIdleMs }, ({ consumer }) => consumer !== this.#consumer);
    for (let claimed = this.#clock.monotonicMs(); ; ) {
      if (this.#clock.monotonicMs() - claimed >= claimIdleMs) {
        claimed = this.#clock.monotonicMs();
        // Its own as well: a question that arrived late, after its connection had ended, may have got some.
        yield* this.#pending("-", { idleMs: claimIdleMs });
      }
      const { repeats } = this.#stream.connection;
      const wait = follow ? Math.min(blockMs, claimIdleMs) : undefined;
      const entries = await this.#asked(this.#stream.readNew(this.#consumer, this.#count, wait));
      if (this.#stream.connection.repeats !== repeats) {
        // An answer was lost, and with it what it gave: that is pending, behind what had come before and besides what came now.
        const after = `(${this.#newAfter}`;
        this.#newAfter = await this.#asked(this.#stream.position());
        const known = new Set(entries.map(({ id }) => id));
        yield* this.#pending(after, { consumer: this.#consumer }, (one) => !known.has(one.id));
      } else {
        this.#newAfter = entries.at(-1)?.id ?? this.#newAfter;
      }
      if (entries.length === 0 && !follow) return;
      if (entries.length > 0) yield entries;
    }
  }

  /** What is pending, of this consumer or given out that long ago, page by page, taken over. */
  async *#pending(
    from: string,
    filter: { readonly consumer: string } | { readonly idleMs: number },
    wanted: (entry: PendingEntry) => boolean = () => true,
  ): AsyncGenerator<readonly GivenEntry[], void, undefined> {
    const idleMs = "idleMs" in filter ? filter.idleMs : 0;
    for (let start = from; ; ) {
      const count = this.#count;
      const listed = await this.#asked(this.#stream.pending(start, count, filter));
      const ids = listed.filter(wanted).map(({ id }) => id);
      const taken = await this.#asked(this.#stream.take(this.#consumer, idleMs, ids));
      if (taken.length > 0) yield taken;
      const last = listed.at(-1);
      if (last === undefined || listed.length < count) return;
      start = `(${last.id}`;
    }
  }

  /** As many as were asked for, and no more than fit into a page. */
  get #count(): number {
    const fit = this.#lineBytes === 0 ? this.#options.batch : Math.floor(PAGE_BYTES / this.#lineBytes);
    return Math.max(1, Math.min(this.#options.batch, this.#left, fit));
  }

  /** What is to be handed out of entries; those of Papyra's own are acknowledged here. */
  async #opened(entries: readonly GivenEntry[]): Promise<Delivery[]> {
    const bytes = entries.reduce((sum, entry) => sum + (entry.bytes?.length ?? 0), 0);
    this.#lineBytes = bytes / entries.length;
    const deliveries: Delivery[] = [];
    const own: string[] = [];
    for (const entry of entries) {
      const found = this.#reader.deliveries(entry);
      if (found.length === 0) own.push(entry.id);
      deliveries.push(...found);
    }
    await this.#asked(this.#stream.acknowledge(own));
    return deliveries;
  }

  /** The answer, or the reason why it is not waited for any more. */
  async #asked<T>(answer: Promise<T>): Promise<T> {
    const { signal } = this.#options;
    if (signal === undefined) return answer;
    answer.catch(() => undefined); // nobody may be listening by then
    return new Promise<T>((resolve, reject) => {
      const stop = (): void => reject(signal.reason as Error);
      if (signal.aborted) {
        stop();
        return;
      }
      signal.addEventListener("abort", stop, { once: true });
      answer.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    });
  }
}
