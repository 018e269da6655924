// Closed segments in which nothing is any more: an unfinished write was all that was in them, and recovery took it out. Their
// name and that of the segment behind them begin with the same seq.
import { expect, test } from "vitest";
import { openStore } from "../src/backends/open.ts";
import { compact } from "../src/ops/compact.ts";
import { recover } from "../src/ops/recover.ts";
import { scan } from "../src/ops/scan.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";
import { backendOn, contentOf, newLedger, PATH, put } from "./crash/scenario.ts";

const FILE = `${PATH}/events.ndjson`;

test.each([
  ["at the beginning of the log", 0, 2],
  ["behind others", 3, 2],
  ["in front of one that is too large to be merged", 3, 40],
])("a compaction takes an empty segment %s along with the one behind it", async (_, before, behind) => {
  const disk = new SimDisk();
  const backend = backendOn(disk, { segmentBytes: 4096 });
  const ledger = newLedger();
  let store = await openStore(backend);
  await put(store, ledger, "events", Math.max(1, before));
  if (before > 0) await store.maintain("sealing", (maintenance) => maintenance.seal("events"));
  await store.close();
  disk.drop(`${PATH}/papyra.mark`);
  disk.corrupt(FILE, (bytes) => Buffer.concat([bytes.subarray(0, bytes.indexOf(0x0a) + 1), Buffer.from('{"se')]));
  store = await openStore(backend); // leaves the torn tail behind, under a closed name
  await store.close();
  await recover(backend, { mode: "quarantine", quarantineDir: "/data/quarantine" });
  store = await openStore(backend);
  await put(store, ledger, "events", behind);
  await store.close();
  const { segments } = await backend.view();
  const empty = segments.filter(({ log, active, bytes }) => log === "events" && !active && bytes < 120);
  expect(empty, segments.map(({ name }) => name).join()).toHaveLength(1);

  for (const [keep, gone] of [
    [Math.ceil(behind / 2), empty[0]?.name],
    [0, undefined],
  ] as const) {
    await compact(backend, { retention: { events: { maxRecords: keep } } });
    const found = await scan(backend);
    expect(found, JSON.stringify(found.anomalies)).toMatchObject({ ok: true, anomalies: [] });
    if (gone !== undefined) expect((await backend.view()).segments.map(({ name }) => name)).not.toContain(gone);
    store = await openStore(backend);
    expect((await contentOf(store)).get("events")?.size).toBe(keep);
    await store.close();
  }
});
