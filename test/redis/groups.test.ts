// Consumer groups themselves: what makes and removes them, where they begin, compaction beside them, and what there is to measure.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compact } from "../../src/ops/compact.ts";
import { redisStore, streamFacts } from "../../src/redis/index.ts";
import { drain, type Followed, followed, idsOf, numbers, seqsOf } from "./consumer-subject.ts";
import { textOf } from "../source.ts";
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

describe("groups", () => {
  test("a stream is never made, whatever is asked of it", async () => {
    const log = followed(server.url);
    const consumer = log.consumer("a");
    const refused = { code: "STORE_NOT_FOUND" };
    await expect(consumer.ensure({ from: "start" })).rejects.toMatchObject(refused);
    await expect(consumer.recreate({ from: "end" })).rejects.toMatchObject(refused);
    await expect(drain(consumer)).rejects.toMatchObject(refused);
    await expect(consumer.lag()).rejects.toMatchObject(refused);
    await expect(consumer.ack(["1-1"])).rejects.toMatchObject(refused);
    await expect(consumer.pending()).rejects.toMatchObject(refused);
    expect(await admin.keys(`papyra:${log.systemId}:*`)).toEqual([]);
  });

  test("a group that is not there is told with the command that makes it, and not made; one that goes meanwhile, too", async () => {
    const log = await filled(2);
    const consumer = log.consumer("a");
    const hint = `papyra consume events --group tool --from start --path ${server.url}/papyra:${log.systemId}`;
    const refused = { code: "GROUP_NOT_FOUND", hint: expect.stringContaining(hint) as string };
    await expect(drain(consumer)).rejects.toMatchObject(refused);
    await expect(consumer.ack(["1-1"])).rejects.toMatchObject(refused);
    await expect(consumer.claim(["1-1"], 0)).rejects.toMatchObject(refused);
    await expect(consumer.pending()).rejects.toMatchObject(refused);
    await expect(consumer.lag()).rejects.toMatchObject(refused);
    await expect(consumer.removeIdle({ idleMs: 0 })).rejects.toMatchObject(refused);
    await consumer.ensure({ from: "start" });
    const following = (async () => {
      for await (const delivery of consumer.consume({ blockMs: 50 }))
        if (delivery.type === "record" && delivery.seq === 2) await admin.xGroupDestroy(log.key, "tool");
    })();
    await expect(following).rejects.toMatchObject(refused);
    expect(await admin.xInfoGroups(log.key)).toEqual([]);
  });

  test("ensure makes a group once; then it goes on where it stands", async () => {
    const log = await filled(5);
    const consumer = log.consumer("a");
    expect(await consumer.ensure({ from: "start" })).toEqual({ created: true });
    await consumer.ack(idsOf(await drain(consumer, { limit: 3 })));
    expect(await consumer.ensure({ from: "start" })).toEqual({ created: false });
    expect(seqsOf(await drain(consumer))).toEqual([4, 5]);
  });

  test("from any seq, however the log lies: each, one that was compacted, the next one, and none beyond", async () => {
    const log = await filled(30);
    const from = async (seq: number): Promise<(number | string)[]> => {
      const consumer = log.consumer("a", { group: `from-${seq}-${Math.random()}` });
      await consumer.ensure({ from: seq });
      return seqsOf(await drain(consumer));
    };
    for (const seq of [...numbers(1, 4), ...numbers(12, 17), 29, 30]) expect(await from(seq)).toEqual(numbers(seq, 30));
    expect(await from(31)).toEqual([]);
    await expect(from(32)).rejects.toMatchObject({ code: "OPTION_INVALID", details: { reached: 30 } });
    await admin.xAdd(log.key, "*", { data: '{"seq":1,"kind":"event"}\n' });
    expect(await from(30)).toEqual([30, "damaged"]);
  });

  test("recreate: refused while something is pending, unless that may go", async () => {
    const log = await filled(5);
    const consumer = log.consumer("a");
    expect(await consumer.recreate({ from: "start" })).toEqual({ dropped: 0 });
    await drain(consumer, { limit: 3 });
    await expect(consumer.recreate({ from: 2 })).rejects.toMatchObject({
      code: "GROUP_PENDING",
      details: { pending: 3 },
    });
    expect(await pendingOf(log.key)).toBe(3);
    expect(await consumer.recreate({ from: 2, dropPending: true })).toEqual({ dropped: 3 });
    expect(seqsOf(await drain(consumer))).toEqual([2, 3, 4, 5]);
  });

  test("dead consumers go; one with pending entries stays until they are claimed", async () => {
    const log = await filled(4);
    const [a, b] = [log.consumer("a"), log.consumer("b")];
    await a.ensure({ from: "start" });
    await drain(a, { limit: 3 });
    await b.ack(idsOf(await drain(b)));
    expect(await b.removeIdle({ idleMs: 600_000 })).toMatchObject([{ removed: false }, { removed: false }]);
    expect(await b.removeIdle({ idleMs: 0 })).toMatchObject([
      { consumer: "a", pending: 3, removed: false },
      { consumer: "b", pending: 0, removed: true },
    ]);
    expect(seqsOf(await b.claim(idsOf(await drain(a)), 0))).toEqual([1, 2, 3]);
    expect(await b.removeIdle({ idleMs: 0 })).toMatchObject([
      { consumer: "a", pending: 0, removed: true },
      { consumer: "b", pending: 3, removed: false },
    ]);
    expect(await pendingOf(log.key)).toBe(3);
  });

  test("claim leaves what was given out too recently", async () => {
    const log = await filled(2);
    const [a, b] = [log.consumer("a"), log.consumer("b")];
    await a.ensure({ from: "start" });
    const ids = idsOf(await drain(a));
    expect(await b.claim(ids, 600_000)).toEqual([]);
    expect((await b.pending()).consumers).toEqual([{ consumer: "a", pending: 2 }]);
  });

  test.each([
    ["consumer", { consumer: "" }],
    ["group", { group: 7 }],
    ["log", { log: "nothing" }],
    ["witness", { witness: "x" }],
  ])("a wrong %s is refused", (option, more) => {
    expect(() => followed(server.url).consumer("a", more)).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
    expect(option).toBeTruthy();
  });
});

