// Scanning a healthy log against the cheapest thing that reads it at all: JSON.parse of each line. At growing sizes, and the
// peak memory of a scan at each, in a process of its own.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileStore } from "../dist/index.js";
import { scan } from "../dist/ops/scan.js";
import { alone, peakMB } from "./alone.mjs";
import { event, makeHistory } from "./history.mjs";
import { rounds, timed } from "./measure.mjs";
import { grown, label, labels, list } from "./sizes.mjs";

const SIZES = [10_000, 100_000, 1_000_000];
/** So many make 34 segments. */
const THREADED = 10_000_000;
/** A log that is hardly there, for what any scan costs. */
const FEW = 10;

export const makeLog = (path, records) => makeHistory(path, "events", records, event, 64 << 20);

async function papyraScan(path, records) {
  const report = await scan(fileStore({ path }), { log: "events" });
  if (!report.ok || report.logs[0].records !== records) throw new Error(report.verdict);
}

/** All segments of the log, one in memory at a time, line by line. */
function parseEachLine(path, records) {
  let parsed = 0;
  for (const name of readdirSync(path).filter((file) => file.startsWith("events."))) {
    const bytes = readFileSync(join(path, name));
    for (let start = 0; start < bytes.length; ) {
      const end = bytes.indexOf(10, start);
      if (JSON.parse(bytes.utf8Slice(start, end)).seq !== undefined) parsed += 1;
      start = end + 1;
    }
  }
  if (parsed !== records) throw new Error(`${parsed} records, not ${records}`);
}

/** In a process of its own. A short log is read many times over: what takes milliseconds cannot be timed. */
export async function scanned(path, size, roundCount) {
  await makeLog(path, size);
  const times = Math.min(1000, Math.max(1, 1_000_000 / size));
  const again = async (work) => {
    for (let i = 0; i < times; i++) await work(path, size);
  };
  const found = await rounds(roundCount, {
    papyra: () => timed(size * times, () => again(papyraScan)),
    "JSON.parse": () => timed(size * times, () => again(parseEachLine)),
  });
  rmSync(path, { recursive: true });
  return { perSecond: found.papyra.perSecond, ratio: found["JSON.parse"].ratio };
}

/** In a process of its own: its peak, in MB. */
export async function scanMemory(path) {
  await scan(fileStore({ path }));
  return peakMB();
}

/** In a process of its own, which starts threads: records a second, and how often what one thread does. */
export async function scannedBy(path, threads, roundCount) {
  await makeLog(path, THREADED);
  const scannedBy = (count) =>
    timed(THREADED, async () => {
      const report = await scan(fileStore({ path }), { log: "events", threads: count });
      if (!report.ok || report.logs[0].records !== THREADED) throw new Error(report.verdict);
    });
  const found = await rounds(roundCount, { many: () => scannedBy(threads), one: () => scannedBy(1) });
  rmSync(path, { recursive: true });
  return { perSecond: found.many.perSecond, ratio: found.one.ratio };
}

/** By one thread, two, four, and so on, up to one a core. */
async function benchThreads(path, roundCount) {
  const cores = availableParallelism();
  const counts = [1, 2, 4, 8, 16].filter((count) => count <= cores);
  const found = [];
  for (const count of counts) found.push(await alone(import.meta.url, "scannedBy", path, count, roundCount));
  return {
    what: `scan of a healthy log of ${label(THREADED)} records by ${counts.join(" / ")} threads, on ${cores} cores`,
    papyra: `${list(
      found.map(({ perSecond }) => perSecond / 1e6),
      2,
    )} M records/s`,
    ratios: Object.fromEntries(found.slice(1).map(({ ratio }, i) => [`one thread with ${counts[i + 1]}`, ratio])),
    budget: "near-linear",
  };
}

export async function benchScan(base, roundCount) {
  const path = join(base, "scan");
  const here = (name, ...args) => alone(import.meta.url, name, path, ...args);
  const found = [];
  const memory = [];
  for (const size of SIZES) {
    found.push(await here("scanned", size, roundCount));
    await here("makeLog", size);
    memory.push(await here("scanMemory"));
    rmSync(path, { recursive: true });
  }
  const nothing = await here("scanned", FEW, roundCount);
  const rates = found.map(({ perSecond }) => perSecond / 1e6);
  const fixedMs = (FEW / nothing.perSecond) * 1000;
  return [
    {
      what: `scan of a healthy log of ${labels(SIZES)} records (any scan costs ${fixedMs.toFixed(1)} ms: one of ${FEW} records does)`,
      papyra: `${list(rates, 2)} M records/s`,
      ratios: Object.fromEntries(found.map(({ ratio }, i) => [`JSON.parse of each line at ${label(SIZES[i])}`, ratio])),
      budget: "4 of JSON.parse",
    },
    {
      what: `memory of a scan of ${labels(SIZES)} records`,
      papyra: `${list(memory)} MB`,
      ratios: grown(memory, SIZES),
      budget: "flat",
    },
    await benchThreads(path, roundCount),
  ];
}
