// What is recorded, and that recording breaks nothing: whatever a message holds, and whatever the disk does.
import { describe, expect, test } from "vitest";
import { memoryBackend } from "../../src/backends/memory.ts";
import { nodeEnv } from "../../src/env/node.ts";
import type { DeadLetterRecord, EventRecord } from "../../src/log/record.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { readAll } from "./read-all.ts";
import { codeOf, files, memory, settle, startWorld } from "./world.ts";

describe("what is recorded", () => {
  test("the life of an actor", async () => {
    const store = memory();
    const { system } = await startWorld({ store, systemId: "shop" });
    const actor = system.spawn("orders/1", () => ({
      receive: (_message: string, ctx): void => {
        throw new RangeError(`card declined: ${ctx.correlationId}`);
      },
    }));
    await codeOf(actor.ask("x", { correlationId: "request-1" }));
    await settle();
    await system.stop();
    const records = (await readAll(store, "events")) as EventRecord[];
    expect(records.map(({ event_type }) => event_type)).toEqual([
      "ActorStarted",
      "ActorCrashed",
      "ActorRestarted",
      "ActorStopped",
    ]);
    for (const record of records) {
      expect(record).toMatchObject({ kind: "event", system_id: "shop", actor_address: "shop://orders%2F1" });
    }
    expect(records.map(({ payload }) => payload)).toEqual([
      {},
      {
        error: "RangeError: card declined: request-1",
        reason: "restart",
        phase: "receive",
        message_id: expect.stringMatching(/^[0-9a-f]{12}-1$/) as string,
        correlation_id: "request-1",
      },
      { reason: "RangeError: card declined: request-1", restarts: 1 },
      { reason: "system stopped" },
    ]);
    expect(system.metrics()).toMatchObject({ recordsAccepted: 4, recordsLost: 0 });
  });

  test("audits, with the fields of the Python Papyra", async () => {
    const store = memory();
    const { system } = await startWorld({ store });
    system.spawn("a", () => ({ receive: () => 1 }));
    const report = system.audit();
    expect(report).toEqual({
      system_id: "local",
      total_actors: 1,
      alive_actors: 1,
      stopping_actors: 0,
      restarting_actors: 0,
      registry_size: 1,
      registry_orphans: [],
      registry_dead: [],
      dead_letters_count: 0,
      records_lost_count: 0,
    });
    await system.stop();
    expect(await readAll(store, "audits")).toMatchObject([{ kind: "audit", ...report }]);
  });

  class Order {
    readonly id = 7;
  }

  test.each<[message: unknown, type: string, payload: unknown]>([
    [{ type: "pay", amount: 5 }, "pay", { type: "pay", amount: 5 }],
    [{ amount: 5 }, "Object", { amount: 5 }],
    ["text", "string", "text"],
    [null, "null", null],
    [["a"], "Array", ["a"]],
    [undefined, "undefined", { unstorable: "payload is undefined, which JSON cannot hold unchanged" }],
    [7n, "bigint", { unstorable: expect.stringContaining("payload is bigint") as string }],
    [
      { at: new Date(0) },
      "Object",
      { unstorable: expect.stringContaining("payload.at is an instance of Date") as string },
    ],
    [new Order(), "Order", { unstorable: expect.stringContaining("payload is an instance of Order") as string }],
    [{ n: Number.NaN }, "Object", { unstorable: expect.stringContaining("payload.n is NaN") as string }],
    [{ __proto__: null, x: 1 }, "object", { x: 1 }],
    ["x".repeat(5 << 20), "string", { unstorable: expect.stringMatching(/^payload takes \d+ bytes/) as string }],
  ])("a dead letter %#", async (message, type, payload) => {
    const store = memory();
    const { system } = await startWorld({ store });
    const actor = system.spawn("a", () => ({ receive: (_message: unknown) => 1 }));
    await actor.stop();
    actor.tell(message);
    expect((await system.stop()).recordsLost).toBe(0);
    expect(await readAll(store, "dead_letters")).toMatchObject([
      { kind: "dead_letter", target: "local://a", message_type: type, reason: "actor stopped", payload },
    ]);
  });

  test("a message that throws when it is looked at", async () => {
    const store = memory();
    const { system } = await startWorld({ store });
    const actor = system.spawn("a", () => ({ receive: (_message: unknown) => 1 }));
    await actor.stop();
    const getters = {
      get type(): string {
        throw new Error("keep out");
      },
    };
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    for (const message of [getters, circular, proxy]) actor.tell(message);
    await system.stop();
    const letters = (await readAll(store, "dead_letters")) as DeadLetterRecord[];
    expect(letters.map(({ payload }) => Object.keys(payload as object))).toEqual([
      ["unstorable"],
      ["unstorable"],
      ["unstorable"],
    ]);
  });

  test("a dead letter fits, however short a line may be and however long its target is", async () => {
    const store = memoryBackend({ lineBytesMax: 4096 }, nodeEnv);
    const { system } = await startWorld({ store });
    const actor = system.spawn("a".repeat(1000), () => ({ receive: (_message: unknown) => 1 }));
    await actor.stop();
    for (let length = 0; length < 4000; length += 250) actor.tell("ü".repeat(length));
    expect((await system.stop()).recordsLost).toBe(0);
    expect(await readAll(store, "dead_letters")).toHaveLength(16);
  });

  test("an error of any length", async () => {
    const store = memory();
    const { system } = await startWorld({ store });
    const actor = system.spawn("a", () => ({
      receive: (_message: string) => {
        throw new Error("x".repeat(10 << 20));
      },
    }));
    await codeOf(actor.ask("x"));
    expect((await system.stop()).recordsLost).toBe(0);
    const [, crashed] = (await readAll(store, "events")) as EventRecord[];
    expect(crashed?.payload).toMatchObject({
      error: expect.stringMatching(/^Error: x{3993}… \(10485767 characters\)$/) as string,
    });
  });
});

