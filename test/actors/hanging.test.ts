// Actors that never come to an end by themselves: given up in time, told of, and nobody else has to wait for them.
import { expect, test } from "vitest";
import { codeOf, gate, settle, startManualWorld } from "./world.ts";

test.each(["receive", "started", "stopped"])("in %s: given up after its time, and told of", async (where) => {
  const { system, clock, problems, told } = await startManualWorld();
  const hang = gate();
  const actor = system.spawn(
    "a",
    () => ({
      started: () => (where === "started" ? hang.opened : undefined),
      receive: (_message: string) => (where === "receive" ? hang.opened : undefined),
      stopped: () => (where === "stopped" ? hang.opened : undefined),
    }),
    { stopTimeoutMs: 300 },
  );
  const asks = [codeOf(actor.ask("in hand")), codeOf(actor.ask("waiting"))];
  await settle();
  let done = false;
  const stopping = actor.stop().then(() => (done = true));
  await settle();
  clock.advance(299);
  await settle();
  expect(done).toBe(false);
  clock.advance(1);
  await stopping;
  expect(await asks[0]).toBe(where === "stopped" ? undefined : "ACTOR_STOPPED");
  expect(await asks[1]).toBe(where === "stopped" ? undefined : "ACTOR_STOPPED");
  expect(told().at(-1)).toBe("ActorStopped local://a: given up");
  expect(problems.map((error) => error.message)).toEqual(["local://a did not stop in time and was given up"]);
  // The message in hand is neither handled twice nor a dead letter.
  expect(system.metrics().deadLetters).toBe({ receive: 1, started: 2, stopped: 0 }[where]);
  // As long as it hangs, its name stays taken; then it is gone without a further word.
  expect(system.audit()).toMatchObject({ total_actors: 0, registry_size: 1, registry_dead: ["local://a"] });
  hang.open();
  await settle();
  expect(system.audit().registry_size).toBe(0);
  expect(told().filter((line) => line.startsWith("ActorStopped"))).toHaveLength(1);
  await system.stop();
});

test("a parent: children that can stop at once do, the others are given up with it", async () => {
  const { system, clock, told } = await startManualWorld();
  const hang = new Promise<void>(() => undefined);
  const hooks: string[] = [];
  const parent = system.spawn("p", () => ({
    receive: (_message: string, ctx) => {
      ctx.spawn("idle", () => ({ receive: () => 1, stopped: (_, reason) => void hooks.push(reason) }));
      ctx.spawn("slow", () => ({ receive: () => 1, stopped: () => hang }));
      ctx.spawn("busy", () => ({ started: () => hang, receive: () => 1 }));
      return hang;
    },
  }));
  parent.tell("x");
  await settle();
  const stopped = parent.stop();
  await settle();
  clock.advance(5000);
  await stopped;
  expect(told().filter((line) => line.startsWith("ActorStopped"))).toEqual([
    "ActorStopped local://p/busy: given up",
    "ActorStopped local://p/slow: given up",
    "ActorStopped local://p/idle: parent stopped",
    "ActorStopped local://p: given up",
  ]);
  expect(hooks).toEqual(["parent stopped"]);
  clock.advance(0);
  expect(clock.waiting).toBe(0);
  expect((await system.stop()).givenUp).toHaveLength(3);
});

test("a system with a hanging actor stops all the same, and the others end in good order", async () => {
  const { system, clock } = await startManualWorld({ stopTimeoutMs: 1000 });
  const hooks: string[] = [];
  const make = (name: string) => () => ({
    receive: (m: string) => (m === "hang" ? new Promise<void>(() => undefined) : undefined),
    stopped: async () => {
      await settle();
      hooks.push(name);
    },
  });
  system.spawn("first", make("first"));
  const hanging = system.spawn("hanging", make("hanging"));
  system.spawn("last", make("last"));
  hanging.tell("hang");
  await settle();
  const stopping = system.stop();
  for (let n = 0; n < 10; n++) await settle();
  expect(hooks).toEqual(["last"]);
  clock.advance(1000);
  const report = await stopping;
  expect(hooks).toEqual(["last", "first"]);
  expect(report).toMatchObject({ ok: false, givenUp: ["local://hanging"] });
  expect(system.state).toBe("stopped");
});
