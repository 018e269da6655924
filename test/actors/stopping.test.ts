// The end of actors and of systems: in order, with every message accounted for, whatever hangs.
import { describe, expect, test } from "vitest";
import type { ActorRef, RunningSystem } from "../../src/actors/behaviour.ts";
import { codeOf, codeThrown, gate, settle, startManualWorld, startWorld } from "./world.ts";

describe("one actor", () => {
  test("the message in hand is finished, waiting ones are dead letters", async () => {
    const { system, told } = await startWorld();
    const open = gate();
    const seen: number[] = [];
    const actor = system.spawn("a", () => ({
      receive: async (n: number) => {
        await open.opened;
        seen.push(n);
        return n;
      },
    }));
    const first = actor.ask(1);
    const second = codeOf(actor.ask(2));
    await settle();
    const stopped = actor.stop();
    expect(await codeOf(actor.ask(3))).toBe("ACTOR_STOPPED");
    open.open();
    expect(await first).toBe(1);
    expect(await second).toBe("ACTOR_STOPPED");
    await stopped;
    expect(seen).toEqual([1]);
    expect(told()).toEqual([
      "ActorStarted local://a",
      "DeadLetter local://a: actor stopping",
      "DeadLetter local://a: actor stopped",
      "ActorStopped local://a: stopped",
    ]);
    await actor.stop();
    await system.stop();
  });

  test("draining handles what waits, and takes nothing new", async () => {
    const { system } = await startWorld();
    const seen: number[] = [];
    const actor = system.spawn("a", () => ({
      receive: async (n: number) => {
        await Promise.resolve();
        seen.push(n);
      },
    }));
    for (let n = 0; n < 100; n++) actor.tell(n);
    const stopped = actor.stop({ mailbox: "drain" });
    actor.tell(100);
    await stopped;
    expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(system.metrics().deadLetters).toBe(1);
    await system.stop();
  });

  test("draining ends when its time is over; the rest are dead letters, and the hooks still run", async () => {
    const { system, clock, told } = await startManualWorld();
    const hooks: string[] = [];
    const actor = system.spawn("a", () => ({
      receive: (_message: number, ctx) => {
        hooks.push(`receive ${ctx.signal.aborted}`);
        clock.advance(10);
        return settle();
      },
      stopped: () => void hooks.push("stopped"),
    }));
    for (let n = 0; n < 1000; n++) actor.tell(n);
    await actor.stop({ mailbox: "drain", timeoutMs: 100 });
    expect(hooks.at(-1)).toBe("stopped");
    expect(hooks.length).toBeGreaterThanOrEqual(8);
    expect(hooks.length).toBeLessThan(12);
    expect(hooks).not.toContain("receive true");
    expect(told().at(-1)).toBe("ActorStopped local://a: stopped");
    expect(system.metrics().messagesHandled + system.metrics().deadLetters).toBe(1000);
    await system.stop();
  });

  test("the stricter of two stops counts", async () => {
    const { system } = await startWorld();
    const actor = system.spawn("a", () => ({ receive: (_message: number) => settle() }));
    for (let n = 0; n < 50; n++) actor.tell(n);
    await settle();
    const draining = actor.stop({ mailbox: "drain" });
    await settle();
    await Promise.all([draining, actor.stop({ mailbox: "dead-letters" })]);
    expect(system.metrics().deadLetters).toBeGreaterThan(40);
    await system.stop();
  });

  test("when the time for draining is over, the message in hand is told so by the signal", async () => {
    const { system, clock, told } = await startManualWorld();
    const actor = system.spawn("a", () => ({
      receive: (_message: string, ctx) =>
        new Promise<void>((resolve) => ctx.signal.addEventListener("abort", () => resolve())),
    }));
    actor.tell("one");
    actor.tell("two");
    await settle();
    const stopped = actor.stop({ mailbox: "drain", timeoutMs: 100 });
    await settle();
    clock.advance(74);
    await settle();
    expect(system.metrics().actors).toBe(1);
    clock.advance(1);
    await stopped;
    expect(told().slice(1)).toEqual(["DeadLetter local://a: actor stopped", "ActorStopped local://a: stopped"]);
    await system.stop();
  });

  test("an actor stops itself after the message in hand", async () => {
    const { system } = await startWorld();
    const seen: string[] = [];
    const actor = system.spawn("a", () => ({
      receive: (m: string, ctx) => {
        if (m === "last") ctx.stop();
        seen.push(m);
        return m;
      },
    }));
    actor.tell("first");
    const last = actor.ask("last");
    actor.tell("never");
    expect(await last).toBe("last");
    await settle();
    expect(seen).toEqual(["first", "last"]);
    expect(system.metrics()).toMatchObject({ actors: 0, deadLetters: 1 });
    await system.stop();
  });

  test("its signal is aborted, at once or after draining", async () => {
    const { system } = await startWorld();
    const aborted: boolean[] = [];
    const actor = system.spawn("a", () => ({
      receive: async (_message: string, ctx) => {
        await new Promise<void>((resolve) => ctx.signal.addEventListener("abort", () => resolve()));
        aborted.push(ctx.signal.aborted);
      },
    }));
    actor.tell("wait for the end");
    await settle();
    await actor.stop();
    expect(aborted).toEqual([true]);
    await system.stop();
  });

  test("one that never started takes no turn any more", async () => {
    const { system, told } = await startWorld();
    const actor = system.spawn("a", () => {
      throw new Error("must not be called");
    });
    await actor.stop();
    await settle();
    expect(told()).toEqual(["ActorStopped local://a: stopped"]);
    await system.stop();
  });

  test("a name is free again once its actor has stopped, not before", async () => {
    const { system } = await startWorld();
    const open = gate();
    const make = () => ({ receive: () => open.opened });
    const actor = system.spawn("a", make);
    actor.tell(undefined as never);
    await settle();
    const stopped = actor.stop();
    expect(codeThrown(() => system.spawn("a", make))).toBe("NAME_TAKEN");
    open.open();
    await stopped;
    const next = system.spawn("a", () => ({ receive: (_message: string) => "next" }));
    expect(await next.ask("x")).toBe("next");
    expect(await codeOf(actor.ask(undefined as never))).toBe("ACTOR_STOPPED");
    await system.stop();
  });

  test.each([{ timeoutMs: 0 }, { mailbox: "keep" }, { force: true }])("stop refuses %j", async (options) => {
    const { system } = await startWorld();
    const actor = system.spawn("a", () => ({ receive: () => 1 }));
    expect(await codeOf(actor.stop(options as object))).toBe("OPTION_INVALID");
    expect(await codeOf(system.stop(options as object))).toBe("OPTION_INVALID");
    expect(await actor.ask(undefined as never)).toBe(1);
    await system.stop();
  });
});

