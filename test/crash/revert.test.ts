// A reversal that is cut at each of its calls: each file is then as it was at one of the steps of the recovery, and the next
// reversal goes on from there.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { recover } from "../../src/ops/recover.ts";
import { revert } from "../../src/ops/revert.ts";
import { scan } from "../../src/ops/scan.ts";
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

const kept = (disk: SimDisk): string[] => [...disk.tree().keys()].filter((path) => path.includes("undo-")).sort();
const COMPLETE = "complete.json";

/** The same disk, without what is at these paths. */
async function without(disk: SimDisk, paths: readonly string[]): Promise<SimDisk> {
  const survivor = disk.reboot(1);
  for (const path of paths) await survivor.env.fs.remove(path);
  return survivor;
}

test("a quarantine from which a file was taken is damaged, and not what an interrupted recovery has left", async () => {
  const { disk, id } = await recovered();
  const mended = files(disk);
  const all = kept(disk);
  const byNumber = (path: string): number => Number(/undo-(\d+)/.exec(path)?.[1]);
  const last = Math.max(...all.map(byNumber));
  const complete = [...disk.tree().keys()].filter((path) => path.endsWith(COMPLETE));
  expect(complete).toHaveLength(1);
  const taken = [
    ...all.map((path) => [path]),
    ...Array.from({ length: last }, (_, n) => all.filter((path) => byNumber(path) > n)), // the last ones, or all of them
    ...all.filter((path) => byNumber(path) < last || path.endsWith(".bytes")).map((path) => [path, ...complete]),
  ];
  for (const paths of taken) {
    const survivor = await without(disk, paths);
    const said = revert(backendOn(survivor), { id });
    await expect(said, String(paths)).rejects.toMatchObject({ code: "QUARANTINE_DAMAGED" });
    expect(files(survivor), String(paths)).toEqual(mended);
  }
});

test("where nothing says how much was kept, a reversal says that it may not be all", async () => {
  const { disk, id, damaged } = await recovered();
  expect(await revert(backendOn(disk.reboot(1)), { id })).toMatchObject({ complete: true });
  const tree = [...disk.tree().keys()];
  const survivor = await without(
    disk,
    tree.filter((path) => path.endsWith(COMPLETE)),
  );
  const report = await revert(backendOn(survivor), { id });
  expect(report).toMatchObject({ complete: false, changed: true });
  expect(report.verdict).toMatch(/either that recovery was interrupted, or the last files that it kept are missing$/);
  expect(files(survivor)).toEqual(damaged);
});

test("a recovery that is cut at any of its calls never says that it has kept everything", async () => {
  const { disk: whole, id: first } = await recovered();
  await revert(backendOn(whole), { id: first });
  const run = { id: "20260101T031500Z-a1b2c3", nowMs: 1_767_237_300_000 };
  const probe = whole.reboot(1);
  const before = probe.calls;
  await recover(backendOn(probe), { mode: "quarantine", run });
  const calls = probe.calls - before;
  const outcomes = new Set<unknown>();
  for (let n = 1; n <= calls; n++) {
    const disk = whole.reboot(1);
    disk.cutPowerAt(n);
    await expect(recover(backendOn(disk), { mode: "quarantine", run })).rejects.toBeInstanceOf(PowerCut);
    const survivor = disk.reboot(n);
    const mended = (await scan(backendOn(survivor))).ok;
    const report = await revert(backendOn(survivor), { id: run.id }).catch((error: unknown) => {
      expect(error).toMatchObject({ code: "STORE_NOT_FOUND" }); // it has kept nothing yet
    });
    if (report === undefined) continue;
    if (report.complete) expect(mended, `cut at call ${n}`).toBe(true);
    outcomes.add(report.complete);
  }
  expect(outcomes).toEqual(new Set([true, false]));
});

test("a damaged quarantine is found before anything is changed", async () => {
  const { disk, id } = await recovered();
  const mended = files(disk);
  const all = [...kept(disk), ...[...disk.tree().keys()].filter((path) => path.endsWith(COMPLETE))];
  expect(all.length).toBeGreaterThanOrEqual(9);
  for (const path of all) {
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
