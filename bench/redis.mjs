// The Redis store against bare loops of the same client over the same records: appending with pipelined XADD, reading with
// pages of XRANGE. Also backups and restores, and the memory of a scan and a backup at two sizes. The server is its own, on a
// free port; on a machine that it shares with the benchmark its work counts as much as that of the client.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "redis";
import { backups } from "../dist/backup/index.js";
import { openStore } from "../dist/index.js";
import { scan } from "../dist/ops/scan.js";
import { redisStore } from "../dist/redis/index.js";
import { alone, peakMB } from "./alone.mjs";
import { median, rounds, timed } from "./measure.mjs";

const PROGRAM = process.env.PAPYRA_REDIS_SERVER ?? "redis-server";
const POLICIES = {
  "AOF always": ["--appendonly", "yes", "--appendfsync", "always"],
  "AOF everysec": ["--appendonly", "yes", "--appendfsync", "everysec"],
  "no AOF": ["--appendonly", "no"],
};
/** Writers, how often each appends, and how many records at once: a third of a second or so, else it is the machine that is measured. */
const WRITERS = [
  [1, 2000, 1],
  [1, 400, 100],
  [64, 400, 1],
  [1000, 40, 1],
];
const HISTORY = 50_000;
const PAGE = 1000;

const recordOf = (n) => ({
  kind: "event",
  system_id: "bench",
  actor_address: `bench://account/${n % 1000}`,
  event_type: "Deposited",
  payload: { amount: n % 977, currency: "EUR", reference: `ref-${n}`, note: "monthly transfer" },
});

