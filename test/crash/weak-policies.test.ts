// A power cut under a policy that does not wait for the disk may take acknowledged records along. That is its price; but no
// report may say that nothing is lost where the mark knows that more had been acknowledged than is there.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { scan, type ScanReport } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { backendOn, newLedger, PATH, put } from "./scenario.ts";

const OPTIONS = { durability: "os", mark: "exact" } as const;
const NOT_VOUCHED = "nothing outside the logs vouches for their ends";

/** Five acknowledged events, three of them durable; the power takes what is behind `left`. */
async function cutStore(left: (bytes: Buffer) => number): Promise<ScanReport> {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk, OPTIONS));
  for (let n = 1; n <= 3; n++) await put(store, newLedger(), "events", 1);
  await store.flush();
  for (let n = 4; n <= 5; n++) await put(store, newLedger(), "events", 1);
  const survivor = disk.reboot(1, "keep");
  survivor.corrupt(`${PATH}/events.ndjson`, (bytes) => bytes.subarray(0, left(bytes)));
  return scan(backendOn(survivor, OPTIONS));
}

test("cut clean behind what was durable: the end is not vouched for", async () => {
  const found = await cutStore((bytes) => bytes.indexOf('{"seq":4,'));
  expect(found).toMatchObject({ ok: true, startable: true });
  expect(found.logs[0]).toMatchObject({ log: "events", lastSeq: 3, endVouched: false });
  expect(found.verdict).toContain(NOT_VOUCHED);
});

test("the third is whole and its line break torn behind it: nobody says that nothing is lost", async () => {
  const found = await cutStore((bytes) => bytes.indexOf('\n{"seq":4,'));
  expect(found.anomalies).toMatchObject([{ kind: "torn-tail", seqs: { from: 3, to: 3 }, acknowledged: "none" }]);
  expect(found.verdict).toContain(`no acknowledged record is known to be lost; ${NOT_VOUCHED}`);
});

test("a store that was closed says that nothing is lost", async () => {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk, OPTIONS));
  await put(store, newLedger(), "events", 3);
  await store.close();
  disk.put(`${PATH}/a-stray-file`, "x");
  const found = await scan(backendOn(disk.reboot(1, "drop"), OPTIONS));
  expect(found.logs.every(({ endVouched }) => endVouched)).toBe(true);
  expect(found.verdict).toMatch(/no acknowledged record is lost$/);
});
