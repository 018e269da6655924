// Restoring into Redis: built aside, verified, and put in place by one step; nothing that is there is touched.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { backups } from "../../src/backup/index.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { scan } from "../../src/ops/scan.ts";
import { consumerGroup, redisStore } from "../../src/redis/index.ts";
import { contents, write } from "../backup/world.ts";
import { papyra } from "../cli/helpers.ts";
import { drain, numbers, seqsOf } from "./consumer-subject.ts";
import { type Admin, RedisServer } from "./server.ts";
import { uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;
let place: string;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = await server.admin();
  place = await mkdtemp(join(tmpdir(), "papyra-redis-restore-"));
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
  await rm(place, { recursive: true, force: true });
});

const inRedis = (systemId: string, more: object = {}) =>
  redisStore({ url: server.url, systemId, segmentBytes: 4096, ...more });

for (const hashTag of [false, true]) {
  test(`files to Redis, to Redis, to files: each goes on (${hashTag ? "hash tag" : "plain keys"})`, async () => {
    const id = uniqueSystem();
    const repository = backups(join(place, `${id}-backups`));
    const files = fileBackend({ path: join(place, id), segmentBytes: 4096 }, nodeEnv);
    await write(files, 100);
    await write(files, 10, "journal");
    const before = await contents(files);
    await repository.create(files);
    const first = inRedis(`${id}a`, { hashTag });
    const restored = await repository.restore(first);
    expect(restored).toMatchObject({ ok: true, target: first.location, done: true });
    expect((await scan(first)).verdict).toContain("healthy");
    expect(await contents(first)).toEqual(before);
    await write(first, 30);
    const made = await repository.create(first);
    expect(made.backup.verdict).toBe("good");
    const second = inRedis(`${id}b`);
    await repository.restore(second);
    expect((await scan(second)).anomalies).toEqual([]);
    expect((await contents(second)).events).toEqual((await contents(first)).events);
    await write(second, 5);
    await repository.create(second);
    await repository.restore(join(place, `${id}-files`));
    const back = fileBackend({ path: join(place, `${id}-files`) }, nodeEnv);
    expect((await scan(back)).anomalies).toEqual([]);
    expect((await contents(back)).events).toEqual((await contents(second)).events);
    expect((await contents(back)).events).toHaveLength(135);
    const consumer = { url: server.url, systemId: `${id}b`, log: "events", group: "tool", consumer: "a" } as const;
    const reader = consumerGroup(consumer);
    await reader.ensure({ from: "start" });
    expect(seqsOf(await drain(reader))).toEqual(numbers(1, 135)); // three lineages, each line verified
  });
}

test("a place where any key of the store is left is not empty, and stays as it is", async () => {
  const id = uniqueSystem();
  const repository = backups(join(place, `${id}-backups`));
  const store = inRedis(id);
  await write(store, 5);
  await repository.create(store);
  const refused = { code: "TARGET_NOT_EMPTY" };
  await expect(repository.restore(store)).rejects.toMatchObject(refused);
  for (const key of ["meta", "dead_letters", "quarantine", "events:superseded"]) {
    const target = inRedis(`${id}-${key.replace(":", "")}`);
    const name = `papyra:${id}-${key.replace(":", "")}:${key}`;
    await admin.sendCommand(["SET", name, "there"]);
    await expect(repository.restore(target)).rejects.toMatchObject(refused);
    expect(await admin.keys(`papyra:${id}-${key.replace(":", "")}:*`)).toEqual([name]);
  }
});

test("what comes there while it is built is not overwritten, and nothing is left of what was built", async () => {
  const id = uniqueSystem();
  const repository = backups(join(place, `${id}-backups`));
  const store = inRedis(id);
  await write(store, 50);
  await repository.create(store);
  const target = inRedis(`${id}x`);
  let came = false;
  const onProgress = (): void => {
    if (!came) void admin.sendCommand(["SET", `papyra:${id}x:audits`, "there"]);
    came = true;
  };
  await expect(repository.restore(target, { onProgress })).rejects.toMatchObject({ code: "TARGET_NOT_EMPTY" });
  expect(await admin.keys(`papyra:${id}x:*`)).toEqual([`papyra:${id}x:audits`]);
});

test("what a dead restore has left aside does not count and goes; two at once exclude each other", async () => {
  const id = uniqueSystem();
  const repository = backups(join(place, `${id}-backups`));
  await write(inRedis(id), 50);
  await repository.create(inRedis(id));
  const target = inRedis(`${id}x`, { leaseMs: 300 });
  const dead = await target.stage?.("restore");
  await dead?.build(async (claim) => {
    const identity = (await inRedis(id).view()).identity;
    if (identity !== undefined) await claim.create(identity);
  });
  await expect(repository.restore(target)).rejects.toMatchObject({ code: "STORE_LOCKED" });
  await dead?.discard();
  const key = `papyra:${id}x:restoring:events`;
  await admin.sendCommand(["XADD", key, "1-0", "data", "of a crash"]);
  await repository.restore(target);
  expect(await admin.exists(key)).toBe(0);
  expect((await scan(target)).verdict).toContain("healthy");
  expect((await admin.keys(`papyra:${id}x:restoring:*`)).length).toBe(0);
});

test("who waits for the stream is given what was restored", async () => {
  const id = uniqueSystem();
  const repository = backups(join(place, `${id}-backups`));
  await write(inRedis(id), 5);
  await repository.create(inRedis(id));
  const waiting = await server.admin();
  const answer = waiting.sendCommand(["XREAD", "BLOCK", "0", "STREAMS", `papyra:${id}x:events`, "0-0"]);
  await repository.restore(inRedis(`${id}x`));
  const [[, entries]] = (await answer) as unknown as [[string, unknown[]]];
  expect(entries.length).toBeGreaterThan(5); // with identities and seals, all at once
  waiting.destroy();
});

test("the command line: a place in Redis instead of --target", async () => {
  const id = uniqueSystem();
  const repository = join(place, `${id}-backups`);
  await write(inRedis(id), 5);
  const run = (...args: string[]) => papyra(["backup", ...args, "--repository", repository], { cwd: place });
  expect((await run("create", "--redis", server.url, "--system", id)).exit).toBe(0);
  const restored = await run("restore", "--redis", server.url, "--prefix", "other", "--system", id);
  expect(restored.stdout).toContain(`to ${server.url}/other:${id}: healthy`);
  expect(restored.exit).toBe(0);
  expect((await scan(inRedis(id, { prefix: "other" }))).verdict).toContain("healthy");
  expect((await run("restore", "--redis", server.url, "--prefix", "other", "--system", id)).exit).toBe(64);
  const nowhere = await run("restore");
  expect(nowhere.exit).toBe(64);
  expect(nowhere.stderr).toContain("--target <dir>");
  expect((await run("restore", "--in-place", "--redis", server.url, "--system", id)).exit).toBe(64);
});
