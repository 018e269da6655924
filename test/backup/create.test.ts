// Creating and restoring: what is in a backup is what was acknowledged at its instant, and what a restore gives is that.
import { expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import { backupReader } from "../../src/backup/backup-reader.ts";
import { createBackup } from "../../src/backup/create.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { scan } from "../../src/ops/scan.ts";
import { withBetween } from "../between.ts";
import { audit, contents, event, world, write } from "./world.ts";

for (const [kind, options] of Object.entries({ "one file a log": {}, rotating: { segmentBytes: 4096 } })) {
  test(`${kind}: a backup of a stopped store restores to the same records under a new lineage`, async () => {
    const { store, objects, env, at } = world(options);
    await write(store, 100);
    const before = await contents(store);
    const made = await createBackup(store, objects);
    expect(made.backup).toMatchObject({ verdict: "good", anomalies: [], how: "stopped" });
    expect((await scan(backupReader(objects, made.backup))).verdict).toContain("healthy");
    const restored = await restoreBackup(objects, env, "/restored");
    expect(restored.ok).toBe(true);
    const copy = at("/restored");
    const report = await scan(copy);
    expect(report.verdict).toContain("healthy");
    expect(report.lineage).not.toBe(made.backup.lineage);
    expect(await contents(copy)).toEqual(before);
    await write(copy, 50);
    expect((await scan(copy)).anomalies).toEqual([]);
    expect((await contents(copy)).events).toHaveLength(150);
  });

  test(`${kind}: the next backup stores what is new, and each restores to its instant`, async () => {
    const { store, objects, env, at } = world(options);
    const states: Record<string, unknown[]>[] = [];
    const made = [];
    for (let day = 0; day < 6; day++) {
      await write(store, 37);
      made.push(await createBackup(store, objects));
      states.push(await contents(store));
    }
    expect((await viewRepository(objects)).backups.map(({ good }) => good)).toEqual(made.map(() => true));
    const sizes = made.map(({ storedBytes }) => storedBytes);
    expect(Math.max(...sizes.slice(1))).toBeLessThan((sizes[0] as number) * 3);
    for (const [day, { backup }] of made.entries()) {
      await restoreBackup(objects, env, `/r${day}`, { point: { backup: backup.id } });
      expect(await contents(at(`/r${day}`))).toEqual(states[day]);
    }
  });

  test(`${kind}: beside its writer, from outside, it is one instant over all logs`, async () => {
    const { store, objects, env, at } = world(options);
    const writer = await openStore(store);
    for (let n = 1; n <= 60; n++) {
      await writer.append("events", [event(n)]);
      await writer.append("audits", [event(n)]);
    }
    const made = await createBackup(store, objects);
    expect(made.backup).toMatchObject({ verdict: "good", how: "live" });
    await writer.append("events", [event(61)]);
    await writer.close();
    await restoreBackup(objects, env, "/restored");
    const found = await contents(at("/restored"));
    expect(found.events).toHaveLength(60);
    expect(found.audits).toHaveLength(60);
  });
}

test("what is acknowledged while the store is looked at, and before the instant, is in it", async () => {
  const { store, objects, disk } = world();
  const writer = await openStore(store);
  const writtenMs: number[] = [];
  const busy = {
    ...store,
    async view() {
      const view = await store.view();
      disk.clock.advance(5);
      await writer.append("events", [event(writtenMs.length + 1)]);
      writtenMs.push(disk.clock.nowMs());
      disk.clock.advance(5);
      return view;
    },
  };
  const { backup } = await createBackup(busy, objects);
  await writer.close();
  const before = writtenMs.filter((atMs) => atMs < backup.instant * 1000);
  expect(before.length).toBeGreaterThan(0);
  expect(backup.logs.events.last_seq).toBeGreaterThanOrEqual(before.length);
});

test("a store that is opened and written while it is looked at is backed up as of one instant over all logs", async () => {
  let [opened, live] = [0, 0];
  for (let at = 1; ; at++) {
    const { store, objects, env } = world();
    await write(store, 3);
    let writer: Store | undefined;
    let calls = 0;
    const hook = async (): Promise<void> => {
      calls += 1;
      if (calls === at) writer = await openStore(store);
      const n = (writer?.lastSeq("events") ?? 0) + 1;
      await writer?.append("events", [event(n)]);
      await writer?.append("audits", [audit(n)]); // never ahead of the events
    };
    const { backup } = await createBackup(fileBackend({ path: "/srv/store" }, withBetween(env, hook)), objects);
    await writer?.close();
    const { events, audits } = backup.logs;
    const ahead = (events.last_seq ?? 0) - 3 - (audits.last_seq ?? 0);
    expect({ at, verdict: backup.verdict, together: ahead === 0 || ahead === 1 }).toEqual({
      at,
      verdict: "good",
      together: true,
    });
    if (writer === undefined) break; // it was ready before
    opened += 1;
    if (backup.how === "live") live += 1;
  }
  expect(opened).toBeGreaterThan(10);
  expect(live).toBeGreaterThan(5);
});