describe("children", () => {
  test("stop before their parent, the last one first", async () => {
    const { system } = await startWorld();
    const stopped: string[] = [];
    const node = (name: string, below: readonly string[]): { spawnUnder(ctx: Pick<RunningSystem, "spawn">): void } => ({
      spawnUnder: (ctx) =>
        void ctx.spawn(name, () => ({
          started: (inner) => below.forEach((child) => node(child, []).spawnUnder(inner)),
          receive: () => 1,
          stopped: async (inner, reason) => {
            await settle();
            stopped.push(`${inner.address.slice("local://".length)}: ${reason}`);
          },
        })),
    });
    node("first", ["a", "b"]).spawnUnder(system);
    node("second", ["c"]).spawnUnder(system);
    await settle();
    await system.stop();
    expect(stopped).toEqual(
      ["second/c", "second", "first/b", "first/a", "first"].map((path) => `${path}: system stopped`),
    );
  });

  test("one that stops on its own is forgotten by its parent", async () => {
    const { system, told } = await startWorld();
    const children: ActorRef<never, unknown>[] = [];
    const parent = system.spawn("p", () => ({
      receive: (name: string, ctx) => void children.push(ctx.spawn(name, () => ({ receive: () => 1 }))),
    }));
    await parent.ask("one");
    await children[0]?.stop();
    await parent.ask("one");
    await parent.stop();
    expect(told().filter((line) => line.startsWith("ActorStopped"))).toEqual([
      "ActorStopped local://p/one: stopped",
      "ActorStopped local://p/one: parent stopped",
      "ActorStopped local://p: stopped",
    ]);
    await system.stop();
  });
});

describe("a system", () => {
  test("drains by default, so that what was taken is handled, also by those who are told meanwhile", async () => {
    const { system } = await startWorld();
    const seen: number[] = [];
    const sink = system.spawn("sink", () => ({ receive: (n: number) => void seen.push(n) }));
    const relay = system.spawn("relay", () => ({
      receive: async (n: number) => {
        await Promise.resolve();
        sink.tell(n);
      },
    }));
    for (let n = 0; n < 1000; n++) relay.tell(n);
    expect(await system.stop()).toEqual({ ok: true, givenUp: [], deadLetters: 0, recordsLost: 0, failure: undefined });
    expect(seen).toHaveLength(1000);
  });

  test("or makes dead letters of what waits", async () => {
    const { system } = await startWorld();
    const actor = system.spawn("a", () => ({ receive: (n: number) => n }));
    for (let n = 0; n < 10; n++) actor.tell(n);
    expect((await system.stop({ mailbox: "dead-letters" })).deadLetters).toBe(10);
  });

  test("stops once, however often it is asked to", async () => {
    const { system, told } = await startWorld();
    system.spawn("a", () => ({ receive: () => 1 }));
    const [one, two] = await Promise.all([system.stop(), system.stop()]);
    expect(two).toBe(one);
    expect(await system.stop()).toBe(one);
    expect(told().filter((line) => line.startsWith("ActorStopped"))).toHaveLength(1);
  });

  test("takes no new actors and starts no more, and keeps what is sent as dead letters", async () => {
    const { system } = await startWorld();
    const actor = system.spawn("a", () => ({ receive: (_message: string) => 1 }));
    const stopping = system.stop();
    expect(codeThrown(() => system.spawn("b", () => ({ receive: () => 1 })))).toBe("SYSTEM_STOPPED");
    await stopping;
    expect(codeThrown(() => system.spawn("b", () => ({ receive: () => 1 })))).toBe("SYSTEM_STOPPED");
    expect(await codeOf(system.start())).toBe("SYSTEM_STOPPED");
    actor.tell("x");
    expect(await codeOf(actor.ask("y"))).toBe("ACTOR_STOPPED");
    expect(system.metrics().deadLetters).toBe(2);
  });

  test("many actors stop quickly", async () => {
    const { system } = await startWorld();
    for (let n = 0; n < 20_000; n++) system.spawn(`a${n}`, () => ({ receive: () => 1 }));
    expect(await system.stop()).toMatchObject({ ok: true });
    expect(system.metrics()).toMatchObject({ actors: 0, actorsStopped: 20_000 });
  });
});
