// Messages and replies: order, inference, ids, what happens while an actor is busy, and mailboxes that are full.
import { describe, expect, test } from "vitest";
import type { ActorContext, MessageContext } from "../../src/actors/behaviour.ts";
import { codeOf, codeThrown, gate, settle, startWorld } from "./world.ts";

describe("tell and ask", () => {
  test("messages of one sender are handled in order, also while handlers wait", async () => {
    const { system } = await startWorld();
    const seen: number[] = [];
    const actor = system.spawn("a", () => ({
      receive: async (n: number) => {
        if (n % 3 === 0) await settle();
        seen.push(n);
        return n;
      },
    }));
    for (let n = 0; n < 20; n++) actor.tell(n);
    expect(await actor.ask(20)).toBe(20);
    expect(seen).toEqual(Array.from({ length: 21 }, (_, n) => n));
    await system.stop();
  });

  test("one message at a time, never inside tell", async () => {
    const { system } = await startWorld();
    let inside = 0;
    let most = 0;
    const actor = system.spawn("a", () => ({
      receive: async (_message: string) => {
        most = Math.max(most, (inside += 1));
        await Promise.resolve();
        inside -= 1;
      },
    }));
    actor.tell("x");
    expect(most).toBe(0);
    await Promise.all([actor.ask("y"), actor.ask("z"), actor.ask("z")]);
    expect(most).toBe(1);
    await system.stop();
  });

  test("started comes first, and messages wait for it", async () => {
    const { system } = await startWorld();
    const ready = gate();
    const seen: string[] = [];
    const actor = system.spawn("a", () => ({
      started: async () => {
        await ready.opened;
        seen.push("started");
      },
      receive: (message: string) => void seen.push(message),
    }));
    actor.tell("first");
    const second = actor.ask("second");
    await settle();
    expect(seen).toEqual([]);
    ready.open();
    await second;
    expect(seen).toEqual(["started", "first", "second"]);
    await system.stop();
  });

  test("a reply may be anything, also undefined, and also a thenable", async () => {
    const { system } = await startWorld();
    const actor = system.spawn("a", () => ({
      receive: (what: "nothing" | "thenable"): unknown =>
        // oxlint-disable-next-line unicorn/no-thenable -- what is not a native promise must be awaited as well
        what === "nothing" ? undefined : { then: (resolve: (value: string) => void) => resolve("later") },
    }));
    expect(await actor.ask("nothing")).toBeUndefined();
    expect(await actor.ask("thenable")).toBe("later");
    await system.stop();
  });
});

describe("the context", () => {
  test("names the actor, the message, and the chain of messages that led to it", async () => {
    const { system } = await startWorld();
    const ids: [who: string, messageId: string, correlationId: string][] = [];
    const note = (who: string, ctx: MessageContext) => ids.push([who, ctx.messageId, ctx.correlationId]);
    const last = system.spawn("last", () => ({ receive: (_message: string, ctx) => void note("last", ctx) }));
    const first = system.spawn("first", () => ({
      receive: async (_message: string, ctx) => {
        note("first", ctx);
        ctx.tell(last, "told");
        await ctx.ask(last, "asked");
        last.tell("a new chain");
        expect(ctx.address).toBe("local://first");
        expect(ctx.self.address).toBe(ctx.address);
        expect(ctx.system.systemId).toBe("local");
      },
    }));
    await first.ask("go");
    await last.ask("end", { correlationId: "request-7" });
    const [start, told, asked, fresh, outside] = ids;
    expect(new Set(ids.map(([, messageId]) => messageId)).size).toBe(5);
    expect(start?.[1]).toBe(start?.[2]);
    expect([told?.[2], asked?.[2]]).toEqual([start?.[2], start?.[2]]);
    expect(fresh?.[2]).toBe(fresh?.[1]);
    expect(outside?.[2]).toBe("request-7");
    await system.stop();
  });

  test("stays true to its message after that was handled", async () => {
    const { system } = await startWorld();
    const kept: MessageContext[] = [];
    const actor = system.spawn("a", () => ({ receive: (_message: number, ctx) => void kept.push(ctx) }));
    await actor.ask(1, { correlationId: "one" });
    await actor.ask(2, { correlationId: "two" });
    expect(kept.map((ctx) => ctx.correlationId)).toEqual(["one", "two"]);
    await system.stop();
  });

  test("an actor sends to itself, annotated where nothing says what it takes", async () => {
    const { system } = await startWorld();
    const actor = system.spawn("a", () => {
      let ticks = 0;
      return {
        started: (ctx: ActorContext<"tick" | "count">) => ctx.self.tell("tick"),
        receive: (message: "tick" | "count", ctx) => {
          if (message === "tick" && (ticks += 1) < 5) ctx.self.tell("tick");
          return ticks;
        },
      };
    });
    await settle();
    expect(await actor.ask("count")).toBe(5);
    await system.stop();
  });

  test("ids differ between systems", async () => {
    const ids = new Set<string>();
    for (let run = 0; run < 3; run++) {
      const { system } = await startWorld();
      ids.add(await system.spawn("a", () => ({ receive: (_message: string, ctx) => ctx.messageId })).ask("x"));
      await system.stop();
    }
    expect(ids.size).toBe(3);
  });
});

describe("mailboxes", () => {
  test("what a full mailbox cannot take is a dead letter, or MAILBOX_FULL for whoever asks", async () => {
    const { system, told } = await startWorld({ mailboxMax: 10 });
    const handled: number[] = [];
    const actor = system.spawn("a", () => ({ receive: (n: number) => void handled.push(n) }), { mailboxMax: 2 });
    for (let n = 1; n <= 3; n++) actor.tell(n);
    expect(await codeOf(actor.ask(4))).toBe("MAILBOX_FULL");
    await settle();
    expect(handled).toEqual([1, 2]);
    expect(told()).toContain("DeadLetter local://a: mailbox full");
    expect(system.metrics()).toMatchObject({ deadLetters: 1, messagesHandled: 2 });
    await actor.ask(5);
    await system.stop();
  });

  test.each([{ mailboxMax: 0 }, { mailboxMax: 10_000_001 }, { mailboxSize: 3 }, { supervision: { a: 1 } }])(
    "spawn refuses %j",
    async (options) => {
      const { system } = await startWorld();
      expect(codeThrown(() => system.spawn("a", () => ({ receive: () => 1 }), options as object))).toBe(
        "OPTION_INVALID",
      );
      await system.stop();
    },
  );
});
