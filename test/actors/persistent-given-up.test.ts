// What becomes of a command whose actor is given up, and of the name it leaves behind: no ask may be told that it came to
// nothing when its events are, or will be, stored, and nobody else is ever taken for the actor.
import { expect, test } from "vitest";
import { persistentActor } from "../../src/actors/persistent.ts";
import { files, gate, codeOf, settle, startManualWorld } from "./world.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";

function counter(hang: Promise<void>) {
  return persistentActor(
    { type: "counter", initial: () => ({ count: 0 }), events: { added: (state) => ({ count: state.count + 1 }) } },
    {
      add: (_state, _, ctx) => ctx.persist("added").reply((after) => after.count),
      slow: async (_state, _, ctx) => {
        await hang;
        return ctx.persist("added").reply((after) => after.count);
      },
      count: (state, _, ctx) => ctx.reply(state.count),
    },
  );
}

async function world(disk = new SimDisk()) {
  const hang = gate();
  const made = await startManualWorld({ env: disk.env, store: files(disk) });
  return { ...made, clock: disk.clock, hang, definition: counter(hang.opened) };
}

test("given up before its events were written: they are not written any more", async () => {
  const { system, clock, hang, definition } = await world();
  const ref = system.get(definition, "a");
  expect(await ref.ask("count")).toBe(0);
  const asked = codeOf(ref.ask("slow"));
  await settle();
  const stopped = ref.stop({ timeoutMs: 50 });
  clock.advance(50);
  await stopped;
  expect(await asked).toBe("ACTOR_STOPPED");
  const next = ref.ask("count"); // waits for the one that hangs
  hang.open();
  expect(await next).toBe(0);
  expect(system.metrics().eventsCommitted).toBe(0);
  await system.stop();
});

test("a slow command that is in time is carried out, although its signal was aborted", async () => {
  const { system, hang, definition } = await world();
  const ref = system.get(definition, "a");
  const asked = ref.ask("slow");
  await settle();
  const stopped = ref.stop();
  await settle();
  hang.open();
  await stopped;
  expect(await asked).toBe(1);
  expect(await ref.ask("count")).toBe(1);
  await system.stop();
});

test("given up while its events are being written: the outcome is unknown", async () => {
  const disk = new SimDisk();
  const { system, clock, definition } = await world(disk);
  const ref = system.get(definition, "a");
  expect(await ref.ask("add")).toBe(1);
  const held = gate();
  disk.pause = (call) => (call.operation === "sync" ? held.opened : undefined);
  const asked = codeOf(ref.ask("add"));
  await settle();
  const stopped = ref.stop({ timeoutMs: 50 });
  clock.advance(50);
  await stopped;
  expect(await asked).toBe("OUTCOME_UNKNOWN");
  const next = ref.ask("count");
  disk.pause = undefined;
  held.open();
  expect(await next).toBe(2);
  await system.stop();
});

test("a plain actor that took the address of a stopped one is never asked in its place", async () => {
  const { system, definition } = await world();
  const ref = system.get(definition, "42");
  expect(await ref.ask("add")).toBe(1);
  await ref.stop();
  const received: unknown[] = [];
  const foreign = system.spawn("counter", () => ({
    started: (ctx) => void ctx.spawn("42", () => ({ receive: (message: unknown) => void received.push(message) })),
    receive: (_message: string) => 1,
  }));
  await foreign.ask("started");
  expect(await codeOf(ref.ask("add"))).toBe("NAME_TAKEN");
  ref.tell("add");
  expect(system.metrics().deadLetters).toBe(1);
  await foreign.stop();
  expect(await ref.ask("add")).toBe(2);
  expect(received).toEqual([]);
  await system.stop();
});

test("one that was given up and hangs is waited for, however many actors there were meanwhile", async () => {
  const { system, clock, hang, definition } = await world();
  const ref = system.get(definition, "hanging");
  const asked = codeOf(ref.ask("slow"));
  await settle();
  const stopped = ref.stop({ timeoutMs: 50 });
  clock.advance(50);
  await stopped;
  expect(await asked).toBe("ACTOR_STOPPED");
  await Promise.all(Array.from({ length: 1100 }, (_, i) => system.get(definition, `${i}`).ask("count")));
  const next = codeOf(ref.ask("count"));
  await settle();
  hang.open();
  expect(await next).toBe(0);
  await system.stop();
});
