// Backups from a frozen copy: all streams and groups of one instant, whatever is done to the store meanwhile; the copies go, also those
// of a run that died; and there must be room for them.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Backend, Frozen } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import { backups } from "../../src/backup/index.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore, type RedisStoreOptions } from "../../src/redis/index.ts";
import { withStore } from "../../src/testing/contract-subject.ts";
import { contents, event, write } from "../backup/world.ts";
import { papyra } from "../cli/helpers.ts";
import { followed, drain, idsOf } from "./consumer-subject.ts";
import { type Admin, RedisServer } from "./server.ts";
import { rawEntries, uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;
let place: string;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = await server.admin();
  place = await mkdtemp(join(tmpdir(), "papyra-redis-freeze-"));
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
  await rm(place, { recursive: true, force: true });
});

function system(systemId = uniqueSystem(), more: Partial<RedisStoreOptions> = {}) {
  return {
    systemId,
    store: redisStore({ url: server.url, systemId, ...more }),
    key: `papyra:${systemId}:events`,
    repository: backups(join(place, `${systemId}-backups`)),
  };
}

const at = (path: string): Backend => fileBackend({ path }, nodeEnv);
const frozenKeys = (systemId: string): Promise<string[]> => admin.keys(`papyra:${systemId}:frozen*`);

async function freeze(store: Backend, purpose: string): Promise<Frozen> {
  const frozen = await store.freeze?.(purpose);
  if (frozen === undefined) throw new Error("it cannot be frozen");
  return frozen;
}

/** What XINFO says of a stream and its groups, but for when its consumers were seen. */
async function told(key: string): Promise<string> {
  const full = await admin.sendCommand(["XINFO", "STREAM", key, "FULL", "COUNT", "0"]);
  return JSON.stringify(full)
    .replaceAll(/"(?:seen|active)-time",-?\d+/g, "")
    .replaceAll(/"radix[^,]*",\d+/g, "");
}

/** The store, to which something is done when its frozen copy is there and the first bytes of it were read. */
function meanwhile(store: Backend, act: () => Promise<unknown>): Backend {
  let done = false;
  return {
    ...store,
    async freeze(purpose) {
      const frozen = await freeze(store, purpose);
      async function* read(...range: Parameters<Backend["read"]>): AsyncGenerator<Uint8Array> {
        for await (const chunk of frozen.backend.read(...range)) {
          yield chunk;
          if (!done) await act();
          done = true;
        }
      }
      return { ...frozen, backend: { ...frozen.backend, read } };
    },
  };
}

test("a copy of a stream has its groups, consumers and pending entries, with times and counts", async () => {
  const log = followed(server.url);
  await log.append(1, 9);
  await log.consumer("a").ensure({ from: "start" });
  await drain(log.consumer("a"), { limit: 5 });
  const held = (await admin.xPendingRange(log.key, "tool", "-", "+", 9)).map(({ id }) => id);
  await admin.sendCommand(["XDEL", log.key, held[1] as string]);
  const { store } = system(log.systemId);
  const frozen = await store.freeze?.("a test");
  expect(await told(`papyra:${log.systemId}:frozen:events`)).toBe(await told(log.key));
  expect(frozen?.leftovers).toBe(0);
  await frozen?.release();
  expect(await frozenKeys(log.systemId)).toEqual([]);
});

test("whatever is deleted, written and acknowledged meanwhile: the backup is of the instant", async () => {
  const log = followed(server.url);
  await log.append(1, 200);
  const consumer = log.consumer("a");
  await consumer.ensure({ from: "start" });
  const held = idsOf(await drain(consumer, { limit: 7 }));
  const { store, repository, systemId } = system(log.systemId);
  const before = await contents(store);
  const deletedFrom = meanwhile(store, async () => {
    await consumer.ack(held);
    await withStore(store, (opened) => opened.append("events", [event(201)]));
    await admin.sendCommand(["XTRIM", log.key, "MAXLEN", "=", "3"]);
  });
  const made = await repository.create(deletedFrom, { freeze: true });
  expect(made).toMatchObject({
    ok: true,
    frozen: { leftovers: 0 },
    backup: { verdict: "good", source: store.location },
  });
  expect(made.verdict).toContain("from a frozen copy");
  expect(made.frozen?.bytes).toBeGreaterThan(10_000);
  expect(made.backup.logs.events.groups).toMatchObject([{ group: "tool", seq: 7 }]);
  const pending = made.backup.logs.events.groups?.[0]?.consumers.flatMap((one) => one.pending.map(([seq]) => seq));
  expect(pending).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(await frozenKeys(systemId)).toEqual([]);
  await repository.restore(join(place, systemId));
  expect((await contents(at(join(place, systemId)))).events).toEqual(before.events);
  // Without it the same deletion is noticed: the next one, of what is left, does not count.
  expect((await repository.create(store)).backup.verdict).toBe("damaged");
});

