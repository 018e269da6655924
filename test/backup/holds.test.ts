// Who reads parts keeps a prune away.
import { expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { drillBackup } from "../../src/backup/drill.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { restoreActor } from "../../src/backup/restore-actor.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { world, type World, write } from "./world.ts";

test.each<[string, (world: World) => Promise<unknown>]>([
  ["a backup", ({ store, objects }) => createBackup(store, objects)],
  ["a verification", ({ objects }) => verifyBackups(objects)],
  ["a restore", ({ objects, env }) => restoreBackup(objects, env, "/restored")],
  ["a drill", ({ objects, env }) => drillBackup(objects, env, { scratch: "/scratch" })],
  ["the restore of an actor", ({ objects, store }) => restoreActor(objects, store, { actor: "account/42" })],
])("%s is refused beside a prune, which is named", async (_, work) => {
  const one = world();
  await write(one.store, 3);
  await createBackup(one.store, one.objects);
  const hold = await one.objects.hold("exclusive", "prune");
  await expect(work(one)).rejects.toMatchObject({ code: "REPOSITORY_LOCKED", details: { purpose: "prune" } });
  await hold.release();
});
