// The recovery of one damaged record in a sealed segment, interrupted at each of its calls. Between its gap record and the
// segment without the damaged bytes, the record is accounted for and its segment still says that nothing is missing in it:
// opening would take its word, and whoever read there would be refused. What may start can be read.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan, type ScanReport } from "../../src/ops/scan.ts";
import { startupCheck } from "../../src/ops/startup.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { backendOn, contentOf, newLedger, PATH, put } from "./scenario.ts";

const QUARANTINE = { mode: "quarantine", quarantineDir: "/data/quarantine" } as const;
const SEALED = `${PATH}/events.00000000000000000001.ndjson`;
const HARMED = 3;

/** Five events in a sealed segment, one of them damaged, and two behind it. */
async function harmedStore(): Promise<SimDisk> {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk));
  await put(store, newLedger(), "events", 5);
  await store.maintain("seal", (work) => work.seal("events"));
  await put(store, newLedger(), "events", 2);
  await store.close();
  disk.corrupt(SEALED, (bytes) => {
    const at = bytes.indexOf(`{"seq":${HARMED},`);
    return bytes.fill(0, at, at + 8);
  });
  return disk;
}

async function eventsOf(disk: SimDisk): Promise<number[]> {
  const store = await openStore(backendOn(disk));
  const events = (await contentOf(store)).get("events");
  await store.close();
  return [...(events?.keys() ?? [])];
}

/** The damaged bytes are still there, and nothing is missing any more. */
function isHalfway({ logs, anomalies }: ScanReport): boolean {
  return logs[0]?.missing === 0 && anomalies.some(({ kind }) => kind === "malformed-line");
}

/** What a kill leaves of a recovery, at each call that changes a file in the store. */
async function interrupted(disk: SimDisk): Promise<{ readonly left: SimDisk; readonly when: string }[]> {
  const found: { left: SimDisk; when: string }[] = [];
  let mutations = -1;
  disk.pause = ({ n, operation, path }) => {
    if (disk.mutations === mutations || path.startsWith(QUARANTINE.quarantineDir)) return;
    mutations = disk.mutations;
    found.push({ left: disk.afterKill(), when: `killed at call ${n} (${operation} ${path})` });
  };
  await recover(backendOn(disk), QUARANTINE);
  return found;
}

test("a recovery that is killed at any call leaves a store that is refused, or that can be read", async () => {
  let halfway = 0;
  for (const { left, when } of await interrupted(await harmedStore())) {
    const found = await scan(backendOn(left));
    if (isHalfway(found)) {
      halfway += 1;
      expect(found.startable, `${when}: ${JSON.stringify(found.anomalies)}`).toBe(false);
    }
    const started = await startupCheck(backendOn(left), { ...QUARANTINE, mode: "recover" });
    expect(started.ok, `${when}: ${started.verdict}`).toBe(true);
    expect(await eventsOf(left), when).toEqual([1, 2, 4, 5, 6, 7]);
  }
  expect(halfway).toBeGreaterThan(0);
});
