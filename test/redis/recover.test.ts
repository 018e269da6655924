// Recovery in a stream: what stays keeps its ids, consumer groups keep their places, a crash leaves before or after.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Splice } from "../../src/backends/backend.ts";
import { openStore } from "../../src/backends/open.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore } from "../../src/redis/index.ts";
import { SpliceEntries } from "../../src/redis/splice-entries.ts";
import { event, payloadsOf, withStore } from "../../src/testing/contract-subject.ts";
import { IMPATIENT } from "./history.ts";
import { ChaosProxy } from "./proxy.ts";
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

/** Ten records, of which the fifth is deleted by hand. */
async function holed(systemId: string): Promise<{ key: string; ids: string[] }> {
  const key = `papyra:${systemId}:events`;
  await withStore(redisStore({ url: server.url, systemId }), async (store) => {
    for (let n = 1; n <= 10; n++) await store.append("events", [event(n)]);
  });
  const ids = (await rawEntries(admin, key)).map(({ id }) => id);
  return { key, ids };
}

test("ids of what stays, and the places and pending entries of groups, stay as they were", async () => {
  const systemId = uniqueSystem();
  const { key, ids } = await holed(systemId);
  await admin.xGroupCreate(key, "tool", "0");
  await admin.xReadGroup("tool", "reader", { key, id: ">" }, { COUNT: 8 });
  await admin.xAck(key, "tool", ids.slice(0, 4));
  await admin.xDel(key, ids[5] as string);
  const before = await admin.xPendingRange(key, "tool", "-", "+", 100);
  const store = redisStore({ url: server.url, systemId });
  expect(await recover(store, { mode: "repair" })).toMatchObject({
    ok: true,
    gaps: [{ from: 5, to: 5, reason: "lost" }],
  });

  const after = await rawEntries(admin, key);
  expect(after.map(({ id }) => id).slice(0, -1)).toEqual(ids.filter((_, i) => i !== 5));
  const [group] = await admin.xInfoGroups(key);
  expect(group).toMatchObject({ name: "tool", "last-delivered-id": ids[7], consumers: 1 });
  const pending = await admin.xPendingRange(key, "tool", "-", "+", 100);
  expect(pending.map(({ id, consumer, deliveriesCounter }) => [id, consumer, deliveriesCounter])).toEqual(
    before
      .filter(({ id }) => id !== ids[5])
      .map(({ id, consumer, deliveriesCounter }) => [id, consumer, deliveriesCounter]),
  );
  await withStore(store, (opened) => opened.append("events", [event(11)]));
  const rest = await admin.xReadGroup("tool", "reader", { key, id: ">" }, { COUNT: 100 });
  expect(rest?.[0]?.messages).toHaveLength(ids.length - 8 + 2); // the gap record and the new one
  expect((await scan(store)).ok).toBe(true);
});

test("a reader that waits for the next entry goes on waiting, and gets it", async () => {
  const systemId = uniqueSystem();
  const { key, ids } = await holed(systemId);
  await admin.xGroupCreate(key, "tool", "$");
  await admin.xDel(key, ids[5] as string);
  const reader = await server.admin();
  const waiting = reader.xReadGroup("tool", "reader", { key, id: ">" }, { BLOCK: 20_000 });
  await recover(redisStore({ url: server.url, systemId }), { mode: "repair" });
  const got = await waiting;
  expect(got?.[0]?.messages[0]?.message.data).toContain('"kind":"gap"');
  reader.destroy();
});

test("new lines behind deleted ones get ids that no group has passed", async () => {
  const systemId = uniqueSystem();
  const { key, ids } = await holed(systemId);
  await admin.xGroupCreate(key, "tool", "$");
  await admin.xDel(key, ids.slice(-2));
  const store = redisStore({ url: server.url, systemId });
  await recover(store, { mode: "repair" });
  await withStore(store, (opened) => opened.append("events", [event("new")]));
  const got = await admin.xReadGroup("tool", "reader", { key, id: ">" });
  expect(
    got?.[0]?.messages.map(({ message }) => (JSON.parse(message.data as string) as { kind: string }).kind),
  ).toEqual(["gap", "event"]);
  await withStore(store, async (opened) =>
    expect(await payloadsOf(opened, "events")).toEqual([1, 2, 3, 4, 5, 6, 7, 8, undefined, "new"]),
  );
});

