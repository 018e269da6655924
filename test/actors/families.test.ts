// Parents and children that fail: whose problem it is, and what becomes of the others.
import { expect, test } from "vitest";
import type { PapyraError } from "../../src/errors.ts";
import type { SupervisionOptions } from "../../src/actors/supervision.ts";
import { codeOf, gate, settle, startManualWorld, startWorld, type World } from "./world.ts";

/** A parent whose child fails, or hangs, on demand. */
function family(world: World, parentPolicy: SupervisionOptions, hooks: string[] = []) {
  const hang = gate();
  return world.system.spawn(
    "parent",
    () => {
      let child: { tell(message: "break" | "hang"): void } | undefined;
      return {
        started: (ctx) => {
          hooks.push("parent started");
          child = ctx.spawn(
            "child",
            () => ({
              receive: (message: "break" | "hang") => {
                if (message === "hang") return hang.opened;
                throw new Error("broken");
              },
              stopped: () => void hooks.push("child stopped"),
            }),
            { supervision: { onFailure: "escalate" } },
          );
        },
        receive: async (message: "break" | "slowly break" | "hang") => {
          child?.tell(message === "hang" ? "hang" : "break");
          if (message === "slowly break") await settle();
        },
        stopped: (_, reason) => void hooks.push(`parent stopped: ${reason}`),
      };
    },
    { supervision: parentPolicy },
  );
}

test.each(["break", "slowly break"] as const)("escalated, %s: the parent restarts, with new children", async (how) => {
  const world = await startWorld();
  const hooks: string[] = [];
  const parent = family(world, {}, hooks);
  await parent.ask(how);
  await settle();
  expect(hooks).toEqual(["parent started", "child stopped", "parent stopped: restarting", "parent started"]);
  expect(world.told().filter((line) => line.includes("parent:"))).toEqual([
    "ActorCrashed local://parent: local://parent/child failed: Error: broken in child, restart",
  ]);
  expect(world.system.audit()).toMatchObject({ alive_actors: 2, registry_size: 2, registry_orphans: [] });
  await parent.ask("break");
  await settle();
  expect(world.system.metrics().restarts).toBe(2);
  await world.system.stop();
});

test("escalated to a parent that resumes: only the child is gone", async () => {
  const world = await startWorld();
  const parent = family(world, { onFailure: "resume" });
  await parent.ask("break");
  await settle();
  expect(world.system.audit()).toMatchObject({ alive_actors: 1, dead_letters_count: 0 });
  await world.system.stop();
});

test("a parent that restarts stops its children first, and gives up those that hang", async () => {
  const world = await startManualWorld();
  const hooks: string[] = [];
  const parent = world.system.spawn(
    "parent",
    () => ({
      started: (ctx) => {
        hooks.push("parent started");
        ctx.spawn("child", () => ({ started: () => new Promise<void>(() => undefined), receive: () => 1 }));
      },
      receive: (_message: string) => {
        throw new Error("broken");
      },
    }),
    { supervision: { restartsMax: 1, withinMs: 60_000 } },
  );
  await settle();
  await codeOf(parent.ask("x"));
  await settle();
  expect(hooks).toEqual(["parent started"]);
  world.clock.advance(5000);
  await settle();
  // The name of the child that hangs is still taken, so the second incarnation fails at spawning it.
  expect(hooks).toEqual(["parent started", "parent started"]);
  expect(world.told()).toContain("ActorStopped local://parent/child: given up");
  expect(world.system.audit()).toMatchObject({ registry_dead: ["local://parent/child"] });
  const report = await world.system.stop();
  expect(report.givenUp).toEqual(["local://parent/child"]);
});

test("a child that escalates while its parent is restarted already does not restart it twice", async () => {
  const world = await startWorld();
  const slow = gate();
  const children: { tell(message: "break"): void }[] = [];
  const parent = world.system.spawn("parent", () => ({
    started: (ctx) => {
      const make = (stopped: () => Promise<void> | void) => () => ({
        receive: (_message: "break") => {
          throw new Error("broken");
        },
        stopped,
      });
      const supervision = { onFailure: "escalate" } as const;
      children.push(
        ctx.spawn(
          "a",
          make(() => undefined),
          { supervision },
        ),
      );
      children.push(
        ctx.spawn(
          "b",
          make(() => slow.opened),
          { supervision },
        ),
      );
    },
    receive: (message: "break" | "ping") => {
      if (message === "break") throw new Error("broken");
      return message;
    },
  }));
  await settle();
  await codeOf(parent.ask("break"));
  children[0]?.tell("break");
  await settle();
  expect(world.system.audit().restarting_actors).toBe(1);
  slow.open();
  expect(await parent.ask("ping")).toBe("ping");
  await settle();
  expect(world.system.metrics()).toMatchObject({ restarts: 1, actors: 3 });
  await world.system.stop();
});

test("whoever hears of an escalated failure may stop the parent", async () => {
  const world = await startWorld();
  const parent = family(world, {});
  world.system.subscribe((event) => {
    if (event.type === "ActorCrashed" && event.address === parent.address) void parent.stop();
  });
  await parent.ask("break");
  await settle();
  expect(world.told().filter((line) => line.startsWith("ActorStopped"))).toEqual([
    "ActorStopped local://parent/child: failed",
    "ActorStopped local://parent: stopped",
  ]);
  expect(world.system.audit().registry_size).toBe(0);
  await world.system.stop();
});

test("a context of an incarnation that has ended spawns nothing, and its signal is aborted", async () => {
  const world = await startWorld();
  const codes: unknown[] = [];
  const actor = world.system.spawn("a", () => ({
    receive: (message: "break" | "x", ctx) => {
      if (message === "x") return;
      queueMicrotask(() =>
        setImmediate(() => {
          codes.push(ctx.signal.aborted);
          try {
            ctx.spawn("child", () => ({ receive: () => 1 }));
          } catch (error) {
            codes.push((error as PapyraError).code);
          }
        }),
      );
      throw new Error("broken");
    },
  }));
  await codeOf(actor.ask("break"));
  await actor.ask("x");
  await settle();
  expect(codes).toEqual([true, "ACTOR_STOPPED"]);
  await world.system.stop();
});