describe("a store that fails", () => {
  test.each(["write", "sync"] as const)("by %s: actors go on, the loss is counted and told once", async (operation) => {
    const disk = new SimDisk();
    const { system, problems } = await startWorld({ store: files(disk), env: disk.env });
    const actor = system.spawn("a", () => ({ receive: (n: number) => n + 1 }));
    await actor.ask(1);
    await system.flush();
    disk.failAt(1, "EIO", { operations: [operation] });
    for (let n = 0; n < 50; n++) system.spawn(`b${n}`, () => ({ receive: (m: number) => m + 1 }));
    await settle();
    disk.clock.advance(1000);
    for (let n = 0; n < 50; n++) expect(await actor.ask(n)).toBe(n + 1);
    expect(problems.length).toBe(1);
    expect(await codeOf(system.flush())).toBe("STORE_POISONED");
    system.spawn("later", () => ({ receive: () => 1 }));
    await settle();
    expect(problems.length).toBe(1);
    const { recordsLost } = system.metrics();
    expect(recordsLost).toBeGreaterThanOrEqual(50);
    expect(system.audit().records_lost_count).toBe(recordsLost);
    const report = await system.stop();
    expect(report).toMatchObject({ ok: false, failure: { code: "STORE_POISONED" } });
    expect(report.recordsLost).toBeGreaterThan(recordsLost);
    expect(problems.at(-1)?.message).toBe(`${report.recordsLost} records of what happened could not be written`);
  });

  test("a queue that is full gives up records, not actors", async () => {
    const store = memoryBackend({ queueRecordsMax: 10 }, nodeEnv);
    const { system, problems } = await startWorld({ store });
    for (let n = 0; n < 1000; n++) system.spawn(`a${n}`, () => ({ receive: () => 1 }));
    await settle();
    expect(system.metrics()).toMatchObject({ actors: 1000, actorsStarted: 1000 });
    const { recordsLost, recordsAccepted } = system.metrics();
    expect(recordsLost).toBeGreaterThan(0);
    expect(recordsLost + recordsAccepted).toBe(1000);
    expect(problems.map((error) => (error as { code?: string }).code)).toEqual(["QUEUE_FULL"]);
    expect(await system.stop()).toMatchObject({ ok: false });
  });

  test("a listener that throws is no problem of the actors", async () => {
    const disk = new SimDisk();
    const { system } = await startWorld({
      store: files(disk),
      env: disk.env,
      onProblem: () => {
        throw new Error("me too");
      },
    });
    disk.failAt(1, "ENOSPC", { operations: ["write"] });
    const actor = system.spawn("a", () => ({ receive: (n: number) => n }));
    await settle();
    disk.clock.advance(1000);
    expect(await actor.ask(3)).toBe(3);
    await system.stop();
  });

  test("what happens after the end is counted as lost", async () => {
    const { system } = await startWorld({ store: memory() });
    const actor = system.spawn("a", () => ({ receive: (_message: string) => 1 }));
    expect((await system.stop()).recordsLost).toBe(0);
    actor.tell("x");
    expect(system.metrics()).toMatchObject({ deadLetters: 1, recordsLost: 1 });
  });
});
