// Compaction of streams: what stays keeps its ids, consumer groups lose nothing, and whatever happens in between, the stream is
// as it was or as it shall be.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend, Claim, Segment } from "../../src/backends/backend.ts";
import { openStore } from "../../src/backends/open.ts";
import { compactedName } from "../../src/log/segments.ts";
import { compact } from "../../src/ops/compact.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore, type RedisStoreOptions } from "../../src/redis/index.ts";
import { event, payloadsOf, withStore } from "../../src/testing/contract-subject.ts";
import { IMPATIENT, QUICK } from "./history.ts";
import { ChaosProxy, type Fault } from "./proxy.ts";
import { type Admin, RedisServer } from "./server.ts";
import { rawEntries, uniqueSystem } from "./subject.ts";

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

const COUNT = 100;
const KEEP_10 = { retention: { events: { maxRecords: 10 } } };
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

function storeOf(systemId: string, more: Partial<RedisStoreOptions> = {}): Backend {
  return redisStore({ url: server.url, systemId, segmentBytes: 4096, ...more });
}

/** A history of several segments, and the ids of its records. */
async function filled(systemId: string): Promise<{ key: string; records: string[] }> {
  const key = `papyra:${systemId}:events`;
  await withStore(storeOf(systemId), async (store) => {
    for (let n = 1; n <= COUNT; n++) await store.append("events", [event(n)]);
  });
  return { key, records: await recordsIn(key) };
}

async function recordsIn(key: string): Promise<string[]> {
  const entries = await rawEntries(admin, key);
  return entries.filter(({ data }) => data.includes('"kind":"event"')).map(({ id }) => id);
}

async function assertCompacted(systemId: string, more: readonly number[] = []): Promise<void> {
  expect(await scan(storeOf(systemId))).toMatchObject({ ok: true, anomalies: [] });
  const seen = await withStore(storeOf(systemId), (store) => payloadsOf(store, "events"));
  expect(seen.filter((n) => n !== undefined)).toEqual([...numbers(COUNT - 9, COUNT), ...more]);
  expect(await admin.keys(`papyra:${systemId}:*rewrite*`)).toEqual([]);
  expect(await admin.keys(`papyra:${systemId}:*superseded*`)).toEqual([]);
}

async function readAll(backend: Backend, { name, bytes, id }: Segment): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of backend.read(name, 0, bytes, id)) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

async function pendingOf(key: string): Promise<unknown[]> {
  const pending = await admin.xPendingRange(key, "tool", "-", "+", 1000);
  return pending.map(({ id, consumer, deliveriesCounter }) => [id, consumer, deliveriesCounter]);
}

describe("consumer groups", () => {
  test("ids of what stays, and places and pending entries of groups, stay as they were", async () => {
    const systemId = uniqueSystem();
    const { key, records } = await filled(systemId);
    await admin.xGroupCreate(key, "tool", "0");
    const got = await admin.xReadGroup("tool", "reader", { key, id: ">" }, { COUNT: 1000 });
    const read = (got?.[0]?.messages ?? []).map(({ id }) => id);
    await admin.xAck(key, "tool", read.slice(0, -3));
    const pending = await pendingOf(key);
    expect(pending).toHaveLength(3);
    await compact(storeOf(systemId), KEEP_10);
    expect(await recordsIn(key)).toEqual(records.slice(-10));
    expect(await pendingOf(key)).toEqual(pending);
    await withStore(storeOf(systemId), (store) => store.append("events", [event(99)]));
    const rest = await admin.xReadGroup("tool", "reader", { key, id: ">" }, { COUNT: 1000 });
    const lines = (rest?.[0]?.messages ?? []).map(({ message }) => String(message.data));
    expect(lines.filter((line) => line.includes('"kind":"event"'))).toHaveLength(1);
    await assertCompacted(systemId, [99]);
  });

  test("what a group has not read does not go, unless that was asked for", async () => {
    const systemId = uniqueSystem();
    const { key, records } = await filled(systemId);
    await admin.xGroupCreate(key, "tool", records[COUNT - 12] as string);
    const refused = compact(storeOf(systemId), KEEP_10);
    await expect(refused).rejects.toMatchObject({
      code: "GROUP_BEHIND",
      details: { group: "tool", id: records[COUNT - 12] },
    });
    expect(await recordsIn(key)).toEqual(records);
    expect((await scan(storeOf(systemId))).ok).toBe(true);
    expect(await admin.keys(`papyra:${systemId}:*rewrite*`)).toEqual([]);
    // One further: that is the newest of those that go.
    await admin.sendCommand(["XGROUP", "SETID", key, "tool", records[COUNT - 11] as string]);
    await compact(storeOf(systemId), KEEP_10);
    await assertCompacted(systemId);
    await admin.sendCommand(["XGROUP", "SETID", key, "tool", "0"]);
    await compact(storeOf(systemId, { compactUnread: true }), { retention: { events: { maxRecords: 0 } } });
    expect(await recordsIn(key)).toEqual([]);
  });

  test("what a group has not acknowledged does not go", async () => {
    const systemId = uniqueSystem();
    const { key, records } = await filled(systemId);
    await admin.xGroupCreate(key, "tool", "0");
    const got = await admin.xReadGroup("tool", "reader", { key, id: ">" }, { COUNT: 1000 });
    const others = (got?.[0]?.messages ?? []).map(({ id }) => id).filter((id) => id !== records[12]);
    await admin.xAck(key, "tool", others);
    const refused = compact(storeOf(systemId), KEEP_10);
    await expect(refused).rejects.toMatchObject({ code: "GROUP_BEHIND", message: /has not acknowledged/ });
    expect(await recordsIn(key)).toEqual(records);
    expect(await pendingOf(key)).toEqual([[records[12], "reader", 1]]);
    await admin.xAck(key, "tool", records[12] as string);
    await compact(storeOf(systemId), KEEP_10);
    await assertCompacted(systemId);
  });

  test("a reader that waits for the next entry goes on waiting, and gets it", async () => {
    const systemId = uniqueSystem();
    const { key } = await filled(systemId);
    await admin.xGroupCreate(key, "tool", "$");
    const reader = await server.admin();
    const store = await openStore(storeOf(systemId));
    const waiting = reader.xReadGroup("tool", "reader", { key, id: ">" }, { BLOCK: 20_000 });
    await store.close();
    await compact(storeOf(systemId), KEEP_10);
    expect((await waiting)?.[0]?.messages.length).toBeGreaterThan(0);
    reader.destroy();
  });
});

