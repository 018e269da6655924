// Questions: each settles exactly once, whatever happens to the actor, the clock or the asker.
import { describe, expect, test, vi } from "vitest";
import { isPapyraError, type PapyraError } from "../../src/errors.ts";
import { codeOf, gate, settle, startManualWorld, startWorld } from "./world.ts";

const silent = () => ({ receive: (_message: string): Promise<string> => new Promise(() => undefined) });

describe("time-outs", () => {
  test("after the time of the question, or else of the system, and not before", async () => {
    const { system, clock } = await startManualWorld({ askTimeoutMs: 300 });
    const actor = system.spawn("a", silent);
    const settled: unknown[] = [];
    const watch = (name: string, ask: Promise<unknown>) => void codeOf(ask).then((code) => settled.push([name, code]));
    watch("default", actor.ask("x"));
    watch("100", actor.ask("x", { timeoutMs: 100 }));
    watch("400", actor.ask("x", { timeoutMs: 400 }));
    await settle();
    clock.advance(99);
    await settle();
    expect(settled).toEqual([]);
    clock.advance(1);
    await settle();
    expect(settled).toEqual([["100", "ASK_TIMEOUT"]]);
    clock.advance(300);
    await settle();
    expect(settled).toEqual([
      ["100", "ASK_TIMEOUT"],
      ["default", "ASK_TIMEOUT"],
      ["400", "ASK_TIMEOUT"],
    ]);
    expect(system.metrics().asksTimedOut).toBe(3);
    const stopped = system.stop();
    await settle();
    clock.advance(10_000);
    await stopped;
    await settle();
    expect(clock.waiting).toBe(0);
  });

  test("a late reply goes nowhere, and a question that is answered leaves no timer", async () => {
    const { system, clock } = await startManualWorld();
    const late = gate<string>();
    const actor = system.spawn("a", () => ({ receive: (m: string) => (m === "wait" ? late.opened : m) }));
    const ask = codeOf(actor.ask("wait"));
    await settle();
    clock.advance(5000);
    expect(await ask).toBe("ASK_TIMEOUT");
    late.open("too late");
    expect(await actor.ask("next")).toBe("next");
    clock.advance(0); // the scheduler's own
    expect(clock.waiting).toBe(0);
    await system.stop();
  });

  test("also of an actor that is busy, while nothing else happens", async () => {
    const { system, clock } = await startManualWorld();
    const actor = system.spawn("a", silent);
    actor.tell("never done");
    await settle();
    const ask = codeOf(actor.ask("x", { timeoutMs: 100 }));
    await settle();
    clock.advance(100);
    expect(await ask).toBe("ASK_TIMEOUT");
  });

  test("a late reply does not disturb the questions that still wait", async () => {
    const { system, clock } = await startManualWorld();
    const late = gate<string>();
    const slow = system.spawn("slow", () => ({ receive: () => late.opened }));
    const never = system.spawn("never", silent);
    const first = codeOf(slow.ask(undefined as never));
    await settle();
    clock.advance(4000);
    const others = [codeOf(never.ask("x")), codeOf(never.ask("y"))];
    await settle();
    clock.advance(1000);
    expect(await first).toBe("ASK_TIMEOUT");
    late.open("too late");
    await settle();
    clock.advance(4000);
    expect(await Promise.all(others)).toEqual(["ASK_TIMEOUT", "ASK_TIMEOUT"]);
    expect(system.metrics()).toMatchObject({ asks: 3, asksTimedOut: 3 });
  });

  test("the error says who did not reply, and that one may try again", async () => {
    const { system, clock } = await startManualWorld();
    const ask = system.spawn("a", silent).ask("x", { timeoutMs: 7 });
    await settle();
    clock.advance(7);
    const error = (await ask.catch((thrown: unknown) => thrown)) as PapyraError;
    expect(error.message).toBe("local://a did not reply within 7 ms");
    expect(error.retryable).toBe(false); // the message may still be handled
    expect(error.details).toEqual({ address: "local://a", timeoutMs: 7 });
  });

  test.each([{ timeoutMs: 0 }, { timeoutMs: 2 ** 31 }, { timeout: 5 }])("ask refuses %j", async (options) => {
    const { system } = await startWorld();
    expect(await codeOf(system.spawn("a", silent).ask("x", options))).toBe("OPTION_INVALID");
    expect(system.metrics().messagesHandled).toBe(0);
  });

  test("keeps working in real time", async () => {
    const { system } = await startWorld();
    const actor = system.spawn("a", silent);
    const started = performance.now();
    expect(await codeOf(actor.ask("x", { timeoutMs: 30 }))).toBe("ASK_TIMEOUT");
    expect(performance.now() - started).toBeGreaterThanOrEqual(29);
    await system.stop({ timeoutMs: 1 });
  });

  test("many different time-outs do not pile up", async () => {
    const { system } = await startWorld();
    const actor = system.spawn("a", () => ({ receive: (n: number) => n }));
    for (let n = 1; n < 2000; n++) expect(await actor.ask(n, { timeoutMs: 1000 + n })).toBe(n);
    await system.stop();
  });
});