test("in the process of the writer: what was appended before is in it; the next one reads what is new", async () => {
  const { store, repository } = system();
  const opened = await openStore(store);
  const order: string[] = [];
  const taken = {
    stats: () => opened.stats(),
    lastSeq: (log) => opened.lastSeq(log),
    async flush() {
      order.push("flush");
      await opened.flush();
    },
    backend: {
      ...store,
      async freeze(purpose) {
        order.push("freeze");
        return freeze(store, purpose);
      },
    },
  } as Pick<Store, "backend" | "flush" | "stats" | "lastSeq"> as Store;
  for (let n = 1; n <= 300; n++) void opened.append("events", [event(n)]);
  const first = await repository.take(taken, { freeze: true, share: 1 });
  expect(order.slice(0, 2)).toEqual(["flush", "freeze"]);
  expect(first.backup).toMatchObject({ how: "in-process", logs: { events: { last_seq: 300 } } });
  await opened.append("events", [event(301)]);
  const second = await repository.take(opened, { freeze: true, share: 1 });
  expect(second.backup.logs.events).toMatchObject({ records: 301 });
  expect(second.readBytes).toBeLessThan(first.readBytes / 10);
  await opened.close();
  expect((await scan(store)).ok).toBe(true);
});

test("what a run that died has left goes with the next one, and by itself; a living one is not disturbed", async () => {
  const { systemId, repository, store } = system(undefined, { leaseMs: 300 });
  await write(store, 20);
  const living = await store.freeze?.("the first");
  await new Promise((done) => setTimeout(done, 700)); // twice as long as its hold, which is renewed
  const refused = repository.create(store, { freeze: true });
  await expect(refused).rejects.toMatchObject({
    code: "STORE_LOCKED",
    message: expect.stringContaining("the first") as string,
  });
  await living?.assertHeld();
  await living?.release();
  const stopped = { ...nodeEnv, clock: { ...nodeEnv.clock, after: () => () => undefined } };
  const dead = await redisStore({ url: server.url, systemId, leaseMs: 300 }, stopped).freeze?.("the dead one");
  expect(dead?.leftovers).toBe(0);
  expect((await frozenKeys(systemId)).length).toBeGreaterThan(5);
  for (const key of await frozenKeys(systemId)) expect(await admin.pTTL(key)).toBeGreaterThan(0);
  await admin.del(`papyra:${systemId}:frozen:holder`); // it ends
  const made = await repository.create(store, { freeze: true });
  expect(made.frozen?.leftovers).toBe(6);
  expect(await frozenKeys(systemId)).toEqual([]);
});

test("a copy that is gone before the end makes no backup, and says why", async () => {
  const { systemId, repository, store } = system();
  await write(store, 50);
  const gone = meanwhile(store, async () => admin.del(await frozenKeys(systemId)));
  await expect(repository.create(gone, { freeze: true })).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringContaining("the frozen copy") as string,
  });
  await expect(repository.list()).rejects.toMatchObject({ code: "BACKUP_NOT_FOUND" });
});

test("where memory does not suffice nothing is copied, and both numbers are told", async () => {
  const { systemId, repository, store } = system();
  await write(store, 500);
  const used = Number(/used_memory:(\d+)/.exec(await admin.info("memory"))?.[1]);
  await admin.configSet("maxmemory", String(used + 600_000));
  const refused = expect(repository.create(store, { freeze: true })).rejects;
  await refused.toMatchObject({
    code: "STORAGE_FULL",
    message: expect.stringMatching(/about \d+ bytes .* and \d+ are free/) as string,
  });
  expect(await frozenKeys(systemId)).toEqual([]);
  await admin.configSet("maxmemory", "0");
  expect((await repository.create(store, { freeze: true })).ok).toBe(true);
});

test("the command line says what was done; files cannot be frozen", async () => {
  const { systemId, store, key } = system();
  await write(store, 5);
  const run = (...args: string[]) =>
    papyra(["backup", "create", ...args, "--freeze", "--repository", "b"], { cwd: place });
  const made = await run("--redis", server.url, "--system", systemId);
  expect(made.stdout).toMatch(/5 records from a frozen copy, every line verified/);
  expect(made.stdout).toMatch(
    /frozen: the server copied all streams at one instant, about \d+ bytes, and the copies are removed again/,
  );
  expect((await rawEntries(admin, key)).length).toBeGreaterThan(5);
  await write(at(join(place, "files")), 1);
  expect(await run("--path", "files")).toMatchObject({ exit: 64 });
});
