// Consumer groups in backups: of the same instant as the streams, by seqs, and made again where they stood.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { backups } from "../../src/backup/index.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { consumerGroup, redisStore } from "../../src/redis/index.ts";
import { contents, write } from "../backup/world.ts";
import { drain, idsOf, numbers, seqsOf } from "./consumer-subject.ts";
import { type Admin, RedisServer } from "./server.ts";
import { rawEntries, uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;
let place: string;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = await server.admin();
  place = await mkdtemp(join(tmpdir(), "papyra-redis-groups-"));
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
  await rm(place, { recursive: true, force: true });
});

const inRedis = (systemId: string) => redisStore({ url: server.url, systemId, segmentBytes: 4096 });
const consumerOf = (systemId: string, group: string, consumer: string) =>
  consumerGroup({ url: server.url, systemId, log: "events", group, consumer });

/** 100 events: one group has 60, of which two consumers have some pending; one has nothing; one has all, and its consumer nothing pending. */
async function followed(): Promise<string> {
  const id = uniqueSystem();
  await write(inRedis(id), 100);
  const [a, b, all] = [consumerOf(id, "tool", "a"), consumerOf(id, "tool", "b"), consumerOf(id, "all", "c")];
  await a.ensure({ from: "start" });
  await consumerOf(id, "new", "n").ensure({ from: "start" });
  await all.ensure({ from: "start" });
  await a.ack(idsOf(await drain(a, { limit: 30 })).slice(3));
  await b.ack(idsOf(await drain(b, { limit: 30 })).slice(0, 28));
  await a.claim(idsOf(await drain(b, { limit: 1 })), 0);
  await all.ack(idsOf(await drain(all)));
  return id;
}

/**
 * What XINFO STREAM FULL says of the groups, with the seqs of the records in place of their ids. The times when entries were
 * given out go into `times`: Redis 7.0 tells them apart by a millisecond, depending on how it is asked.
 */
async function factsOf(key: string, times: number[]): Promise<unknown> {
  const seqs = new Map(
    (await rawEntries(admin, key)).map(({ id, data }) => [id, /^\{"seq":(\d+)/.exec(data.toString())?.[1]]),
  );
  const full = (await admin.sendCommand(["XINFO", "STREAM", key, "FULL", "COUNT", "0"])) as unknown as unknown[];
  const named = (flat: unknown[]): Record<string, unknown> =>
    Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[String(name), flat[i + 1]]] : [])));
  return (named(full).groups as unknown[][]).map(named).map((group) => ({
    name: group.name,
    pending: (group.pending as [string, string, number, number][]).map(([id, consumer, time, count]) => {
      times.push(time);
      return [seqs.get(id), consumer, count];
    }),
    consumers: (group.consumers as unknown[][])
      .map(named)
      .map(({ name, "pel-count": count }) => ({ name, count }))
      .sort((x, y) => String(x.name).localeCompare(String(y.name))),
  }));
}

test("groups come back where they stood: positions, consumers, pending entries with times and counts", async () => {
  const id = await followed();
  const repository = backups(join(place, `${id}-backups`));
  const { backup } = await repository.create(inRedis(id));
  const groups = backup.logs.events.groups ?? [];
  expect(groups.map(({ group, seq }) => [group, seq])).toEqual([
    ["all", 100],
    ["new", 0],
    ["tool", 60],
  ]);
  expect(backup.logs.audits.groups).toEqual([]);
  const report = await repository.restore(inRedis(`${id}x`));
  expect(report.verdict).toContain("3 consumer groups, 5 pending entries will be given out again");
  expect(report.groups).toContainEqual({
    log: "events",
    group: "tool",
    seq: 60,
    pending: 5,
    dropped: 0,
    restored: true,
  });
  const [then, now]: [number[], number[]] = [[], []];
  const before = await factsOf(`papyra:${id}:events`, then);
  expect(await factsOf(`papyra:${id}x:events`, now)).toEqual(before);
  expect(then).toHaveLength(5);
  for (const [i, time] of then.entries()) expect(Math.abs((now[i] as number) - time)).toBeLessThanOrEqual(10);
  const tool = consumerOf(`${id}x`, "tool", "a");
  expect(seqsOf(await drain(tool))).toEqual([1, 2, 3, 59, ...numbers(61, 100)]);
  expect(seqsOf(await drain(consumerOf(`${id}x`, "all", "c")))).toEqual([]);
  expect(seqsOf(await drain(consumerOf(`${id}x`, "new", "n")))).toEqual(numbers(1, 100));
});

test("at a point inside of a backup no group is ahead of the log", async () => {
  const id = await followed();
  const repository = backups(join(place, `${id}-backups`));
  await repository.create(inRedis(id));
  const report = await repository.restore(inRedis(`${id}x`), { point: { log: "events", seq: 40 } });
  expect(report.groups.find(({ group }) => group === "tool")).toMatchObject({ seq: 40, pending: 3, dropped: 2 });
  await write(inRedis(`${id}x`), 2);
  expect(seqsOf(await drain(consumerOf(`${id}x`, "all", "c")))).toEqual([41, 42]);
});

test("a directory has no groups, and the report says what is left out; the records are all there", async () => {
  const id = await followed();
  const repository = backups(join(place, `${id}-backups`));
  await repository.create(inRedis(id));
  const report = await repository.restore(join(place, id));
  expect(report.verdict).toContain("3 consumer groups are left out");
  expect((await contents(fileBackend({ path: join(place, id) }, nodeEnv))).events).toHaveLength(100);
});

test("an entry that was deleted while it was pending is dropped, and counted", async () => {
  const id = await followed();
  const [, first] = await rawEntries(admin, `papyra:${id}:events`);
  await admin.sendCommand(["XDEL", `papyra:${id}:events`, first?.id as string]);
  const repository = backups(join(place, `${id}-backups`));
  expect((await repository.create(inRedis(id))).backup.verdict).toBe("damaged");
  const report = await repository.restore(inRedis(`${id}x`), { allowDamaged: true, point: { backup: "2" } });
  expect(report.groups.find(({ group }) => group === "tool")).toMatchObject({ pending: 4, dropped: 1 });
});