/** Runs `work` with the URL of a server of its own. */
async function withServer(base, settings, work) {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  const dir = mkdtempSync(join(base, "redis-"));
  const fixed = ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", ""];
  const server = spawn(PROGRAM, [...fixed, ...settings], { stdio: "ignore" });
  const ended = once(server, "exit");
  const client = createClient({ url: `redis://127.0.0.1:${port}`, RESP: 2 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    while ((await client.ping().catch(() => "")) !== "PONG") await delay(50);
    return await work(client, `redis://127.0.0.1:${port}`);
  } finally {
    client.destroy();
    server.kill("SIGKILL");
    await ended;
    rmSync(dir, { recursive: true, force: true });
  }
}

async function papyraAppend(url, client, writers, each, batch) {
  await client.flushAll();
  const store = await openStore(redisStore({ url, systemId: "bench" }));
  let n = 0;
  const records = () => Array.from({ length: batch }, () => recordOf(n++));
  const rate = await timed(writers * each * batch, () =>
    Promise.all(
      Array.from({ length: writers }, async () => {
        for (let i = 0; i < each; i++) await store.append("events", records());
      }),
    ),
  );
  await store.close();
  return rate;
}

/** No callers that each wait for theirs, only batches of as many commands, which the client sends in one go. */
async function bareAppend(client, commands, each) {
  await client.flushAll();
  let n = 0;
  return timed(commands * each, async () => {
    for (let i = 0; i < each; i++) {
      const pipeline = client.multi();
      for (let c = 0; c < commands; c++) {
        const line = JSON.stringify({ seq: n, timestamp: Date.now() / 1000, ...recordOf(n++) });
        pipeline.addCommand(["XADD", "bare", "*", "data", line]);
      }
      await pipeline.execAsPipeline();
    }
  });
}

async function benchAppends(base, roundCount) {
  const rows = [];
  for (const [policy, settings] of Object.entries(POLICIES)) {
    await withServer(base, settings, async (client, url) => {
      for (const [writers, each, batch] of WRITERS) {
        const result = await rounds(roundCount, {
          papyra: () => papyraAppend(url, client, writers, each, batch),
          bare: () => bareAppend(client, writers * batch, each),
        });
        rows.push({
          what: `append to Redis, ${policy}, ${writers} concurrent writer${writers === 1 ? "" : "s"}${batch === 1 ? "" : `, batches of ${batch}`}`,
          papyra: `${Math.round(result.papyra.perSecond).toLocaleString("en-US")} records/s`,
          ratios: { "bare pipelined XADD": result.bare.ratio },
          budget: batch === 100 ? "0.8 of bare" : "",
        });
      }
    });
  }
  return rows;
}

export async function fill(url, records) {
  const store = await openStore(redisStore({ url, systemId: "bench" }));
  for (let n = 0; n < records; n += PAGE)
    await store.append(
      "events",
      Array.from({ length: Math.min(PAGE, records - n) }, (_, i) => recordOf(n + i)),
    );
  await store.close();
}

async function pages(client) {
  const [key] = (await client.keys("*")).filter((name) => name.endsWith("events"));
  let count = 0;
  for (let from = "-"; ; ) {
    const page = await client.sendCommand(["XRANGE", key, from, "+", "COUNT", String(PAGE)]);
    count += page.length;
    if (page.length < PAGE) break;
    from = `(${page.at(-1)[0]}`;
  }
  if (count <= HISTORY) throw new Error(`${count} entries`); // with the identity line
}

async function benchReading(base, roundCount) {
  return withServer(base, POLICIES["no AOF"], async (client, url) => {
    await fill(url, HISTORY);
    const place = redisStore({ url, systemId: "bench" });
    const result = await rounds(roundCount, {
      papyra: () => timed(HISTORY, () => scan(place, { log: "events" })),
      bare: () => timed(HISTORY, () => pages(client)),
    });
    const times = { create: [], restore: [] };
    for (let round = 0; round < roundCount; round++) {
      const repository = mkdtempSync(join(base, "redis-backup-"));
      times.create.push(await timed(HISTORY, () => backups(repository).create(place)));
      times.restore.push(await timed(HISTORY, () => backups(repository).restore(join(repository, "restored"))));
      rmSync(repository, { recursive: true, force: true });
    }
    const perSecond = (rates) => `${Math.round(median(rates)).toLocaleString("en-US")} records/s`;
    return [
      {
        what: "scan of a log in Redis",
        papyra: perSecond([result.papyra.perSecond]),
        ratios: { "bare pages of XRANGE": result.bare.ratio },
        budget: "0.7 of bare",
      },
      { what: "backup of a store in Redis", papyra: perSecond(times.create), ratios: {}, budget: "" },
      { what: "restore of that backup into files", papyra: perSecond(times.restore), ratios: {}, budget: "" },
    ];
  });
}

/** In a process of its own: its peak, in MB. */
export async function redisMemory(what, url, repository) {
  const place = redisStore({ url, systemId: "bench" });
  if (what === "scan") await scan(place);
  else await backups(repository).create(place);
  return peakMB();
}

/** The peaks of processes that read a small and a large stream. */
async function benchMemory(base, sizes = [100_000, 1_000_000]) {
  const peakOf = async (what, url) => {
    const repository = mkdtempSync(join(base, "redis-memory-"));
    const peak = await alone(import.meta.url, "redisMemory", what, url, repository);
    rmSync(repository, { recursive: true, force: true });
    return peak;
  };
  const peaks = [];
  for (const size of sizes) {
    await withServer(base, POLICIES["no AOF"], async (_, url) => {
      await fill(url, size);
      peaks.push({ size, scan: await peakOf("scan", url), backup: await peakOf("backup", url) });
    });
  }
  const told = (what) =>
    peaks.map((peak) => `${Math.round(peak[what])} MB for ${peak.size.toLocaleString("en-US")} records`);
  return ["scan", "backup"].map((what) => ({
    what: `memory of a ${what} of a store in Redis`,
    papyra: told(what).join(", "),
    ratios: { "the small one": peaks.at(-1)[what] / peaks[0][what] },
    budget: "flat",
  }));
}

export async function benchRedis(base, roundCount) {
  return [
    ...(await benchAppends(base, roundCount)),
    ...(await benchReading(base, roundCount)),
    ...(await benchMemory(base)),
  ];
}
