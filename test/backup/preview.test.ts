// Which backups could still be restored at another time: what is assumed is in the answer.
import { expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { planPrune } from "../../src/backup/prune.ts";
import { world, write } from "./world.ts";

const DAY_MS = 86_400_000;

test("a preview tells of the backups of today, and says that no other one is counted", async () => {
  const { disk, store, objects } = world();
  await write(store, 1);
  for (let day = 1; day <= 3; day++) {
    await createBackup(store, objects);
    disk.clock.advance(DAY_MS);
  }
  const atMs = disk.clock.nowMs() + 2 * DAY_MS;
  const left = async (keep: object, at?: number): Promise<[string, number]> => {
    const { verdict, backups } = await planPrune(objects, { keep }, at);
    return [verdict, backups.filter(({ reasons }) => reasons.length > 0).length];
  };
  const within = { withinMs: 3 * DAY_MS };
  expect((await left(within))[1]).toBe(3);
  expect((await left(within, atMs))[1]).toBe(1);
  expect((await left(within, atMs))[0]).toContain(
    `on ${new Date(atMs).toISOString()}, if no backup is made until then, 1 could still be restored: would remove 2 of 3 backups`,
  );
  expect((await left({ daily: 2 }, atMs))[1]).toBe((await left({ daily: 2 }))[1]);
  expect((await left({ daily: 2 }))[0]).toMatch(/^would remove 1 of 3 backups/);
});
