// What servers, and others who write to them, do to a writer: whatever it is, an acknowledged record is there once, nothing is there twice, and
// every call ends.
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { openStore } from "../../src/backends/open.ts";
import { isPapyraError } from "../../src/errors.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore } from "../../src/redis/index.ts";
import { collect, event, payloadsOf, withStore } from "../../src/testing/contract-subject.ts";
import { assertExactly, IMPATIENT, QUICK } from "./history.ts";
import { type Admin, RedisServer } from "./server.ts";
import { entriesOf, uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;

beforeAll(async () => {
  server = await RedisServer.start("--appendonly", "yes", "--appendfsync", "always");
  admin = await server.admin();
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
});

function systems(): { direct: Backend; systemId: string } {
  const systemId = uniqueSystem();
  return { systemId, direct: redisStore({ url: server.url, systemId }) };
}

describe("a server that fails", () => {
  test("a server that takes connections and says nothing: every call ends", async () => {
    const { systemId, direct } = systems();
    const store = await openStore(redisStore({ url: server.url, systemId, ...IMPATIENT }));
    await store.append("events", [event(1)]);
    server.signal("SIGSTOP"); // the kernel goes on accepting for it
    await expect(redisStore({ url: server.url, systemId, ...IMPATIENT }).view()).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining("no answer to the greeting within 400 ms") as string,
    });
    await expect(store.append("events", [event(2)])).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    await expect(store.close()).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    server.signal("SIGCONT");
    await admin.ping();
    await admin.del(`papyra:${systemId}:writer`); // its lease ends
    const stored = await withStore(direct, (again) => payloadsOf(again, "events"));
    expect([[1], [1, 2]]).toContainEqual(stored); // it was not known, and nothing was said that is not so
    expect((await scan(direct)).ok).toBe(true);
  });

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

  test.each(["always", "everysec"])(
    "kill -9 while it writes (appendfsync %s): what was acknowledged is there, once, or named",
    async (setting) => {
      const { direct, systemId } = systems();
      await admin.configSet("appendfsync", setting);
      const store = await openStore(redisStore({ url: server.url, systemId, ...QUICK }));
      let [writing, failure] = [true, undefined as unknown];
      const acknowledged: number[] = [];
      const writer = (async () => {
        for (let n = 1; writing; n++) {
          await store.append("events", [event(n)]);
          acknowledged.push(n);
        }
      })().catch((error: unknown) => (failure = error));
      for (let round = 0; round < 2; round++) {
        const reached = acknowledged.length;
        while (acknowledged.length < reached + 20 && failure === undefined) await delay(1);
        await server.kill();
        await server.run("--appendfsync", setting);
      }
      writing = false;
      await writer;
      await store.close();
      if (failure === undefined) return assertExactly(direct, acknowledged);
      // Between two syncs of a slow disk the server holds back what it has acknowledged: the writer names where it ended.
      expect(setting).toBe("everysec");
      expect(failure).toMatchObject({ code: "OUTCOME_UNKNOWN", cause: { code: "HISTORY_CHANGED" } });
      const stored = await withStore(direct, (again) => payloadsOf(again, "events"));
      expect(stored).toEqual(acknowledged.slice(0, stored.length));
    },
  );

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
    const store = await openStore(redisStore({ url: server.url, systemId, ...IMPATIENT }));
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

  test.each<[string, () => Promise<unknown>, () => Promise<unknown>]>([
    [
      "a paused server (CLIENT PAUSE)",
      () => admin.sendCommand(["CLIENT", "PAUSE", "600", "WRITE"]),
      async () => undefined,
    ],
    [
      "too few replicas (NOREPLICAS)",
      () => admin.configSet("min-replicas-to-write", "1"),
      () => admin.configSet("min-replicas-to-write", "0"),
    ],
  ])("%s: the append waits, and is stored once", async (_, befall, mend) => {
    const { direct, systemId } = systems();
    await withStore(redisStore({ url: server.url, systemId, ...QUICK }), async (store) => {
      await store.append("events", [event(1)]);
      await befall();
      const waiting = store.append("events", [event(2)]);
      await delay(200);
      await mend();
      await waiting;
    });
    await assertExactly(direct, [1, 2]);
  });

  test("a user who may not run scripts is told which commands it needs", async () => {
    const { systemId } = systems();
    await admin.sendCommand(["ACL", "SETUSER", "poor", "on", ">poor", "~*", "+@all", "-@scripting"]);
    const url = server.url.replace("redis://", "redis://poor:poor@");
    await expect(openStore(redisStore({ url, systemId }))).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining("NOPERM") as string,
      hint: expect.stringContaining("docs/backends.md") as string,
    });
  });

  test("a key of another program (WRONGTYPE) is said to be so, and left alone", async () => {
    const { direct, systemId } = systems();
    await admin.set(`papyra:${systemId}:audits`, "mine");
    await expect(openStore(direct)).rejects.toMatchObject({ code: "STORAGE_FAILED", hint: /another prefix/ });
    expect(await admin.get(`papyra:${systemId}:audits`)).toBe("mine");
  });
});

test("a client lends its settings; it need not even be connected", async () => {
  const client = createClient({ url: server.url, database: 2 });
  const store = redisStore({ client, systemId: "lent" });
  expect(store.location).toBe(`${server.url}/2/papyra:lent`);
  await withStore(store, (opened) => opened.append("events", [event(1)]));
  expect(client.isOpen).toBe(false);
  await admin.select(2);
  expect(await admin.exists("papyra:lent:events")).toBe(1);
  await admin.select(0);
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

  test("an entry with an id that no other can follow is named, with the way to be rid of it", async () => {
    const { direct, systemId } = systems();
    const key = `papyra:${systemId}:events`;
    await withStore(direct, (store) => store.append("events", [event(1)]));
    await admin.xAdd(key, "99999999999999999-1", { data: "x" });
    await expect(scan(direct)).rejects.toMatchObject({ code: "STORAGE_FAILED", hint: /XDEL KEY 99999999999999999-1/ });
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
