// A system that lives through one mishap after the other, and systems for which one does not end. Whatever it is: what was
// acknowledged is in the server, or what became of it is named; nothing is there twice; every call ends; actors that do not
// persist go on meanwhile.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ActorSystem } from "../../src/actors/system.ts";
import type { Env } from "../../src/env/env.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { isPapyraError } from "../../src/errors.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore } from "../../src/redis/index.ts";
import { ledgerWith, stored } from "../actors/persistent-helpers.ts";
import { QUICK } from "./history.ts";
import { type Mishap, type MishapWorld, networkMishaps, SERVER_MISHAPS, whileItLasts } from "./mishaps.ts";
import { ChaosProxy } from "./proxy.ts";
import { RedisServer } from "./server.ts";
import { uniqueSystem } from "./subject.ts";

/** Asks end by themselves long after the store gives up. */
const PATIENT = { timeoutMs: 60_000 };

/** Long enough for a busy machine to start a system, short enough to be waited for. */
const SHORT: typeof QUICK = { commandTimeoutMs: 400, outcomeTimeoutMs: 1500 };

const ledger = ledgerWith();
let world: MishapWorld;
let aheadMs = 0;
const env: Env = { ...nodeEnv, clock: { ...nodeEnv.clock, nowMs: () => nodeEnv.clock.nowMs() + aheadMs } };

beforeAll(async () => {
  const server = await RedisServer.start("--appendonly", "yes", "--appendfsync", "always");
  world = { server, admin: await server.admin(), proxy: await ChaosProxy.before(server.port) };
});

afterAll(async () => {
  world.admin.destroy();
  await world.proxy.close();
  await world.server.stop();
});

const direct = (systemId: string) => redisStore({ url: world.server.url, systemId, segmentBytes: 8192 });

async function started(systemId: string, times: typeof QUICK) {
  const store = redisStore({ url: world.proxy.url, systemId, segmentBytes: 4096, ...times }, env);
  const system = new ActorSystem({ store });
  await system.start();
  const plain = system.spawn("plain", () => ({ receive: (n: number) => n + 1 }));
  return { system, plain, put: (value: number) => put(system, value) };
}

function put(system: ActorSystem, value: number): Promise<unknown> {
  return system.get(ledger, "a").ask("put", { key: "k", value }, PATIENT);
}

async function valuesOf(systemId: string): Promise<unknown[]> {
  const records = await stored(direct(systemId), "journal");
  return records.flatMap(({ payload }) => (payload as { value?: number } | undefined)?.value ?? []);
}

const CLOCKS: readonly Mishap[] = [-3_600_000, 7_200_000, -86_400_000].map((ms) => ({
  name: `the clock jumps by ${ms / 3_600_000} hours`,
  befall: async () => void (aheadMs += ms),
  mend: async () => undefined,
}));

describe("one system lives through", () => {
  const systemId = uniqueSystem();
  const acknowledged: number[] = [];
  let living: Awaited<ReturnType<typeof started>>;

  beforeAll(async () => {
    living = await started(systemId, QUICK);
  });

  afterAll(async () => {
    await living.system.stop();
    expect(await valuesOf(systemId)).toEqual(acknowledged);
    expect((await scan(direct(systemId))).anomalies).toEqual([]);
  });

  async function liveThrough(mishap: Mishap): Promise<void> {
    const n = acknowledged.length + 1;
    await world.admin.sendCommand(["CONFIG", "RESETSTAT"]);
    await mishap.befall(world);
    const answer = living.put(n);
    expect(await living.plain.ask(n)).toBe(n + 1);
    await whileItLasts(mishap, world);
    await mishap.mend(world);
    expect(await answer).toBe((n * (n + 1)) / 2);
    acknowledged.push(n);
    expect(await valuesOf(systemId)).toEqual(acknowledged);
  }

  test.each(SERVER_MISHAPS)("server: $name", liveThrough);
  test.each(networkMishaps('"kind":"journal"'))("network: $name", liveThrough);
  test.each(CLOCKS)("clock: $name", liveThrough);

  test("segments that begin while the clock goes back follow the ones before", async () => {
    const before = await direct(systemId).view();
    for (let more = 0; more < 40; more++) {
      aheadMs -= 1000;
      const n = acknowledged.length + 1;
      await living.put(n);
      acknowledged.push(n);
    }
    const count = (view: typeof before): number => view.segments.filter(({ log }) => log === "journal").length;
    expect(count(await direct(systemId).view())).toBeGreaterThan(count(before));
    expect(await valuesOf(systemId)).toEqual(acknowledged);
  });
});

