// What opening a store of many segments asks of the server.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { redisStore } from "../../src/redis/index.ts";
import { event, withStore } from "../../src/testing/contract-subject.ts";
import { RedisServer } from "./server.ts";
import { uniqueSystem } from "./subject.ts";

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test("opening reads a few entries of each closed segment, however long it is", async () => {
  const server = await RedisServer.start();
  const admin = await server.admin();
  const costs: number[] = [];
  for (const segmentBytes of [8 << 10, 64 << 10]) {
    const systemId = uniqueSystem();
    const backend = redisStore({ url: server.url, systemId, segmentBytes });
    await withStore(backend, async (store) => {
      const segments = async () => (await backend.view()).segments.filter(({ log }) => log === "events").length;
      for (let n = 1; (await segments()) < 6; n++)
        await store.append(
          "events",
          numbers(1, 20).map((i) => event(20 * n + i)),
        );
    });
    const opened = redisStore({ url: server.url, systemId });
    await admin.sendCommand(["CONFIG", "RESETSTAT"]);
    await (await openStore(opened)).close();
    const stats = await admin.sendCommand<string>(["INFO", "commandstats"]);
    const calls = [...stats.matchAll(/cmdstat_(?:xrange|xrevrange):calls=(\d+)/g)].map(([, n]) => Number(n));
    costs.push(calls.reduce((sum, n) => sum + n, 0));
  }
  admin.destroy();
  await server.stop();
  expect(Math.abs((costs[0] as number) - (costs[1] as number))).toBeLessThan(12);
});