describe("a recovery that is cut off", () => {
  const moments = (["gone-before", "gone-behind"] as const).flatMap((fault) =>
    ["XRANGE", "UNLINK", "COUNT', ARGV[4]", "ARGV[i + 1]", "RENAME"].map((holding) => [fault, holding] as const),
  );
  test.each(moments)("%s %s: before or after, and the next one goes on", async (fault, holding) => {
    const systemId = uniqueSystem();
    const { key, ids } = await holed(systemId);
    await admin.xDel(key, ids[5] as string);
    const before = (await rawEntries(admin, key)).map(({ id }) => id);
    const proxy = await ChaosProxy.before(server.port);
    const cut = redisStore({ url: proxy.url, systemId, ...IMPATIENT });
    await admin.sendCommand(["SCRIPT", "FLUSH"]); // so that the text of each script is sent
    proxy.plan(fault, holding);
    await expect(recover(cut, { mode: "repair" })).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    expect(proxy.done).toBe(1);
    await proxy.close();
    const now = (await rawEntries(admin, key)).map(({ id }) => id);
    const published = fault === "gone-behind" && holding === "RENAME";
    expect(now.slice(0, before.length)).toEqual(before);
    expect(now.length - before.length).toBe(published ? 1 : 0);
    await admin.del(`papyra:${systemId}:writer`); // its lease ends
    const store = redisStore({ url: server.url, systemId });
    expect((await recover(store, { mode: "repair" })).ok).toBe(true);
    expect(await scan(store)).toMatchObject({ ok: true, anomalyCount: 0 });
    expect(await admin.keys(`papyra:${systemId}:*rewrite*`)).toEqual([]);
    await withStore(store, async (opened) => expect(await payloadsOf(opened, "events")).toHaveLength(10));
  });
});

test("a damaged identity is rebuilt from the streams, and its bytes are kept", async () => {
  const systemId = uniqueSystem();
  await holed(systemId);
  const store = redisStore({ url: server.url, systemId });
  const { identity } = await store.view();
  const meta = `papyra:${systemId}:meta`;
  await admin.hSet(meta, "identity", "garbage");
  expect((await scan(store)).counts).toEqual({ "checksum-mismatch": 1 });
  expect(await recover(store, { mode: "quarantine" })).toMatchObject({ ok: true, changed: true });
  expect((await store.view()).identity).toMatchObject({ store: identity?.store, lineage: identity?.lineage });
  const kept = await admin.xRange(`papyra:${systemId}:quarantine`, "-", "+");
  expect(kept?.map(({ message }) => [message.file, message.data])[0]).toEqual(["papyra.json.bytes", "garbage"]);
});

test("the hash beside the streams can be lost: the streams say what they are", async () => {
  const systemId = uniqueSystem();
  await holed(systemId);
  const store = redisStore({ url: server.url, systemId, segmentBytes: 4096 });
  await withStore(store, async (opened) => {
    for (let n = 11; n <= 100; n++) await opened.append("events", [event(n)]);
  });
  const before = await store.view();
  expect(before.segments.filter(({ log }) => log === "events").length).toBeGreaterThan(2);
  await admin.del(`papyra:${systemId}:meta`);
  const after = await store.view();
  expect(after.segments).toEqual(before.segments);
  expect({ ...after.identity, createdMs: 0 }).toEqual({ ...before.identity, createdMs: 0 });
  const reopened = await openStore(store);
  expect(await payloadsOf(reopened, "events")).toHaveLength(100);
  await reopened.append("events", [event(101)]);
  await reopened.close();
  expect((await scan(store)).anomalies).toEqual([]);
});

test("whatever is cut out and put in, the bytes are those of the change, and what stays is never touched", () => {
  const line = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 6 }).map((letters) => `${letters.join("")}\n`);
  const cuts = fc.array(fc.tuple(fc.nat(40), fc.nat(12), fc.array(line, { maxLength: 2 })), { maxLength: 4 });
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 8 }), fc.boolean(), cuts, (lines, torn, changes) => {
      if (torn) lines.push("torn");
      const bytes = Buffer.from(lines.join(""));
      const splices: Splice[] = [];
      let from = 0;
      for (const [gap, remove, insert] of changes) {
        const offset = Math.min(from + gap, bytes.length);
        const count = Math.min(remove, bytes.length - offset);
        splices.push({ offset, remove: count, insert: Buffer.from(insert.join("")) });
        from = offset + count + 1;
        if (from > bytes.length) break;
      }
      const expected: Buffer[] = [];
      let position = 0;
      for (const { offset, remove, insert } of splices) {
        expected.push(bytes.subarray(position, offset), Buffer.from(insert));
        position = offset + remove;
      }
      expected.push(bytes.subarray(position));
      const change = new SpliceEntries(splices);
      const result: Buffer[] = [];
      for (const text of lines) {
        const { before, keep } = change.next({ bytes: Buffer.from(text) });
        result.push(...before);
        if (keep) result.push(Buffer.from(text));
      }
      result.push(...change.end());
      expect(Buffer.concat(result).toString()).toBe(Buffer.concat(expected).toString());
    }),
    { numRuns: 2000, seed: 7 },
  );
});
