// A consumer that follows a log through whatever befalls the server: every record reaches it, and nothing stays pending; and
// groups that several make at once, or that are gone with everything else.
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Delivery } from "../../src/redis/index.ts";
import { drain, followed, idsOf, numbers, seqsOf } from "./consumer-subject.ts";
import { QUICK } from "./history.ts";
import { type MishapWorld, SERVER_MISHAPS, whileItLasts } from "./mishaps.ts";
import { ChaosProxy } from "./proxy.ts";
import { RedisServer } from "./server.ts";

let world: MishapWorld;

beforeAll(async () => {
  const server = await RedisServer.start("--appendonly", "yes", "--appendfsync", "everysec");
  world = { server, admin: await server.admin(), proxy: await ChaosProxy.before(server.port) };
});

afterAll(async () => {
  world.admin.destroy();
  await world.proxy.close();
  await world.server.stop();
});

/** While memory is short, or replicas are missing, reading goes on: nothing would be seen of it. */
const SEEN = SERVER_MISHAPS.filter(({ name }) => !/OOM|NOREPLICAS|BUSY|MASTERDOWN|PAUSE\)/.test(name));

test("through each mishap of the server, one after the other", async () => {
  const log = followed(world.server.url);
  await log.append(1, 1);
  const consumer = log.consumer("a", QUICK);
  await consumer.ensure({ from: "start" });
  const end = new AbortController();
  const seen: Delivery[] = [];
  const reading = (async () => {
    for await (const batch of consumer.batches({ blockMs: 20, batch: 2, signal: end.signal })) {
      await consumer.ack(idsOf(batch));
      seen.push(...batch);
    }
  })();
  let failure: unknown;
  reading.catch((error: unknown) => (failure = error));
  const reached = (): number => {
    if (failure !== undefined) throw failure;
    return new Set(seqsOf(seen)).size;
  };
  const lived: string[] = [];
  for (const mishap of SEEN) {
    const written = 1 + 6 * (lived.length + 1);
    await world.admin.sendCommand(["CONFIG", "RESETSTAT"]);
    await log.append(written - 5, written);
    await mishap.befall(world);
    await whileItLasts(mishap, world);
    await mishap.mend(world);
    while (reached() < written) await delay(10);
    lived.push(mishap.name);
  }
  end.abort(new Error("enough"));
  await expect(reading).rejects.toThrow("enough");
  expect(lived).toHaveLength(SEEN.length);
  const first = seqsOf(seen).filter((seq, i, all) => all.indexOf(seq) === i);
  expect(first).toEqual(numbers(1, 1 + 6 * lived.length));
  expect(await consumer.pending()).toMatchObject({ total: 0 });
});

test("many make the same group at once (BUSYGROUP): one has made it, and it stands where that one said", async () => {
  const log = followed(world.server.url);
  await log.append(1, 4);
  const made = await Promise.all(numbers(1, 8).map((n) => log.consumer(`c${n}`).ensure({ from: "start" })));
  expect(made.filter(({ created }) => created)).toHaveLength(1);
  expect(seqsOf(await drain(log.consumer("c1")))).toEqual(numbers(1, 4));
});

test("a group that goes while it is followed (NOGROUP), and a store that goes, end the call with their names", async () => {
  const log = followed(world.server.url);
  await log.append(1, 2);
  const consumer = log.consumer("a");
  await consumer.ensure({ from: "start" });
  const follow = async (): Promise<void> => {
    for await (const { id } of consumer.consume({ blockMs: 20 })) await consumer.ack([id]);
  };
  const gone = expect(follow()).rejects.toMatchObject({ code: "GROUP_NOT_FOUND", hint: /--group tool/ });
  await world.admin.sendCommand(["XGROUP", "DESTROY", log.key, "tool"]);
  await gone;
  await consumer.ensure({ from: "start" });
  const flushed = expect(follow()).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
  await world.admin.flushDb();
  await flushed;
});

test("another key in place of the stream (WRONGTYPE) is named", async () => {
  const log = followed(world.server.url);
  await log.append(1, 2);
  const consumer = log.consumer("a");
  await consumer.ensure({ from: "start" });
  await world.admin.set(log.key, "mine");
  await expect(consumer.pending()).rejects.toMatchObject({ code: "STORAGE_FAILED", hint: /another prefix/ });
  await expect(consumer.ack(["1-0"])).rejects.toMatchObject({ code: "STORAGE_FAILED", hint: /another prefix/ });
});
