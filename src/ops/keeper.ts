// What one recovery keeps: the bytes that it takes out, with their reasons, and what a revert needs. Everything is durable
// before anything is changed; in any mode but quarantine, nothing is kept.
import type { Backend, Claim, Segment, Splice, StoreFinding, StoreView } from "../backends/backend.ts";
import type { RemovedBytes } from "./plan.ts";
import { keepBytes, quarantineOf } from "./quarantine.ts";
import type { RecoverMode } from "./recover-report.ts";
import { keepComplete, keepReplaced, keepUndo } from "./undo.ts";

export class Keeper {
  readonly #backend: Backend;
  readonly #claim: Claim;
  readonly #run: { readonly mode: RecoverMode; readonly root: string | undefined; readonly recovery: string };
  #undos = 0;
  #directory: string | undefined;

  constructor(
    backend: Backend,
    claim: Claim,
    run: { readonly mode: RecoverMode; readonly root: string | undefined; readonly recovery: string },
  ) {
    this.#backend = backend;
    this.#claim = claim;
    this.#run = run;
  }

  /** Where something was kept, if anything was. */
  get directory(): string | undefined {
    return this.#directory;
  }

  /** Bytes that go. */
  async removed(view: StoreView, removed: readonly RemovedBytes[], round: number): Promise<void> {
    if (this.#run.mode !== "quarantine" || removed.length === 0) return;
    const { root, recovery } = this.#run;
    this.#directory = await keepBytes(this.#backend, view, removed, { root, recovery, round });
  }

  /** A segment that is about to be rewritten. */
  async rewriting(segment: Segment, splices: readonly Splice[]): Promise<void> {
    if (this.#run.mode !== "quarantine") return;
    const { directory, about } = await this.#next(segment);
    await keepUndo(this.#backend, directory, about, segment, splices);
  }

  /** The files that are about to be made, and that of the store, which is made anew. */
  async replacing(
    view: StoreView,
    made: readonly Pick<StoreFinding, "file" | "log">[],
    storeFile: StoreFinding | undefined,
  ): Promise<void> {
    if (this.#run.mode !== "quarantine") return;
    if (storeFile !== undefined) await this.#storeFile(view, storeFile);
    const files = made.map(({ file, log }) => ({ name: file, log, bytes: undefined as number | undefined }));
    if (storeFile !== undefined) files.push({ name: storeFile.file, log: undefined, bytes: storeFile.bytes ?? 0 });
    for (const file of files) {
      const { directory, about } = await this.#next(file);
      await keepReplaced(this.#backend, directory, about, file);
    }
  }

  /** Everything is done, and on the disk. */
  async complete(): Promise<void> {
    if (this.#directory === undefined || this.#undos === 0) return;
    await keepComplete(this.#backend, this.#directory, this.#run.recovery, this.#undos);
  }

  async #storeFile(view: StoreView, { kind, file, detail, bytes }: StoreFinding): Promise<void> {
    if (bytes === undefined || bytes === 0) return;
    const nothing = { log: undefined, seqs: undefined, lostSeqs: undefined, acknowledged: "none" } as const;
    const finding = { ...nothing, kind, file, detail, offset: 0, length: bytes, repair: { type: "remove" } } as const;
    await this.removed(view, [{ segment: file, finding }], 0);
  }

  /** What was vouched for goes with it: a recovery vouches for the gap records that it writes, and a revert takes these out. */
  async #next({ log }: Pick<Segment, "log">) {
    const { root, recovery } = this.#run;
    const view = await this.#claim.view(1); // of the segments it matters only whether they are those of a store
    this.#directory ??= quarantineOf(this.#backend, view, root, recovery);
    this.#undos += 1;
    const reach = log === undefined ? undefined : view.reach(log);
    const vouched = log !== undefined && reach?.exact === true ? { log, seq: reach.seq } : null;
    return { directory: this.#directory, about: { recovery, n: this.#undos, vouched } };
  }
}
