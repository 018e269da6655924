import { afterEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { persistentActor } from "../../src/actors/persistent.ts";
import type { ActorSystem } from "../../src/actors/system.ts";
import type { MemoryBackend } from "../../src/backends/memory.ts";
import type { PapyraError } from "../../src/errors.ts";
import { openStore } from "../../src/backends/open.ts";
import { memoryStore } from "../../src/index.ts";
import { damage, ledgerWith, lineStarts, startSystem, stored, tear } from "./persistent-helpers.ts";

const systems: ActorSystem[] = [];
async function started(store: MemoryBackend): ReturnType<typeof startSystem> {
  const system = await startSystem(store);
  systems.push(system);
  return system;
}
afterEach(async () => {
  for (const system of systems.splice(0)) await system.stop();
});

const snapping = ledgerWith({ snapshot: { everyEvents: 2 } });

describe("snapshots", () => {
  async function history(count: number, definition = snapping): Promise<MemoryBackend> {
    const store = memoryStore();
    const system = await started(store);
    for (let value = 1; value <= count; value++) await system.get(definition, "a").ask("put", { key: "a", value });
    await system.stop();
    return store;
  }

  test("are taken every so many events, also when one command has several", async () => {
    const store = await history(5);
    const snapshots = await stored(store, "snapshots");
    expect(snapshots.map(({ revision, journal_seq }) => [revision, journal_seq])).toEqual([
      [2, 2],
      [4, 4],
    ]);
    for (const { digest, payload } of snapshots) expect(digest).toBe(digestOf(payload));
    const system = await started(store);
    await system.get(snapping, "a").ask("putAll", { values: [1, 1, 1, 1, 1] });
    await system.stop();
    expect((await stored(store, "snapshots")).at(-1)).toMatchObject({ revision: 10, journal_seq: 10 });
  });

  test("change nothing but how much is read: with all, some, none, broken ones", async () => {
    const store = await history(9);
    const all = Buffer.from(store.segmentBytes("snapshots.ndjson"));
    const states = new Set<string>();
    const read = async () => {
      const system = await started(store);
      states.add(digestOf(await system.get(snapping, "a").ask("state")));
      expect(await system.get(snapping, "a").ask("revision")).toBe(9);
      await system.stop();
    };
    await read();
    for (const seq of [4, 3, 2, 1]) {
      await damage(store, "snapshots", seq);
      await read();
    }
    store.putSegment("snapshots.ndjson", all.subarray(0, all.indexOf(10) + 1));
    await read();
    expect(states.size).toBe(1);
  });

  test("that are broken inside fall back to an older one, which is reported", async () => {
    const store = await history(5);
    const opened = await openStore(store);
    const [first] = await stored(store, "snapshots");
    const { payload, digest } = first as { payload: object; digest: string };
    const forged = {
      kind: "snapshot" as const,
      system_id: "local",
      persistence_id: "ledger/a",
      journal_seq: 5,
      revision: 5,
    };
    await opened.append("snapshots", [{ ...forged, digest, payload: { ...payload, total: 1000 } }]);
    await opened.close();
    const system = await started(store);
    expect(await system.get(snapping, "a").ask("total")).toBe(15);
    expect(system.problems.map((error) => error.message)).toEqual([
      expect.stringContaining("the snapshot of ledger/a at revision 5 is not used: its digest does not match"),
    ]);
    const problem = system.problems[0] as PapyraError | undefined;
    expect(problem?.hint).toMatch(/^run: papyra persistence scan --path ./);
    expect(problem?.details).toMatchObject({ file: expect.stringContaining("snapshots"), offset: expect.any(Number) });
  });

  test("whose lines are damaged are reported and counted once, whoever recovers", async () => {
    const store = await history(9);
    await damage(store, "snapshots", 2);
    const system = await started(store);
    expect(await system.get(snapping, "nobody").ask("total")).toBe(0);
    expect(await system.get(snapping, "a").ask("revision")).toBe(9);
    expect(system.problems.map((error) => error.message)).toEqual([
      expect.stringMatching(/^of the log snapshots seq 2 are damaged or missing: .* older ones, or from their events$/),
    ]);
    const problem = system.problems[0] as PapyraError | undefined;
    expect(problem).toMatchObject({ code: "LOG_DAMAGED", details: { log: "snapshots", seqs: [{ from: 2, to: 2 }] } });
    expect(problem?.hint).toMatch(/^run: papyra persistence scan --path ./);
    expect(system.metrics()).toMatchObject({ snapshotsIgnored: 1, problems: 1 });

    // The newest one, under the running system, which notices when it wants to read it.
    await damage(store, "snapshots", 4);
    await system.get(snapping, "a").stop();
    expect(await system.get(snapping, "a").ask("revision")).toBe(9);
    expect(await system.get(snapping, "a").ask("total")).toBe(45);
    expect(system.problems[1]).toMatchObject({ details: { log: "snapshots", seqs: [{ from: 4, to: 4 }] } });
    expect(system.metrics()).toMatchObject({ snapshotsIgnored: 2, problems: 2 });
  });

  test("that are ahead of their journal are ignored, now and when the journal has caught up", async () => {
    const store = await history(4);
    const short = lineStarts(store, "journal")[3] as number;
    await tear(store, "journal", short, 2); // a copy whose journal was taken before its snapshots
    const system = await started(store);
    const ref = system.get(snapping, "a");
    expect(await ref.ask("total")).toBe(3);
    expect(system.problems.map((error) => error.message)).toEqual([expect.stringContaining("ahead of its journal")]);
    for (const value of [100, 100, 100]) await ref.ask("put", { key: "new", value });
    await system.stop();
    const again = await started(store);
    expect(await again.get(snapping, "a").ask("total")).toBe(303);
    expect(await again.get(snapping, "a").ask("revision")).toBe(5);
  });

  test("of another state version are not used, unless they can be upcasted", async () => {
    const store = await history(4);
    const make = (upcastState?: (old: unknown, from: number) => { sum: number }) =>
      persistentActor(
        {
          type: "ledger",
          stateVersion: 2,
          initial: () => ({ sum: 0 }),
          events: { put: (state, e: { value: number }) => ({ sum: state.sum + e.value }) },
          ...(upcastState && { upcastState }),
        },
        { sum: (state, _, ctx) => ctx.reply(state.sum) },
      );
    const plain = await started(store);
    expect(await plain.get(make(), "a").ask("sum")).toBe(10);
    await plain.stop();
    const upcasting = await started(store);
    const upcast = (old: unknown) => ({ sum: (old as { total: number }).total + 1000 });
    expect(await upcasting.get(make(upcast), "a").ask("sum")).toBe(1010);
  });

  test("that cannot be stored are counted and harm nobody", async () => {
    const store = memoryStore({ lineBytesMax: 1024 });
    const system = await started(store);
    const ref = system.get(snapping, "a");
    for (let value = 1; value <= 40; value++) await ref.ask("put", { key: "a".repeat(20), value });
    expect(await ref.ask("revision")).toBe(40);
    expect(system.problems.length).toBeGreaterThan(0);
    await system.stop();
    expect(await (await started(store)).get(snapping, "a").ask("revision")).toBe(40);
  });
});

test("a snapshot that cannot be made is tried again later and later, told once, and stops nobody", async () => {
  const store = memoryStore({ lineBytesMax: 1024 });
  const big = persistentActor(
    {
      type: "big",
      initial: () => ({ text: "" }),
      events: { grown: (state, e: { by: string }) => ({ text: e.by === "" ? "" : state.text + e.by }) },
      snapshot: { everyEvents: 2 },
    },
    { grow: (_state, c: { by: string }, ctx) => ctx.persist("grown", c).noReply() },
  );
  const system = await started(store);
  const failed: number[] = [];
  for (let revision = 1; revision <= 40; revision++) {
    const before = system.metrics().snapshotsFailed;
    await system.get(big, "x").ask("grow", { by: revision === 40 ? "" : "x".repeat(600) });
    await new Promise((resolve) => setImmediate(resolve));
    if (system.metrics().snapshotsFailed > before) failed.push(revision);
  }
  // Tried after 2 events, then after 2, 4, 8, 16 more.
  expect(failed).toEqual([2, 4, 8, 16, 32]);
  expect(system.metrics()).toMatchObject({ problems: 5, snapshotsTaken: 0 });
  expect(system.problems).toEqual([
    expect.objectContaining({
      code: "RECORD_TOO_LARGE",
      message: expect.stringContaining("no snapshot of big/x: "),
      details: { persistenceId: "big/x" },
    }),
  ]);
  await system.get(big, "x").stop();
  // A new incarnation begins anew; one that works ends the waiting.
  for (let n = 1; n <= 4; n++) {
    await system.get(big, "x").ask("grow", { by: "" });
    await system.get(big, "x").stop();
  }
  await system.stop();
  expect((await stored(store, "snapshots")).map((record) => record.revision)).toEqual([41, 43]);
});

test("an initial state that is frozen only at the top is nobody's to change", async () => {
  const shared = Object.freeze({ items: [] as number[] });
  const sneaky = persistentActor(
    { type: "sneaky", initial: () => shared, events: {} },
    { push: (state, c: { item: number }, ctx) => ctx.reply(state.items.push(c.item)) },
  );
  const system = await started(memoryStore());
  await expect(system.get(sneaky, "a").ask("push", { item: 1 })).rejects.toMatchObject({ code: "ACTOR_FAILED" });
  expect(shared.items).toEqual([]);
});
