// Restoring in place: what was the newest backup when it was asked for is restored, and not the one that it makes first.
import { expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { restoreInPlace } from "../../src/backup/in-place.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { contents, world, write } from "./world.ts";

test.each([{}, undefined, { backup: "latest" }])(
  "with the point %j it goes back to the newest backup",
  async (point) => {
    const { store, objects, env, at, disk } = world();
    await write(store, 5);
    const then = await contents(store);
    const made = await createBackup(store, objects);
    disk.clock.advance(60_000);
    await write(store, 3);
    const now = await contents(store);
    const report = await restoreInPlace(objects, env, "/srv/store", { point });
    expect(report.backup).toBe(made.backup.id);
    expect(await contents(at("/srv/store"))).toEqual(then);
    expect(await contents(at(report.before))).toEqual(now);
    expect((await viewRepository(objects)).backups.map(({ id }) => id)).toEqual([made.backup.id, report.safetyBackup]);
  },
);
