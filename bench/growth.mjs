// What must not grow with the history, and what may grow only as fast: appends, opening, looking at the newest records, compaction
// and its memory, and recovering one actor, each at growing sizes. Every store rotates.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compactStore, openStore } from "../dist/index.js";
import { benchAppendGrowth } from "./append-growth.mjs";
import { event, makeHistory, place } from "./history.mjs";
import { median } from "./measure.mjs";
import { benchOneActor } from "./one-actor.mjs";
import { benchOpening } from "./opening.mjs";
import { grown, labels, list } from "./sizes.mjs";

const COMPACTED = [10_000, 100_000, 1_000_000];

export async function benchGrowth(base, rounds) {
  return [
    ...(await benchAppendGrowth(base, rounds)),
    ...(await benchOpening(base, rounds)),
    await compaction(base, rounds),
    compactionMemory(base),
    ...(await benchOneActor(base, rounds)),
  ];
}

async function compaction(base, rounds) {
  const times = [];
  for (const size of COMPACTED) {
    const found = [];
    for (let round = 0; round < rounds; round++) found.push(await compactedIn(join(base, "compaction"), size));
    times.push(median(found));
  }
  const rates = COMPACTED.map((size, i) => size / times[i] / 1000);
  return {
    what: `compaction at ${labels(COMPACTED)} records, a third stays (little history costs mostly what any compaction costs)`,
    papyra: `${list(times)} ms: ${list(rates, 2)} M records/s`,
    ratios: {},
    budget: "",
  };
}

/** Milliseconds. */
async function compactedIn(path, size) {
  await makeHistory(path, "events", size, event);
  const store = await openStore(place(path));
  const retention = { events: { maxRecords: Math.round(size / 3) } };
  const start = performance.now();
  const { changed } = await compactStore(store, { retention });
  const time = performance.now() - start;
  if (!changed) throw new Error("nothing was compacted");
  await store.close();
  rmSync(path, { recursive: true });
  return time;
}

/** In processes of their own. */
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
  const peaks = COMPACTED.map(peak);
  return {
    what: `memory of a compaction of ${labels(COMPACTED)} records`,
    papyra: `${list(peaks)} MB`,
    ratios: grown(peaks, COMPACTED),
    budget: "flat",
  };
}
