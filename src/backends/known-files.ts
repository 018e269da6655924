// What was found in files before, and is known of them as long as they are the very ones, and unchanged.
import type { FileState } from "../log/sealed-ends.ts";
import type { Segment } from "./backend.ts";

/**
 * A file that was changed less long ago is not remembered: another change might leave it the same time, since no file system
 * tells times apart that are closer than its clock ticks. The coarsest in use ticks every two seconds.
 */
const SETTLED_MS = 5000;

export class KnownFiles<T extends FileState> {
  readonly #before: ReadonlyMap<string, T>;
  /** Files that were changed later may be changed again without being told apart. */
  readonly #settledMs: number;
  /** What is to be remembered from now on. */
  readonly confirmed: T[] = [];
  /** How many of those were not known before. */
  unknown = 0;

  /** `before` is what was remembered; `nowMs` is a time before anything is read of the files. */
  constructor(before: readonly T[], nowMs: number) {
    this.#before = new Map(before.map((known) => [known.name, known]));
    this.#settledMs = nowMs - SETTLED_MS;
  }

  /** What is known of a segment, after a look at its file. */
  of({ name, id, bytes, changedMs }: Segment): T | undefined {
    const known = this.#before.get(name);
    if (known === undefined) return undefined;
    return known.id === id && known.bytes === bytes && known.changedMs === changedMs ? known : undefined;
  }

  /** That counts still. */
  confirm(known: T): void {
    this.confirmed.push(known);
  }

  /** Something was found out about a segment. */
  add({ name, id, bytes, changedMs }: Segment, found: Omit<T, keyof FileState>): void {
    if (changedMs === undefined || changedMs > this.#settledMs) return;
    this.unknown += 1;
    this.confirmed.push({ name, id, bytes, changedMs, ...found } as T);
  }
}
