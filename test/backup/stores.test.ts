// Several stores in one repository: nobody gets the backup of another one by chance, and the alarm watches each.
import { expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { drillBackup } from "../../src/backup/drill.ts";
import { restoreInPlace } from "../../src/backup/in-place.ts";
import { planRestore, restoreBackup } from "../../src/backup/restore.ts";
import { restoreActor } from "../../src/backup/restore-actor.ts";
import { backupStatus } from "../../src/backup/status.ts";
import { contents, world, type World, write } from "./world.ts";

const DAY_MS = 86_400_000;

/** A store of ten events and one of five, each backed up; the second one last. */
async function two(): Promise<World & { readonly ids: readonly [string, string]; readonly last: string }> {
  const one = world();
  await write(one.store, 10);
  const first = await createBackup(one.store, one.objects);
  one.disk.clock.advance(1000);
  await write(one.at("/srv/other"), 5);
  const second = await createBackup(one.at("/srv/other"), one.objects);
  return { ...one, ids: [first.backup.store, second.backup.store], last: second.backup.id };
}

test("where nothing says which store is meant, nothing is restored, and the stores are named", async () => {
  const { objects, env, ids, last } = await two();
  const refused = { code: "OPTION_INVALID", message: expect.stringContaining(ids.join(", ")) as string };
  for (const point of [undefined, { log: "events", seq: 3 } as const, { timeMs: env.clock.nowMs() - 1000 }])
    await expect(planRestore(objects, "/r", { point })).rejects.toMatchObject(refused);
  await expect(drillBackup(objects, env, { scratch: "/scratch" })).rejects.toMatchObject(refused);

  expect((await planRestore(objects, "/r", { store: ids[0] })).store).toBe(ids[0]);
  expect((await planRestore(objects, "/r", { point: { backup: last } })).store).toBe(ids[1]);
  expect((await restoreBackup(objects, env, "/r", { store: ids[0], point: { log: "events", seq: 3 } })).store).toBe(
    ids[0],
  );
  expect((await drillBackup(objects, env, { scratch: "/scratch", store: ids[1] })).records).toBe(5);
  await expect(planRestore(objects, "/r2", { store: "nobody" })).rejects.toMatchObject({ code: "BACKUP_NOT_FOUND" });
});

test("in place, and for one actor, the store that is there says which", async () => {
  const { store, objects, env, ids } = await two();
  await write(store, 3);
  const report = await restoreInPlace(objects, env, store.location);
  expect([report.store, (await contents(store)).events?.length]).toEqual([ids[0], 10]);
  const missing = restoreActor(objects, store, { actor: "account/42" });
  await expect(missing).rejects.toMatchObject({ message: expect.stringContaining(report.safetyBackup) as string });
});

test("the alarm: a store whose backups stop is not hidden by another one", async () => {
  const { objects, env, at, ids, disk } = await two();
  disk.clock.advance(2 * DAY_MS);
  await createBackup(at("/srv/other"), objects);
  const status = await backupStatus(objects, { maxAgeMs: DAY_MS });
  expect(status.broken).toEqual([expect.stringContaining(`good backup of ${ids[0]} is 2.0 days old`)]);
  expect(status.lastGood).toBeLessThan(env.clock.nowMs() / 1000 - 86_400);
  expect(await backupStatus(objects, { maxAgeMs: DAY_MS, store: ids[1] })).toMatchObject({ ok: true, backups: 2 });
  await drillBackup(objects, env, { scratch: "/scratch", store: ids[1] });
  const drills = await backupStatus(objects, { requireDrillMs: DAY_MS });
  expect([drills.broken, drills.lastDrillPassed]).toEqual([[`there is no drill of ${ids[0]} that passed`], null]);
});
