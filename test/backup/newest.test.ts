// Which backup is the newest: the one of the latest instant, whenever it came into the repository, and never the one that a
// restore in place makes of what it replaces.
import { expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { restoreInPlace } from "../../src/backup/in-place.ts";
import { planPrune } from "../../src/backup/prune.ts";
import { findBackup, viewRepository } from "../../src/backup/repository.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { backupStatus } from "../../src/backup/status.ts";
import { contents, world, write } from "./world.ts";

test("a restore in place of the newest backup restores what was the newest before it, not what it replaces", async () => {
  for (const point of [undefined, {}]) {
    const { store, objects, env, at } = world();
    await write(store, 10);
    const { backup } = await createBackup(store, objects);
    const then = await contents(store);
    await write(store, 5);
    const report = await restoreInPlace(objects, env, store.location, { point });
    expect(report.backup).toBe(backup.id);
    expect(report.safetyBackup).not.toBe(backup.id);
    expect(await contents(store)).toEqual(then);
    expect((await contents(at(report.before))).events).toHaveLength(15);
  }
});

test("an old copy that is adopted later is an old backup: latest, status and retention go by the instant", async () => {
  const { disk, store, objects, env, at } = world();
  await write(store, 10);
  await createBackup(store, objects);
  await restoreBackup(objects, env, "/copy"); // any old store will do
  disk.clock.advance(40 * 86_400_000);
  await write(store, 5);
  const { backup: today } = await createBackup(store, objects);
  disk.clock.advance(3_600_000);
  const { backup: adopted } = await createBackup(at("/copy"), objects, {}, { how: "adopted" });

  const view = await viewRepository(objects);
  expect(view.backups.map(({ id }) => id).indexOf(adopted.id)).toBeLessThan(2);
  expect(findBackup(view, "latest").id).toBe(today.id);
  expect(await backupStatus(objects, { maxAgeMs: 2 * 3_600_000 })).toMatchObject({ ok: true, lastGood: today.instant });
  const { backups } = await planPrune(objects, { keep: { last: 1 } });
  expect(backups.filter(({ reasons }) => reasons.length > 0).map(({ id }) => id)).toEqual([today.id]);
});
