// The exploration: a random life of a store is cut at random calls, by power and by kill, several survivors each, and what
// is found is judged by what was promised. What the judge does to a survivor (recovering, opening, writing) is cut again.
// In a faulty life calls fail as well: then another process takes over, and what the first was told is held against the store.
// Everything depends on the seed alone. scripts/explore.mjs runs it for as long as one likes.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { StoreView } from "../../src/backends/backend.ts";
import { openStore } from "../../src/backends/open.ts";
import { type ErrorCode, isPapyraError, type PapyraError } from "../../src/errors.ts";
import { isHarmless } from "../../src/log/anomaly.ts";
import { decodeSlots } from "../../src/log/mark.ts";
import { LOG_NAMES, type LogName } from "../../src/log/record.ts";
import { MARK_FILE } from "../../src/log/segments.ts";
import { compact } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan, type ScanReport } from "../../src/ops/scan.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import { type Explored, nothingExplored } from "./explored.ts";
import { assertAccounted, assertNeverAgain, assertSeen, forgetLosses } from "./explore-oracle.ts";
import { harmOne } from "./harm.ts";
import { FORGETS, planFaults } from "./planned-faults.ts";
import { type Dice, diceOf, QUARANTINE, RandomLife } from "./random-scenario.ts";
import { forkTruth, noteOwed, type Truth, withoutLosses } from "./truth.ts";
import { assertKept, backendOn, contentOf, PATH, put } from "./scenario.ts";

/** Before one of these nothing is different from what it was before the call ahead of it. */
const ONLY_LOOKS: ReadonlySet<string> = new Set(["read", "stat", "list", "open", "close", "release", "imitate"]);
/** So many of the calls that act are cut, and how each. */
const CUT_SHARE = 0.15;
const SURVIVORS = 3;
const KILL_SHARE = 0.3;
/** So many survivors are watched while the judge mends them, and so many are damaged before. */
const DEEPER_SHARE = 0.1;
const HARM_SHARE = 0.1;
/** Of a faulty life: the faults are its point. */
const FAULTY_CUT_SHARE = 0.02;
/** What an operation may end with when a call of the disk has failed in it. */
const FAILURES: readonly ErrorCode[] = ["STORAGE_FAILED", "STORAGE_FULL", "OUTCOME_UNKNOWN", "STORE_POISONED"];

interface State {
  readonly disk: SimDisk;
  readonly truth: Truth;
  /** The machine stayed up. */
  readonly kept: boolean;
  /** It never did otherwise. */
  readonly neverCut: boolean;
  /** A recovery was cut short. */
  readonly mending: boolean;
  readonly depth: 1 | 2;
  /** A sync may have failed and lost what can still be read: no process can know that a power cut would take it. */
  readonly forgets: boolean;
  readonly what: string;
}

type About = Omit<State, "disk" | "kept" | "what">;

/** One life and all survivors of it. Rejects with an error that names the seed and tells the life. */
export async function exploreSeed(seed: number, options: { readonly faulty?: boolean } = {}): Promise<Explored> {
  const explored = nothingExplored();
  const explorer = new Explorer(seed, explored, options.faulty === true);
  try {
    await explorer.all();
  } catch (cause) {
    const { message, stack } = cause as Error;
    throw new Error(`seed ${seed}: ${explorer.where}: ${message}\n${explorer.story}\n${stack}`, { cause });
  }
  return explored;
}

class Explorer {
  where = "the life itself";
  readonly #dice: Dice;
  readonly #life: RandomLife;
  readonly #explored: Explored;
  readonly #states: State[] = [];
  readonly #seen = new Set<string>();
  readonly #machines: SimDisk[] = [];
  #forgets = false;

  constructor(seed: number, explored: Explored, faulty: boolean) {
    this.#explored = explored;
    this.#dice = diceOf(seed + 0x5eed);
    const share = faulty ? FAULTY_CUT_SHARE : CUT_SHARE;
    this.#life = new RandomLife(seed, {
      onDisk: (disk) => {
        this.#machines.push(disk);
        const faults = faulty ? planFaults(disk, this.#dice) : [];
        this.#forgets = faults.includes(FORGETS);
        if (faulty) this.#life.story.push(`(${faults.join(", ")})`);
        this.#watch(disk, share, () => this.#now());
      },
      ...(faulty ? { onFailure: (error: unknown) => this.#onFailure(error) } : {}),
    });
  }

  #now(): About {
    const { truth, rebooted, mending } = this.#life;
    return { truth, neverCut: !rebooted, mending, depth: 1, forgets: this.#forgets };
  }

  /** What a call that failed leaves behind, if the process dies now, or the machine. */
  #onFailure(error: unknown): void {
    if (!FAILURES.includes((error as PapyraError).code)) throw error;
    this.#explored.failures += 1;
    const { disk, story } = this.#life;
    const at = `${story.length} steps, then ${(error as PapyraError).message}`;
    this.#add({ disk: disk.afterKill(), ...this.#now(), kept: true, what: `${at}, killed` });
    this.#addCuts(disk, this.#now(), at);
  }

