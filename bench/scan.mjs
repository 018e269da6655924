// Scanning a healthy log against the cheapest thing that reads it at all: JSON.parse of each line. Also the peak memory of
// a scan, in processes of their own, for two sizes of log.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fileStore, openStore } from "../dist/index.js";
import { scan } from "../dist/ops/scan.js";
import { rounds, timed } from "./measure.mjs";

async function makeLog(path, records) {
  mkdirSync(path, { recursive: true });
  const store = await openStore(fileStore({ path, durability: "os" }));
  const batch = 5000;
  for (let n = 0; n < records; n += batch) {
    await store.append(
      "events",
      Array.from({ length: Math.min(batch, records - n) }, (_, i) => ({
        kind: "event",
        system_id: "bench",
        actor_address: `bench://account/${(n + i) % 1000}`,
        event_type: "Deposited",
        payload: { amount: (n + i) % 977, currency: "EUR", reference: `ref-${n + i}` },
      })),
    );
  }
  await store.close();
}

export async function benchScan(base, roundCount) {
  const records = 400_000;
  const path = join(base, "scan");
  await makeLog(path, records);
  const result = await rounds(roundCount, {
    papyra: () =>
      timed(records, async () => {
        const report = await scan(fileStore({ path }), { log: "events" });
        if (!report.ok || report.logs[0].records !== records) throw new Error(report.verdict);
      }),
    "JSON.parse": () =>
      timed(records, async () => {
        const bytes = readFileSync(join(path, "events.ndjson"));
        let count = 0;
        for (let start = 0; start < bytes.length; ) {
          const end = bytes.indexOf(10, start);
          JSON.parse(bytes.utf8Slice(start, end));
          count += 1;
          start = end + 1;
        }
        if (count !== records + 1) throw new Error(`${count} lines`);
      }),
  });
  const memory = [10_000, 1_000_000].map((size) => scanMemory(base, size));
  return [
    {
      what: "scan of a healthy log",
      papyra: `${(result.papyra.perSecond / 1e6).toFixed(2)} M records/s`,
      ratios: { "JSON.parse of each line": result["JSON.parse"].ratio },
      budget: "4 of JSON.parse",
    },
    {
      what: "memory of a scan",
      papyra: `${memory[0]} MB for 10,000 records, ${memory[1]} MB for 1,000,000`,
      ratios: { "the small one": memory[1] / memory[0] },
      budget: "flat",
    },
  ];
}

function scanMemory(base, records) {
  const script = fileURLToPath(new URL("scan-once.mjs", import.meta.url));
  const path = join(base, `memory-${records}`);
  spawnSync(process.execPath, [script, "make", path, String(records)], { stdio: "inherit" });
  const run = spawnSync(process.execPath, [script, "scan", path], { encoding: "utf8" });
  return Math.round(Number(run.stdout) / 1024);
}

export { makeLog };
