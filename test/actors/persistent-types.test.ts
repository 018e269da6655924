// What the compiler must infer and refuse. Checked by tsc: an expected error that does not come is an error.
import { expect, expectTypeOf, test } from "vitest";
import { persistentActor, type PersistentRef } from "../../src/actors/persistent.ts";
import { ActorSystem } from "../../src/actors/system.ts";
import { memoryStore } from "../../src/index.ts";

const account = persistentActor(
  {
    type: "account",
    initial: () => ({ balance: 0, owner: null as string | null }),
    events: {
      deposited: (state, e: { amount: number }) => ({ ...state, balance: state.balance + e.amount }),
      opened: (state, e: { owner: string }) => ({ ...state, owner: e.owner }),
      closed: (state) => ({ ...state, owner: null }),
    },
    upcast: (type, payload, from) => ({ type: from === 1 ? "deposited" : type, payload }),
    upcastState: (old) => ({ balance: Number(old), owner: null }),
  },
  {
    deposit: (_state, c: { amount: number }, ctx) => ctx.persist("deposited", c).reply((after) => after.balance),
    open: async (state, c: { owner: string }, ctx) => {
      if (state.owner !== null) return ctx.reply("taken");
      return ctx
        .persist("opened", c)
        .and("deposited", { amount: 1 })
        .reply((after) => after.owner);
    },
    depositAll: (_state, c: { amounts: number[] }, ctx) =>
      ctx.persistAll(c.amounts.map((amount) => ["deposited", { amount }])).reply(() => true),
    reset: (_state, _, ctx) => ctx.persistAll([["closed"], ["opened", { owner: "x" }]]).noReply(),
    close: (_state, _, ctx) => ctx.persist("closed").noReply(),
    balance: (state, _: { in?: "cents" }, ctx) => ctx.reply(state.balance),
    id: (_state, _, ctx) => ctx.reply(ctx.id),
  },
);

test("replies have the types that the handlers give them", async () => {
  const system = new ActorSystem({ store: memoryStore() });
  await system.start();
  const ref = system.get(account, "42");
  expectTypeOf(await ref.ask("deposit", { amount: 5 }, { timeoutMs: 1000 })).toEqualTypeOf<number>();
  expectTypeOf(await ref.ask("open", { owner: "Ada" })).toEqualTypeOf<string | null>();
  expectTypeOf(await ref.ask("depositAll", { amounts: [1, 2] })).toEqualTypeOf<boolean>();
  expectTypeOf(await ref.ask("reset")).toEqualTypeOf<undefined>();
  expectTypeOf(await ref.ask("close", undefined, { signal: new AbortController().signal })).toEqualTypeOf<undefined>();
  expectTypeOf(await ref.ask("balance")).toEqualTypeOf<number>();
  expectTypeOf(await ref.ask("balance", { in: "cents" })).toEqualTypeOf<number>();
  expectTypeOf(await ref.ask("id")).toEqualTypeOf<string>();
  expectTypeOf(ref.tell("deposit", { amount: 1 }, { correlationId: "c" })).toEqualTypeOf<void>();
  expect(await ref.ask("balance")).toBe(10);
  await system.stop();
});

test("wrong commands do not compile", () => {
  const wrong = (ref: PersistentRef<typeof handlers>) => {
    // @ts-expect-error the amount is a number
    void ref.ask("deposit", { amount: "5" });
    // @ts-expect-error the command is missing
    void ref.ask("deposit");
    // @ts-expect-error a command has no such member
    void ref.ask("deposit", { amount: 5, currency: "EUR" });
    // @ts-expect-error there is no such command
    void ref.ask("withdraw", { amount: 5 });
    // @ts-expect-error this command takes nothing
    void ref.ask("read", { amount: 5 });
    // @ts-expect-error the reply is a number
    const reply: Promise<string> = ref.ask("deposit", { amount: 5 });
    // @ts-expect-error telling takes the same command
    ref.tell("deposit", {});
    return reply;
  };
  expect(wrong).toBeTypeOf("function");
});

const handlers = {} as {
  deposit: (state: { n: number }, c: { amount: number }, ctx: never) => ReturnType<typeof replied>;
  read: (state: { n: number }, c: never, ctx: never) => ReturnType<typeof replied>;
};
declare function replied(): import("../../src/actors/persistent.ts").Decision<number>;

test("wrong decisions do not compile", () => {
  const options = {
    type: "x",
    initial: () => ({ n: 0 }),
    events: {
      added: (state: { n: number }, e: { by: number }) => ({ n: state.n + e.by }),
      reset: (_state: { n: number }) => ({ n: 0 }),
    },
  };
  const wrong = () =>
    persistentActor(options, {
      // @ts-expect-error what is persisted needs a reply, or the word that there is none
      noReply: (_state, _, ctx) => ctx.persist("added", { by: 1 }),
      // @ts-expect-error a handler returns a decision
      nothing: () => undefined,
      // @ts-expect-error a value is no decision
      value: (state) => state.n,
      // @ts-expect-error one of the ways has no decision
      sometimes: (state, _, ctx) => (state.n > 0 ? ctx.reply(1) : undefined),
      // @ts-expect-error there is no such event
      name: (_state, _, ctx) => ctx.persist("removed", { by: 1 }).noReply(),
      // @ts-expect-error the payload is wrong
      payload: (_state, _, ctx) => ctx.persist("added", { by: "1" }).noReply(),
      // @ts-expect-error the payload is missing
      missing: (_state, _, ctx) => ctx.persist("added").noReply(),
      // @ts-expect-error this event has no payload
      superfluous: (_state, _, ctx) => ctx.persist("reset", { by: 1 }).noReply(),
      // @ts-expect-error the second event is wrong
      second: (_state, _, ctx) => ctx.persist("reset").and("added", {}).noReply(),
      // @ts-expect-error a pair is wrong
      pair: (_state, _, ctx) => ctx.persistAll([["added", { by: "1" }]]).noReply(),
      // @ts-expect-error this event has no payload
      triple: (_state, _, ctx) => ctx.persistAll([["reset", 1]]).noReply(),
      // @ts-expect-error the state has no such member
      state: (state, _, ctx) => ctx.reply(state.m),
      // @ts-expect-error nor has the state after
      after: (_state, _, ctx) => ctx.persist("reset").reply((after) => after.m),
    });
  expect(wrong).toBeTypeOf("function");
});

test("wrong events do not compile", () => {
  const wrong = () => {
    // @ts-expect-error an event handler returns the state
    persistentActor({ type: "x", initial: () => ({ n: 0 }), events: { a: (state) => ({ m: state.n }) } }, {});
    // @ts-expect-error it does not wait
    persistentActor({ type: "x", initial: () => ({ n: 0 }), events: { a: async (state) => state } }, {});
    // @ts-expect-error an event without a handler
    persistentActor({ type: "x", initial: () => ({ n: 0 }), events: { a: undefined } }, {});
    // @ts-expect-error no events at all
    persistentActor({ type: "x", initial: () => ({ n: 0 }) }, {});
    // @ts-expect-error no initial state
    persistentActor({ type: "x", events: {} }, {});
    // @ts-expect-error an option that nobody reads
    persistentActor({ type: "x", initial: () => 0, events: {}, snapshots: 3 }, {});
  };
  expect(wrong).toBeTypeOf("function");
});
