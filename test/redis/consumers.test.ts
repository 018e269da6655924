// Consumer groups: what each consumer is given, in which order, and what is never left out silently.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recover } from "../../src/ops/recover.ts";
import { redisStore } from "../../src/redis/index.ts";
import { drain, type Followed, followed, idsOf, numbers, seqsOf } from "./consumer-subject.ts";
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

async function filled(count: number): Promise<Followed> {
  const log = followed(server.url);
  await log.append(1, count);
  return log;
}

const pendingOf = async (key: string): Promise<number> => (await admin.xPending(key, "tool")).pending;

describe("delivery", () => {
  test("each record once, in order, with its line; identities and seals are acknowledged silently", async () => {
    const log = await filled(60);
    const consumer = log.consumer("a");
    await consumer.ensure({ from: "start" });
    const all = await drain(consumer, { batch: 7 });
    expect(seqsOf(all)).toEqual(numbers(1, 60));
    const stored = (await rawEntries(admin, log.key)).filter(({ data }) => data.includes('"kind":"event"'));
    expect(all.map((one) => (one.type === "record" ? { id: one.id, data: one.line } : one))).toEqual(stored);
    expect(all[41]).toMatchObject({ seq: 42, deliveryCount: 1, redelivered: false, record: { seq: 42, payload: 42 } });
    expect(await pendingOf(log.key)).toBe(60);
    expect(await consumer.ack(idsOf(all))).toBe(60);
    expect(await consumer.pending()).toMatchObject({ total: 0, consumers: [] });
    expect(await drain(consumer)).toEqual([]);
  });

  test("after a restart: what was not acknowledged first, as redelivered, then what is new", async () => {
    const log = await filled(10);
    const consumer = log.consumer("a");
    await consumer.ensure({ from: "start" });
    const first = await drain(consumer, { limit: 6 });
    expect(seqsOf(first)).toEqual(numbers(1, 6));
    await consumer.ack(idsOf(first.slice(0, 2)));
    const again = await drain(log.consumer("a"));
    expect(seqsOf(again)).toEqual(numbers(3, 10));
    expect(again.map((one) => one.redelivered)).toEqual([true, true, true, true, false, false, false, false]);
    expect(again.map((one) => one.deliveryCount)).toEqual([2, 2, 2, 2, 1, 1, 1, 1]);
  });

  test("a limit takes no more than it hands out", async () => {
    const log = await filled(30);
    const consumer = log.consumer("a");
    await consumer.ensure({ from: "start" });
    expect(seqsOf(await drain(consumer, { limit: 5 }))).toEqual(numbers(1, 5));
    expect(await pendingOf(log.key)).toBe(5);
  });

  test("two consumers share; what a dead one has is claimed once it is idle, and not before", async () => {
    const log = await filled(40);
    const [a, b] = [log.consumer("a"), log.consumer("b")];
    await a.ensure({ from: "start" });
    const ofA = await drain(a, { limit: 15 });
    const ofB = await drain(b);
    expect(seqsOf([...ofA, ...ofB])).toEqual(numbers(1, 40));
    await b.ack(idsOf(ofB));
    expect(await drain(b, { claimIdleMs: 600_000 })).toEqual([]);
    const claimed = await drain(b, { claimIdleMs: 1, batch: 4 });
    expect(seqsOf(claimed)).toEqual(numbers(1, 15));
    expect(claimed.every(({ redelivered, deliveryCount }) => redelivered && deliveryCount === 2)).toBe(true);
    expect((await b.pending()).consumers).toEqual([{ consumer: "b", pending: 15 }]);
  });

  test("who follows gets what comes, and what was given out too long ago, its own included", async () => {
    const log = await filled(3);
    const consumer = log.consumer("a");
    await consumer.ensure({ from: "end" });
    const seen: (number | string)[] = [];
    const appended = log.append(4, 6);
    for await (const delivery of consumer.consume({ blockMs: 20, claimIdleMs: 150 })) {
      seen.push(...seqsOf([delivery]));
      if (delivery.redelivered) break;
    }
    await appended;
    expect(seen).toEqual([4, 5, 6, 4]);
  });

  test("a signal ends it with its reason, while it waits as well; what was not acknowledged stays", async () => {
    const log = await filled(2);
    const consumer = log.consumer("a");
    await consumer.ensure({ from: "start" });
    const stop = new AbortController();
    const seen: (number | string)[] = [];
    const following = (async () => {
      for await (const delivery of consumer.consume({ signal: stop.signal, blockMs: 200 })) {
        seen.push(...seqsOf([delivery]));
        if (delivery.type === "record" && delivery.seq === 2) setTimeout(() => stop.abort(new Error("enough")), 50);
      }
    })();
    await expect(following).rejects.toThrow("enough");
    expect(seen).toEqual([1, 2]);
    expect(await pendingOf(log.key)).toBe(2);
    await expect(drain(consumer, { signal: stop.signal })).rejects.toThrow("enough");
  });
});

