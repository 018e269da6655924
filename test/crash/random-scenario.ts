// A random life of a store, by its seed: writing alone and together, sealing, rotating, compacting, taking snapshots,
// damage and its recovery, closing, opening again, kills and power cuts; and, where somebody plans them, calls that fail. It
// keeps a ledger of what was promised.
import assert from "node:assert/strict";
import { digestOf } from "../../src/actors/digest.ts";
import type { FileStoreOptions } from "../../src/backends/file-options.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import { ensureError, isPapyraError, type PapyraError } from "../../src/errors.ts";
import { LOG_NAMES, type LogName } from "../../src/log/record.ts";
import type { RetentionPolicy } from "../../src/log/retention.ts";
import { compact, compactStore } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { seededNumbers } from "../../src/testing/sim-survival.ts";
import { harmOne } from "./harm.ts";
import { assertKept, backendOn, contentOf, put } from "./scenario.ts";
import { newTruth, noteOwed, type Truth, withoutLosses } from "./truth.ts";

export const QUARANTINE = { mode: "quarantine", quarantineDir: "/data/quarantine" } as const;

export type Dice = ReturnType<typeof diceOf>;

/** Random choices that depend on the seed alone. */
export function diceOf(seed: number) {
  const next = seededNumbers(seed);
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    chance: (share: number): boolean => next() < share,
    of: <T>(choices: readonly T[]): T => choices[below(choices.length)] as T,
  };
}

/** With batches of 64 KiB each such record is a batch that is worth a write of its own (store-writer.ts). */
const LARGE_BYTES = 40 << 10;
const BUSY = ["events", "journal", "journal", "events", "audits", "dead_letters"] as const;

/** Who looks at a life. */
export interface Witness {
  /** Told of each new machine. */
  onDisk(disk: SimDisk): void;
  /** Told of each failure, before another process takes over; throws one that no disk is to blame for. Without it all are. */
  onFailure?(error: unknown): void;
}

/** One store and its machine. */
export class RandomLife {
  readonly truth: Truth = newTruth();
  readonly options: Partial<FileStoreOptions>;
  readonly retention: RetentionPolicy;
  /** What was done so far, for whoever has to understand a failure. */
  readonly story: string[] = [];
  /** Nothing was cut yet: the mark is exact as long as the machine stays up. */
  rebooted = false;
  /** A recovery is under way: what it has begun, only a recovery ends. */
  mending = false;
  disk: SimDisk;
  readonly #dice: Dice;
  readonly #witness: Witness;
  /** Of snapshots that were handed to the store: by the number in the payload, what they are of. */
  readonly #snapshots = new Map<number, { readonly actor: number; readonly journalSeq: number }>();
  #store: Store | undefined;

  constructor(seed: number, witness: Witness) {
    this.#dice = diceOf(seed);
    this.#witness = witness;
    const dice = this.#dice;
    this.options = {
      segmentBytes: dice.of([4096, 4096, 6000, 1 << 20]),
      durability: dice.of(["fsync", "fsync", "fsync", "fsync", "interval", "os"]),
      mark: dice.of(["lagging", "exact"]),
      batchBytesMax: 64 << 10,
    };
    const bounds = () => ({ maxRecords: dice.of([0, 1, 5, 12]) });
    this.retention = { events: bounds(), journal: bounds(), audits: bounds() };
    this.disk = new SimDisk({ seed });
  }

  async run(): Promise<void> {
    this.#witness.onDisk(this.disk);
    await this.#attempt(async () => void (this.#store = await openStore(this.#backend())));
    const steps = 5 + this.#dice.below(8);
    for (let i = 0; i < steps; i++) await this.#attempt(() => this.#step());
    await this.#attempt(() => this.#close());
  }

