// What the mark says to be durable must be on the disk, whoever makes the mark: else the next power cut takes what nobody was
// promised, or what a policy may lose, and a scan calls it acknowledged data that is lost.
import { expect, test } from "vitest";
import type { FileStoreOptions } from "../../src/backends/file-options.ts";
import { openStore } from "../../src/backends/open.ts";
import { recover } from "../../src/ops/recover.ts";
import { revert } from "../../src/ops/revert.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { backendOn, newLedger, PATH, put } from "./scenario.ts";

const EVENTS = `${PATH}/events.ndjson`;

async function assertNothingLost(disk: SimDisk, options: Partial<FileStoreOptions>): Promise<void> {
  const found = await scan(backendOn(disk.reboot(1, "drop"), options));
  expect(found.startable, JSON.stringify(found.anomalies)).toBe(true);
}

test.each(["lagging", "exact"] as const)(
  "mark %s: recovery vouches for a line of a killed process only when it is on the disk",
  async (mark) => {
    const disk = new SimDisk();
    const store = await openStore(backendOn(disk, { mark }));
    await put(store, newLedger(), "events", 1);
    disk.failAt(1, "EIO", { operations: ["sync"], sticky: true }); // written, and never promised
    await expect(put(store, newLedger(), "events", 1)).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    const killed = disk.kill();
    killed.corrupt(`${PATH}/journal.ndjson`, (bytes) => Buffer.concat([bytes, Buffer.from('{"seq":1,')]));
    const report = await recover(backendOn(killed, { mark }), { mode: "repair" });
    expect(report).toMatchObject({ ok: true, changed: true });
    await assertNothingLost(killed, { mark });
  },
);

test.each(["os", "interval"] as const)(
  "durability %s: opening vouches for its own gap record only when it is on the disk",
  async (durability) => {
    const options = { durability, mark: "exact" } as const;
    const disk = new SimDisk();
    const store = await openStore(backendOn(disk, options));
    await put(store, newLedger(), "events", 3);
    const known = disk.content(`${PATH}/papyra.mark`);
    await put(store, newLedger(), "events", 3);
    const killed = disk.kill();
    killed.corrupt(`${PATH}/papyra.mark`, () => known); // the second write was never acknowledged
    killed.corrupt(EVENTS, (bytes) => bytes.fill(0, bytes.indexOf('{"seq":4,'), bytes.indexOf('{"seq":4,') + 8));
    await openStore(backendOn(killed, options));
    expect(killed.content(EVENTS).toString()).toContain('"kind":"gap"');
    await assertNothingLost(killed, options);
  },
);

test("a revert does not take back the word for what was written since", async () => {
  const disk = new SimDisk();
  const backend = backendOn(disk);
  const store = await openStore(backend);
  await put(store, newLedger(), "events", 5);
  await store.maintain("seal", (work) => work.seal("events"));
  await put(store, newLedger(), "events", 2);
  await store.close();
  disk.corrupt(`${PATH}/events.00000000000000000001.ndjson`, (bytes) => {
    const [from, to] = [bytes.indexOf('{"seq":3,'), bytes.indexOf('{"seq":4,')];
    return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]); // the third line twice: no gap record tells of it
  });
  const { id, gaps } = await recover(backend, { mode: "quarantine", quarantineDir: "/data/quarantine" });
  expect(gaps).toEqual([]);
  const later = await openStore(backend);
  await put(later, newLedger(), "events", 3); // seqs 8 to 10, in one write
  await later.close();
  await revert(backend, { id: id as string, quarantineDir: "/data/quarantine" });
  disk.corrupt(EVENTS, (bytes) => bytes.fill(0, bytes.indexOf('{"seq":9,'), bytes.indexOf('{"seq":9,') + 8));
  const { anomalies, startable } = await scan(backend);
  expect(anomalies).toContainEqual(expect.objectContaining({ lostSeqs: { from: 9, to: 9 }, acknowledged: "lost" }));
  expect(startable).toBe(false);
});
