// Who gets a turn: actors among each other, and the event loop among the actors.
import { expect, test } from "vitest";
import { Runtime } from "../../src/actors/runtime.ts";
import { resolveSystemOptions } from "../../src/actors/actor-options.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { gate, settle, startWorld } from "./world.ts";

test("a long queue of one actor does not hold up another", async () => {
  const { system } = await startWorld();
  const order: string[] = [];
  const busy = system.spawn("busy", () => ({ receive: (_message: number) => void order.push("busy") }));
  const other = system.spawn("other", () => ({ receive: (_message: number) => void order.push("other") }));
  for (let n = 0; n < 10_000; n++) busy.tell(n);
  await other.ask(1);
  expect(order.indexOf("other")).toBeLessThan(200);
  await system.stop();
});

test("actors that never run out of messages leave the event loop its turns", async () => {
  const { system } = await startWorld();
  let handled = 0;
  const actor = system.spawn("a", () => ({
    receive: (_message: string, ctx) => {
      handled += 1;
      ctx.self.tell("again");
    },
  }));
  actor.tell("go");
  let turns = 0;
  const started = performance.now();
  while (performance.now() - started < 200) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    turns += 1;
  }
  expect(turns).toBeGreaterThan(2);
  expect(handled).toBeGreaterThan(1000);
  await system.stop({ mailbox: "dead-letters" });
});

test("nor does somebody who asks again and again, so that time-outs come in time", async () => {
  const { system } = await startWorld();
  const actor = system.spawn("a", () => ({ receive: (n: number) => n }));
  const silent = system.spawn("silent", () => ({ receive: () => new Promise<void>(() => undefined) }));
  let timedOut = false;
  const ask = silent.ask(undefined as never, { timeoutMs: 20 }).catch(() => (timedOut = true));
  for (let n = 0; n < 10_000_000 && !timedOut; n++) await actor.ask(n);
  expect(timedOut).toBe(true);
  await ask;
  await system.stop({ timeoutMs: 1 });
});

test("a successor of the same address takes messages at once and starts when its predecessor is gone", async () => {
  const options = resolveSystemOptions({ env: nodeEnv });
  const runtime = new Runtime({ systemId: "s", spawn: unused, subscribe: unused }, options);
  const log: string[] = [];
  const open = [gate(), gate(), gate()];
  const make = (n: number) => () => ({
    started: () => void log.push(`start ${n}`),
    receive: async (message: unknown) => {
      log.push(`${n} handles ${String(message)}`);
      await open[n]?.opened;
    },
    stopped: () => void log.push(`stop ${n}`),
  });
  const first = runtime.findOrSpawnRoot(["a", "1"], make(0), undefined);
  first.ref.tell("x");
  await settle();
  expect(runtime.findOrSpawnRoot(["a", "1"], make(9), undefined)).toBe(first);
  void first.stop(undefined);
  const second = runtime.findOrSpawnRoot(["a", "1"], make(1), undefined);
  second.ref.tell("y");
  await settle();
  expect(runtime.findOrSpawnRoot(["a", "1"], make(9), undefined)).toBe(second);
  await second.stop(undefined);
  const third = runtime.findOrSpawnRoot(["a", "1"], make(2), undefined);
  third.ref.tell("z");
  await settle();
  expect(log).toEqual(["start 0", "0 handles x"]);
  open[0]?.open();
  await settle();
  expect(log).toEqual(["start 0", "0 handles x", "stop 0", "start 2", "2 handles z"]);
  open[2]?.open();
  await third.stop(undefined);
  expect(runtime.audit().registry_size).toBe(0);
});

function unused(): never {
  throw new Error("not used here");
}
