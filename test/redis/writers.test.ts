// One writer at a time: who is refused, who takes over, and what becomes of whoever was taken over.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import type { Env } from "../../src/env/env.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore, type RedisStoreOptions } from "../../src/redis/index.ts";
import { event, payloadsOf, withStore } from "../../src/testing/contract-subject.ts";
import { IMPATIENT } from "./history.ts";
import { ChaosProxy } from "./proxy.ts";
import { type Admin, RedisServer } from "./server.ts";
import { rawEntries, uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = await server.admin();
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
});

/** A process whose timers do not come: stopped, or busy for too long. */
const STOPPED: Env = { ...nodeEnv, clock: { ...nodeEnv.clock, after: afterForeground } };

function afterForeground(delayMs: number, fn: () => void, kind: "foreground" | "background"): () => void {
  return kind === "background" ? () => undefined : nodeEnv.clock.after(delayMs, fn, kind);
}

function storeOf(systemId: string, more: Partial<RedisStoreOptions> = {}, env: Env = nodeEnv) {
  return redisStore({ url: server.url, systemId, leaseMs: 300, ...more }, env);
}

const PATIENT = { leaseMs: 60_000 };

async function leaseEnds(systemId: string): Promise<void> {
  while ((await admin.exists(`papyra:${systemId}:writer`)) === 1) await delay(20);
}

test("a second system with the same id is refused, and told who writes and for how long at least", async () => {
  const systemId = uniqueSystem();
  await withStore(storeOf(systemId, PATIENT), async () => {
    const second = openStore(storeOf(systemId));
    await expect(second).rejects.toMatchObject({ code: "STORE_LOCKED", hint: /its lease ends in \d+ ms/ });
    await expect(second).rejects.toThrow(`held by pid ${process.pid} on `);
  });
  await withStore(storeOf(systemId), (store) => store.append("events", [event(1)]));
});

test("a lease is renewed for as long as its holder lives", async () => {
  const systemId = uniqueSystem();
  await withStore(storeOf(systemId, { leaseMs: 1200 }), async (store) => {
    await delay(2600);
    expect(await admin.exists(`papyra:${systemId}:writer`)).toBe(1);
    await store.append("events", [event(1)]);
  });
  expect(await admin.exists(`papyra:${systemId}:writer`)).toBe(0);
});

test("when the lease ends another takes over, and not one record of the first is stored from then on", async () => {
  const systemId = uniqueSystem();
  const first = await openStore(storeOf(systemId, {}, STOPPED));
  await first.append("events", [event("first 1")]);
  await leaseEnds(systemId);
  const second = await openStore(storeOf(systemId, PATIENT));
  await second.append("events", [event("second 1")]);
  const refused = first.append("events", [event("first 2"), event("first 3")]);
  await expect(refused).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN", cause: { code: "STORE_FENCED" } });
  await expect(first.append("audits", [event("first 4")])).rejects.toMatchObject({ code: "STORE_POISONED" });
  await second.append("events", [event("second 2")]);
  await first.close(); // and does not take the second one's lease away
  expect(await admin.exists(`papyra:${systemId}:writer`)).toBe(1);
  expect(await payloadsOf(second, "events")).toEqual(["first 1", "second 1", "second 2"]);
  await second.close();
  expect((await scan(storeOf(systemId))).ok).toBe(true);
});

test("a lease that ran out while nobody else came is taken up again", async () => {
  const systemId = uniqueSystem();
  const store = await openStore(storeOf(systemId, { leaseMs: 1200 }, STOPPED));
  await leaseEnds(systemId);
  await store.append("events", [event(1)]);
  await expect(openStore(storeOf(systemId))).rejects.toMatchObject({ code: "STORE_LOCKED" });
  await store.close();
});

test("a write that was held up in the network and comes after the takeover is refused", async () => {
  const systemId = uniqueSystem();
  const proxy = await ChaosProxy.before(server.port);
  const first = await openStore(storeOf(systemId, { url: proxy.url, ...IMPATIENT }, STOPPED));
  await first.append("events", [event("first 1")]);
  proxy.plan("late", '"crc":');
  const lost = first.append("events", [event("first 2")]);
  while (proxy.done === 0) await delay(5);
  proxy.partition(true);
  await expect(lost).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  await leaseEnds(systemId);
  await withStore(storeOf(systemId), async (second) => {
    await second.append("events", [event("second 1")]);
    expect(await proxy.deliver()).toContain("FENCED");
    expect(await payloadsOf(second, "events")).toEqual(["first 1", "second 1"]);
  });
  expect(await scan(storeOf(systemId))).toMatchObject({ ok: true });
  await proxy.close();
});

test("a write that is still on its way when its store was closed and opened again is refused too", async () => {
  const systemId = uniqueSystem();
  const proxy = await ChaosProxy.before(server.port);
  const options = { url: proxy.url, ...IMPATIENT };
  const first = await openStore(storeOf(systemId, options));
  proxy.plan("late", '"crc":');
  const lost = first.append("events", [event("first 1")]);
  await expect(lost).resolves.toBeDefined(); // asked again over another connection
  await first.close();
  expect(await proxy.deliver()).toContain("FENCED");
  await withStore(storeOf(systemId), async (again) => expect(await payloadsOf(again, "events")).toEqual(["first 1"]));
  await proxy.close();
});

test("systems on one server do not see each other", async () => {
  const [one, other] = [uniqueSystem(), uniqueSystem()];
  await withStore(storeOf(one), async (store) => {
    await store.append("events", [event(one)]);
    await expect(storeOf(other).view()).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    await withStore(storeOf(other), async (second) => {
      await second.append("events", [event(other)]);
      expect(await payloadsOf(store, "events")).toEqual([one]);
      expect(await payloadsOf(second, "events")).toEqual([other]);
    });
    await withStore(storeOf(one, { prefix: "another" }), async (third) =>
      expect(await payloadsOf(third, "events")).toEqual([]),
    );
  });
});

test("the keys are those that the documents name, and the lines are in the field data", async () => {
  const systemId = uniqueSystem();
  await withStore(storeOf(systemId), (store) => store.append("dead_letters", [event(1)]));
  const logs = ["audits", "dead_letters", "events", "journal", "meta", "snapshots"];
  expect((await admin.keys(`papyra:${systemId}:*`)).sort()).toEqual(logs.map((log) => `papyra:${systemId}:${log}`));
  const [identity, record] = await rawEntries(admin, `papyra:${systemId}:dead_letters`);
  expect(JSON.parse(String(identity?.data))).toMatchObject({ papyra: 1, log: "dead_letters" });
  expect(String(record?.data)).toMatch(/^\{"seq":1,.*,"crc":"[0-9a-f]{8}"\}\n$/);
});