describe("beside compaction", () => {
  const KEEP_10 = { retention: { events: { maxRecords: 10 } } };
  const storeOf = (systemId: string) => redisStore({ url: server.url, systemId, segmentBytes: 4096 });

  test("what a group has not read or acknowledged does not go; afterwards it reads on, and is given the gap records", async () => {
    const log = await filled(60);
    const consumer = log.consumer("a");
    await consumer.ensure({ from: "start" });
    const some = await drain(consumer, { limit: 40 });
    await expect(compact(storeOf(log.systemId), KEEP_10)).rejects.toMatchObject({ code: "GROUP_BEHIND" });
    const rest = await drain(consumer, { claimIdleMs: 600_000 });
    await consumer.ack(idsOf(rest.filter(({ redelivered }) => !redelivered)));
    await expect(compact(storeOf(log.systemId), KEEP_10)).rejects.toMatchObject({ code: "GROUP_BEHIND" });
    await consumer.ack(idsOf(some));
    await compact(storeOf(log.systemId), KEEP_10);
    const gaps = await drain(consumer);
    expect(gaps.map((one) => one.type === "record" && one.record.kind)).toEqual(gaps.map(() => "gap"));
    await consumer.ack(idsOf(gaps));
    await log.append(61, 62);
    expect((await drain(consumer)).map((one) => one.type === "record" && one.record)).toMatchObject([
      { payload: 61 },
      { payload: 62 },
    ]);
  });

  test("who waits goes on waiting while the stream is replaced", async () => {
    const log = await filled(60);
    const consumer = log.consumer("a");
    await consumer.ensure({ from: "end" });
    const seen: (number | string)[] = [];
    const following = (async () => {
      for await (const one of consumer.consume({ blockMs: 200 })) {
        await consumer.ack([one.id]);
        if (one.type === "record" && one.record.kind === "event") return seen.push(Number(one.record.payload));
      }
    })();
    await compact(storeOf(log.systemId), KEEP_10);
    await log.append(100, 100);
    await following;
    expect(seen).toEqual([100]);
  });

  test("lag counts records, where the server counts seals as well, or nothing after a compaction", async () => {
    const log = await filled(60);
    const consumer = log.consumer("a");
    await consumer.ensure({ from: 55 });
    expect(await consumer.lag()).toBe(6);
    await compact(storeOf(log.systemId), KEEP_10);
    const [group] = await admin.xInfoGroups(log.key);
    expect(group?.lag).toBeNull();
    const rest = await drain(consumer, { limit: 4 });
    expect(seqsOf(rest)).toEqual([55, 56, 57, 58]);
    const { lastSeq } = (await streamFacts({ url: server.url, systemId: log.systemId }))[0] as { lastSeq: number };
    expect(await consumer.lag()).toBe(lastSeq - 58);
    await drain(consumer);
    expect(await consumer.lag()).toBe(0);
  });
});

