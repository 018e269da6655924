// A server that comes back older than its writer and its consumers know: a snapshot, more writes, kill -9, and a start from the
// snapshot. Nothing that was acknowledged is gone without being named.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { consumerGroup, redisStore } from "../../src/redis/index.ts";
import { event } from "../backup/world.ts";
import { drain, idsOf, numbers, seqsOf } from "./consumer-subject.ts";
import { QUICK } from "./history.ts";
import { type Admin, RedisServer } from "./server.ts";

async function snapshot(admin: Admin): Promise<void> {
  await admin.bgSave();
  while (!(await admin.info("persistence")).includes("rdb_bgsave_in_progress:0")) await delay(10);
}

test("the writer refuses and names what is missing; groups and pending entries are those of the snapshot", async () => {
  const server = await RedisServer.start();
  const place = await mkdtemp(join(tmpdir(), "papyra-redis-older-"));
  try {
    const admin = await server.admin();
    const witness = join(place, "witness.json");
    const options = { url: server.url, systemId: "orders", ...QUICK, witness };
    const consumer = (group: string) =>
      consumerGroup({ url: server.url, systemId: "orders", log: "events", group, consumer: "a", ...QUICK });
    const writer = await openStore(redisStore(options));
    const put = async (from: number, to: number): Promise<void> => {
      for (let n = from; n <= to; n++) await writer.append("events", [event(n)]);
    };
    await put(1, 20);
    const tool = consumer("tool");
    await tool.ensure({ from: "start" });
    const given = idsOf(await drain(tool, { limit: 10 }));
    await tool.ack(given.slice(0, 6));
    await snapshot(admin);
    await tool.ack(given.slice(6));
    await put(21, 50);
    await consumer("late").ensure({ from: "start" });
    admin.destroy();

    await server.kill();
    await server.run();
    const missing = { code: "HISTORY_CHANGED", details: { key: "papyra:orders:events" } };
    await expect(writer.append("events", [event(51)])).rejects.toMatchObject({ cause: missing });
    await writer.close().catch(() => undefined);
    const behind = "reaches seq 20 of events, and reached seq 50 before";
    const refused = { code: "HISTORY_CHANGED", message: expect.stringContaining(behind) as string };
    await expect(openStore(redisStore(options))).rejects.toMatchObject(refused);

    await expect(drain(consumer("late"))).rejects.toMatchObject({ code: "GROUP_NOT_FOUND" });
    expect(await consumer("tool").pending()).toMatchObject({ total: 4, highestDeliveryCount: 1 });
    const again = await drain(consumer("tool"));
    expect(seqsOf(again)).toEqual(numbers(7, 20));
    expect(again.map(({ redelivered }) => redelivered)).toEqual(numbers(7, 20).map((seq) => seq <= 10));
    expect(await consumer("late").recreate({ from: 11 })).toEqual({ dropped: 0 });
    expect(seqsOf(await drain(consumer("late")))).toEqual(numbers(11, 20));

    await rm(witness); // the operator's word: what the server holds counts
    const next = await openStore(redisStore(options));
    expect(next.lastSeq("events")).toBe(20);
    await next.append("events", [event(21)]);
    await next.close();
  } finally {
    await server.stop();
    await rm(place, { recursive: true, force: true });
  }
}, 30_000);
