// The life of a system: options, the check before the start, opening and closing the store, starts and stops that cross.
import { describe, expect, test } from "vitest";
import { ActorSystem } from "../../src/actors/system.ts";
import { openStore } from "../../src/backends/open.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { isPapyraError } from "../../src/errors.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { codeOf, codeThrown, files, memory, settle, startWorld } from "./world.ts";

const silent = () => ({ receive: (_message: string) => 1 });

describe("options", () => {
  test.each<[object, string]>([
    [{ env: nodeEnv, systemId: "a b" }, "systemId"],
    [{ env: nodeEnv, systemId: "" }, "systemId"],
    [{ env: nodeEnv, mailboxMax: 0 }, "mailboxMax"],
    [{ env: nodeEnv, askTimeoutMs: -1 }, "askTimeoutMs"],
    [{ env: nodeEnv, stopTimeoutMs: 1.5 }, "stopTimeoutMs"],
    [{ env: nodeEnv, startup: "sometimes" }, "startup"],
    [{ env: nodeEnv, quarantineDir: "" }, "quarantineDir"],
    [{ env: nodeEnv, onProblem: "log" }, "onProblem"],
    [{ env: nodeEnv, supervision: { restarts: 1 } }, "restarts"],
    [{ env: nodeEnv, mailbox: 5 }, "mailbox"],
    [{}, "store"],
  ])("%o is refused, and the error names %s", (options, named) => {
    try {
      void new ActorSystem(options);
      expect.unreachable();
    } catch (error) {
      expect(isPapyraError(error, "OPTION_INVALID") && error.message).toContain(named);
    }
  });

  test("environment comes from the store", async () => {
    const system = new ActorSystem({ store: memory() });
    await system.start();
    expect(system.systemId).toBe("local");
    expect(await system.spawn("a", silent).ask("x")).toBe(1);
    await system[Symbol.asyncDispose]();
    expect(system.state).toBe("stopped");
  });
});

describe("starting", () => {
  test("nothing is spawned before", () => {
    const system = new ActorSystem({ env: nodeEnv });
    expect(system.state).toBe("new");
    const refused = () => system.spawn("a", silent);
    expect(codeThrown(refused)).toBe("SYSTEM_STOPPED");
    expect(refused).toThrow(expect.objectContaining({ hint: "await system.start() first" }));
  });

  test("twice is once", async () => {
    const system = new ActorSystem({ store: memory() });
    await Promise.all([system.start(), system.start()]);
    await system.start();
    expect(system.state).toBe("running");
    await system.stop();
    expect(system.state).toBe("stopped");
  });

  test("one that failed may be tried again", async () => {
    const backend = memory();
    const holder = await openStore(backend);
    const system = new ActorSystem({ store: backend });
    expect(await codeOf(system.start())).toBe("STORE_LOCKED");
    expect(system.state).toBe("new");
    await holder.close();
    await system.start();
    expect(system.state).toBe("running");
    await system.stop();
    await (await openStore(backend)).close();
  });

  test("a stop meanwhile: the store is closed again, and whoever started is told", async () => {
    const backend = files(new SimDisk());
    const system = new ActorSystem({ store: backend });
    const starting = codeOf(system.start());
    const stopping = system.stop();
    expect(await starting).toBe("SYSTEM_STOPPED");
    expect(await stopping).toMatchObject({ ok: true });
    expect(system.state).toBe("stopped");
    await (await openStore(backend)).close();
  });

  test("a stop while a start fails", async () => {
    const backend = memory();
    const holder = await openStore(backend);
    const system = new ActorSystem({ store: backend, startup: "ignore" });
    const starting = codeOf(system.start());
    const stopping = system.stop();
    expect(["STORE_LOCKED", "SYSTEM_STOPPED"]).toContain(await starting);
    expect(await stopping).toMatchObject({ ok: true });
    expect(system.state).toBe("stopped");
    await holder.close();
  });

  test("a stop without a start", async () => {
    const system = new ActorSystem({ store: memory() });
    expect(await system.stop()).toMatchObject({ ok: true });
    expect(await codeOf(system.start())).toBe("SYSTEM_STOPPED");
  });
});

describe("the check before the start", () => {
  async function damagedStore(): Promise<SimDisk> {
    const disk = new SimDisk();
    const { system } = await startWorld({ store: files(disk), env: disk.env });
    for (const name of ["a", "b", "c"]) system.spawn(name, silent);
    await settle();
    await system.stop();
    const file = await disk.env.fs.open("/store/events.ndjson", "update");
    await file.write(Buffer.from("x"), 200);
    await file.close();
    return disk;
  }

  test("refuses a damaged store by default, and says what to do", async () => {
    const disk = await damagedStore();
    const system = new ActorSystem({ store: files(disk) });
    const error: unknown = await system.start().catch((thrown: unknown) => thrown);
    expect(isPapyraError(error, "STARTUP_REFUSED") && error.hint).toContain("papyra persistence");
    expect(system.state).toBe("new");
  });

  test.each(["ignore", "scan_only", "recover"] as const)("%s starts", async (startup) => {
    const disk = await damagedStore();
    const { system } = await startWorld({ store: files(disk), env: disk.env, startup, quarantineDir: "/quarantine" });
    expect(system.startupReport?.mode).toBe(startup);
    expect(system.startupReport?.recovery?.ok).toBe(startup === "recover" ? true : undefined);
    await system.stop();
  });

  test("is not made for a memory store, unless asked for", async () => {
    const { system } = await startWorld({ store: memory() });
    expect(system.startupReport).toMatchObject({ ok: true, mode: "ignore" });
    await system.stop();
  });
});

test("the name of a running actor is taken, whatever it looks like", async () => {
  const { system } = await startWorld();
  system.spawn("a/b", silent);
  expect(codeThrown(() => system.spawn("a/b", silent))).toBe("NAME_TAKEN");
  const a = system.spawn("a", () => ({ receive: (_message: string, ctx) => ctx.spawn("b", silent).address }));
  expect(await a.ask("x")).toBe("local://a/b");
  expect(await codeOf(a.ask("x"))).toBe("ACTOR_FAILED");
  expect(codeThrown(() => system.spawn("", silent))).toBe("OPTION_INVALID");
  await system.stop();
});

test("a subscriber that throws breaks nothing and is told of once; one that left hears no more", async () => {
  const { system, problems } = await startWorld();
  const heard: string[] = [];
  const leave = system.subscribe((event) => {
    heard.push(event.type);
    throw new Error("not interested");
  });
  system.spawn("a", silent);
  system.spawn("b", silent);
  await settle();
  leave();
  system.spawn("c", silent);
  await settle();
  expect(heard).toEqual(["ActorStarted", "ActorStarted"]);
  expect(problems.map((error) => error.message)).toEqual(["not interested"]);
  expect(system.metrics().problems).toBe(2);
  await system.stop();
});

test("a subscriber may act on what it hears", async () => {
  const { system, told } = await startWorld();
  system.subscribe((event) => {
    if (event.type === "ActorCrashed") void actor.stop();
    if (event.type === "ActorStopped" && event.address === "local://a") system.spawn("a", silent);
  });
  const actor = system.spawn("a", () => ({
    receive: (_message: string) => {
      throw new Error("broken");
    },
  }));
  expect(await codeOf(actor.ask("x"))).toBe("ACTOR_FAILED");
  await settle();
  expect(told().slice(1)).toEqual([
    "ActorCrashed local://a: broken in receive, restart",
    "ActorStopped local://a: stopped",
    "ActorStarted local://a",
  ]);
  await system.stop({ mailbox: "dead-letters" });
});
