// Looking at a store beside a writer that seals a segment in the worst moment: at each call that a scan makes to the file
// system the writer closes a segment before the answer is used. The file system is passed in, so that this needs no luck.
import { expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import type { Store } from "../src/backends/store.ts";
import type { Env } from "../src/env/env.ts";
import { isPapyraError } from "../src/errors.ts";
import { scan, type ScanReport } from "../src/ops/scan.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";
import { withBetween } from "./between.ts";
import { note } from "./damage/base.ts";
import { impatient } from "./sim-env.ts";

const PATH = "/data/s";
const OPTIONS = { path: PATH, segmentBytes: 4096 };
const BEFORE = 5;

/** A writer whose every record fills a segment: with each one the segment before is sealed. */
async function writing(): Promise<{ disk: SimDisk; store: Store; env: Env; seal: () => Promise<void> }> {
  const disk = new SimDisk();
  const env = impatient(disk);
  const store = await openStore(fileBackend(OPTIONS, env));
  const seal = async (): Promise<void> => void (await store.append("events", [note("x".repeat(3000))]));
  for (let n = 1; n <= BEFORE; n++) await seal();
  return { disk, store, env, seal };
}

function assertWhole(report: ScanReport, least: number): void {
  expect(report.anomalies).toEqual([]);
  expect(report.logs.find(({ log }) => log === "events")?.records).toBeGreaterThanOrEqual(least);
}

test("a segment that is sealed at any call of a scan costs the scan nothing", async () => {
  let calls = 0;
  const quiet = await writing();
  assertWhole(
    await scan(
      fileBackend(
        OPTIONS,
        withBetween(quiet.env, async () => void calls++),
      ),
    ),
    BEFORE,
  );
  await quiet.store.close();
  let [cases, lists] = [0, 0];
  for (let at = 1; at <= calls; at++) {
    const { store, env, seal } = await writing();
    let call = 0;
    const between = withBetween(env, async (what) => {
      if (++call !== at) return;
      if (what === "list") lists += 1;
      await seal();
    });
    assertWhole(await scan(fileBackend(OPTIONS, between)), BEFORE);
    await store.close();
    cases += 1;
  }
  expect(lists).toBeGreaterThanOrEqual(2);
  console.log(`sealed beside a scan: ${cases} cases, ${lists} of them right after a listing`);
});

test("a segment that is sealed after each of many listings is waited for, and a store that never rests is given up", async () => {
  for (const [seals, gives] of [
    [6, true],
    [Number.POSITIVE_INFINITY, false],
  ] as const) {
    const { store, env, seal } = await writing();
    let left: number = seals;
    const between = withBetween(env, async (what) => {
      if (what === "list" && left-- > 0) await seal();
    });
    const outcome = await scan(fileBackend(OPTIONS, between)).catch((error: unknown) => error);
    if (gives) assertWhole(outcome as ScanReport, BEFORE + seals - 1);
    else expect(isPapyraError(outcome, "STORAGE_FAILED"), String(outcome)).toBe(true);
    await store.close();
  }
});
