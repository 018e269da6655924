// What a command or an event is given, exactly as it was given, and what is refused: bad input is no crash of the actor.
import { afterEach, expect, test } from "vitest";
import { persistentActor } from "../../src/actors/persistent.ts";
import { memoryStore } from "../../src/index.ts";
import { startWorld, type World } from "./world.ts";
import { stored } from "./persistent-helpers.ts";

const worlds: World[] = [];
afterEach(async () => {
  for (const { system } of worlds.splice(0)) await system.stop();
});

const named = persistentActor(
  {
    type: "named",
    initial: () => ({ name: "nobody" as unknown }),
    events: {
      named: (_state, e: string | undefined) => ({ name: e }),
      set: (_state, e: unknown) => ({ name: e }),
    },
  },
  {
    echo: (_state, c: string | undefined, ctx) => ctx.reply(c === undefined ? "undefined" : typeof c),
    optional: (_state, c: { cents?: boolean }, ctx) => ctx.reply(JSON.stringify(c)),
    rename: (_state, c: string | undefined, ctx) => ctx.persist("named", c).reply((after) => after.name),
    renameAll: (_state, _, ctx) => ctx.persistAll([["named", undefined]]).noReply(),
    set: (_state, c: { value: unknown }, ctx) => ctx.persist("set", c.value).reply((after) => after.name),
    getter: (_state, _, ctx) =>
      ctx
        .persist("set", {
          get value(): number {
            throw new Error("the getter failed");
          },
        })
        .noReply(),
    forward: (_state, c: { to: string }, ctx) => {
      ctx.tell(worlds[0]!.system.get(named, c.to), "rename", undefined);
      return ctx.noReply();
    },
    name: (state, _, ctx) => ctx.reply(state.name),
  },
);

async function started(lineBytesMax?: number) {
  const store = memoryStore(lineBytesMax === undefined ? {} : { lineBytesMax });
  const world = await startWorld({ store });
  worlds.push(world);
  return { ...world, store, ref: world.system.get(named, "a") };
}

test("a command that is undefined stays undefined, and one that is left out is {}", async () => {
  const { ref } = await started();
  expect(await ref.ask("echo", undefined)).toBe("undefined");
  expect(await ref.ask("echo", "x")).toBe("string");
  expect(await ref.ask("optional")).toBe("{}");
  expect(await ref.ask("optional", { cents: true }, { timeoutMs: 1000 })).toBe('{"cents":true}');
});

test("a payload that is undefined is refused, and nothing is stored in its place", async () => {
  const { ref, store } = await started();
  await expect(ref.ask("rename", undefined)).rejects.toMatchObject({ code: "RECORD_INVALID" });
  await expect(ref.ask("renameAll")).rejects.toMatchObject({ code: "RECORD_INVALID" });
  expect(await ref.ask("name")).toBe("nobody");
  expect(await stored(store, "journal")).toEqual([]);
});

test("what cannot be stored is refused without a crash, whatever supervision says", async () => {
  const { ref, system, told } = await started(2048);
  await expect(ref.ask("set", { value: Number.NaN })).rejects.toMatchObject({ code: "RECORD_INVALID" });
  await expect(ref.ask("set", { value: "x".repeat(3000) })).rejects.toMatchObject({ code: "RECORD_TOO_LARGE" });
  expect(await ref.ask("set", { value: 1 })).toBe(1);
  expect(system.metrics()).toMatchObject({ failures: 0, deadLetters: 0 });
  expect(told().filter((line) => line.startsWith("ActorCrashed"))).toEqual([]);
});

test("a command that was told and refused is a dead letter", async () => {
  const { ref, told } = await started();
  ref.tell("rename", undefined);
  await ref.ask("forward", { to: "b" });
  await worlds[0]!.system.get(named, "b").ask("name");
  expect(told().filter((line) => line.startsWith("DeadLetter"))).toEqual([
    expect.stringContaining("DeadLetter local://named/a: refused: PapyraError: payload is undefined"),
    expect.stringContaining("DeadLetter local://named/b: refused: PapyraError: payload is undefined"),
  ]);
});

test("a payload that throws is a failure of the handler", async () => {
  const { ref, system } = await started();
  await expect(ref.ask("getter")).rejects.toMatchObject({
    code: "ACTOR_FAILED",
    cause: { message: "the getter failed" },
  });
  expect(system.metrics().failures).toBe(1);
});

test("an initial state that throws is told with a code and its cause", async () => {
  const { system } = await started();
  const broken = persistentActor(
    {
      type: "broken",
      initial: (): number => {
        throw new Error("init");
      },
      events: {},
    },
    { read: (state, _, ctx) => ctx.reply(state) },
  );
  await expect(system.get(broken, "a").ask("read")).rejects.toMatchObject({
    code: "ACTOR_FAILED",
    cause: { message: "init" },
  });
});

test("a plain actor that cannot start tells the asker why", async () => {
  const { system } = await started();
  const supervision = { onFailure: "stop" } as const;
  const made = system.spawn(
    "factory",
    (): { receive: (message: string) => string } => {
      throw new Error("no behaviour");
    },
    { supervision },
  );
  const begun = system.spawn(
    "started",
    () => ({
      started: () => {
        throw new Error("no start");
      },
      receive: (message: string) => message,
    }),
    { supervision },
  );
  for (const [ref, message] of [
    [made, "no behaviour"],
    [begun, "no start"],
  ] as const) {
    const why = { code: "ACTOR_STOPPED", cause: { code: "ACTOR_FAILED", cause: { message } } };
    await expect(ref.ask("waiting")).rejects.toMatchObject(why);
    await expect(ref.ask("too late")).rejects.toMatchObject(why);
  }
});

test("metrics count what persistent actors do", async () => {
  const { ref, system } = await started();
  expect(system.metrics()).toMatchObject({ recoveries: 0, eventsCommitted: 0, eventsReplayed: 0, snapshotsTaken: 0 });
  await ref.ask("set", { value: 1 });
  await ref.stop();
  await ref.ask("set", { value: 2 });
  expect(system.metrics()).toMatchObject({ recoveries: 2, eventsCommitted: 2, eventsReplayed: 1, snapshotsFailed: 0 });
});
