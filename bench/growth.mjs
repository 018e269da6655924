// What must not grow with the history, and what may grow only as fast: appends, opening, looking at the newest records, compaction
// and its memory, and recovering one actor, each at growing sizes. Every store rotates.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { compactStore, openStore } from "../dist/index.js";
import { alone, peakMB } from "./alone.mjs";
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
    await compactionMemory(base),
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
  await makeCompacted(path, size);
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

export const makeCompacted = (path, size) => makeHistory(path, "events", size, event);

/** In a process of its own: its peak, in MB. */
export async function compactedMemory(path) {
  const store = await openStore(place(path));
  const { changed } = await compactStore(store, { retention: { events: { maxRecords: 3000 } } });
  if (!changed) throw new Error("nothing was compacted");
  await store.close();
  return peakMB();
}

async function compactionMemory(base) {
  const path = join(base, "compact-memory");
  const peaks = [];
  for (const size of COMPACTED) {
    await alone(import.meta.url, "makeCompacted", path, size);
    peaks.push(await alone(import.meta.url, "compactedMemory", path));
    rmSync(path, { recursive: true });
  }
  return {
    what: `memory of a compaction of ${labels(COMPACTED)} records`,
    papyra: `${list(peaks)} MB`,
    ratios: grown(peaks, COMPACTED),
    budget: "flat",
  };
}
