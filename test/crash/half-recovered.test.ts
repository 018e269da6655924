// What a recovery leaves behind when a crash follows. Cut between its two steps, a gap record accounts for damaged bytes that are
// still there: what a start accepts then, a reader must accept, too, also in a closed segment whose seal is believed.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { assertKept, backendOn, contentOf, newLedger, PATH, put } from "./scenario.ts";

test("a store that may start after half a recovery can be read, and the next recovery ends it", async () => {
  const base = new SimDisk();
  const ledger = newLedger();
  const options = { segmentBytes: 4096 };
  const store = await openStore(backendOn(base, options));
  for (let i = 0; i < 4; i++) await put(store, ledger, "journal", 12);
  await store.close();
  const sealed = (await backendOn(base).view()).segments.find(({ log, active }) => log === "journal" && !active);
  base.corrupt(`${PATH}/${sealed?.name}`, (bytes) => {
    const at = bytes.indexOf('{"seq":3,') + 40;
    return bytes.fill((bytes[at] as number) ^ 1, at, at + 1);
  });
  ledger.acknowledged.get("journal")?.delete(3);

  const halves = new Map<string, SimDisk>();
  const working = base.afterKill();
  working.pause = () => {
    const half = working.afterKill();
    halves.set(JSON.stringify([...half.tree()]), half);
  };
  await recover(backendOn(working), { mode: "repair" });
  let startable = 0;
  for (const [i, disk] of [...halves.values()].entries()) {
    const what = `the state ${i + 1} of a recovery`;
    const found = await scan(backendOn(disk));
    if (!found.ok && found.startable) {
      startable += 1;
      const opened = await openStore(backendOn(disk, options));
      const content = await contentOf(opened);
      assertKept(content, ledger, what);
      expect(content.get("journal")?.has(3), what).toBe(false);
      await opened.close();
    }
    expect((await recover(backendOn(disk), { mode: "repair" })).after, what).toMatchObject({ ok: true, anomalies: [] });
  }
  console.log(`half a recovery: ${startable} of ${halves.size} states are ones that a start accepts`);
  expect(startable).toBeGreaterThan(0);
});

test("recovery vouches for nothing that a power cut could still take", async () => {
  const disk = new SimDisk();
  const ledger = newLedger();
  const store = await openStore(backendOn(disk, { mark: "exact" }));
  await put(store, ledger, "events", 3);
  let killed = disk;
  disk.pause = ({ operation, path }) => {
    if (operation === "sync" && path.endsWith("events.ndjson")) killed = disk.afterKill();
  };
  await put(store, ledger, "events", 2);
  expect(killed, "a process that died with a batch in the cache that nobody was promised").not.toBe(disk);
  killed.put(`${PATH}/papyra.mark.tmp-0badcafe`, "something to tidy up");
  const report = await recover(backendOn(killed, { mark: "exact" }), { mode: "repair" });
  const before = report.after.logs.find(({ log }) => log === "events")?.records;
  expect(before, "the batch was written").toBe(5);
  const survivor = killed.reboot(1, "drop");
  const found = await scan(backendOn(survivor));
  expect(found.anomalies).toEqual([]);
  expect(found.logs.find(({ log }) => log === "events")?.records, "what recovery counted is there").toBe(before);
});