describe("giving up", () => {
  test("an aborted signal rejects with ASK_ABORTED and its reason; the message is not taken back", async () => {
    const { system } = await startWorld();
    const seen: string[] = [];
    const open = gate();
    const actor = system.spawn("a", () => ({
      receive: async (m: string) => {
        await open.opened;
        seen.push(m);
      },
    }));
    const controller = new AbortController();
    const ask = actor.ask("x", { signal: controller.signal });
    controller.abort(new Error("enough"));
    const error: unknown = await ask.catch((thrown: unknown) => thrown);
    expect(isPapyraError(error, "ASK_ABORTED") && (error.cause as Error).message).toBe("enough");
    open.open();
    await actor.ask("y");
    expect(seen).toEqual(["x", "y"]);
    expect(system.metrics().asksAborted).toBe(1);
    await system.stop();
  });

  test("a signal that is aborted already sends nothing", async () => {
    const { system } = await startWorld();
    const actor = system.spawn("a", () => ({ receive: () => 1 }));
    expect(await codeOf(actor.ask("x", { signal: AbortSignal.abort() }))).toBe("ASK_ABORTED");
    await settle();
    expect(system.metrics().messagesHandled).toBe(0);
    await system.stop();
  });

  test("an answered question no longer listens to its signal", async () => {
    const { system } = await startWorld();
    const actor = system.spawn("a", () => ({ receive: () => 1 }));
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, "addEventListener");
    const removed = vi.spyOn(signal, "removeEventListener");
    await actor.ask("x", { signal });
    expect([added.mock.calls.length, removed.mock.calls.length]).toEqual([1, 1]);
    await system.stop();
  });
});

describe("failures", () => {
  test.each(["sync", "async"])("what a %s handler throws is the cause of ACTOR_FAILED", async (how) => {
    const { system } = await startWorld();
    const broken = new TypeError("broken");
    const actor = system.spawn("a", () => ({
      receive: (m: string): unknown => {
        if (m !== "break") return m;
        if (how === "async") return Promise.reject(broken);
        throw broken;
      },
    }));
    const failing: unknown = await actor.ask("break").catch((thrown: unknown) => thrown);
    expect(isPapyraError(failing, "ACTOR_FAILED") && failing.cause).toBe(broken);
    expect(await actor.ask("still there")).toBe("still there");
    await system.stop();
  });

  test.each([["a string"], [undefined], [null], [Symbol("s")], [Object.create(null)], [7n]])(
    "an actor may throw anything: %s",
    async (thrown) => {
      const { system, events } = await startWorld();
      const actor = system.spawn("a", () => ({
        receive: () => {
          throw thrown;
        },
      }));
      const failing: unknown = await actor.ask("x").catch((error: unknown) => error);
      expect(isPapyraError(failing, "ACTOR_FAILED") && failing.cause).toBe(thrown);
      expect(events.find((event) => event.type === "ActorCrashed")?.error).toBeInstanceOf(Error);
      await system.stop();
    },
  );

  test("questions to an actor that has stopped are refused, and are dead letters", async () => {
    const { system, told } = await startWorld();
    const actor = system.spawn("a", () => ({ receive: () => 1 }));
    await actor.stop();
    expect(await codeOf(actor.ask("x"))).toBe("ACTOR_STOPPED");
    actor.tell("y");
    expect(told().slice(-2)).toEqual(["DeadLetter local://a: actor stopped", "DeadLetter local://a: actor stopped"]);
    await system.stop();
  });
});