const LASTING = SERVER_MISHAPS.filter(({ name }) => /MISCONF|kill -9/.test(name));

const key = (systemId: string): string => `papyra:${systemId}:journal`;

/** Done to the stream behind the writer's back. */
const TO_THE_STREAM: readonly [string, (systemId: string) => Promise<unknown>][] = [
  ["somebody else writes", (id) => world.admin.xAdd(key(id), "*", { data: "mine" })],
  ["the stream is deleted", (id) => world.admin.del(key(id))],
  ["another key is in its place (WRONGTYPE)", (id) => world.admin.set(key(id), "mine")],
  ["everything is flushed", () => world.admin.flushDb()],
  [
    "another writer has taken over",
    async (id) => {
      await world.admin.del(`papyra:${id}:writer`);
      await (await direct(id).claim("the next one")).release();
    },
  ],
];

describe("then the call ends with an unknown outcome, the next ones are refused, and nothing is made up", () => {
  afterEach(() => world.admin.ping());

  /** The failed put, and what comes behind it. */
  async function fails(living: Awaited<ReturnType<typeof started>>): Promise<string> {
    const error: unknown = await living.put(2).catch((reason: unknown) => reason);
    expect(isPapyraError(error, "OUTCOME_UNKNOWN")).toBe(true);
    expect(await living.plain.ask(1)).toBe(2);
    await expect(living.system.get(ledger, "b").ask("put", { key: "k", value: 9 }, PATIENT)).rejects.toThrow();
    expect(await living.plain.ask(2)).toBe(3);
    return (error as Error).message;
  }

  test.each(LASTING)("$name, for good", async (mishap) => {
    const systemId = uniqueSystem();
    const living = await started(systemId, SHORT);
    await living.put(1);
    await mishap.befall(world);
    await fails(living);
    await living.system.stop().catch(() => undefined);
    await mishap.mend(world);
    await world.admin.del(`papyra:${systemId}:writer`); // its lease ends
    const there = await valuesOf(systemId);
    expect([[1], [1, 2]]).toContainEqual(there);
    const again = await started(systemId, QUICK);
    expect(await again.put(7)).toBe(there.length === 1 ? 8 : 10);
    await again.system.stop();
    expect((await scan(direct(systemId))).anomalies).toEqual([]);
  });

  test.each(TO_THE_STREAM)("%s, behind the writer's back", async (_, done) => {
    const systemId = uniqueSystem();
    const living = await started(systemId, QUICK);
    await living.put(1);
    await done(systemId);
    expect(await fails(living)).toMatch(/HISTORY_CHANGED|ends at|is gone|WRONGTYPE|taken over/);
    await living.system.stop().catch(() => undefined);
    if ((await world.admin.type(key(systemId))) === "string") {
      expect(await world.admin.get(key(systemId))).toBe("mine");
      return;
    }
    if ((await world.admin.exists(`papyra:${systemId}:meta`)) === 0) {
      await expect(scan(direct(systemId))).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
      return;
    }
    await world.admin.del(`papyra:${systemId}:writer`);
    if (!(await scan(direct(systemId))).ok) await recover(direct(systemId), { mode: "quarantine" });
    expect((await scan(direct(systemId))).ok).toBe(true);
    expect(await valuesOf(systemId)).not.toContain(2);
  });
});
