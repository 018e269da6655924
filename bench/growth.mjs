// What must not grow with the history, and what may grow only as fast: opening, looking at the newest records, compaction
// and its memory, each at growing sizes. Every store rotates.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compactStore, fileStore, openStore } from "../dist/index.js";
import { inspect } from "../dist/ops/inspect.js";
import { median, timed } from "./measure.mjs";

const SEGMENT_BYTES = 4 << 20;
const place = (path, segmentBytes = SEGMENT_BYTES) => fileStore({ path, durability: "os", segmentBytes });

const event = (n) => ({
  kind: "event",
  system_id: "bench",
  actor_address: `bench://account/${n % 1000}`,
  event_type: "Deposited",
  payload: { amount: n % 977, currency: "EUR", reference: `ref-${n}` },
});

export async function makeHistory(path, log, count, record, segmentBytes) {
  const store = await openStore(place(path, segmentBytes));
  for (let n = 0; n < count; n += 2000) {
    await store.append(
      log,
      Array.from({ length: Math.min(2000, count - n) }, (_, i) => record(n + i + 1)),
    );
  }
  await store.close();
}

async function milliseconds(rounds, work) {
  const times = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await work();
    times.push(performance.now() - start);
  }
  return median(times);
}

const labels = (sizes) => sizes.map((size) => `10^${Math.log10(size)}`).join(" / ");

/** Looked at only: compacting so many would take minutes. */
const LARGEST = 10_000_000;

export async function benchGrowth(base, rounds, sizes = [10_000, 100_000, 1_000_000, LARGEST]) {
  const opening = [];
  const looking = [];
  const compacting = [];
  for (const size of sizes) {
    const path = join(base, `growth-${size}`);
    await makeHistory(path, "events", size, event);
    opening.push(await milliseconds(rounds, async () => (await openStore(place(path))).close()));
    looking.push(await milliseconds(rounds, () => inspect(place(path), { kind: "event", limit: 10 })));
    if (size < LARGEST) compacting.push(await compacted(path, size));
    rmSync(path, { recursive: true });
  }
  const grown = (times) => ({ [`the one at ${labels(sizes.slice(0, 1))}`]: times.at(-1) / times[0] });
  const ms = (times) => `${times.map((time) => time.toFixed(1)).join(" / ")} ms`;
  return [
    { what: `opening at ${labels(sizes)} records`, papyra: ms(opening), ratios: grown(opening), budget: "flat" },
    {
      what: `inspect --limit 10 at ${labels(sizes)} records`,
      papyra: ms(looking),
      ratios: grown(looking),
      budget: "flat",
    },
    {
      what: `compaction at ${labels(sizes.filter((size) => size < LARGEST))} records, a third stays`,
      papyra: `${compacting.map((rate) => (rate / 1e6).toFixed(2)).join(" / ")} M records/s`,
      ratios: {},
      budget: "",
    },
    compactionMemory(base),
  ];
}

/** At so many records a second. */
async function compacted(path, size) {
  const store = await openStore(place(path));
  const retention = { events: { maxRecords: Math.round(size / 3) } };
  const rate = await timed(size, () => compactStore(store, { retention }));
  await store.close();
  return rate;
}

/** In processes of their own, at two sizes. */
function compactionMemory(base) {
  const peak = (size) => {
    const script = fileURLToPath(new URL("compact-once.mjs", import.meta.url));
    const path = join(base, `compact-memory-${size}`);
    const made = spawnSync(process.execPath, [script, "make", path, String(size)], { encoding: "utf8" });
    const run = spawnSync(process.execPath, [script, "compact", path], { encoding: "utf8" });
    rmSync(path, { recursive: true, force: true });
    if (made.status !== 0 || run.status !== 0) throw new Error(made.stderr + run.stderr);
    return Math.round(Number(run.stdout) / 1024);
  };
  const [small, large] = [10_000, 1_000_000].map(peak);
  return {
    what: "memory of a compaction",
    papyra: `${small} MB for 10,000 records, ${large} MB for 1,000,000`,
    ratios: { "the small one": large / small },
    budget: "flat",
  };
}
