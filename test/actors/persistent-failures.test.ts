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
        promising: (_state, _, ctx) =>
          ctx.persist("added").reply(() => Promise.reject(new Error("nobody waits")) as never),
        promised: (_state, _, ctx) => ctx.reply(Promise.reject(new Error("nobody waits")) as never),
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
    for (const name of ["throwing", "promising", "promised", "forgetful", "twofold", "silent"] as const) {
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
