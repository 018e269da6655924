// A stream that takes the place of one that is being written.
import { expect, test } from "vitest";
import { nodeEnv } from "../../src/env/node.ts";
import { scan } from "../../src/ops/scan.ts";
import { connectClient } from "../../src/redis/client.ts";
import { Connection } from "../../src/redis/connection.ts";
import { redisStore } from "../../src/redis/index.ts";
import { keysOf } from "../../src/redis/keys.ts";
import { look } from "../../src/redis/look.ts";
import { resolveRedisOptions } from "../../src/redis/options.ts";
import { Staging } from "../../src/redis/staging.ts";
import { event, payloadsOf, withStore } from "../../src/testing/contract-subject.ts";
import { RedisServer } from "./server.ts";
import { uniqueSystem } from "./subject.ts";

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test("what is asked for again, since the answer was lost, finds its own work, and takes what came since", async () => {
  const server = await RedisServer.start();
  const admin = await server.admin();
  const options = resolveRedisOptions({ url: server.url, systemId: uniqueSystem() });
  const connection = new Connection(
    () => connectClient(options, nodeEnv.clock),
    nodeEnv.clock,
    options.timing,
    "a test",
  );
  const keys = keysOf(options.base);
  await admin.hSet(keys.meta, "writer", "a token");
  const staging = new Staging(connection, keys, "a token", "events");
  const expected: unknown[] = [];
  for (const upTo of [3, 5]) {
    for (let off = expected.length; off < upTo; off++)
      expected.push({
        id: await admin.xAdd(keys.stream("events"), `7-${off}`, { data: String(off) }),
        message: { data: String(off) },
      });
    await staging.copy("-", "+");
    expect(await admin.xRange(staging.key, "-", "+")).toMatchObject(expected);
  }
  const entries = [1, 2].map((off) => ({ id: { ms: 8, off }, bytes: Buffer.from("new") }));
  for (let times = 0; times < 2; times++) await staging.put(entries);
  expect((await admin.xRange(staging.key, "-", "+"))?.map(({ id }) => id)).toEqual(
    "7-0 7-1 7-2 7-3 7-4 8-1 8-2".split(" "),
  );
  connection.close();
  admin.destroy();
  await server.stop();
});

test("whatever is written while the stream is copied is in the new one, however much it is", async () => {
  const server = await RedisServer.start();
  const admin = await server.admin();
  const systemId = uniqueSystem();
  const backend = redisStore({ url: server.url, systemId });
  await withStore(backend, (store) => store.append("events", [event(1)]));
  const options = resolveRedisOptions({ url: server.url, systemId });
  const make = () => connectClient(options, nodeEnv.clock);
  const connection = new Connection(make, nodeEnv.clock, options.timing, "a test");
  const keys = keysOf(options.base);
  await withStore(backend, async (store) => {
    const token = (await admin.hGet(keys.meta, "writer")) as string;
    const staging = new Staging(connection, keys, token, "events");
    await staging.begin();
    await staging.copy("-", "+");
    for (let i = 0; i < 26; i++)
      await store.append(
        "events",
        numbers(1, 100).map((n) => event(1000 + 100 * i + n)),
      );
    const seen = (await look(connection, keys)).logs.events;
    await staging.publish({ layout: seen.segments, noted: seen.noted });
    await store.append("events", [event("last")]);
  });
  const seen = await withStore(backend, (store) => payloadsOf(store, "events"));
  expect(seen).toEqual([1, ...numbers(1001, 3600), "last"]);
  expect((await scan(backend)).anomalies).toEqual([]);
  admin.destroy();
  await server.stop();
});
