// What restores and drills leave that are killed: the next one removes it, and nothing that may be somebody else's.
import { beforeAll, expect, test } from "vitest";
import { checklist } from "../../src/backup/checklist.ts";
import { createBackup } from "../../src/backup/create.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import { drillBackup } from "../../src/backup/drill.ts";
import { holdPlace, leftoversAt } from "../../src/backup/leftovers.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import { impatient } from "../sim-env.ts";
import { world, type World, write } from "./world.ts";

const PLACE = "/backups/repository";
let made: SimDisk;

beforeAll(async () => {
  const { disk, store, objects } = world();
  await write(store, 5);
  await createBackup(store, objects);
  made = disk;
});

function on(disk: SimDisk): Pick<World, "env" | "objects"> {
  const env = impatient(disk);
  return { env, objects: directoryObjects(env, PLACE) };
}

const beside = async ({ env }: Pick<World, "env">, dir = "/backups"): Promise<string[]> =>
  (await env.fs.list(dir)).filter((name) => name !== "repository");

test("a drill that is killed at any call leaves nothing that the next one does not remove", async () => {
  const disk = made.afterKill();
  const { env, objects } = on(disk);
  const after: SimDisk[] = [];
  disk.pause = ({ operation }) => {
    if (["rename", "remove", "release", "lock", "create", "removeDir"].includes(operation))
      after.push(disk.afterKill());
  };
  await drillBackup(objects, env, { scratch: `${PLACE}.drill-0000000a` });
  disk.pause = undefined;
  expect(await beside(on(disk))).toEqual([]);
  let found = 0;
  for (const next of after) {
    const there = on(next);
    found += (await beside(there)).length > 0 ? 1 : 0;
    await drillBackup(there.objects, there.env, { scratch: `${PLACE}.drill-0000000b` });
    expect(await beside(there)).toEqual([]);
  }
  expect(found).toBeGreaterThan(10);
});

test("a scratch place of one's own that a killed drill has left is used again", async () => {
  const disk = made.afterKill();
  const { env, objects } = on(disk);
  let left: SimDisk | undefined;
  disk.pause = ({ operation, path }) => {
    if (operation === "remove" && path.startsWith("/tmp/scratch/")) left ??= disk.afterKill();
  };
  await drillBackup(objects, env, { scratch: "/tmp/scratch" });
  const there = on(left as SimDisk);
  expect(await beside(there, "/tmp")).toEqual(["scratch", "scratch.papyra-lock"]);
  const again = await drillBackup(there.objects, there.env, { scratch: "/tmp/scratch" });
  expect(again.outcome).toBe("pass");
  expect(await beside(there, "/tmp")).toEqual([]);
});

test("what is at work, of another machine, or without a lock stays, and the checklist names it", async () => {
  const disk = made.afterKill();
  const { env, objects } = on(disk);
  const file = async (path: string): Promise<void> => {
    await env.fs.makeDir(path.slice(0, path.lastIndexOf("/")));
    await (await env.fs.open(path, "create")).close();
  };
  const atWork = `${PLACE}.drill-00000001`;
  const strange = "/srv/store.restoring-00000002";
  const foreign = "/srv/store.restoring-00000003";
  const hold = await holdPlace(env, atWork, "drill");
  await (await holdPlace({ ...env, host: { ...env.host, name: "another" } }, foreign, "restore")).release();
  disk.put(
    `${foreign}.papyra-lock`,
    `${JSON.stringify({ pid: 1, host: "another", sinceMs: 0, purpose: "restore" })}\n`,
  );
  for (const place of [atWork, strange, foreign]) await file(`${place}/events.ndjson`);
  await file("/srv/store.restoring-of-mine/events.ndjson");
  await drillBackup(objects, env, { scratch: `${PLACE}.drill-0000000b` });
  await expect(restoreBackup(objects, env, "/srv/store")).rejects.toMatchObject({ code: "TARGET_NOT_EMPTY" });
  for (const place of [atWork, strange, foreign, "/srv/store.restoring-of-mine"])
    expect([place, await env.fs.list(place)]).toEqual([place, ["events.ndjson"]]);
  expect(await leftoversAt(env, PLACE)).toEqual([{ path: atWork, owner: "at work" }]);

  const options = { store: "s", path: "/srv/store", restoreProcedure: undefined, quarantineDir: undefined };
  const item = (await checklist(objects, env, options)).items.at(-1);
  expect(item).toMatchObject({
    name: "leftovers",
    verdict: "not done",
    next: expect.stringContaining(`rm -rf ${strange} ${foreign}`),
  });
  await hold.release();
});
