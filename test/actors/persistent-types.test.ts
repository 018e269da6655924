// What the compiler must infer and refuse. Checked by tsc: an expected error that does not come is an error.
import { expect, expectTypeOf, test } from "vitest";
import {
  type PersistentActor,
  persistentActor,
  type PersistentRef,
  type ReplyOf,
} from "../../src/actors/persistent.ts";
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

/** Of the type that turns the checks off, as what comes from untyped code. */
type Anything = ReturnType<typeof JSON.parse>;

test("a reply is no promise", () => {
  const options = { type: "x", initial: () => ({ n: 0 }), events: { reset: () => ({ n: 0 }) } };
  const wrong = (promise: Promise<number>, maybe: number | Promise<number>, thenable: PromiseLike<number>) =>
    persistentActor(options, {
      // @ts-expect-error await it
      promise: (_state, _, ctx) => ctx.reply(promise),
      // @ts-expect-error await it
      maybe: (_state, _, ctx) => ctx.reply(maybe),
      // @ts-expect-error await it
      thenable: (_state, _, ctx) => ctx.reply(thenable),
      // @ts-expect-error the reply is made before anything is stored
      after: (_state, _, ctx) => ctx.persist("reset").reply(async (after) => after.n),
    });
  const right = (promise: Promise<number>, anything: Anything, nothing: unknown) =>
    persistentActor(options, {
      awaited: async (_state, _, ctx) => ctx.reply(await promise),
      anything: (_state, _, ctx) => ctx.reply(anything),
      nothing: (_state, _, ctx) => ctx.reply(nothing),
      either: (state, _, ctx) => ctx.reply(state.n > 0),
    });
  type Handlers = ReturnType<typeof right> extends PersistentActor<never, infer H> ? H : never;
  expectTypeOf<ReplyOf<Handlers["either"]>>().toEqualTypeOf<boolean>();
  expectTypeOf<ReplyOf<Handlers["awaited"]>>().toEqualTypeOf<number>();
  expectTypeOf<ReplyOf<Handlers["nothing"]>>().toBeUnknown();
  expect([wrong, right]).toHaveLength(2);
});

test("events take what their handlers declare, also in generic code, and of any or unknown type", () => {
  function crud<T extends { readonly id: string }>(type: string) {
    return persistentActor(
      {
        type,
        initial: () => ({ items: [] as readonly T[] }),
        events: {
          added: (state, e: T) => ({ items: [...state.items, e] }),
          emptied: () => ({ items: [] }),
        },
      },
      {
        add: (_state, c: T, ctx) => ctx.persist("added", c).reply((after) => after.items.length),
        replace: (_state, c: T, ctx) =>
          ctx
            .persist("emptied")
            .and("added", c)
            .reply(() => c),
        addAll: (_state, c: { items: T[] }, ctx) =>
          ctx.persistAll(c.items.map((item) => ["added", item] as const)).noReply(),
        first: (state, _, ctx) => ctx.reply(state.items[0]),
        echo: (_state, c: T, ctx) => ctx.reply(c),
      },
    );
  }
  const loose = () =>
    persistentActor(
      {
        type: "loose",
        initial: () => ({ n: 0 }),
        events: {
          any: (state, e: Anything) => ({ n: state.n + Number(e) }),
          unknown: (state, e: unknown) => ({ n: state.n + Number(e) }),
          none: (state) => state,
        },
      },
      {
        any: (_state, _, ctx) => ctx.persist("any", 1).and("unknown", "2").and("none").noReply(),
        // @ts-expect-error the payload is missing
        missing: (_state, _, ctx) => ctx.persist("unknown").noReply(),
        // @ts-expect-error this event has no payload
        superfluous: (_state, _, ctx) => ctx.persist("none", 1).noReply(),
      },
    );
  const ask = (ref: PersistentRef<Crud>) => ref.ask("first");
  type Crud = ReturnType<typeof crud<{ id: string; n: number }>> extends PersistentActor<never, infer H> ? H : never;
  expectTypeOf<Awaited<ReturnType<typeof ask>>>().toEqualTypeOf<{ id: string; n: number } | undefined>();
  expect([crud("x"), loose, ask]).toHaveLength(3);
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