describe("what is not as it was written", () => {
  test("a line that does not verify is handed out as damaged, and stays pending until it is acknowledged", async () => {
    const log = await filled(3);
    await admin.xAdd(log.key, "*", { data: '{"seq":4,"kind":"event","payload":"forged"}\n' });
    await admin.xAdd(log.key, "*", { other: "field", data: "x\n" });
    await admin.xAdd(log.key, "*", { data: "" });
    const consumer = log.consumer("a");
    await consumer.ensure({ from: "start" });
    const all = await drain(consumer);
    expect(seqsOf(all)).toEqual([1, 2, 3, "damaged", "damaged"]); // and nothing of what holds nothing
    const reason = "it does not verify as a line of this log";
    expect(all[3]).toMatchObject({ reason, bytes: Buffer.from('{"seq":4,"kind":"event","payload":"forged"}\n') });
    await consumer.ack(idsOf(all.slice(0, 3)));
    expect(await pendingOf(log.key)).toBe(2);
    expect(seqsOf(await drain(consumer))).toEqual(["damaged", "damaged"]);
    await recover(redisStore({ url: server.url, systemId: log.systemId }), { mode: "repair" });
    expect(await pendingOf(log.key)).toBe(0);
  });

  test("where a recovery had to put several lines into one entry, each is a delivery", async () => {
    const log = await filled(3);
    const lines = (await rawEntries(admin, log.key)).filter(({ data }) => data.includes('"kind":"event"'));
    const glued = lines
      .slice(0, 2)
      .map(({ data }) => String(data))
      .join("");
    await admin.xAdd(log.key, "*", { data: `${glued}nonsense\n` });
    const consumer = log.consumer("a");
    await consumer.ensure({ from: 3 });
    const all = await drain(consumer);
    expect(seqsOf(all)).toEqual([3, 1, 2, "damaged"]);
    expect(new Set(idsOf(all)).size).toBe(2);
  });

  test("the identity line of another log is damaged, and so is a line of it", async () => {
    const [log, other] = [await filled(1), await filled(1)];
    for (const { data } of await rawEntries(admin, other.key)) await admin.xAdd(log.key, "*", { data: String(data) });
    const consumer = log.consumer("a");
    await consumer.ensure({ from: "start" });
    expect(seqsOf(await drain(consumer))).toEqual([1, "damaged", "damaged"]);
  });

  test("an entry that was deleted before it was acknowledged is told, of one's own and of a dead one's", async () => {
    const log = await filled(6);
    const [a, b] = [log.consumer("a"), log.consumer("b")];
    await a.ensure({ from: "start" });
    const all = await drain(a);
    await admin.xDel(log.key, [all[1]?.id as string, all[4]?.id as string]);
    expect(seqsOf(await drain(a))).toEqual([1, "deleted", 3, 4, "deleted", 6]);
    const claimed = await drain(b, { claimIdleMs: 1 });
    expect(seqsOf(claimed)).toEqual([1, "deleted", 3, 4, "deleted", 6]);
    expect(await pendingOf(log.key)).toBe(6);
    await b.ack(idsOf(claimed));
    expect(await pendingOf(log.key)).toBe(0);
    await recover(redisStore({ url: server.url, systemId: log.systemId }), { mode: "repair" });
    const told = await drain(b);
    expect(told.map((one) => one.type === "record" && one.record)).toMatchObject([
      { kind: "gap", from: 2, to: 2, reason: "lost" },
      { kind: "gap", from: 5, to: 5, reason: "lost" },
    ]);
  });
});
