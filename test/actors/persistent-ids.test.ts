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
    [{ snapshot: { everyEvents: 0 } }],
    [{ snapshot: { everyEvents: 1.5 } }],
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
      snapshot: { everyEvents: 4 },
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