/** A claim, two closed segments in the middle of a history, and the lines that one made of them shall have. */
async function merging(systemId: string, more: Partial<RedisStoreOptions> = {}) {
  await filled(systemId);
  const backend = storeOf(systemId, more);
  const claim = await backend.claim("a test");
  const { segments } = await claim.view();
  const [, first, second] = segments.filter(({ log }) => log === "events") as [Segment, Segment, Segment];
  const bytes = await readAll(backend, first);
  const name = compactedName("events", first.firstSeq as number, (second.firstSeq as number) + 1, 1);
  const made = async function* (meanwhile: () => Promise<unknown>): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 200);
    await meanwhile();
    yield bytes.subarray(200);
  };
  return { backend, claim, first, second, bytes, name, made };
}

const nothing = async (): Promise<void> => undefined;

test("a segment that was replaced can be read until it is removed, and then says that it is gone", async () => {
  const systemId = uniqueSystem();
  const { backend, claim, first, second, bytes, name, made } = await merging(systemId);
  const begun = backend.read(second.name, 0, second.bytes, second.id)[Symbol.asyncIterator]();
  await claim.publish(name, made(nothing));
  const view = await claim.view();
  expect(view.superseded.map((one) => [one.name, one.by])).toEqual([
    [first.name, name],
    [second.name, name],
  ]);
  const compacted = view.segments.find((one) => one.name === name) as Segment;
  expect(compacted.id).not.toBe(first.id);
  expect(await readAll(backend, compacted)).toEqual(bytes);
  expect(await readAll(backend, first)).toEqual(bytes);
  expect((await begun.next()).done).toBe(false);
  await claim.remove([first.name, second.name]);
  await expect(readAll(backend, first)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
  expect((await claim.view()).superseded).toEqual([]);
  await claim.release();
});

test("a writer that is taken over in the middle puts nothing in place", async () => {
  const systemId = uniqueSystem();
  const { claim, name, made } = await merging(systemId, { leaseMs: 60_000 });
  const before = await rawEntries(admin, `papyra:${systemId}:events`);
  let other: Claim | undefined;
  const takeOver = async (): Promise<void> => {
    await admin.del(`papyra:${systemId}:writer`);
    other = await storeOf(systemId).claim("the next one");
  };
  await expect(claim.publish(name, made(takeOver))).rejects.toMatchObject({ code: "STORE_FENCED" });
  await expect(claim.remove([name])).resolves.toBeUndefined();
  expect(await rawEntries(admin, `papyra:${systemId}:events`)).toEqual(before);
  await other?.tidy();
  await other?.release();
  await claim.release();
  await compact(storeOf(systemId), KEEP_10);
  await assertCompacted(systemId);
});

test.each(["has read nothing", "has acknowledged nothing"])(
  "a group that is made while segments are merged and %s is seen by the last step",
  async (state) => {
    const systemId = uniqueSystem();
    const { claim, name, made } = await merging(systemId);
    const key = `papyra:${systemId}:events`;
    const before = await rawEntries(admin, key);
    const late = made(async () => {
      await admin.xGroupCreate(key, "tool", "0");
      if (state === "has read nothing") return;
      await admin.sendCommand(["XREADGROUP", "GROUP", "tool", "c", "COUNT", "100000", "STREAMS", key, ">"]);
    });
    await expect(claim.publish(name, late)).rejects.toMatchObject({ code: "GROUP_BEHIND" });
    expect(await rawEntries(admin, key)).toEqual(before);
    await claim.release();
  },
);

test("a step of another time that arrives in the middle costs nothing", async () => {
  const systemId = uniqueSystem();
  await filled(systemId);
  const before = await rawEntries(admin, `papyra:${systemId}:events`);
  const proxy = await ChaosProxy.before(server.port);
  const { claim, name, made } = await merging(uniqueSystem(), { url: proxy.url, ...QUICK });
  await admin.sendCommand(["SCRIPT", "FLUSH"]);
  proxy.plan("late", "UNLINK");
  // The removal of what was staged, sent again when no answer came, arrives once more when half is staged.
  await expect(
    claim.publish(
      name,
      made(() => proxy.deliver()),
    ),
  ).rejects.toMatchObject({ code: "HISTORY_CHANGED" });
  expect((await claim.view()).superseded).toEqual([]);
  await claim.release();
  await proxy.close();
  expect(await rawEntries(admin, `papyra:${systemId}:events`)).toEqual(before);
});

describe("a compaction that is cut off", () => {
  /** The scripts that stage, publish and forget, by what is in no other. */
  const steps = ["for k = 3, #KEYS do if", "COUNT', ARGV[4]", "ARGV[i + 1]", "XSETID", "HDEL', KEYS[1], ARGV[2]"];
  const moments = [
    ...steps.map((step) => ["gone-before", step] as const),
    ...steps.slice(-2).map((step) => ["gone-behind", step] as const),
  ];

  test.each(moments)("%s %s: nothing is lost, and the next one goes on", async (fault, step) => {
    const systemId = uniqueSystem();
    await filled(systemId);
    const proxy = await ChaosProxy.before(server.port);
    await admin.sendCommand(["SCRIPT", "FLUSH"]); // so that the text of each script is sent
    proxy.plan(fault, step);
    const cut = compact(storeOf(systemId, { url: proxy.url, ...IMPATIENT }), KEEP_10);
    await expect(cut).rejects.toMatchObject({ code: expect.stringMatching(/STORAGE_FAILED|OUTCOME_UNKNOWN/) });
    expect(proxy.done).toBe(1);
    await proxy.close();
    await admin.del(`papyra:${systemId}:writer`); // its lease ends
    const found = await scan(storeOf(systemId));
    expect(found.startable).toBe(true);
    const seen = await withStore(storeOf(systemId), (store) => payloadsOf(store, "events"));
    expect(seen.filter((n) => n !== undefined).slice(-10)).toEqual(numbers(COUNT - 9, COUNT));
    await compact(storeOf(systemId), KEEP_10);
    await assertCompacted(systemId);
  });

  const passing = (["lose-reply", "cut-request"] satisfies Fault[]).flatMap((fault) =>
    steps.map((step) => [fault, step] as const),
  );
  test.each(passing)("%s %s: it is asked again, and done once", async (fault, step) => {
    const systemId = uniqueSystem();
    await filled(systemId);
    const proxy = await ChaosProxy.before(server.port);
    await admin.sendCommand(["SCRIPT", "FLUSH"]);
    proxy.plan(fault, step);
    await compact(storeOf(systemId, { url: proxy.url, ...QUICK }), KEEP_10);
    expect(proxy.done).toBe(1);
    await proxy.close();
    await assertCompacted(systemId);
  });
});

test("without what stands beside them, compacted streams say the same", async () => {
  const systemId = uniqueSystem();
  await filled(systemId);
  await compact(storeOf(systemId), { retention: { events: { maxRecords: 70 } } });
  const records = async () => (await scan(storeOf(systemId))).logs.find(({ log }) => log === "events")?.records;
  const before = await records();
  await admin.hDel(`papyra:${systemId}:meta`, ["events", "events:end"]);
  expect((await scan(storeOf(systemId))).anomalies).toEqual([]);
  expect(await records()).toBe(before);
  await compact(storeOf(systemId), KEEP_10);
  await assertCompacted(systemId);
});
