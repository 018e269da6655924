// What networks and servers do to a writer: whatever it is, an acknowledged record is there once, nothing is there twice, and
// every call ends.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import { isPapyraError } from "../../src/errors.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore } from "../../src/redis/index.ts";
import { collect, event, payloadsOf, withStore } from "../../src/testing/contract-subject.ts";
import { ChaosProxy, type Fault, FAULTS } from "./proxy.ts";
import { type Admin, RedisServer } from "./server.ts";
import { entriesOf, uniqueSystem } from "./subject.ts";

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

const QUICK = { commandTimeoutMs: 150, outcomeTimeoutMs: 20_000 };

function systems(): { through: Backend; direct: Backend; systemId: string } {
  const systemId = uniqueSystem();
  return {
    systemId,
    through: redisStore({ url: proxy.url, systemId, ...QUICK }),
    direct: redisStore({ url: server.url, systemId }),
  };
}

/** The store holds exactly these, in this order, and a scan finds nothing wrong. */
async function assertExactly(backend: Backend, payloads: readonly unknown[]): Promise<void> {
  const report = await scan(backend);
  expect(report.anomalies).toEqual([]);
  expect(await withStore(backend, (store) => payloadsOf(store, "events"))).toEqual(payloads);
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
    const store = await openStore(
      redisStore({ url: proxy.url, systemId, commandTimeoutMs: 100, outcomeTimeoutMs: 400 }),
    );
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

describe("a server that fails", () => {
  test("the scripts were flushed: they are sent again", async () => {
    const { direct } = systems();
    await withStore(direct, async (store) => {
      await store.append("events", [event(1)]);
      await admin.sendCommand(["SCRIPT", "FLUSH"]);
      await store.append("events", [event(2)]);
    });
    await assertExactly(direct, [1, 2]);
  });

  test("a stopped server (SIGSTOP) that goes on later: stored once", async () => {
    const { direct, systemId } = systems();
    const store = await openStore(redisStore({ url: server.url, systemId, ...QUICK }));
    await store.append("events", [event(1)]);
    server.signal("SIGSTOP");
    const waiting = store.append("events", [event(2)]);
    await delay(700); // long enough for the first attempts to be given up
    server.signal("SIGCONT");
    await waiting;
    await store.close();
    await assertExactly(direct, [1, 2]);
  });

  test("kill -9 while it writes, and a restart: what was acknowledged is there, once, and the writer goes on", async () => {
    const { direct, systemId } = systems();
    const store = await openStore(redisStore({ url: server.url, systemId, ...QUICK }));
    let writing = true;
    const acknowledged: number[] = [];
    const writer = (async () => {
      for (let n = 1; writing; n++) {
        await store.append("events", [event(n)]);
        acknowledged.push(n);
      }
    })();
    for (let round = 0; round < 3; round++) {
      const reached = acknowledged.length;
      while (acknowledged.length < reached + 20) await delay(1);
      await server.kill();
      await server.run();
    }
    writing = false;
    await writer;
    await store.close();
    await assertExactly(direct, acknowledged);
  });

  test("out of memory: the append waits until there is room", async () => {
    const { direct, systemId } = systems();
    await withStore(redisStore({ url: server.url, systemId, ...QUICK }), async (store) => {
      await store.append("events", [event(1)]);
      await admin.configSet("maxmemory", "1");
      const waiting = store.append("events", [event(2)]);
      await delay(200);
      await admin.configSet("maxmemory", "0");
      await waiting;
    });
    await assertExactly(direct, [1, 2]);
  });

  test("out of memory for good is STORAGE_FULL behind an unknown outcome", async () => {
    const { systemId } = systems();
    const store = await openStore(
      redisStore({ url: server.url, systemId, commandTimeoutMs: 250, outcomeTimeoutMs: 300 }),
    );
    await admin.configSet("maxmemory", "1");
    const error: unknown = await store.append("events", [event(1)]).catch((reason: unknown) => reason);
    await admin.configSet("maxmemory", "0");
    expect(isPapyraError(error, "OUTCOME_UNKNOWN") && isPapyraError(error.cause, "STORAGE_FULL")).toBe(true);
    await store.close();
  });

  test("a server that became a replica (READONLY) and is promoted again", async () => {
    const { direct, systemId } = systems();
    const primary = await RedisServer.start();
    await withStore(redisStore({ url: server.url, systemId, ...QUICK }), async (store) => {
      await store.append("events", [event(1)]);
      await admin.sendCommand(["REPLICAOF", "127.0.0.1", "1"]);
      const waiting = store.append("events", [event(2)]);
      await delay(150);
      await admin.sendCommand(["REPLICAOF", "NO", "ONE"]);
      await waiting;
    });
    await primary.stop();
    await assertExactly(direct, [1, 2]);
  });

  test("a key of another program (WRONGTYPE) is said to be so, and left alone", async () => {
    const { direct, systemId } = systems();
    await admin.set(`papyra:${systemId}:audits`, "mine");
    await expect(openStore(direct)).rejects.toMatchObject({ code: "STORAGE_FAILED", hint: /another prefix/ });
    expect(await admin.get(`papyra:${systemId}:audits`)).toBe("mine");
  });
});

describe("somebody else in our streams", () => {
  test("a foreign entry ends the writer; it is found, and taken out with its bytes kept", async () => {
    const { direct, systemId } = systems();
    const key = `papyra:${systemId}:events`;
    const store = await openStore(direct);
    await store.append("events", [event(1)]);
    await admin.xAdd(key, "*", { data: '{"seq":2,"kind":"event"}', other: "x" });
    await expect(store.append("events", [event(2)])).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    await store.close();
    const report = await scan(direct);
    expect(report.anomalies).toMatchObject([{ kind: "torn-tail", acknowledged: "none", length: 38 }]);
    await withStore(direct, (again) => again.append("events", [event(3)]));
    expect((await scan(direct)).anomalyCount).toBe(1);
    expect(await recover(direct, { mode: "quarantine" })).toMatchObject({ ok: true, changed: true, removedBytes: 38 });
    await assertExactly(direct, [1, 3]);
    const kept = await admin.xRange(`papyra:${systemId}:quarantine`, "-", "+");
    expect(kept?.map(({ message }) => message.data)[0]).toBe('data {"seq":2,"kind":"event"} other x\n');
  });

  test("an entry that was deleted is found, and a deleted stream too", async () => {
    const { direct, systemId } = systems();
    const key = `papyra:${systemId}:events`;
    await withStore(direct, async (store) => {
      for (let n = 1; n <= 5; n++) await store.append("events", [event(n)]);
    });
    const entries = await entriesOf(admin, direct, `papyra:${systemId}`, "events.ndjson");
    await admin.xDel(key, (entries[3] as { id: string }).id);
    const report = await scan(direct);
    expect(report.counts).toEqual({ "sequence-gap": 1 });
    expect(report.anomalies[0]).toMatchObject({ lostSeqs: { from: 3, to: 3 }, acknowledged: "lost" });
    await admin.del(key);
    expect((await scan(direct)).anomalies[0]).toMatchObject({ kind: "missing-segment", lostSeqs: { from: 1, to: 5 } });
  });

  test("records are found at the places that appends named, also behind what was looked at", async () => {
    const { direct } = systems();
    await withStore(direct, async (store) => {
      const first = await store.append("events", [event(1)]);
      expect(await collect(store.readAt("events", first.at))).toHaveLength(1);
      const second = await store.append("events", [event(2)]);
      const records = await collect(store.readAt("events", [...first.at, ...second.at]));
      expect(records.map(({ seq }) => seq)).toEqual([1, 2]);
    });
  });
});
