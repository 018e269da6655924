// Scanning a healthy log against the cheapest thing that reads it at all: JSON.parse of each line. At growing sizes, and the
// peak memory of a scan at each, in a process of its own.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fileStore } from "../dist/index.js";
import { scan } from "../dist/ops/scan.js";
import { event, makeHistory } from "./history.mjs";
import { rounds, timed } from "./measure.mjs";
import { grown, label, labels, list } from "./sizes.mjs";

const SIZES = [10_000, 100_000, 1_000_000];

const makeLog = (path, records) => makeHistory(path, "events", records, event, 64 << 20);

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

export async function benchScan(base, roundCount) {
  const found = [];
  const memory = [];
  for (const size of SIZES) {
    const path = join(base, `scan-${size}`);
    await makeLog(path, size);
    // A short one is read many times over: what takes milliseconds cannot be timed, and is compiled anew meanwhile.
    const times = Math.max(1, 1_000_000 / size);
    const again = async (work) => {
      for (let i = 0; i < times; i++) await work(path, size);
    };
    found.push(
      await rounds(roundCount, {
        papyra: () => timed(size * times, () => again(papyraScan)),
        "JSON.parse": () => timed(size * times, () => again(parseEachLine)),
      }),
    );
    rmSync(path, { recursive: true });
    memory.push(scanMemory(base, size));
  }
  const rates = found.map(({ papyra }) => papyra.perSecond);
  return [
    {
      what: `scan of a healthy log of ${labels(SIZES)} records (a little one costs mostly what any scan costs)`,
      papyra: `${list(
        rates.map((rate) => rate / 1e6),
        2,
      )} M records/s`,
      ratios: Object.fromEntries(
        found.map((result, i) => [`JSON.parse of each line at ${label(SIZES[i])}`, result["JSON.parse"].ratio]),
      ),
      budget: "4 of JSON.parse",
    },
    {
      what: `memory of a scan of ${labels(SIZES)} records`,
      papyra: `${list(memory)} MB`,
      ratios: grown(memory, SIZES),
      budget: "flat",
    },
  ];
}

/** In MB, the highest that a process of its own had. */
function scanMemory(base, records) {
  const script = fileURLToPath(new URL("scan-once.mjs", import.meta.url));
  const path = join(base, `memory-${records}`);
  const made = spawnSync(process.execPath, [script, "make", path, String(records)], { encoding: "utf8" });
  const run = spawnSync(process.execPath, [script, "scan", path], { encoding: "utf8" });
  rmSync(path, { recursive: true, force: true });
  if (made.status !== 0 || run.status !== 0) throw new Error(made.stderr + run.stderr);
  return Math.round(Number(run.stdout) / 1024);
}

export { makeLog };