  get story(): string {
    const { options, retention, story } = this.#life;
    return `${JSON.stringify({ ...options, retention })}: ${story.join(", ")}`;
  }

  async all(): Promise<void> {
    await this.#life.run();
    for (const { faultsHit } of this.#machines) this.#explored.faults += faultsHit;
    for (let state = this.#states.shift(); state !== undefined; state = this.#states.shift()) {
      this.where = state.what;
      await this.#judge(state);
    }
  }

  /** Takes survivors of a disk at random calls, while it goes on. */
  #watch(disk: SimDisk, share: number, aboutNow: () => About, where = ""): void {
    const dice = this.#dice;
    disk.pause = (call) => {
      if (ONLY_LOOKS.has(call.operation) || !dice.chance(share)) return;
      const about = aboutNow();
      const at = `${where}${this.#life.story.length} steps, call ${call.n} (${call.operation} ${call.path})`;
      this.#addCuts(disk, about, at);
      if (dice.chance(KILL_SHARE)) this.#add({ disk: disk.afterKill(), ...about, kept: true, what: `${at}, killed` });
    };
  }

  #addCuts(disk: SimDisk, about: About, at: string): void {
    for (let i = 0; i < SURVIVORS; i++) {
      const seed = this.#dice.below(1 << 30);
      this.#add({ disk: disk.afterReboot(seed), ...about, kept: false, what: `${at}, cut, survivor ${seed}` });
    }
  }

  #add(state: State): void {
    this.#explored.survivors += 1;
    const key = createHash("sha1").update(`${state.kept} ${state.truth.next}`);
    for (const [, all] of state.truth.acknowledged) key.update(` ${all.size}`);
    for (const [path, bytes] of state.disk.tree()) key.update(path).update(bytes);
    const digest = key.digest("base64");
    if (this.#seen.has(digest)) return;
    this.#seen.add(digest);
    state.disk.freeBytes = Number.POSITIVE_INFINITY; // the fault is gone: what it left is judged
    this.#states.push({ ...state, truth: forkTruth(state.truth) });
  }

  async #judge(state: State): Promise<void> {
    const { disk, truth, kept, depth } = state;
    const explored = this.#explored;
    explored.states += 1;
    if (kept) explored.kills += 1;
    if (depth === 2) explored.deeper += 1;
    /** An acknowledgement is worth something in this state. */
    const promised = kept || this.#life.options.durability === "fsync";
    const harm = promised && this.#dice.chance(HARM_SHARE) ? await this.#harm(state) : undefined;
    if (harm !== undefined) explored.harmed += 1;
    if (!promised) await noteOwed(truth, disk, this.#life.options.mark);
    const found = await this.#scan(disk);
    if (found !== undefined) this.#assertVerdict(state, found, promised);
    if (harm !== undefined && found !== undefined) assertSeen(found, harm);
    const deeper = depth === 1 && harm === undefined && promised && !(kept && state.forgets);
    if (deeper && this.#dice.chance(DEEPER_SHARE)) this.#watchMending(state);
    // Where nothing is wrong, recovering first would only be the same scan again.
    const first = found !== undefined && !found.ok && (!found.startable || this.#dice.chance(0.5));
    if (first) await this.#recover(disk, truth, promised);
    const content = await this.#goOn(state, found, promised);
    if (!first) await this.#recover(disk, truth, promised);
    disk.pause = undefined;
    if (promised) await assertAccounted(disk, truth, content);
    const compacts = this.#dice.chance(0.1);
    if (compacts) await compact(backendOn(disk, this.#life.options), { retention: this.#life.retention });
    if (!first && !compacts) return; // the recovery has just said that all is well
    const healthy = await scan(backendOn(disk, this.#life.options));
    assert.ok(healthy.ok, `not healthy in the end: ${healthy.verdict} ${JSON.stringify(healthy.anomalies)}`);
  }

  #watchMending({ disk, truth, kept, neverCut, what }: State): void {
    const about = () => ({ truth, neverCut: kept && neverCut, mending: true, depth: 2, forgets: false }) as const;
    this.#watch(disk, CUT_SHARE, about, `${what}; then `);
  }

  /** Opens the store, reads all of it, writes more, closes it. Resolves with what was read. */
  async #goOn(
    { disk, truth }: State,
    found: ScanReport | undefined,
    promised: boolean,
  ): Promise<Map<LogName, Map<number, number>>> {
    const backend = backendOn(disk, this.#life.options);
    // While the logs are read one after the other nothing writes: each look at the directory would find the same.
    let view: Promise<StoreView> | undefined;
    const store = await openStore({ ...backend, view: () => (view ??= backend.view()) });
    const content = await contentOf(store);
    if (!promised && found !== undefined) forgetLosses(truth, content, found);
    assertKept(content, withoutLosses(truth, content), "after opening");
    const size = truth.acknowledged.get("journal")?.size ?? 0;
    await put(store, truth, "events", 1);
    await put(store, truth, "journal", 2);
    assert.equal(truth.acknowledged.get("journal")?.size, size + 2, "a seq was given away twice");
    await store.close();
    await assertNeverAgain(disk, truth, content);
    return content;
  }

  async #harm({ disk, truth }: State) {
    try {
      return await harmOne(disk, this.#life.options, truth, this.#dice);
    } catch (error) {
      if (isPapyraError(error, "STORE_NOT_FOUND")) return undefined;
      throw error;
    }
  }

  /** Undefined when there is no store yet. */
  async #scan(disk: SimDisk): Promise<ScanReport | undefined> {
    const before = disk.mutations;
    try {
      const found = await scan(backendOn(disk, this.#life.options));
      assert.equal(disk.mutations, before, "a scan changed something");
      return found;
    } catch (error) {
      if (!isPapyraError(error, "STORE_NOT_FOUND")) throw error;
      return undefined;
    }
  }

  #assertVerdict({ disk, truth, kept, neverCut, mending }: State, found: ScanReport, promised: boolean): void {
    const harmedAny = LOG_NAMES.some((log) => (truth.harmed.get(log)?.size ?? 0) > 0);
    for (const anomaly of found.anomalies) {
      const about = JSON.stringify(anomaly);
      const { log, lostSeqs, acknowledged, allowed } = anomaly;
      const { mark, durability } = this.#life.options;
      if (allowed === true) {
        // By an earlier power cut, and nothing was accounted for yet.
        assert.ok(durability !== "fsync" && !(kept && neverCut), `nothing allows a loss: ${about}`);
      } else if (acknowledged === "lost" && promised && (durability === "fsync" || (kept && neverCut))) {
        const harmed = [...(truth.harmed.get(log as LogName) ?? [])];
        const named = harmed.some((seq) => lostSeqs !== undefined && seq >= lostSeqs.from && seq <= lostSeqs.to);
        assert.ok(named, `nothing acknowledged is lost, but: ${about}`);
      }
      const canTell = (kept && neverCut) || (mark === "exact" && durability === "fsync" && !isMarkTorn(disk));
      if (canTell && !harmedAny && !mending)
        assert.ok(isHarmless(anomaly), `it can be told that nobody need be asked: ${about}`);
    }
  }

  async #recover(disk: SimDisk, truth: Truth, promised: boolean): Promise<void> {
    const backend = backendOn(disk, this.#life.options);
    const before = disk.mutations;
    const report = await recover(backend, QUARANTINE);
    assert.ok(
      report.ok && report.after.ok,
      `recovery left something: ${report.verdict} ${JSON.stringify(report.after.anomalies)}`,
    );
    const harmed = LOG_NAMES.some((log) => (truth.harmed.get(log)?.size ?? 0) > 0);
    const allowed = report.before.anomalies.filter((one) => one.allowed === true);
    const isAllowed = ({ log, from, to }: (typeof report.gaps)[number]): boolean =>
      allowed.some(({ log: of, lostSeqs }) => of === log && lostSeqs?.from === from && lostSeqs.to === to);
    if (promised && !harmed)
      assert.deepEqual(
        report.gaps.filter((gap) => gap.reason === "lost" && !isAllowed(gap)),
        [],
        "recovery declared losses",
      );
    const { pause, mutations } = disk;
    // A recovery that touched nothing would find the very same disk the second time.
    if (!report.changed && mutations === before) return;
    disk.pause = undefined;
    const again = await recover(backend, { mode: "repair" });
    assert.deepEqual([again.changed, disk.mutations], [false, mutations], "a second recovery changed something");
    disk.pause = pause;
  }
}

/** A mark of which a part is torn cannot tell what it would have said. */
function isMarkTorn(disk: SimDisk): boolean {
  const mark = disk.tree().get(`${PATH}/${MARK_FILE}`);
  return mark !== undefined && decodeSlots(mark)?.stale !== false;
}
