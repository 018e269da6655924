// Opening a store, and looking at its newest records, at growing sizes: with small segments, of which there are many, and with
// those of whoever sets nothing. In time and in calls of the file system, which no busy machine changes.
import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileBackend } from "../dist/backends/files.js";
import { fileStore, openStore } from "../dist/index.js";
import { inspect } from "../dist/ops/inspect.js";
import { countingEnv } from "./counting-env.mjs";
import { event, makeHistory } from "./history.mjs";
import { cpuSeconds, median } from "./measure.mjs";
import { grown, labels, list } from "./sizes.mjs";

const SIZES = [10_000, 100_000, 1_000_000, 10_000_000];
/** A file that was changed a moment ago is read anew by each opening. */
const SETTLED_MS = 6000;

const open = async (place) => (await openStore(place)).close();
const look = async (place) => {
  const { records } = await inspect(place, { kind: "event", limit: 10 });
  if (records.length !== 10) throw new Error(`${records.length} records, not 10`);
};

/** Milliseconds, and those of processor time. */
async function measured(rounds, place, work, before = () => undefined) {
  const runs = [];
  for (let round = 0; round < rounds; round++) {
    before();
    const start = performance.now();
    const cpu = await cpuSeconds(() => work(place));
    runs.push({ ms: performance.now() - start, cpuMs: cpu * 1000 });
  }
  return { ms: median(runs.map(({ ms }) => ms)), cpuMs: median(runs.map(({ cpuMs }) => cpuMs)) };
}

async function calls(options, work) {
  const counted = countingEnv();
  await work(fileBackend(options, counted.env));
  return counted.calls;
}

export async function benchOpening(base, rounds) {
  const rows = [];
  for (const [what, segmentBytes] of [
    ["segments of 4 MiB", 4 << 20],
    ["segments of 64 MiB, the default", 64 << 20],
  ]) {
    const found = [];
    for (const size of SIZES) {
      const path = join(base, `opening-${size}`);
      await makeHistory(path, "events", size, event, segmentBytes);
      await wait(SETTLED_MS);
      const options = { path, durability: "os", segmentBytes };
      const forget = () => rmSync(join(path, "index"), { recursive: true, force: true });
      const place = fileStore(options);
      for (let warmUp = 0; warmUp < 5; warmUp++) await open(place);
      found.push({
        activeMB: statSync(join(path, "events.ndjson")).size / 1e6,
        opening: await measured(rounds, place, open),
        openingCalls: await calls(options, open),
        first: await measured(rounds, place, open, forget),
        looking: await measured(rounds, place, look),
        lookingCalls: await calls(options, look),
      });
      rmSync(path, { recursive: true });
    }
    rows.push(...rowsOf(what, found));
  }
  return rows;
}

function rowsOf(what, found) {
  const all = (name) => list(found.map((each) => each[name]));
  const row = (work, name, more, budget) => {
    const ms = found.map((each) => each[name].ms);
    const cpuMs = found.map((each) => each[name].cpuMs);
    return {
      what: `${work} at ${labels(SIZES)} records, ${what}`,
      papyra: `${list(ms, 1)} ms (${list(cpuMs, 1)} ms of processor time); ${more}`,
      ratios: grown(ms, SIZES),
      budget,
    };
  };
  const active = `it reads the active segment, of ${all("activeMB")} MB`;
  return [
    row("opening", "opening", `${all("openingCalls")} calls; ${active}`, "flat"),
    row("opening, its cache deleted,", "first", "it reads the ends of each closed segment, too", ""),
    row("inspect --limit 10", "looking", `${all("lookingCalls")} calls`, "flat"),
  ];
}
