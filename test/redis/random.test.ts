// Whatever is deleted from a stream and added to it behind the writer's back: recovery mends it, keeps every healthy line and
// its id, accounts for the rest, and the next writer goes on. PAPYRA_REDIS_ROUNDS for more.
import { afterAll, beforeAll, expect, test } from "vitest";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore } from "../../src/redis/index.ts";
import { event, payloadsOf, withStore } from "../../src/testing/contract-subject.ts";
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

/** mulberry32 */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}

const ROUNDS = Number(process.env.PAPYRA_REDIS_ROUNDS ?? 25);
const FOREIGN = ["nonsense", "nonsense\n", '{"seq":3,"kind":"event"}\n', "", "\n\n", "x".repeat(3000)];

test(`${ROUNDS} histories, each touched in several ways`, async () => {
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const random = randomOf(seed);
    const systemId = uniqueSystem();
    const key = `papyra:${systemId}:events`;
    const store = redisStore({ url: server.url, systemId, segmentBytes: seed % 2 === 0 ? 4096 : 1 << 30 });
    let written = 0;
    let alive = new Map<string, string>();
    for (let turn = 0; turn < 3; turn++) {
      await withStore(store, async (opened) => {
        for (let n = random(30) + 1; n > 0; n--) await opened.append("events", [event({ n: ++written })]);
      });
      const before = await rawEntries(admin, key);
      const gone = before.filter(() => random(8) === 0).map(({ id }) => id);
      if (gone.length > 0) await admin.xDel(key, gone);
      for (let n = random(3); n > 0; n--)
        await admin.xAdd(key, "*", { data: FOREIGN[random(FOREIGN.length)] as string });
      alive = new Map(before.filter(({ id }) => !gone.includes(id)).map(({ id, data }) => [id, String(data)]));
      if (random(2) === 0) await recover(store, { mode: random(2) === 0 ? "repair" : "quarantine" });
    }
    const what = `seed ${seed}`;
    const report = await recover(store, { mode: "quarantine" });
    expect(report.after.anomalies, what).toEqual([]);
    expect((await recover(store, { mode: "repair" })).changed, what).toBe(false);
    const after = new Map((await rawEntries(admin, key)).map(({ id, data }) => [id, String(data)]));
    for (const [id, data] of alive)
      if (data.startsWith('{"seq"') && data.includes('"event_type"'))
        expect(after.get(id), `${what}: ${id}`).toBe(data);
    const log = report.after.logs.find(({ log: name }) => name === "events");
    const { compacted, quarantined, lost } = log?.accounted ?? { compacted: 0, quarantined: 0, lost: 0 };
    expect((log?.records ?? 0) + compacted + quarantined + lost, what).toBe(log?.lastSeq);
    const payloads = await withStore(store, async (opened) => {
      await opened.append("events", [event({ n: ++written })]);
      return payloadsOf(opened, "events");
    });
    const numbers = payloads.flatMap((payload) => (payload === undefined ? [] : [(payload as { n: number }).n]));
    expect(numbers, what).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect((await scan(store)).ok, what).toBe(true);
    await admin.del(await admin.keys(`papyra:${systemId}:*`));
  }
});
