// Tells the callers of a batch that is stored, all at once or a share at a time while the next batch is on its way, so that
// they encode what they append next while the thread would only wait.
import type { AppendQueue } from "./append-queue.ts";
import type { AppendedAt } from "./backend.ts";
import type { Batch } from "./batch.ts";

/** One share of the callers is told while a call is on its way: of some hundred of them that takes about as long. */
const SHARES = 8;

export class Acknowledger {
  readonly #queue: AppendQueue;
  readonly #isFailed: () => boolean;
  /** As durable as it shall be, and some of its callers have not been told yet. */
  #batch: Batch | undefined;
  /** Where its lines stand, until it is settled. */
  #placed: readonly AppendedAt[] | undefined;

  constructor(queue: AppendQueue, isFailed: () => boolean) {
    this.#queue = queue;
    this.#isFailed = isFailed;
  }

  /** Takes a batch that is stored; everybody of the one before was told. */
  hold(batch: Batch, placed: readonly AppendedAt[]): void {
    this.#batch = batch;
    this.#placed = placed;
  }

  /** Tells a few where only a call is waited for, so that the call behind it does not wait for them; most where the disk is. */
  tell(wait: "call" | "disk"): void {
    if (this.#batch === undefined) return;
    const few = Math.floor(this.#batch.callers / SHARES);
    this.#tell(wait === "call" ? few : this.#batch.untold - few);
  }

  /** Tells all whom nobody has told yet. */
  tellAll(): void {
    if (this.#batch !== undefined) this.#tell(this.#batch.untold);
    this.#batch = undefined;
  }

  #tell(count: number): void {
    if (this.#batch === undefined || count === 0) return;
    this.#settle(this.#batch);
    this.#batch.tell(count);
  }

  /** Before the first is told: they can read it, and there is room for more. */
  #settle(batch: Batch): void {
    if (this.#placed === undefined) return;
    batch.place(this.#placed);
    this.#placed = undefined;
    this.#queue.settle(batch);
    if (!this.#isFailed()) this.#queue.admit();
  }
}