test("the commands that docs/backends.md lists are enough for a consumer", async () => {
  const log = await filled(5);
  const [, listed = "", more = ""] =
    /A consumer needs\s+`([A-Z ]+)`, and `([A-Z]+)` to make/.exec(textOf("docs/backends.md")) ?? [];
  const user = async (name: string, commands: string): Promise<string> => {
    const allowed = commands.split(" ").map((command) => `+${command.toLowerCase()}`);
    await admin.sendCommand(["ACL", "SETUSER", name, "on", `>${name}`, `~papyra:${log.systemId}:*`, ...allowed]);
    return server.url.replace("redis://", `redis://${name}:${name}@`);
  };
  const maker = log.consumer("a", { url: await user("maker", `${listed} ${more}`) });
  await maker.ensure({ from: 2 });
  const url = await user("reader", listed);
  const consumer = log.consumer("a", { url });
  const some = await drain(consumer, { limit: 3 });
  expect(seqsOf(await drain(consumer))).toEqual([2, 3, 4, 5]);
  expect(await consumer.ack(idsOf(some))).toBe(3);
  expect(await consumer.lag()).toBe(0);
  expect((await streamFacts({ url, systemId: log.systemId }))[0]?.groups).toMatchObject([{ pending: 1 }]);
  expect(await maker.removeIdle({ idleMs: 0 })).toMatchObject([{ removed: false }]);
});

test("facts of streams and groups", async () => {
  const log = await filled(10);
  const [a, b] = [log.consumer("a"), log.consumer("b")];
  await a.ensure({ from: 3 });
  const all = await drain(a, { limit: 4 });
  await a.ack([all[0]?.id as string]);
  await drain(b, { limit: 1 });
  await drain(a, { limit: 2 });
  const facts = await streamFacts({ url: server.url, systemId: log.systemId });
  expect(facts.map((one) => one.log)).toEqual(["events", "journal", "audits", "dead_letters", "snapshots"]);
  const stored = await rawEntries(admin, log.key);
  expect(facts[0]).toMatchObject({
    entries: stored.length,
    bytes: stored.reduce((sum, { data }) => sum + data.length, 0),
    lastId: stored.at(-1)?.id,
    lastSeq: 10,
    groups: [
      {
        group: "tool",
        lag: 3,
        pending: 4,
        oldestId: all[1]?.id,
        highestDeliveryCount: 2,
        consumers: [
          { consumer: "a", pending: 3 },
          { consumer: "b", pending: 1 },
        ],
      },
    ],
  });
  expect(facts[0]?.lastAgeMs).toBeLessThan(60_000);
  expect(facts[0]?.groups[0]?.longestIdleMs).toBeLessThan(60_000);
  expect(await a.lag()).toBe(3);
  expect(facts[1]).toMatchObject({ lastSeq: undefined, lastAgeMs: undefined, groups: [] });
  await expect(streamFacts({ url: server.url, systemId: "nobody" })).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
});
