// When snapshots are taken, and that any subset of them, whole or broken, gives the same state: they change only how much
// is folded.
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { type Committed, persistentActor, type SnapshotOptions } from "../../src/actors/persistent.ts";
import { resolveSnapshots, SnapshotSchedule } from "../../src/actors/snapshot-schedule.ts";
import type { ActorSystem } from "../../src/actors/system.ts";
import { fileBackend } from "../../src/backends/files.ts";
import type { MemoryBackend } from "../../src/backends/memory.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { memoryStore } from "../../src/index.ts";
import { SimDisk } from "../../src/testing/index.ts";
import { damage, type Entries, ledgerWith, startSystem, stored } from "./persistent-helpers.ts";

const systems: ActorSystem[] = [];
async function started(store: Parameters<typeof startSystem>[0]): ReturnType<typeof startSystem> {
  const system = await startSystem(store);
  systems.push(system);
  return system;
}
afterEach(async () => {
  for (const system of systems.splice(0)) await system.stop();
});

const one = (revision: number): Committed => ({ revision, eventTypes: ["put"] });
const schedule = (options: SnapshotOptions<unknown>, revision = 0, waitingMs?: number): SnapshotSchedule =>
  new SnapshotSchedule(resolveSnapshots(options), revision, waitingMs);

describe("a schedule", () => {
  test("without options is never due", () => {
    const never = schedule({});
    for (let revision = 1; revision < 1000; revision++)
      expect(never.isDue({}, one(revision), revision * 1e9)).toBe(false);
  });

  test("by events counts from the newest snapshot", () => {
    const by = schedule({ everyEvents: 3 }, 7);
    expect([8, 9, 10].map((revision) => by.isDue({}, one(revision), 0))).toEqual([false, false, true]);
    by.begun();
    by.taken(10);
    expect([11, 12, 13].map((revision) => by.isDue({}, one(revision), 0))).toEqual([false, false, true]);
  });

  test("by time is due when the oldest event that no snapshot covers is old enough", () => {
    const by = schedule({ everyMs: 1000 }, 0, 5000);
    expect(by.isDue({}, one(3), 5999)).toBe(false);
    expect(by.isDue({}, one(4), 6000)).toBe(true);
    by.begun();
    expect(by.isDue({}, one(5), 6500), "committed while the snapshot was written: it waits from now on").toBe(false);
    by.taken(4);
    expect(by.isDue({}, one(6), 7499)).toBe(false);
    expect(by.isDue({}, one(7), 7500)).toBe(true);
  });

  test("by time waits on from where it was when a snapshot failed, and not at each command", () => {
    const by = schedule({ everyMs: 1000 });
    by.isDue({}, one(1), 0);
    expect(by.isDue({}, one(2), 1000)).toBe(true);
    by.begun();
    by.failed(2);
    const tried = [];
    for (let revision = 3; revision <= 40; revision++) {
      if (!by.isDue({}, one(revision), 1001)) continue;
      tried.push(revision);
      by.begun();
      by.failed(revision);
    }
    expect(tried).toEqual([3, 5, 9, 17, 33]);
  });

  test("by a predicate is told the state and what was committed", () => {
    const seen: unknown[] = [];
    const by = schedule({ when: (state, committed) => seen.push([state, committed]) === 2 });
    expect(by.isDue("a", one(1), 0)).toBe(false);
    expect(by.isDue("b", { revision: 3, eventTypes: ["put", "cleared"] }, 0)).toBe(true);
    expect(seen).toEqual([
      ["a", one(1)],
      ["b", { revision: 3, eventTypes: ["put", "cleared"] }],
    ]);
  });

  test("whatever comes first", () => {
    const by = schedule({ everyEvents: 100, everyMs: 1000, when: (_, { revision }) => revision === 5 });
    expect(by.isDue({}, one(4), 0)).toBe(false);
    expect(by.isDue({}, one(5), 1)).toBe(true);
    expect(by.isDue({}, one(6), 1000)).toBe(true);
    expect(by.isDue({}, one(100), 2)).toBe(true);
  });

  test.each<[object | string | null, RegExp]>([
    ["often", /`snapshot` must be an object/],
    [null, /`snapshot` must be an object/],
    [{ every: 3 }, /knows no option `every`/],
    [{ everyEvents: 0 }, /snapshot.everyEvents/],
    [{ everyMs: 1.5 }, /snapshot.everyMs/],
    [{ keep: 0 }, /snapshot.keep/],
    [{ keep: 1001 }, /snapshot.keep/],
    [{ when: true }, /snapshot.when/],
  ])("%j is refused", (options, message) => {
    const define = () =>
      persistentActor({ type: "x", initial: () => ({}), events: {}, snapshot: options as SnapshotOptions<object> }, {});
    expect(define).toThrow(message);
    expect(define).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
  });
});

/** A clock that moves by hand, for the times in records. */
function clocked(): { store: MemoryBackend; tick: (ms: number) => void } {
  let nowMs = 1_767_225_600_000;
  const { clock } = nodeEnv;
  const env = { ...nodeEnv, clock: { ...clock, nowMs: () => nowMs } };
  return { store: memoryStore({}, env), tick: (ms) => void (nowMs += ms) };
}

