// Opening a store that rotates, at growing lengths of its history: what counts is how the time grows, against that of reading
// everything. Usage: node bench/opening.mjs [--records 10000,100000,1000000] (after `npm run build`; 10000000 takes 3 GB).
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileStore, openStore } from "../dist/index.js";
import { inspect } from "../dist/ops/inspect.js";
import { startupCheck } from "../dist/ops/startup.js";

const named = process.argv.indexOf("--records");
const sizes = (named < 0 ? "10000,100000,1000000" : process.argv[named + 1]).split(",").map(Number);
const base = mkdtempSync(join(tmpdir(), "papyra-opening-"));
const SEGMENT_BYTES = 4 << 20;

async function makeHistory(path, records) {
  const store = await openStore(fileStore({ path, durability: "os", segmentBytes: SEGMENT_BYTES }));
  for (let n = 0; n < records; n += 2000) {
    const batch = Array.from({ length: Math.min(2000, records - n) }, (_, i) => ({
      kind: "event",
      system_id: "bench",
      actor_address: `bench://account/${(n + i) % 1000}`,
      event_type: "Deposited",
      payload: { amount: (n + i) % 977, currency: "EUR", reference: `ref-${n + i}` },
    }));
    await store.append("events", batch);
  }
  await store.close();
}

/** The median of five, in milliseconds. */
async function median(work) {
  const times = [];
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    await work();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[2];
}

try {
  const rows = [];
  for (const records of sizes) {
    const path = join(base, String(records));
    await makeHistory(path, records);
    const backend = () => fileStore({ path, segmentBytes: SEGMENT_BYTES });
    rows.push({
      records,
      opening: await median(async () => (await openStore(backend())).close()),
      "startup-check, trusting seals": await median(() => startupCheck(backend(), { trustSeals: true })),
      "startup-check": await median(() => startupCheck(backend())),
      "inspect --limit 10": await median(() => inspect(backend(), { kind: "event", limit: 10 })),
    });
    rmSync(path, { recursive: true });
  }
  const [smallest] = rows;
  for (const { records, ...times } of rows) {
    const cells = Object.entries(times).map(
      ([name, ms]) => `${name} ${ms.toFixed(1)} ms (${(ms / smallest[name]).toFixed(1)} x)`,
    );
    console.log(`${records} records: ${cells.join("; ")}`);
  }
} finally {
  rmSync(base, { recursive: true, force: true });
}
