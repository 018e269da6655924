// Consumers behind a network that cuts, loses, stalls and delivers late: in one run everything is handed out, and once unless that
// cannot be told; what was acknowledged stays so.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Delivery } from "../../src/redis/index.ts";
import { drain, type Followed, followed, idsOf, numbers, seqsOf } from "./consumer-subject.ts";
import { IMPATIENT } from "./history.ts";
import { ChaosProxy, type Fault } from "./proxy.ts";
import { type Admin, RedisServer } from "./server.ts";

let server: RedisServer;
let admin: Admin;
let proxy: ChaosProxy;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = await server.admin();
  proxy = await ChaosProxy.before(server.port);
});

afterAll(async () => {
  admin.destroy();
  await proxy.close();
  await server.stop();
});

async function filled(count: number): Promise<Followed> {
  const log = followed(server.url);
  await log.append(1, count);
  await log.consumer("a").ensure({ from: "start" });
  return log;
}

const pendingOf = async (key: string): Promise<number> => (await admin.xPending(key, "tool")).pending;
const BREAKS: readonly Fault[] = ["cut-request", "cut-reply", "lose-reply", "stall"];

describe.each(BREAKS)("%s", (fault) => {
  test("while new entries are read: the same run hands all of them out, each once", async () => {
    const log = await filled(12);
    const consumer = log.consumer("a", { url: proxy.url });
    const seen: Delivery[] = [];
    const done = proxy.done;
    for await (const batch of consumer.batches({ follow: false, batch: 3 })) {
      if (seen.length === 0) proxy.plan(fault, "XREADGROUP");
      seen.push(...batch);
      await consumer.ack(idsOf(batch));
    }
    expect(proxy.done).toBe(done + 1);
    expect(seqsOf(seen)).toEqual(numbers(1, 12));
    expect(await pendingOf(log.key)).toBe(0);
  });

  test("while pending entries are taken over", async () => {
    const log = await filled(6);
    const ids = idsOf(await drain(log.consumer("dead")));
    await admin.sendCommand(["XCLAIM", log.key, "tool", "dead", "0", ...ids, "IDLE", "600000", "JUSTID"]);
    const consumer = log.consumer("a", { url: proxy.url });
    await consumer.pending();
    proxy.plan(fault, "XCLAIM");
    proxy.plan(fault, "XACK");
    await admin.sendCommand(["SCRIPT", "FLUSH"]);
    const seen = await drain(consumer, { claimIdleMs: 500_000 });
    expect(seqsOf(seen)).toEqual(numbers(1, 6));
    await consumer.ack(idsOf(seen));
    expect(await pendingOf(log.key)).toBe(0);
    expect(await drain(consumer)).toEqual([]);
  });
});

test("a question that arrives when nobody waits for it any more: what it got is handed out when it is idle", async () => {
  const log = await filled(3);
  const consumer = log.consumer("a", { url: proxy.url });
  const seen: Delivery[] = [];
  proxy.plan("late", "XREADGROUP");
  for await (const delivery of consumer.consume({ blockMs: 50, claimIdleMs: 300 })) {
    seen.push(delivery);
    await consumer.ack([delivery.id]);
    if (seen.length === 3) {
      await log.append(4, 5);
      await proxy.deliver();
    }
    if (seen.length === 5) break;
  }
  expect(seqsOf(seen)).toEqual(numbers(1, 5));
  expect(seen.map(({ redelivered }) => redelivered)).toEqual([false, false, false, true, true]);
});

test("a network that is gone for a while is waited out, also by who follows", async () => {
  const log = await filled(2);
  const consumer = log.consumer("a", { url: proxy.url });
  const seen: Delivery[] = [];
  for await (const delivery of consumer.consume({ blockMs: 50 })) {
    seen.push(delivery);
    await consumer.ack([delivery.id]);
    if (seen.length === 2) {
      proxy.partition(true);
      await log.append(3, 4);
      setTimeout(() => proxy.partition(false), 300);
    }
    if (seen.length === 4) break;
  }
  expect(seqsOf(seen)).toEqual(numbers(1, 4));
});

test("a server that stays away ends every call within its time", async () => {
  const log = await filled(2);
  const consumer = log.consumer("a", { url: proxy.url, ...IMPATIENT });
  const [first] = await drain(consumer, { limit: 1 });
  proxy.partition(true);
  const refused = { code: "STORAGE_FAILED" };
  try {
    await expect(consumer.ack([first?.id as string])).rejects.toMatchObject(refused);
    await expect(drain(consumer)).rejects.toMatchObject(refused);
    await expect(consumer.pending()).rejects.toMatchObject(refused);
  } finally {
    proxy.partition(false);
  }
  expect(seqsOf(await drain(consumer))).toEqual([1, 2]);
});
