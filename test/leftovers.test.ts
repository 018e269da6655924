// What interrupted runs leave behind, and what is none of ours: a finding says which of them a file is, and nothing else does.
import { expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import { nextAfterScan } from "../src/cli/next.ts";
import { compact, planCompact } from "../src/ops/compact.ts";
import { recover } from "../src/ops/recover.ts";
import { planRecover } from "../src/ops/recover-plan.ts";
import { scan } from "../src/ops/scan.ts";
import { SimDisk } from "../src/testing/index.ts";

const FOREIGN = "a temporary file of mine.txt";
const TEMPORARY = "events.ndjson.tmp-0a1b2c3d";
const retention = { events: { maxRecords: 10 } };
const event = (n: number) =>
  ({
    kind: "event",
    system_id: "s",
    actor_address: "s://a",
    event_type: "Noted",
    payload: { n, text: "x".repeat(100) },
  }) as const;

const backendOn = (disk: SimDisk) => fileBackend({ path: "/s", segmentBytes: 4096 }, disk.env);

/** A store that was compacted, in which the first segment that was replaced stands again. */
async function interrupted(): Promise<{ disk: SimDisk; replaced: string }> {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk));
  for (let n = 1; n <= 120; n++) await store.append("events", [event(n)]);
  await store.close();
  const replaced = (await backendOn(disk).view()).segments.find(({ log }) => log === "events")!.name;
  const bytes = disk.content(`/s/${replaced}`);
  await compact(backendOn(disk), { retention });
  disk.put(`/s/${replaced}`, bytes);
  return { disk, replaced };
}

test("a scan says what an unexpected file was, and recovery removes those that are ours", async () => {
  const { disk, replaced } = await interrupted();
  disk.put(`/s/${TEMPORARY}`, "half");
  disk.put(`/s/${FOREIGN}`, "whole");
  const found = await scan(backendOn(disk));
  const leftovers = new Map(found.anomalies.map(({ kind, file, leftover }) => [file, [kind, leftover]]));
  expect(leftovers).toEqual(
    new Map([
      [FOREIGN, ["unexpected-file", undefined]],
      [TEMPORARY, ["unexpected-file", "temporary"]],
      [replaced, ["unexpected-file", "superseded"]],
    ]),
  );
  const removed = [
    ["temporary file removed", TEMPORARY],
    ["superseded file removed", replaced],
  ];
  const { report } = await planRecover(backendOn(disk), { mode: "repair" });
  expect(report.actions.map(({ what, file }) => [what, file])).toEqual(removed);
  const done = await recover(backendOn(disk), { mode: "repair" });
  expect(done.actions.map(({ what, file }) => [what, file])).toEqual(removed);
  expect(done.after.anomalies.map(({ file }) => file)).toEqual([FOREIGN]);

  const before = disk.mutations;
  expect(await recover(backendOn(disk), { mode: "repair" })).toMatchObject({ changed: false });
  expect(disk.mutations, "what is none of ours is no reason to touch anything").toBe(before);
  expect(nextAfterScan(done.after, "/s").join()).toContain("move the unexpected file out of the store");
  expect(nextAfterScan(found, "/s").join()).toContain("persistence recover");
});

test("a plan of a compaction that is refused touches nothing", async () => {
  const { disk, replaced } = await interrupted();
  const { fingerprint, leftovers } = await planCompact(backendOn(disk), { retention });
  expect(leftovers).toEqual([replaced]);
  const store = await openStore(backendOn(disk));
  await store.append("events", [event(121)]);
  await store.close();
  const before = disk.mutations;
  await expect(compact(backendOn(disk), { retention, fingerprint })).rejects.toMatchObject({ code: "STORE_CHANGED" });
  expect(disk.mutations).toBe(before);
  const anew = await planCompact(backendOn(disk), { retention });
  expect(await compact(backendOn(disk), { retention, fingerprint: anew.fingerprint })).toMatchObject({
    changed: true,
    leftovers: [replaced],
  });
  expect(await scan(backendOn(disk))).toMatchObject({ ok: true });
});
