// A cluster of three masters: a store is opened at any node, and Papyra goes to the one that holds its slot, also when the slot
// moves while the store is written; when that node dies, each call ends, and what was acknowledged is there when it comes back.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createCluster } from "redis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { backups } from "../../src/backup/index.ts";
import type { PapyraError } from "../../src/errors.ts";
import { compact } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { type ConsumerGroup, consumerGroup, redisStore, type RedisStoreOptions } from "../../src/redis/index.ts";
import { contents, event, write } from "../backup/world.ts";
import { drain, idsOf, numbers, seqsOf } from "./consumer-subject.ts";
import { IMPATIENT, QUICK } from "./history.ts";
import { type Admin, RedisServer } from "./server.ts";
import { uniqueSystem } from "./subject.ts";

interface Node {
  readonly server: RedisServer;
  readonly admin: Admin;
  readonly id: string;
}

let nodes: Node[];
let place: string;
/** The first node, which holds no slot that is used here, writes no append-only file. */
const DURABLE = ["--appendonly", "yes", "--appendfsync", "always"];
/** Of a node that is down only its own slots are. */
const LASTING = ["--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"];
const SLOTS = [0, 5461, 10923, 16384] as const;

beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "papyra-cluster-"));
  nodes = await Promise.all(
    [[], DURABLE, DURABLE].map(async (settings) => {
      const server = await RedisServer.start("--cluster-enabled", "yes", ...LASTING, ...settings);
      const admin = await server.admin();
      return { server, admin, id: await admin.sendCommand<string>(["CLUSTER", "MYID"]) };
    }),
  );
  for (const [i, { admin, server }] of nodes.entries()) {
    await admin.sendCommand(["CLUSTER", "ADDSLOTSRANGE", String(SLOTS[i]), String((SLOTS[i + 1] as number) - 1)]);
    await node(0).admin.sendCommand(["CLUSTER", "MEET", "127.0.0.1", String(server.port), String(server.busPort)]);
  }
  await settled();
});

afterAll(async () => {
  for (const { server, admin } of nodes) {
    admin.destroy();
    await server.stop();
  }
  await rm(place, { recursive: true, force: true });
});

const node = (i: number): Node => nodes[i] as Node;

/** Waits until every node knows who holds every slot, and answers. */
async function settled(): Promise<void> {
  for (const { admin } of nodes) {
    const info = (): Promise<string> => admin.sendCommand<string>(["CLUSTER", "INFO"]).catch(() => "");
    while (!/cluster_state:ok[^]*cluster_slots_ok:16384[^]*cluster_size:3/.test(await info())) await delay(20);
  }
}

const slotOf = (key: string): Promise<number> => node(0).admin.sendCommand<number>(["CLUSTER", "KEYSLOT", key]);

/** An id whose keys are in a slot of that node. */
async function systemAt(i: number): Promise<string> {
  for (;;) {
    const systemId = uniqueSystem();
    const slot = await slotOf(`{papyra:${systemId}}`);
    if (slot >= (SLOTS[i] as number) && slot < (SLOTS[i + 1] as number)) return systemId;
  }
}

/** Opened at the first node. */
const optionsOf = (systemId: string, more: Partial<RedisStoreOptions> = {}): RedisStoreOptions => ({
  url: node(0).server.url,
  systemId,
  hashTag: true,
  segmentBytes: 4096,
  ...QUICK,
  ...more,
});

const groupOf = (systemId: string): ConsumerGroup => {
  const { segmentBytes: _, ...of } = optionsOf(systemId);
  return consumerGroup({ ...of, log: "events", group: "tool", consumer: "a" });
};

const payloads = async (options: RedisStoreOptions): Promise<unknown[]> =>
  ((await contents(redisStore(options))).events as { payload: { n: number } }[]).map(({ payload }) => payload.n);

