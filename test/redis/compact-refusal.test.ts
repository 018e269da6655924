// Compaction asks the consumer groups before it writes anything: what is refused is refused with everything as it was. And claims of
// very many pending entries, page by page.
import { afterAll, beforeAll, expect, test } from "vitest";
import { compact } from "../../src/ops/compact.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore } from "../../src/redis/index.ts";
import { event, withStore } from "../../src/testing/contract-subject.ts";
import { drain, followed, idsOf, numbers, seqsOf } from "./consumer-subject.ts";
import { type Admin, RedisServer } from "./server.ts";
import { rawEntries } from "./subject.ts";

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

const COUNT = 60;
const storeOf = (systemId: string) => redisStore({ url: server.url, systemId, segmentBytes: 4096 });

test("a refusal comes before anything is written, to any log; what is pending and stays is in nobody's way", async () => {
  const log = followed(server.url);
  await log.append(1, COUNT);
  await withStore(storeOf(log.systemId), async (store) => {
    for (let n = 1; n <= COUNT; n++) await store.append("audits", [event(n)]);
  });
  const consumer = log.consumer("a");
  const retention = { audits: { maxRecords: 10 }, events: { maxRecords: 10 } };
  const now = () => Promise.all([log.key, log.key.replace("events", "audits")].map((key) => rawEntries(admin, key)));
  const before = await now();
  const refused = async (state: RegExp): Promise<void> => {
    const error = { code: "GROUP_BEHIND", message: expect.stringMatching(state) as string };
    await expect(compact(storeOf(log.systemId), { retention })).rejects.toMatchObject(error);
    expect(await now()).toEqual(before);
  };
  await consumer.ensure({ from: "start" });
  await refused(/has read up to 0-0/);
  const ids = idsOf(await drain(consumer));
  const [goes, stays] = [ids[COUNT - 11] as string, ids[COUNT - 10] as string];
  await consumer.ack(ids.filter((id) => id !== goes && id !== stays));
  await refused(new RegExp(`has not acknowledged ${goes}`));
  await consumer.ack([goes]);
  await compact(storeOf(log.systemId), { retention });
  expect((await scan(storeOf(log.systemId))).ok).toBe(true);
  const again = await drain(consumer);
  expect(again[0]).toMatchObject({ id: stays, seq: COUNT - 9, redelivered: true });
});

test("three thousand pending entries of a dead consumer, some of them fresh: each that is idle is taken over once", async () => {
  const log = followed(server.url);
  await withStore(redisStore({ url: server.url, systemId: log.systemId }), async (store) => {
    for (let from = 1; from <= 3000; from += 500)
      await store.append(
        "events",
        numbers(from, from + 499).map((n) => event(n)),
      );
  });
  const dead = log.consumer("dead");
  await dead.ensure({ from: "start" });
  const ids = idsOf(await drain(dead, { batch: 1000 }));
  expect(ids).toHaveLength(3000);
  const fresh = (i: number): boolean => i % 3 === 0 || (i >= 1000 && i < 1400);
  const idle = ids.filter((_, i) => !fresh(i));
  const claim = ["XCLAIM", log.key, "tool", "dead", "0", ...idle, "IDLE", "900000", "RETRYCOUNT", "1", "JUSTID"];
  expect(await admin.sendCommand(claim)).toHaveLength(idle.length);
  const heir = log.consumer("heir");
  const taken = await drain(heir, { claimIdleMs: 600_000, batch: 7 });
  expect(idsOf(taken)).toEqual(idle);
  expect(new Set(taken.map(({ deliveryCount }) => deliveryCount))).toEqual(new Set([2]));
  expect((await heir.pending()).consumers).toEqual([
    { consumer: "dead", pending: 3000 - idle.length },
    { consumer: "heir", pending: idle.length },
  ]);
  // Its own come again, whole, however many there are.
  expect(seqsOf(await drain(heir, { claimIdleMs: 600_000, batch: 999 }))).toEqual(
    numbers(1, 3000).filter((seq) => !fresh(seq - 1)),
  );
});