  /** When a call of the disk fails in it, the process ends, or the machine, and another one takes over. */
  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (this.#witness.onFailure === undefined) throw error;
      await this.#assertFailStop(error);
      this.#witness.onFailure(error);
      this.story.push(`failed with ${(error as PapyraError).code}`);
      await this.#attempt(() => this.#crash());
    }
  }

  /** A writer that has failed does not acknowledge one more record. */
  async #assertFailStop(error: unknown): Promise<void> {
    if (!isPapyraError(error, "OUTCOME_UNKNOWN") && !isPapyraError(error, "STORE_POISONED")) return;
    const store = this.#store;
    if (store === undefined) return; // it was the writer of a compaction
    const refused: unknown = await put(store, this.truth, this.#dice.of(BUSY), 1).catch((failure: unknown) => failure);
    assert.ok(
      isPapyraError(refused, "STORE_POISONED"),
      `after ${error.message} the writer goes on: ${String(refused)}`,
    );
  }

  #backend() {
    return backendOn(this.disk, this.options);
  }

  async #step(): Promise<void> {
    const dice = this.#dice;
    this.disk.clock.advance(dice.below(3000));
    const step = dice.of([
      "write",
      "write",
      "write",
      "write",
      "flood",
      "snapshot",
      "seal",
      "compact",
      "reopen",
      "mend",
      "crash",
    ]);
    this.story.push(step);
    if (step === "write") await this.#write();
    else if (step === "flood") await this.#flood();
    else if (step === "snapshot") await this.#snapshot();
    else if (step === "seal") await this.#store?.maintain("seal", (work) => work.seal(dice.of(BUSY)));
    else if (step === "compact") await this.#compact();
    else if (step === "crash") await this.#crash();
    else await this.#reopen(step === "mend");
  }

  async #write(): Promise<void> {
    const dice = this.#dice;
    const writes = Array.from({ length: 1 + dice.below(3) }, () => [dice.of(BUSY), 1 + dice.below(9)] as const);
    await Promise.all(writes.map(([log, count]) => put(this.#store as Store, this.truth, log, count)));
  }

  /** Each batch is told of while the next one is written. */
  async #flood(): Promise<void> {
    const log = this.#dice.of(BUSY);
    const together = Array.from({ length: 3 }, () => put(this.#store as Store, this.truth, log, 1, LARGE_BYTES));
    await Promise.all(together);
  }

  /** Of the newest event of one actor. */
  async #snapshot(): Promise<void> {
    const actor = this.#dice.below(3);
    const events = [...(this.truth.acknowledged.get("journal") ?? [])].filter(([, n]) => n % 3 === actor);
    const [journalSeq, revision] = events.at(-1) ?? [];
    if (journalSeq === undefined || revision === undefined) return;
    const n = this.truth.next++;
    this.truth.attempted.get("snapshots")?.add(n);
    this.#snapshots.set(n, { actor, journalSeq });
    const payload = { n };
    const about = { kind: "snapshot", system_id: "sim", persistence_id: `p/${actor}`, revision } as const;
    const record = { ...about, journal_seq: journalSeq, digest: digestOf(payload), payload };
    const { firstSeq } = await (this.#store as Store).append("snapshots", [record]);
    this.truth.acknowledged.get("snapshots")?.set(firstSeq, n);
    this.truth.snapshots.set(firstSeq, { actor, journalSeq });
  }

  /** Beside a writer, or of a store that is closed. */
  async #compact(): Promise<void> {
    const beside = this.#dice.chance(0.6);
    // What comes meanwhile must be among the newest that stay, or nobody could say beforehand what may go.
    const log = this.#dice.of(BUSY.filter((one) => ((this.retention as RetentionPolicy)[one]?.maxRecords ?? 5) >= 5));
    const count = beside ? 1 + this.#dice.below(4) : 0;
    this.#allowToGo(log, count);
    const { retention } = this;
    const store = this.#store as Store;
    if (!beside) await this.#close();
    const compacting = beside ? compactStore(store, { retention }) : compact(this.#backend(), { retention });
    const [outcome] = await Promise.all([
      compacting.then(() => undefined, ensureError),
      beside ? put(store, this.truth, log, count) : undefined,
    ]);
    await this.#close();
    // What a failed write left behind, and nobody was promised, is for a recovery to take out first.
    const isDamaged = isPapyraError(outcome, "LOG_DAMAGED") && !(await scan(this.#backend())).ok;
    if (isDamaged) await this.#recover();
    else if (outcome !== undefined) throw outcome;
    this.#store = await openStore(this.#backend());
  }

  /** The most that a compaction may take out now, while `count` records more come to `busy`. */
  #allowToGo(busy: LogName, count: number): void {
    const { acknowledged, mayGo, snapshots } = this.truth;
    const beyond = (log: LogName, most: number): number[] => {
      const seqs = [...(acknowledged.get(log)?.keys() ?? [])].sort((a, b) => a - b);
      return seqs.slice(0, Math.max(0, seqs.length - Math.max(0, most - (log === busy ? count : 0))));
    };
    for (const log of ["events", "audits"] as const)
      for (const seq of beyond(log, this.retention[log]?.maxRecords as number)) mayGo.get(log)?.add(seq);
    const journal = new Set(beyond("journal", this.retention.journal?.maxRecords as number));
    for (const actor of [0, 1, 2]) {
      const own = [...snapshots].filter(([seq, of]) => of.actor === actor && acknowledged.get("snapshots")?.has(seq));
      const base = own.sort(([a], [b]) => a - b).slice(-2)[0];
      if (base === undefined) continue;
      const [baseSeq, { journalSeq }] = base;
      for (const [seq] of own) if (seq < baseSeq) mayGo.get("snapshots")?.add(seq);
      const events = [...(acknowledged.get("journal") ?? [])].filter(([, n]) => n % 3 === actor).map(([seq]) => seq);
      const newest = busy === "journal" && count > 0 ? Number.POSITIVE_INFINITY : Math.max(...events);
      for (const seq of events)
        if (seq <= journalSeq && seq < newest && journal.has(seq)) mayGo.get("journal")?.add(seq);
    }
  }

  async #reopen(mend: boolean): Promise<void> {
    await this.#close();
    if (mend && (await harmOne(this.disk, this.options, this.truth, this.#dice)) !== undefined) {
      const report = await this.#recover();
      assert.ok(report.after.ok, `after the recovery of one damaged record: ${JSON.stringify(report)}`);
    }
    this.#store = await openStore(this.#backend());
    if (mend) await this.#believeWhatIsThere();
  }

  /** The process dies, or the machine; another one goes on. */
  async #crash(): Promise<void> {
    const cut = this.#dice.chance(0.5) || this.#witness.onFailure !== undefined;
    const before = this.disk;
    this.disk = cut ? before.reboot(this.#dice.below(1 << 30)) : before.kill();
    if (cut) this.rebooted = true;
    if (cut && this.options.durability !== "fsync") {
      await noteOwed(this.truth, this.disk, this.options.mark);
      this.#forgetAll(); // what is there now is believed below
    }
    this.#store = undefined;
    this.#witness.onDisk(this.disk);
    if (await this.#needsRecovery()) await this.#recover();
    this.#store = await openStore(this.#backend());
    await this.#believeWhatIsThere();
  }

  async #needsRecovery(): Promise<boolean> {
    const found = await scan(this.#backend()).catch((error: unknown) => {
      if (!isPapyraError(error, "STORE_NOT_FOUND")) throw error; // there is no store yet
    });
    return found?.startable === false;
  }

  async #recover() {
    this.mending = true;
    const report = await recover(this.#backend(), QUARANTINE);
    this.mending = false;
    return report;
  }

  /** Also what a compaction might have taken: a seq that nothing on the disk knows of may be another record's from now on. */
  #forgetAll(): void {
    for (const log of LOG_NAMES) {
      this.truth.acknowledged.get(log)?.clear();
      this.truth.mayGo.get(log)?.clear();
    }
  }

  /** What a process reads it may act upon: from here on it counts as promised. */
  async #believeWhatIsThere(): Promise<void> {
    const content = await contentOf(this.#store as Store);
    assertKept(content, withoutLosses(this.truth, content), this.story.join(", "));
    for (const [log, present] of content) {
      this.truth.acknowledged.get(log)?.clear();
      for (const [seq, n] of present) this.truth.acknowledged.get(log)?.set(seq, n);
      this.truth.harmed.get(log)?.clear();
    }
    // Nobody was told of one that is there all the same: whoever compacts knows it.
    for (const [seq, n] of content.get("snapshots") ?? []) {
      const about = this.#snapshots.get(n);
      if (about !== undefined) this.truth.snapshots.set(seq, about);
    }
  }

  async #close(): Promise<void> {
    await this.#store?.close();
    this.#store = undefined;
  }
}