/** As resharding does it, with pauses: key by key, while clients go on. */
async function move(systemId: string, from: number, to: number): Promise<void> {
  const slot = String(await slotOf(`{papyra:${systemId}}`));
  const [source, target] = [node(from), node(to)];
  await target.admin.sendCommand(["CLUSTER", "SETSLOT", slot, "IMPORTING", source.id]);
  await source.admin.sendCommand(["CLUSTER", "SETSLOT", slot, "MIGRATING", target.id]);
  const keys = await source.admin.sendCommand<string[]>(["CLUSTER", "GETKEYSINSLOT", slot, "100"]);
  expect(keys.length).toBeGreaterThan(5);
  for (const key of keys) {
    await source.admin.sendCommand(["MIGRATE", "127.0.0.1", String(target.server.port), key, "0", "5000"]);
    await delay(10);
  }
  for (const { admin } of [target, source, node(0)])
    await admin.sendCommand(["CLUSTER", "SETSLOT", slot, "NODE", target.id]);
}

test("opened at a node that does not hold its keys: written, followed, compacted, recovered, backed up and restored", async () => {
  const systemId = await systemAt(1);
  const store = redisStore(optionsOf(systemId));
  await write(store, 60);
  const group = groupOf(systemId);
  await group.ensure({ from: "start" });
  const deliveries = await drain(group);
  expect(seqsOf(deliveries)).toEqual(numbers(1, 60));
  await group.ack(idsOf(deliveries).slice(0, -1));
  const repository = backups(join(place, "backups"));
  expect(await repository.create(store, { freeze: true })).toMatchObject({ ok: true });
  // Another system is in another slot, and may be at another node.
  const restored = redisStore(optionsOf(await systemAt(2)));
  expect((await repository.restore(restored)).verdict).toContain("1 consumer groups, 1 pending entries");
  expect(await contents(restored)).toEqual(await contents(store));
  await group.ack(idsOf(deliveries).slice(-1));
  expect(await compact(store, { retention: { events: { maxRecords: 10 } } })).toMatchObject({ ok: true });
  await node(1).admin.xAdd(`{papyra:${systemId}}:events`, "*", { data: "nonsense" });
  expect(await recover(store, { mode: "quarantine" })).toMatchObject({ ok: true, changed: true });
  expect((await scan(store)).ok).toBe(true);
  await write(store, 1);
  expect(await node(0).admin.dbSize()).toBe(0);
});

test("a plain client may be of any node; one of the whole cluster is refused, and told what to give", async () => {
  const systemId = await systemAt(2);
  const { url: _, ...options } = optionsOf(systemId);
  await write(redisStore({ ...options, client: node(0).admin }), 3);
  expect(await payloads(optionsOf(systemId))).toEqual([1, 2, 3]);
  const client = createCluster({ rootNodes: [{ url: node(0).server.url }] });
  expect(() => redisStore({ ...options, client })).toThrow(/of a cluster give the `url` of any node/);
});

test("what an acknowledgement means is asked of the node that holds the keys", async () => {
  const more = { requireDurability: "power-cut" } as const;
  await write(redisStore(optionsOf(await systemAt(1), more)), 1);
  const error = { code: "DURABILITY_REFUSED" };
  const here = optionsOf(await systemAt(0), { ...more, url: node(1).server.url });
  await expect(openStore(redisStore(here))).rejects.toMatchObject(error);
});

test("without a hash tag it is refused, whatever node it is, before anything is written", async () => {
  const sizes = (): Promise<number[]> => Promise.all(nodes.map(({ admin }) => admin.dbSize()));
  const before = await sizes();
  for (const { server } of nodes) {
    const opened = openStore(redisStore(optionsOf(uniqueSystem(), { hashTag: false, url: server.url })));
    const hint = expect.stringContaining("set hashTag") as string;
    await expect(opened).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining("CROSSSLOT"),
      hint,
    });
  }
  expect(await sizes()).toEqual(before);
});

test("the slot moves to another node, and back, while the store is written and followed: nobody notices", async () => {
  const systemId = await systemAt(1);
  const options = optionsOf(systemId);
  const store = await openStore(redisStore(options));
  const group = groupOf(systemId);
  await group.ensure({ from: "start" });
  let n = 0;
  let done = false;
  const writing = [1, 2, 3].map(async () => {
    while (!done) await store.append("events", [event((n += 1))]);
  });
  const seen: number[] = [];
  const following = (async () => {
    while (!done) {
      const deliveries = await drain(group);
      seen.push(...(seqsOf(deliveries) as number[]));
      await group.ack(idsOf(deliveries));
      await delay(5);
    }
  })();
  const writes = async (more: number): Promise<void> => {
    for (const until = n + more; n < until; ) await delay(5);
  };
  await writes(7);
  await move(systemId, 1, 2);
  await writes(7);
  expect(await node(2).admin.exists(`{papyra:${systemId}}:events`)).toBe(1);
  await move(systemId, 2, 1);
  await writes(7);
  done = true;
  await Promise.all([...writing, following]);
  await store.close();
  expect(n).toBeGreaterThan(20);
  expect(await payloads(options)).toEqual(numbers(1, n));
  seen.push(...(seqsOf(await drain(group)) as number[]));
  expect([...new Set(seen)].toSorted((a, b) => a - b)).toEqual(numbers(1, n));
});

