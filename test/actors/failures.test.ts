// What becomes of an actor that throws: restarted, resumed, or stopped.
import { describe, expect, test } from "vitest";
import { PapyraError } from "../../src/errors.ts";
import type { SupervisionOptions } from "../../src/actors/supervision.ts";
import { codeOf, settle, startManualWorld, startWorld, type World } from "./world.ts";

/** An actor that counts, fails when told to, and notes its hooks. */
function counter({ system }: World, supervision: SupervisionOptions = {}, hooks: string[] = []) {
  return system.spawn(
    "counter",
    () => {
      let count = 0;
      hooks.push("made");
      return {
        started: () => void hooks.push("started"),
        receive: (message: "add" | "break") => {
          if (message === "break") throw new Error("broken");
          return (count += 1);
        },
        stopped: (_, reason) => void hooks.push(`stopped: ${reason}`),
      };
    },
    { supervision },
  );
}

describe("one actor", () => {
  test("a restart makes a fresh behaviour; the address and the waiting messages stay", async () => {
    const world = await startWorld();
    const hooks: string[] = [];
    const actor = counter(world, {}, hooks);
    await actor.ask("add");
    actor.tell("break");
    actor.tell("add");
    expect(await actor.ask("add")).toBe(2);
    expect(hooks).toEqual(["made", "started", "stopped: restarting", "made", "started"]);
    expect(world.told()).toEqual([
      "ActorStarted local://counter",
      "ActorCrashed local://counter: broken in receive, restart",
      "ActorRestarted local://counter 1",
    ]);
    expect(world.system.metrics()).toMatchObject({ failures: 1, restarts: 1, actorsStarted: 1, actors: 1 });
    await world.system.stop();
  });

  test("resume goes on with the state it has", async () => {
    const world = await startWorld();
    const hooks: string[] = [];
    const actor = counter(world, { onFailure: "resume" }, hooks);
    await actor.ask("add");
    expect(await codeOf(actor.ask("break"))).toBe("ACTOR_FAILED");
    expect(await actor.ask("add")).toBe(2);
    expect(hooks).toEqual(["made", "started"]);
    await world.system.stop();
  });

  test("stop: what waits is a dead letter", async () => {
    const world = await startWorld();
    const actor = counter(world, { onFailure: "stop" });
    actor.tell("break");
    actor.tell("add");
    expect(await codeOf(actor.ask("add"))).toBe("ACTOR_STOPPED");
    expect(world.told()).toEqual([
      "ActorStarted local://counter",
      "ActorCrashed local://counter: broken in receive, stop",
      "DeadLetter local://counter: actor stopped",
      "DeadLetter local://counter: actor stopped",
      "ActorStopped local://counter: failed",
    ]);
    await world.system.stop();
  });

  test("too many restarts within the window, and it stops; later ones are as good as the first", async () => {
    const world = await startManualWorld();
    const actor = counter(world);
    for (let n = 0; n < 3; n++) await codeOf(actor.ask("break"));
    world.clock.advance(5000);
    for (let n = 0; n < 3; n++) await codeOf(actor.ask("break"));
    expect(await actor.ask("add")).toBe(1);
    expect(await codeOf(actor.ask("break"))).toBe("ACTOR_FAILED");
    expect(await codeOf(actor.ask("add"))).toBe("ACTOR_STOPPED");
    expect(world.told()).toContain(
      "ActorCrashed local://counter: broken in receive, stop: more than 3 restarts within 5000 ms",
    );
    await world.system.stop();
  });

  test("a restart waits as long as `backoffMs` says, and messages wait with it", async () => {
    const world = await startManualWorld();
    const actor = counter(world, { backoffMs: 100 });
    const ask = actor.ask("add");
    actor.tell("break");
    const later = actor.ask("add", { timeoutMs: 60_000 });
    expect(await ask).toBe(1);
    await settle();
    expect(world.system.audit().restarting_actors).toBe(1);
    world.clock.advance(99);
    await settle();
    expect(world.system.metrics().restarts).toBe(0);
    world.clock.advance(1);
    expect(await later).toBe(1);
    actor.tell("break");
    await settle();
    world.clock.advance(199);
    await settle();
    expect(world.system.metrics().restarts).toBe(1);
    world.clock.advance(1);
    await settle();
    expect(world.system.metrics().restarts).toBe(2);
    await world.system.stop();
  });

  test("a stop does not wait for a restart that is due later", async () => {
    const world = await startManualWorld();
    const actor = counter(world, { backoffMs: 1000 });
    actor.tell("break");
    await settle();
    await actor.stop();
    expect(world.told().at(-1)).toBe("ActorStopped local://counter: stopped");
    world.clock.advance(0); // the scheduler's own
    expect(world.clock.waiting).toBe(0);
    await world.system.stop();
  });

  test("supervision may depend on the error", async () => {
    const world = await startWorld();
    const onFailure = ({ error }: { error: Error }) => (error instanceof PapyraError ? "stop" : "resume");
    const actor = world.system.spawn(
      "a",
      () => ({
        receive: (code: "QUEUE_FULL" | "other") => {
          throw code === "other" ? new Error(code) : new PapyraError(code, "no");
        },
      }),
      { supervision: { onFailure } },
    );
    actor.tell("other");
    actor.tell("QUEUE_FULL");
    expect(await codeOf(actor.ask("other"))).toBe("ACTOR_STOPPED");
    expect(world.system.metrics().failures).toBe(2);
    await world.system.stop();
  });
});

test("escalated without a parent: it stops, and the problem is reported", async () => {
  const world = await startWorld();
  await codeOf(counter(world, { onFailure: "escalate" }).ask("break"));
  await settle();
  expect(world.problems.map((error) => error.message)).toEqual(["local://counter failed: Error: broken"]);
  expect(world.system.metrics().actors).toBe(0);
  await world.system.stop();
});

describe("hooks that fail", () => {
  test.each(["factory", "started", "started, later"])(
    "%s: tried again, then given up; `stopped` is not called",
    async (where) => {
      const world = await startWorld();
      let tries = 0;
      let stopped = 0;
      const actor = world.system.spawn("a", () => {
        tries += 1;
        if (where === "factory") throw new Error("no");
        return {
          started: () => {
            if (where === "started") throw new Error("no");
            return Promise.reject(new Error("no"));
          },
          receive: (_message: string) => 1,
          stopped: () => void (stopped += 1),
        };
      });
      expect(await codeOf(actor.ask("x"))).toBe("ACTOR_STOPPED");
      expect([tries, stopped]).toEqual([4, 0]);
      expect(world.told().at(-1)).toBe("ActorStopped local://a: failed");
      await world.system.stop();
    },
  );

  test("a factory that makes something else is told what is missing", async () => {
    const world = await startWorld();
    const actor = world.system.spawn("a", () => ({ recieve: () => 1 }) as unknown as { receive: () => number });
    expect(await codeOf(actor.ask(undefined as never))).toBe("ACTOR_STOPPED");
    expect(world.told()[0]).toContain("made no object with `receive`");
    await world.system.stop();
  });

  test.each(["throws", "rejects"])("a `stopped` that %s is told of, and does not hold up the end", async (how) => {
    const world = await startWorld();
    const actor = world.system.spawn("a", () => ({
      receive: () => 1,
      stopped: () => {
        if (how === "rejects") return Promise.reject(new Error("no"));
        throw new Error("no");
      },
    }));
    await actor.ask("x");
    await actor.stop();
    expect(world.told().slice(1)).toEqual([
      "ActorCrashed local://a: no in stopped, none: it was at its end",
      "ActorStopped local://a: stopped",
    ]);
    await world.system.stop();
  });
});
