// A reversal that is cut at each of its calls: each file is then as it was at one of the steps of the recovery, and the next
// reversal goes on from there.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { recover } from "../../src/ops/recover.ts";
import { revert } from "../../src/ops/revert.ts";
import { PowerCut, SimDisk } from "../../src/testing/sim-disk.ts";
import { backendOn, newLedger, PATH, put, Survivors } from "./scenario.ts";

const SEEDS = Math.ceil(Number(process.env.PAPYRA_SEEDS ?? 12) / 7);
const ONLY_LOOKS: ReadonlySet<string> = new Set(["read", "stat", "list", "open", "close"]);

/** Damage in two sealed segments and at the tail of the active one, a lost file, and a recovery that has mended all of it. */
async function recovered(): Promise<{ disk: SimDisk; id: string; damaged: Map<string, Buffer> }> {
  const disk = new SimDisk();
  const ledger = newLedger();
  const store = await openStore(backendOn(disk, { segmentBytes: 4096 }));
  for (let i = 0; i < 4; i++) await put(store, ledger, "journal", 8);
  await store.close();
  const { segments } = await backendOn(disk).view();
  const closed = segments.filter(({ log, active }) => log === "journal" && !active);
  expect(closed.length).toBeGreaterThanOrEqual(2);
  for (const { name } of closed.slice(0, 2)) {
    disk.corrupt(`${PATH}/${name}`, (bytes) => {
      bytes[400] = (bytes[400] as number) ^ 1;
      return bytes;
    });
  }
  disk.corrupt(`${PATH}/journal.ndjson`, (bytes) => Buffer.concat([bytes, Buffer.from('{"seq":99,"ki')]));
  disk.drop(`${PATH}/audits.ndjson`);
  const damaged = files(disk);
  const { id, after } = await recover(backendOn(disk), { mode: "quarantine" });
  expect(after.ok).toBe(true);
  return { disk, id: id as string, damaged };
}

/** What the store holds, but for its lock and its mark, which says how far it was told about. */
function files(disk: SimDisk): Map<string, Buffer> {
  return new Map([...disk.tree()].filter(([path]) => path.endsWith(".ndjson") && !path.includes("quarantine")));
}

test("a reversal is cut at each of its calls, and goes on the next time", async () => {
  const { disk: whole, id: first } = await recovered();
  const before = whole.calls;
  expect(await revert(backendOn(whole), { id: first })).toMatchObject({ changed: true });
  const made = whole.trace.slice(before);
  const acting = made.map((_, i) => i + 1).filter((n) => !ONLY_LOOKS.has(made[n - 1]?.operation as string));
  const survivors = new Survivors();
  for (const n of acting) {
    const { disk, id, damaged } = await recovered();
    disk.cutPowerAt(n);
    await expect(revert(backendOn(disk), { id })).rejects.toBeInstanceOf(PowerCut);
    for (const { survivor, seed } of survivors.of(disk, [], SEEDS)) {
      await revert(backendOn(survivor), { id });
      expect(files(survivor), `cut at call ${n}, seed ${seed}`).toEqual(damaged);
      expect((await recover(backendOn(survivor), { mode: "quarantine" })).after.ok).toBe(true);
    }
  }
  console.log(`cuts of a reversal at ${acting.length} calls: ${survivors.counts}`);
});

test("a quarantine from which a file was taken is damaged, and not what an interrupted recovery has left", async () => {
  const { disk, id } = await recovered();
  const mended = files(disk);
  const kept = [...disk.tree().keys()].filter((path) => path.includes("undo-")).sort();
  const last = Math.max(...kept.map((path) => Number(/undo-(\d+)/.exec(path)?.[1])));
  for (const path of kept.filter((one) => !one.includes(`undo-${last}.json`))) {
    const survivor = disk.reboot(1);
    await survivor.env.fs.remove(path);
    await expect(revert(backendOn(survivor), { id }), path).rejects.toMatchObject({ code: "QUARANTINE_DAMAGED" });
    expect(files(survivor), path).toEqual(mended);
  }
});

test("a damaged quarantine is found before anything is changed", async () => {
  const { disk, id } = await recovered();
  const mended = files(disk);
  const kept = [...disk.tree().keys()].filter((path) => path.includes("undo-"));
  expect(kept.length).toBeGreaterThanOrEqual(8);
  for (const path of kept) {
    const survivor = disk.reboot(1);
    const { length } = survivor.content(path);
    if (length === 0) continue; // nothing went there
    survivor.corrupt(path, (bytes) => {
      const at = path.endsWith(".json") ? bytes.indexOf('"recovery"') + 15 : length >> 1;
      bytes[at] = (bytes[at] as number) ^ 1;
      return bytes;
    });
    await expect(revert(backendOn(survivor), { id }), path).rejects.toMatchObject({ code: "QUARANTINE_DAMAGED" });
    expect(files(survivor), path).toEqual(mended);
  }
});
