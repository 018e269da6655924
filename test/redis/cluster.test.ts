// On a cluster: with a hash tag all keys of a store are in one slot, and everything works on the node that holds it; without one it is
// refused with the remedy. A node with all slots is a cluster to the server's checks.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { backups } from "../../src/backup/index.ts";
import { compact } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { consumerGroup, redisStore, type RedisStoreOptions, streamFacts } from "../../src/redis/index.ts";
import { everyKey, keysOf } from "../../src/redis/keys.ts";
import { resolveRedisOptions } from "../../src/redis/options.ts";
import { backendContract } from "../../src/testing/index.ts";
import { contents, write } from "../backup/world.ts";
import { drain, idsOf } from "./consumer-subject.ts";
import { type Admin, RedisServer } from "./server.ts";
import { rawEntries, redisSubject, uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;
let place: string;

beforeAll(async () => {
  server = await RedisServer.start("--cluster-enabled", "yes");
  admin = await server.admin();
  await admin.sendCommand(["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
  while (!(await admin.sendCommand<string>(["CLUSTER", "INFO"])).includes("cluster_state:ok")) await delay(50);
  place = await mkdtemp(join(tmpdir(), "papyra-cluster-"));
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
  await rm(place, { recursive: true, force: true });
});

/** One in so many of the cases of the contract; 1 for all of them. */
const SHARE = Number(process.env.PAPYRA_CLUSTER_SHARE ?? 40);
const subject = redisSubject(
  () => ({ server, admin }),
  (env, nowMs) => (nowMs === undefined ? env : { ...env, clock: { ...env.clock, nowMs } }),
  { hashTag: true },
);

test.each(backendContract.filter((_, i) => i % SHARE === 0))("the contract: $name", async ({ run }) => {
  const outcome = await run(subject);
  expect(outcome?.skipped ?? "").not.toMatch(/cluster/i);
});

const slotOf = (key: string): Promise<number> => admin.sendCommand<number>(["CLUSTER", "KEYSLOT", key]);
const optionsOf = (systemId: string, more: Partial<RedisStoreOptions> = {}): RedisStoreOptions => ({
  url: server.url,
  systemId,
  hashTag: true,
  segmentBytes: 4096,
  ...more,
});

test.each([{ hashTag: true }, { hashTag: true, prefix: "my:app" }, { prefix: "{app}" }])(
  "%j: one slot for every key, those of a store in the making and of a frozen copy included",
  async (more) => {
    const { base } = resolveRedisOptions({ url: server.url, systemId: "orders", ...more });
    const keys = [base, `${base}:restoring`, `${base}:frozen`].flatMap((one) => everyKey(keysOf(one)));
    expect(keys.length).toBe(3 * (4 + 3 * 5));
    expect(new Set(await Promise.all(keys.map(slotOf))).size).toBe(1);
  },
);

test("without a hash tag it is refused, and the remedy is named", async () => {
  const error = { code: "STORAGE_FAILED", hint: expect.stringContaining("hashTag") as string };
  await expect(openStore(redisStore(optionsOf(uniqueSystem(), { hashTag: false })))).rejects.toMatchObject(error);
});

test("written, followed, compacted, backed up, frozen, restored, damaged and recovered: every key that comes is in the slot", async () => {
  const systemId = uniqueSystem();
  const store = redisStore(optionsOf(systemId));
  const seen = new Set<string>();
  const note = async (): Promise<void> => {
    for (const key of await admin.keys("*")) seen.add(key);
  };
  await write(store, 60);
  const of = { url: server.url, systemId, hashTag: true };
  const group = consumerGroup({ ...of, log: "events", group: "tool", consumer: "a" });
  await group.ensure({ from: 3 });
  await group.ack(idsOf(await drain(group)).slice(0, -1));
  expect(await group.pending()).toMatchObject({ total: 1 });
  expect((await streamFacts(optionsOf(systemId)))[0]?.groups).toHaveLength(1);
  const repository = backups(join(place, "backups"));
  const made = await repository.create(store, { freeze: true });
  expect(made).toMatchObject({ ok: true, backup: { logs: { events: { records: 60 } } } });
  const frozen = await store.freeze?.("a look");
  await note();
  await frozen?.release();
  const restored = redisStore(optionsOf(`${systemId}x`));
  expect((await repository.restore(restored)).verdict).toContain("1 consumer groups, 1 pending entries");
  expect((await contents(restored)).events).toHaveLength(60);
  await compact(store, { retention: { events: { maxRecords: 10 } } });
  await note();
  const key = `{papyra:${systemId}}:events`;
  const entries = await rawEntries(admin, key);
  await admin.xDel(key, entries.at(-3)?.id as string);
  expect(await recover(store, { mode: "quarantine" })).toMatchObject({ ok: true, changed: true });
  await admin.xAdd(key, "*", { data: "nonsense" });
  expect(await recover(store, { mode: "quarantine" })).toMatchObject({ ok: true, changed: true });
  await note();
  expect((await scan(store)).ok).toBe(true);
  await write(store, 1);
  const own = [...seen].filter((one) => one.includes(`${systemId}}`));
  expect(own.some((one) => one.includes(":frozen:"))).toBe(true);
  expect(own.some((one) => one.endsWith(":quarantine"))).toBe(true);
  expect(new Set(await Promise.all(own.map(slotOf)))).toEqual(new Set([await slotOf(key)]));
});