describe("an actor", () => {
  test("takes one when its oldest uncovered event is old, also when that was before a restart", async () => {
    const { store, tick } = clocked();
    const ledger = ledgerWith({ snapshot: { everyMs: 60_000 } });
    const first = await started(store);
    await first.get(ledger, "a").ask("put", { key: "k", value: 1 });
    tick(59_000);
    await first.get(ledger, "a").ask("put", { key: "k", value: 2 });
    await first.stop();
    expect(await stored(store, "snapshots")).toEqual([]);
    tick(1000);
    const second = await started(store);
    await second.get(ledger, "a").ask("put", { key: "k", value: 3 });
    await second.stop();
    expect((await stored(store, "snapshots")).map(({ revision }) => revision)).toEqual([3]);
  });

  test("takes one when its predicate says so; one that throws is reported, and nothing else happens", async () => {
    const store = memoryStore();
    const ledger = ledgerWith({
      snapshot: {
        when: ({ total }, { eventTypes }) => {
          if (total === 13) throw new Error("unlucky");
          return eventTypes.includes("cleared");
        },
      },
    });
    const system = await started(store);
    const ref = system.get(ledger, "a");
    await ref.ask("put", { key: "k", value: 13 });
    expect(system.problems.map(({ message }) => message)).toEqual(["no snapshot of ledger/a: unlucky"]);
    expect(system.metrics()).toMatchObject({ snapshotsFailed: 1, actors: 1 });
    await ref.ask("put", { key: "k", value: 1 });
    await ref.ask("clear");
    await system.stop();
    expect((await stored(store, "snapshots")).map(({ revision }) => revision)).toEqual([3]);
  });

  test("stores how many are to be kept, unless it is the usual number", async () => {
    const store = memoryStore();
    const system = await started(store);
    await system.get(ledgerWith({ snapshot: { everyEvents: 1, keep: 5 } }), "a").ask("put", { key: "k", value: 1 });
    await system.stop();
    const again = await started(store);
    await again.get(ledgerWith({ snapshot: { everyEvents: 1 } }), "b").ask("put", { key: "k", value: 1 });
    await again.stop();
    const snapshots = await stored(store, "snapshots");
    expect(snapshots.map((record) => ("keep" in record ? record.keep : undefined))).toEqual([5, undefined]);
  });

  test("falls back to the next older one, and folds only what is behind that", async () => {
    const store = memoryStore();
    const ledger = ledgerWith({ snapshot: { when: (_, { revision }) => revision % 10 === 0 } });
    const system = await started(store);
    for (let value = 1; value <= 35; value++) {
      await system.get(ledger, "a").ask("put", { key: "k", value });
      if (value % 10 === 0) await system.get(ledger, "a").stop(); // the snapshot is stored by then
    }
    await system.stop();
    const replayed = async (): Promise<number> => {
      const next = await started(store);
      expect(await next.get(ledger, "a").ask("total")).toBe(630);
      const { eventsReplayed } = next.metrics();
      await next.stop();
      return eventsReplayed;
    };
    expect(await replayed()).toBe(5);
    await damage(store, "snapshots", 3);
    expect(await replayed()).toBe(15);
    await damage(store, "snapshots", 2);
    expect(await replayed()).toBe(25);
    await damage(store, "snapshots", 1);
    expect(await replayed()).toBe(35);
  });
});

test("with any of the snapshots gone or broken, the state is the same", async () => {
  const ledger = ledgerWith({ snapshot: { everyEvents: 3, keep: 1 } });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ actor: fc.constantFrom("a", "b"), value: fc.integer() }), { minLength: 8, maxLength: 40 }),
      fc.array(fc.constantFrom("whole", "broken", "gone"), { minLength: 14, maxLength: 14 }),
      fc.boolean(),
      async (commands, fates, rotating) => {
        const disk = new SimDisk();
        const options = { path: "/data", ...(rotating ? { segmentBytes: 4096 } : {}) };
        const system = await started(fileBackend(options, disk.env));
        for (const { actor, value } of commands) await system.get(ledger, actor).ask("put", { key: "k", value });
        const digests = async (from: ActorSystem): Promise<string[]> =>
          [await from.get(ledger, "a").ask("state"), await from.get(ledger, "b").ask("state")].map((state: Entries) =>
            digestOf(state),
          );
        const before = await digests(system);
        await system.stop();
        let n = 0;
        for (const path of disk.tree().keys()) {
          if (!path.startsWith("/data/snapshots")) continue;
          disk.corrupt(path, (bytes) => spoiled(bytes, () => fates[n++ % fates.length] as string));
        }
        const after = await started(fileBackend(options, disk.env));
        expect(await digests(after)).toEqual(before);
        await after.stop();
      },
    ),
    { numRuns: 60 },
  );
});

/** Each snapshot whole, with a flipped bit, or not there. */
function spoiled(bytes: Buffer, fate: () => string): Buffer {
  const lines = bytes.toString("latin1").split(/(?<=\n)/);
  const kept = lines.map((line) => {
    if (!line.startsWith('{"seq":')) return line;
    const what = fate();
    return what === "gone" ? "" : what === "broken" ? line.replace('"payload":{', '"payload";{') : line;
  });
  return Buffer.from(kept.join(""), "latin1");
}
