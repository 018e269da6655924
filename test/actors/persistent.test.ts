import { afterEach, describe, expect, test } from "vitest";
import { persistentActor } from "../../src/actors/persistent.ts";
import { ActorSystem } from "../../src/actors/system.ts";
import { memoryStore } from "../../src/index.ts";
import { ledgerWith, startSystem, stored } from "./persistent-helpers.ts";

const systems: ActorSystem[] = [];
async function started(store = memoryStore()) {
  const system = await startSystem(store);
  systems.push(system);
  return { store, system };
}
afterEach(async () => {
  for (const system of systems.splice(0)) await system.stop();
});

const ledger = ledgerWith();

describe("a persistent actor", () => {
  test("is the same one for every handle, and recovers what it was", async () => {
    const { store, system } = await started();
    const first = system.get(ledger, "a");
    expect(await first.ask("put", { key: "x", value: 5 })).toBe(5);
    expect(await system.get(ledger, "a").ask("total")).toBe(5);
    expect(await system.get(ledger, "b").ask("total")).toBe(0);
    expect(first).toMatchObject({ id: "a", persistenceId: "ledger/a", address: "local://ledger/a" });
    await system.stop();
    const again = (await started(store)).system;
    expect(await again.get(ledger, "a").ask("put", { key: "y", value: 2 })).toBe(7);
    expect((await stored(store, "journal")).map((record) => [record.persistence_id, record.revision])).toEqual([
      ["ledger/a", 1],
      ["ledger/a", 2],
    ]);
  });

  test("stores what one needs to follow a cause", async () => {
    const { store, system } = await started();
    await system.get(ledger, "a").ask("put", { key: "x", value: 5 }, { correlationId: "request-9" });
    const [record] = await stored(store, "journal");
    expect(record).toMatchObject({
      kind: "journal",
      system_id: "local",
      event_type: "put",
      version: 1,
      correlation_id: "request-9",
      payload: { key: "x", value: 5 },
    });
    expect(record?.message_id).toMatch(/^[0-9a-f]{12}-\d+$/);
    expect(record).not.toHaveProperty("group");
  });

  test("stores the events of one command as one group in one batch", async () => {
    const { store, system } = await started();
    const ref = system.get(ledger, "a");
    await ref.ask("total");
    await system.store?.flush(); // the event of its start is written
    const before = system.store?.stats().batches as number;
    expect(await ref.ask("putAll", { values: [1, 2, 3] })).toBe(3);
    expect((system.store?.stats().batches as number) - before).toBe(1);
    const records = await stored(store, "journal");
    expect(records.map((record) => record.group)).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
    expect(new Set(records.map((record) => record.message_id)).size).toBe(1);
    expect(await ref.ask("putAll", { values: [] })).toBe(3);
    expect(await ref.ask("revision")).toBe(3);
  });

  test("decides on one command after another, however long one takes", async () => {
    const { system } = await started();
    const counter = persistentActor(
      {
        type: "slow",
        initial: () => ({ n: 0 }),
        events: { added: (state, e: { n: number }) => ({ n: state.n + e.n }) },
      },
      {
        add: async (state, c: { n: number }, ctx) => {
          for (let i = 0; i < 5; i++) await Promise.resolve();
          return ctx.persist("added", { n: c.n }).reply((after) => [state.n, after.n]);
        },
      },
    );
    const ref = system.get(counter, "x");
    const replies = await Promise.all([1, 2, 3, 4].map((n) => ref.ask("add", { n })));
    expect(replies).toEqual([
      [0, 1],
      [1, 3],
      [3, 6],
      [6, 10],
    ]);
  });

  test("starts at its first message, and again after it was stopped", async () => {
    const { system } = await started();
    const seen: string[] = [];
    system.subscribe((event) => seen.push(`${event.type} ${"address" in event ? event.address : ""}`));
    const ref = system.get(ledger, "a");
    await ref.stop();
    expect(seen).toEqual([]);
    await ref.ask("put", { key: "x", value: 1 });
    await ref.stop();
    expect(await ref.ask("total")).toBe(1);
    // While one is on its way out, its successor takes the messages.
    const stopping = ref.stop();
    expect(await ref.ask("put", { key: "x", value: 1 })).toBe(2);
    await stopping;
    expect(seen.filter((each) => each.startsWith("ActorStarted"))).toHaveLength(3);
    expect(seen.filter((each) => each.startsWith("DeadLetter"))).toEqual([]);
  });

  test("takes messages without waiting for a reply", async () => {
    const { system } = await started();
    const ref = system.get(ledger, "a");
    for (let value = 1; value <= 10; value++) ref.tell("put", { key: "x", value });
    expect(await ref.ask("total")).toBe(55);
  });
});

describe("what leaves an actor", () => {
  test("waits until the events are durable, and stays if they are not", async () => {
    const { store, system } = await started();
    const log: string[] = [];
    const listener = system.spawn("listener", () => ({
      receive: (message: { text: string }, ctx) => {
        log.push(`${message.text} ${ctx.correlationId}`);
      },
    }));
    const journal = async () => (await stored(store, "journal")).length;
    const sender = persistentActor(
      {
        type: "sender",
        initial: () => ({ n: 0 }),
        events: { sent: (state, e: { bad: boolean }) => (e.bad ? { n: Number.NaN } : { n: state.n + 1 }) },
      },
      {
        send: async (_state, c: { bad: boolean }, ctx) => {
          ctx.tell(listener, { text: "hello" });
          ctx.tell(system.get(ledger, "target"), "put", { key: "from sender", value: 3 });
          await Promise.resolve();
          expect(log).toEqual([]);
          return ctx.persist("sent", c).reply((after) => after.n);
        },
      },
    );
    const ref = system.get(sender, "x");
    await expect(ref.ask("send", { bad: true })).rejects.toMatchObject({ code: "ACTOR_FAILED" });
    expect(log).toEqual([]);
    expect(await journal()).toBe(0);
    await ref.ask("send", { bad: false }, { correlationId: "chain-1" });
    expect(await system.get(ledger, "target").ask("total")).toBe(3);
    expect(log).toEqual(["hello chain-1"]);
    expect((await stored(store, "journal")).map((record) => record.correlation_id)).toEqual(["chain-1", "chain-1"]);
  });

  test("is frozen, and is what a replay would make", async () => {
    const { system } = await started();
    const command = { key: "x", value: 1 };
    const ref = system.get(ledger, "a");
    await ref.ask("put", command);
    command.key = "changed by the caller later";
    const state = await ref.ask("state");
    expect(state.entries).toEqual([{ key: "x", value: 1 }]);
    expect(() => (state.entries as unknown[]).push(1)).toThrow(TypeError);
    expect(() => ((state.entries[0] as { key: string }).key = "y")).toThrow(TypeError);
  });
});
