// What networks and servers do to a writer: whatever it is, an acknowledged record is there once, nothing is there twice, and
// every call ends.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore } from "../../src/redis/index.ts";
import { event, payloadsOf, withStore } from "../../src/testing/contract-subject.ts";
import { assertExactly, IMPATIENT, QUICK } from "./history.ts";
import { ChaosProxy, type Fault, FAULTS } from "./proxy.ts";
import { type Admin, RedisServer } from "./server.ts";
import { uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;
let proxy: ChaosProxy;

beforeAll(async () => {
  server = await RedisServer.start("--appendonly", "yes", "--appendfsync", "always");
  admin = await server.admin();
  proxy = await ChaosProxy.before(server.port);
});

afterAll(async () => {
  admin.destroy();
  await proxy.close();
  await server.stop();
});

function systems(): { through: Backend; direct: Backend; systemId: string } {
  const systemId = uniqueSystem();
  return {
    systemId,
    through: redisStore({ url: proxy.url, systemId, ...QUICK }),
    direct: redisStore({ url: server.url, systemId }),
  };
}

async function appendEach(store: Store, count: number, before: (n: number) => void): Promise<number[]> {
  const acknowledged: number[] = [];
  for (let n = 1; n <= count; n++) {
    before(n);
    await store.append("events", [event(n), event(-n)]);
    acknowledged.push(n, -n);
  }
  return acknowledged;
}

describe("a network that fails", () => {
  test.each(FAULTS)("%s during an append: it is stored once, and acknowledged", async (fault) => {
    const { through, direct } = systems();
    const done = proxy.done;
    const acknowledged = await withStore(through, (store) =>
      appendEach(store, 6, (n) => {
        if (n % 2 === 0) proxy.plan(fault, '"crc":');
      }),
    );
    expect(proxy.done - done).toBe(3);
    await assertExactly(direct, acknowledged);
  });

  test.each(FAULTS)("%s while a store is opened, read, and closed", async (fault) => {
    const { through, direct } = systems();
    for (const holding of ["writing", "identity", ":end"]) proxy.plan(fault, holding);
    await withStore(through, async (store) => {
      await store.append("events", [event(1)]);
      proxy.plan(fault, "XRANGE");
      expect(await payloadsOf(store, "events")).toEqual([1]);
      proxy.plan(fault, "EVALSHA"); // the release
    });
    await assertExactly(direct, [1]);
  });

  test("several faults at the same append, one after the other", async () => {
    const { through, direct } = systems();
    await withStore(through, async (store) => {
      for (const fault of ["lose-reply", "cut-request", "reset", "black-hole", "lose-reply"] as const)
        proxy.plan(fault, '"crc":');
      await store.append("events", [event(1), event(2)]);
      await store.append("events", [event(3)]);
    });
    await assertExactly(direct, [1, 2, 3]);
  });

  test("a hundred writers at once, and faults at their batches", async () => {
    const { through, direct } = systems();
    const faults: readonly Fault[] = ["lose-reply", "reset", "cut-request", "cut-reply"];
    const all = await withStore(through, async (store) => {
      for (let i = 0; i < 6; i++) proxy.plan(faults[i % faults.length] as Fault, '"crc":');
      const appended = await Promise.all(
        Array.from({ length: 100 }, (_, writer) =>
          (async () => {
            for (let n = 0; n < 5; n++) await store.append("events", [event(`${writer}/${n}`)]);
          })(),
        ),
      );
      return appended.length * 5;
    });
    const stored = (await withStore(direct, (store) => payloadsOf(store, "events"))) as string[];
    expect(stored).toHaveLength(all);
    expect(new Set(stored).size).toBe(all);
    expect((await scan(direct)).ok).toBe(true);
  });

  test("a partition that does not end: the call ends, its outcome is unknown, and nothing is accepted any more", async () => {
    const { systemId, direct } = systems();
    const store = await openStore(redisStore({ url: proxy.url, systemId, ...IMPATIENT }));
    await store.append("events", [event(1)]);
    proxy.partition(true);
    await expect(store.append("events", [event(2)])).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    await expect(store.append("events", [event(3)])).rejects.toMatchObject({ code: "STORE_POISONED" });
    proxy.partition(false);
    await store.close();
    await assertExactly(direct, [1]);
  });

  test("a server that cannot be reached is said to be so at once", async () => {
    proxy.partition(true);
    await expect(systems().through.view()).rejects.toMatchObject({ code: "STORAGE_FAILED", hint: /URL/ });
    proxy.partition(false);
  });
});
