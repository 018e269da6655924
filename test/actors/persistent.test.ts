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

describe("when something fails", () => {
  test("a handler that throws stores nothing and leaves the state as it was", async () => {
    const { store, system } = await started();
    const ref = system.get(ledger, "a");
    await ref.ask("put", { key: "x", value: 1 });
    for (let i = 0; i < 10; i++) {
      await expect(ref.ask("fail")).rejects.toMatchObject({
        code: "ACTOR_FAILED",
        cause: { message: "the handler failed" },
      });
    }
    expect(await ref.ask("put", { key: "y", value: 1 })).toBe(2);
    expect((await stored(store, "journal")).map((record) => record.revision)).toEqual([1, 2]);
  });

  test("an event that cannot be folded never gets into the journal, nor do those beside it", async () => {
    const { store, system } = await started();
    const ref = system.get(ledger, "a");
    await expect(ref.ask("break")).rejects.toMatchObject({
      code: "ACTOR_FAILED",
      cause: { message: "this event cannot be folded" },
    });
    expect(await ref.ask("state")).toEqual({ entries: [], total: 0 });
    expect(await stored(store, "journal")).toEqual([]);
  });

  test("a refused event does not consume a revision, and the actor goes on", async () => {
    const { store, system } = await started(memoryStore({ lineBytesMax: 2048 }));
    const ref = system.get(ledger, "a");
    const restarts = system.metrics().restarts;
    await ref.ask("put", { key: "x", value: 1 });
    await expect(ref.ask("put", { key: "x".repeat(3000), value: 1 })).rejects.toMatchObject({
      code: "RECORD_TOO_LARGE",
    });
    await expect(ref.ask("put", { key: "x", value: Number.NaN })).rejects.toMatchObject({
      code: "RECORD_INVALID",
      details: { path: "payload.value" },
    });
    await expect(ref.ask("put", { key: 1n as never, value: 1 })).rejects.toMatchObject({ code: "RECORD_INVALID" });
    expect(await ref.ask("put", { key: "y", value: 1 })).toBe(2);
    expect((await stored(store, "journal")).map((record) => record.revision)).toEqual([1, 2]);
    expect(system.metrics().restarts).toBe(restarts);
  });

  test("supervision decides about handlers that fail, if the definition says so", async () => {
    const { system } = await started();
    const seen: string[] = [];
    system.subscribe((event) => seen.push(event.type));
    const strict = persistentActor(
      {
        type: "strict",
        initial: () => ({ n: 0 }),
        events: { added: (state, e: { n: number }) => ({ n: state.n + e.n }) },
        actor: { supervision: { onFailure: "restart", restartsMax: 2 } },
      },
      {
        add: (_state, c: { n: number }, ctx) => ctx.persist("added", c).reply((after) => after.n),
        fail: () => {
          throw new Error("no");
        },
      },
    );
    const ref = system.get(strict, "x");
    expect(await ref.ask("add", { n: 1 })).toBe(1);
    await expect(ref.ask("fail")).rejects.toMatchObject({ code: "ACTOR_FAILED" });
    expect(await ref.ask("add", { n: 1 })).toBe(2);
    expect(seen).toContain("ActorRestarted");
  });

  test("the reply is made before anything is stored", async () => {
    const { store, system } = await started();
    const odd = persistentActor(
      { type: "odd", initial: () => ({ n: 0 }), events: { added: (state) => ({ n: state.n + 1 }) } },
      {
        throwing: (_state, _, ctx) =>
          ctx.persist("added").reply((): number => {
            throw new Error("no reply");
          }),
        promising: (_state, _, ctx) => ctx.persist("added").reply(async () => 1),
        forgetful: (_state, _, ctx) => {
          ctx.persist("added");
          return ctx.reply(1);
        },
        twofold: (_state, _, ctx) => {
          ctx.persist("added");
          return ctx.persist("added").reply(() => 1);
        },
        silent: (() => undefined) as never,
        count: (state, _, ctx) => ctx.reply(state.n),
      },
    );
    const ref = system.get(odd, "x");
    for (const name of ["throwing", "promising", "forgetful", "twofold", "silent"] as const) {
      await expect(ref.ask(name)).rejects.toMatchObject({ code: "ACTOR_FAILED" });
    }
    expect(await ref.ask("count")).toBe(0);
    expect(await stored(store, "journal")).toEqual([]);
  });

  test("a context that is used too late says so", async () => {
    const { system } = await started();
    let late: (() => unknown) | undefined;
    const leaky = persistentActor(
      { type: "leaky", initial: () => 0, events: { added: (state) => state + 1 } },
      {
        leak: (state, _, ctx) => {
          late = () => ctx.persist("added");
          return ctx.reply(state);
        },
      },
    );
    await system.get(leaky, "x").ask("leak");
    expect(late).toThrow(/after its handler had returned/);
  });

  test("an unknown command is refused, and told ones become dead letters", async () => {
    const { system } = await started();
    const ref = system.get(ledger, "a");
    await expect(ref.ask("nothing" as "total")).rejects.toMatchObject({ code: "OPTION_INVALID" });
    await expect(ref.ask("toString" as "total")).rejects.toMatchObject({ code: "OPTION_INVALID" });
    ref.tell("__proto__" as "total");
    expect(system.metrics().deadLetters).toBe(1);
  });

  test("nothing can be asked before the start, after the end, or without a store", async () => {
    const system = new ActorSystem({ store: memoryStore() });
    const ref = system.get(ledger, "a");
    await expect(ref.ask("total")).rejects.toMatchObject({ code: "SYSTEM_STOPPED" });
    await system.start();
    expect(await ref.ask("total")).toBe(0);
    await system.stop();
    await expect(ref.ask("total")).rejects.toMatchObject({ code: "SYSTEM_STOPPED" });
    const bare = new ActorSystem({ env: memoryStore().env });
    systems.push(bare);
    await bare.start();
    await expect(bare.get(ledger, "a").ask("total")).rejects.toMatchObject({ code: "OPTION_INVALID" });
  });

  test("a plain actor of the same address is never taken for it", async () => {
    const { system } = await started();
    system.spawn("ledger", () => ({
      started: (ctx) => void ctx.spawn("a", () => ({ receive: () => "plain" })),
      receive: (_message: string) => undefined,
    }));
    await system.get(ledger, "b").ask("total");
    await expect(system.get(ledger, "a").ask("total")).rejects.toMatchObject({ code: "NAME_TAKEN" });
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

describe("ids and types", () => {
  const hostile = [
    "a/b",
    "..",
    ".",
    "../../etc/passwd",
    "__proto__",
    "constructor",
    "%2F",
    "a b",
    "Ω≈ç√",
    "😀",
    "\u2028",
    "\u0001",
    '"quoted" \\ back',
    "x".repeat(512),
    "é".repeat(256),
  ];

  test("may be anything that is well-formed, each its own actor", async () => {
    const { store, system } = await started();
    await Promise.all(hostile.map((id, i) => system.get(ledger, id).ask("put", { key: id, value: i })));
    await system.stop();
    const again = (await started(store)).system;
    for (const [i, id] of hostile.entries()) {
      const state = await again.get(ledger, id).ask("state");
      expect(state).toEqual({ entries: [{ key: id, value: i }], total: i });
    }
    const ids = (await stored(store, "journal")).map((record) => record.persistence_id);
    expect(new Set(ids).size).toBe(hostile.length);
    for (const id of ids) expect(id).toMatch(/^ledger\/[A-Za-z0-9_.!~*'()%-]+$/);
  });

  test.each([[""], ["a\0b"], ["\ud800"], ["x".repeat(513)], ["é".repeat(257)], [7 as never], [undefined as never]])(
    "refuses %j",
    async (id) => {
      const { system } = await started();
      expect(() => system.get(ledger, id)).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
    },
  );

  test("a type has one definition, and its slash is no path", async () => {
    const { system } = await started();
    system.get(ledger, "a");
    expect(() => system.get(ledgerWith(), "a")).toThrow(/another definition of the type "ledger"/);
    const make = (type: string) =>
      persistentActor(
        { type, initial: () => ({ type, n: 0 }), events: { added: (state) => ({ ...state, n: state.n + 1 }) } },
        { add: (_state, _, ctx) => ctx.persist("added").reply((after) => after) },
      );
    expect(await system.get(make("a/b"), "c").ask("add")).toEqual({ type: "a/b", n: 1 });
    expect(await system.get(make("a"), "b/c").ask("add")).toEqual({ type: "a", n: 1 });
  });

  test.each([
    [{ type: "" }],
    [{ type: "x".repeat(129) }],
    [{ version: 0 }],
    [{ snapshotEvery: 0 }],
    [{ snapshotEvery: 1.5 }],
    [{ historyGaps: "sometimes" }],
    [{ initial: 3 }],
    [{ events: { put: 3 } }],
    [{ events: undefined }],
    [{ upcast: "x" }],
    [{ snapshotsEvery: 5 }],
  ])("refuses the option %j", (wrong) => {
    const options = { type: "t", initial: () => 0, events: {}, ...wrong } as never;
    expect(() => persistentActor(options, {})).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
  });

  test("a definition is nothing that anybody can make up", async () => {
    const { system } = await started();
    expect(() => system.get({ type: "ledger", version: 1 }, "a")).toThrow(/made by persistentActor/);
  });
});

test("hostile payloads survive, as keys and as values", async () => {
  const { store, system } = await started();
  const bag = persistentActor(
    {
      type: "bag",
      initial: () => ({}) as Readonly<Record<string, unknown>>,
      events: {
        set: (state, e: { key: string; value: unknown }) => ({ ...state, [e.key]: e.value }),
        merged: (state, e: Record<string, unknown>) => ({ ...state, all: e }),
      },
      snapshotEvery: 4,
    },
    {
      set: (_state, c: { key: string; value: unknown }, ctx) => ctx.persist("set", c).noReply(),
      merge: (_state, c: Record<string, unknown>, ctx) => ctx.persist("merged", c).noReply(),
      read: (state, _, ctx) => ctx.reply(state),
    },
  );
  const ref = system.get(bag, "x");
  const keys = ["__proto__", "constructor", "toJSON", "\u2028", "\ud83d", "crc", "seq", '","crc":"00000000"}', "\n"];
  for (const key of keys) await ref.ask("set", { key, value: { [key]: key } });
  await ref.ask("merge", JSON.parse('{"__proto__":{"polluted":true},"toJSON":1}'));
  const live = await ref.ask("read");
  expect(Object.keys(live)).toEqual([...keys, "all"]);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  await system.stop();
  expect((await stored(store, "snapshots")).length).toBeGreaterThan(0);
  const again = (await started(store)).system;
  expect(JSON.stringify(await again.get(bag, "x").ask("read"))).toBe(JSON.stringify(live));
});