test("the slot is on its way for longer than a call waits: it ends in time, and says what to look at", async () => {
  const systemId = await systemAt(1);
  const slot = String(await slotOf(`{papyra:${systemId}}`));
  const options = optionsOf(systemId, IMPATIENT);
  await write(redisStore(options), 2);
  const store = await openStore(redisStore(options));
  await node(1).admin.sendCommand(["CLUSTER", "SETSLOT", slot, "MIGRATING", node(2).id]);
  await node(1)
    .admin.sendCommand(["MIGRATE", "127.0.0.1", String(node(2).server.port), `{papyra:${systemId}}:meta`, "0", "5000"])
    .catch(() => undefined);
  const began = performance.now();
  const error = (await scan(redisStore(options)).catch((thrown: unknown) => thrown)) as PapyraError;
  expect(error).toMatchObject({
    code: "STORAGE_FAILED",
    hint: expect.stringContaining("redis-cli --cluster check") as string,
  });
  expect(performance.now() - began).toBeLessThan(IMPATIENT.outcomeTimeoutMs + IMPATIENT.commandTimeoutMs + 2000);
  await node(1).admin.sendCommand(["CLUSTER", "SETSLOT", slot, "STABLE"]);
  await store.append("events", [event(3)]);
  await store.close();
  expect(await payloads(options)).toEqual([1, 2, 3]);
});

test("the node dies: who does not wait is told that the outcome is unknown, who waits goes on when it is back", async () => {
  const hasty = optionsOf(await systemAt(1), { ...IMPATIENT, leaseMs: 1500 });
  const patient = optionsOf(await systemAt(1));
  const [first, second] = [await openStore(redisStore(hasty)), await openStore(redisStore(patient))];
  for (let n = 1; n <= 5; n++) await Promise.all([first, second].map((store) => store.append("events", [event(n)])));
  await node(1).server.kill();
  const began = performance.now();
  const later = second.append("events", [event(6)]);
  await expect(first.append("events", [event(6)])).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  expect(performance.now() - began).toBeLessThan(IMPATIENT.outcomeTimeoutMs + IMPATIENT.commandTimeoutMs + 2000);
  await expect(first.append("events", [event(7)])).rejects.toMatchObject({ code: "STORE_POISONED" });
  await first.close().catch(() => undefined);
  await node(1).server.run();
  await later;
  await second.close();
  await settled();
  expect(await payloads(patient)).toEqual(numbers(1, 6));
  while ((await node(1).admin.exists(`{papyra:${hasty.systemId}}:writer`)) === 1) await delay(50);
  expect([numbers(1, 5), numbers(1, 6)]).toContainEqual(await payloads(hasty));
});

test("the node that held the keys dies once they have moved: the others know where they are", async () => {
  const options = optionsOf(await systemAt(1));
  const store = await openStore(redisStore(options));
  await store.append("events", [event(1)]);
  await move(options.systemId, 1, 2);
  await node(1).server.kill();
  await store.append("events", [event(2)]);
  await node(1).server.run();
  await settled();
  await store.close();
  expect(await payloads(options)).toEqual([1, 2]);
});

test("the node that a store was opened at dies: what is at another one goes on, over a new connection too", async () => {
  const options = optionsOf(await systemAt(2));
  const store = await openStore(redisStore(options));
  await store.append("events", [event(1)]);
  await node(0).server.kill();
  await node(2).admin.sendCommand(["CLIENT", "KILL", "TYPE", "normal"]);
  await store.append("events", [event(2)]);
  await store.close();
  expect(await payloads({ ...options, url: node(2).server.url })).toEqual([1, 2]);
});
