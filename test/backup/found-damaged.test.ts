// What happens once a verification has found damage in the repository: the backup does not count, the alarm says so, and the next
// backup stores anew what it reads from the source and finds damaged.
import { expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { findBackup, viewRepository } from "../../src/backup/repository.ts";
import { backupStatus } from "../../src/backup/status.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { world, type World, write } from "./world.ts";

async function damaged(): Promise<World & { readonly id: string; readonly before: string }> {
  const one = world();
  const { store, objects, disk } = one;
  await write(store, 10);
  const first = await createBackup(store, objects);
  disk.clock.advance(1000);
  await write(store, 10);
  const { backup } = await createBackup(store, objects);
  const name = `segments/events/${backup.logs.events.segments[0]?.parts.at(-1)?.sha256}.part`;
  const bytes = Buffer.from((await objects.get(name)) as Buffer);
  bytes[100] = (bytes[100] as number) ^ 1;
  await objects.put(name, bytes);
  return { ...one, id: backup.id, before: first.backup.id };
}

test("it is no good backup any more, and a shallower or partial run does not make it one", async () => {
  const { objects, id, before } = await damaged();
  expect((await verifyBackups(objects)).ok).toBe(false);
  expect(await backupStatus(objects)).toMatchObject({ ok: false, good: 1, broken: [expect.stringContaining(id)] });
  await verifyBackups(objects, { level: "names" });
  await verifyBackups(objects, { timeBoxMs: 0 });
  const view = await viewRepository(objects);
  expect(view.backups.map(({ good }) => good)).toEqual([true, false]);
  expect(findBackup(view, "latest").id).toBe(before);
});

test("the next backup mends what the source still has, and then all are what was stored", async () => {
  const { objects, store } = await damaged();
  await verifyBackups(objects);
  const { backup } = await createBackup(store, objects);
  expect((await verifyBackups(objects)).ok).toBe(true);
  const view = await viewRepository(objects);
  expect(view.backups.every(({ good }) => good)).toBe(true);
  expect(findBackup(view, "latest").id).toBe(backup.id);
  expect((await backupStatus(objects)).ok).toBe(true);
});
