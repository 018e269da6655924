// Compaction under faults: the power goes, the process is killed and a call fails at every file-system call that does something
// in a compaction beside a writer. Nothing that stays is lost, no seq is unaccounted for, and the next compaction goes on where it stopped.
import { expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import type { LogName, NewRecord } from "../../src/log/record.ts";
import { account } from "../../src/ops/account.ts";
import { compact, compactStore } from "../../src/ops/compact.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { assertSurvives, backendOn, fork, type Ledger, newLedger, put, Survivors, toldTo } from "./scenario.ts";

const SEEDS = Math.ceil(Number(process.env.PAPYRA_SEEDS ?? 12) / 7);
const ROTATING = { segmentBytes: 4096 } as const;
const RETENTION = { events: { maxRecords: 12 }, journal: { maxRecords: 0 } } as const;
const EVENTS = 32;
/** Two actors that take turns; the first has snapshots, so that its events may go, and the other's stay between them. */
const REVISIONS = 22;

const actorEvent = (persistence_id: string, revision: number): NewRecord => ({
  kind: "journal",
  system_id: "sim",
  persistence_id,
  revision,
  event_type: "happened",
  version: 1,
  payload: { n: revision, text: "x".repeat(100) },
});

const snapshot = (persistence_id: string, revision: number, journal_seq: number): NewRecord => {
  const payload = { n: revision };
  return {
    kind: "snapshot",
    system_id: "sim",
    persistence_id,
    revision,
    journal_seq,
    digest: digestOf(payload),
    payload,
  };
};

async function appendAll(store: Store, ledger: Ledger, log: LogName, records: readonly NewRecord[]): Promise<void> {
  for (const record of records) ledger.attempted.get(log)?.add((record as { payload: { n: number } }).payload.n);
  const { firstSeq } = await store.append(log, records);
  records.forEach((record, i) => {
    ledger.acknowledged.get(log)?.set(firstSeq + i, (record as { payload: { n: number } }).payload.n);
  });
}

async function prepared(disk: SimDisk, ledger: Ledger): Promise<Store> {
  const store = await openStore(backendOn(disk, ROTATING));
  for (let i = 0; i < 4; i++) await put(store, ledger, "events", EVENTS / 4);
  for (let revision = 1; revision <= REVISIONS; revision++) {
    await appendAll(store, ledger, "journal", [actorEvent("a/1", revision), actorEvent("b/1", revision)]);
  }
  // Of three the newest two stay: the journal of a/1 goes up to the older of them.
  for (const revision of [7, 14, 21])
    await appendAll(store, ledger, "snapshots", [snapshot("a/1", revision, 2 * revision - 1)]);
  return store;
}

/** Removes from the ledger what the compaction may take out. */
function expire(ledger: Ledger): void {
  for (const [seq, n] of ledger.acknowledged.get("events") ?? [])
    if (n <= EVENTS - 11) ledger.acknowledged.get("events")?.delete(seq);
  for (let revision = 1; revision <= 14; revision++) ledger.acknowledged.get("journal")?.delete(2 * revision - 1);
  ledger.acknowledged.get("snapshots")?.delete(1);
}

interface Run {
  readonly ledger: Ledger;
  readonly error: unknown;
}

/** `arm` is called when the compaction is about to begin, with the calls made by then. */
async function run(disk: SimDisk, arm: (calls: number) => void): Promise<Run> {
  const ledger = newLedger();
  const store = await prepared(disk, ledger);
  expire(ledger);
  arm(disk.calls);
  const results = await Promise.allSettled([
    compactStore(store, { retention: RETENTION }),
    put(store, ledger, "events", 1).then(() => put(store, ledger, "journal", 2)),
  ]);
  await store.close().catch(() => undefined);
  const failed = results.find((result) => result.status === "rejected");
  return { ledger, error: failed?.reason };
}

/** Before one of these nothing is different from what it was before the call ahead of it. */
const ONLY_LOOKS: ReadonlySet<string> = new Set(["read", "stat", "list", "open", "close"]);

/** The calls that an undisturbed compaction makes, counted from its beginning: all of them, and those that do something. */
async function callsOf(): Promise<{ all: number[]; acting: number[] }> {
  const disk = new SimDisk();
  let before = 0;
  const { error } = await run(disk, (calls) => {
    before = calls;
  });
  const made = disk.trace.slice(before);
  expect(error).toBeUndefined();
  const backend = backendOn(disk, ROTATING);
  expect(await scan(backend)).toMatchObject({ ok: true });
  const sums = new Map((await account(backend)).logs.map((sum) => [sum.log, sum]));
  expect(sums.get("events")?.compacted).toBe(EVENTS - 12); // one more came when it had looked
  expect(sums.get("journal")?.compacted).toBe(14);
  expect(sums.get("snapshots")?.compacted).toBe(1);
  const all = made.map((_, i) => i + 1);
  return { all, acting: all.filter((n) => !ONLY_LOOKS.has(made[n - 1]?.operation as string)) };
}

/** The next compaction ends what was begun: nothing expired is left, and nothing of an interrupted one. */
async function assertGoesOn(disk: SimDisk, what: string): Promise<void> {
  const backend = backendOn(disk, ROTATING);
  await compact(backend, { retention: RETENTION });
  expect(await scan(backend), what).toMatchObject({ ok: true });
  expect((await backend.view()).superseded, what).toEqual([]);
  expect((await compact(backend, { retention: RETENTION })).changed, what).toBe(false);
  const sums = new Map((await account(backend)).logs.map((sum) => [sum.log, sum]));
  for (const sum of sums.values()) {
    expect(sum.present + sum.compacted + sum.quarantined, `${what}: ${sum.log}`).toBe(sum.lastSeq);
  }
  expect(sums.get("journal")?.compacted, what).toBeGreaterThanOrEqual(14);
}

test("a power cut at every call of a compaction loses nothing that stays", async () => {
  const { acting } = await callsOf();
  const survivors = new Survivors();
  for (const n of acting) {
    const disk = new SimDisk();
    const { ledger } = await run(disk, () => disk.cutPowerAt(n));
    for (const { survivor, seed } of survivors.of(disk, toldTo(ledger), SEEDS)) {
      const what = `cut at call ${n}, seed ${seed}`;
      await assertSurvives(survivor, fork(ledger), what, { kept: false, store: ROTATING });
      await assertGoesOn(survivor, what);
    }
  }
  console.log(`power cuts at ${acting.length} calls while compacting: ${survivors.counts}`);
});

test("a compaction that is killed at any call leaves a store that starts by itself", async () => {
  const { acting } = await callsOf();
  for (const n of acting) {
    const disk = new SimDisk();
    const { ledger } = await run(disk, () => disk.killAt(n));
    const survivor = disk.kill();
    await assertSurvives(survivor, ledger, `killed at call ${n}`, { kept: true, store: ROTATING });
    await assertGoesOn(survivor, `killed at call ${n}`);
  }
});

test.each(["EIO", "ENOSPC"] as const)(
  "%s at any call of a compaction: a clear failure, and nothing is lost",
  async (fault) => {
    const { all, acting } = await callsOf();
    // Reads fail alike: of those calls, one in eight.
    const looking = all.filter((n) => n % 8 === 0);
    const chosen = fault === "EIO" ? [...new Set([...acting, ...looking])] : acting;
    for (const n of chosen) {
      const disk = new SimDisk();
      const { ledger, error } = await run(disk, () => disk.failAt(n, fault));
      const { code = "none" } = (error ?? {}) as { code?: string };
      const known = ["none", "STORAGE_FAILED", "STORAGE_FULL", "OUTCOME_UNKNOWN", "STORE_POISONED", "LOG_DAMAGED"];
      expect(known, `call ${n}: ${String(error)}`).toContain(code);
      const survivor = disk.kill();
      await assertSurvives(survivor, ledger, `${fault} at call ${n}`, { kept: true, store: ROTATING });
      await assertGoesOn(survivor, `${fault} at call ${n}`);
    }
  },
);
