// The checklist: what counts as done, for how long, and for whom.
import { expect, test } from "vitest";
import { checklist } from "../../src/backup/checklist.ts";
import { createBackup } from "../../src/backup/create.ts";
import { drillBackup } from "../../src/backup/drill.ts";
import { world, type World, write } from "./world.ts";

const HOUR_MS = 3_600_000;

async function verdicts({ objects, env, store }: World, files: { procedure?: string } = {}): Promise<string[]> {
  const { identity } = await store.view();
  const { items, ok } = await checklist(objects, env, {
    store: identity?.store ?? "",
    path: store.location,
    restoreProcedure: files.procedure,
    quarantineDir: "/quarantine",
  });
  expect(ok).toBe(items.every(({ verdict }) => verdict !== "not done"));
  expect(items.every(({ verdict, next }) => (verdict === "done") === (next === undefined))).toBe(true);
  return items.map(({ verdict }) => verdict);
}

test("a backup is done for a day, a drill for a week", async () => {
  const one = world();
  const { store, objects, env, disk } = one;
  await write(store, 3);
  expect((await verdicts(one)).slice(0, 2)).toEqual(["not done", "not done"]);
  await createBackup(store, objects);
  expect((await verdicts(one)).slice(0, 2)).toEqual(["done", "not done"]);
  await drillBackup(objects, env, { scratch: "/scratch" });
  disk.clock.advance(23 * HOUR_MS);
  expect((await verdicts(one)).slice(0, 2)).toEqual(["done", "done"]);
  disk.clock.advance(2 * HOUR_MS);
  expect((await verdicts(one)).slice(0, 2)).toEqual(["not done", "done"]);
  disk.clock.advance(6 * 24 * HOUR_MS);
  await createBackup(store, objects);
  expect((await verdicts(one)).slice(0, 2)).toEqual(["done", "not done"]);
});

test("what belongs to another store in the same repository does not count, and a drill that failed is no restore test", async () => {
  const one = world();
  const { store, objects, env, at } = one;
  await write(store, 3);
  const other = at("/srv/other");
  await write(other, 3);
  const { backup } = await createBackup(other, objects);
  await drillBackup(objects, env, { scratch: "/scratch", backup: backup.id });
  expect((await verdicts(one)).slice(0, 2)).toEqual(["not done", "not done"]);
  const own = await createBackup(store, objects);
  const drill = { scratch: "/scratch", backup: own.backup.id };
  await drillBackup(objects, env, drill);
  expect((await verdicts(one)).slice(0, 2)).toEqual(["done", "done"]);
  const part = own.backup.logs.events.segments[0]?.parts[0]?.sha256;
  await objects.remove(`segments/events/${part}.part`);
  await drillBackup(objects, env, drill);
  expect((await verdicts(one)).slice(0, 2)).toEqual(["done", "not done"]);
});

test("a scan cannot be told; a procedure is a file that says something", async () => {
  const one = world();
  await write(one.store, 3);
  expect((await verdicts(one)).slice(2)).toEqual(["cannot be told", "not done", "done", "done"]);
  const { fs } = one.env;
  await (await fs.open("/restore.md", "create")).close();
  expect((await verdicts(one, { procedure: "/restore.md" }))[3]).toBe("not done");
  const file = await fs.open("/restore.md", "update");
  await file.write(Buffer.from("1. Stop the service.\n"), 0);
  await file.close();
  expect((await verdicts(one, { procedure: "/restore.md" }))[3]).toBe("done");
  expect((await verdicts(one, { procedure: "/elsewhere.md" }))[3]).toBe("not done");
});
