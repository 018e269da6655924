// After a restore two futures of a store lie in one repository, and their seqs and times are the same: a point is one of the history
// of the newest backup. What a restore has cut off is reached by the id of its backup, and the answers say so.
import { expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { restoreInPlace } from "../../src/backup/in-place.ts";
import type { Manifest } from "../../src/backup/manifest.ts";
import { planRestore, restoreBackup } from "../../src/backup/restore.ts";
import { contents, world, type World, write } from "./world.ts";

const HOUR_MS = 3_600_000;

interface TwoFutures extends World {
  /** Ten events, the second of which were cut off; and ten events, five of which are of the new lineage. */
  readonly first: Manifest;
  readonly second: Manifest;
  readonly startedMs: number;
}

/** One event an hour: up to 10, restored to 5 at the end of hour 10, and written on up to 12; two audits in hour 7. */
async function makeTwoFutures(): Promise<TwoFutures> {
  const made = world();
  const { disk, store, objects, env, at } = made;
  const startedMs = disk.clock.nowMs();
  const hourly = async (place: string, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      await write(at(place), 1);
      disk.clock.advance(HOUR_MS);
    }
  };
  await hourly(store.location, 6);
  await write(store, 2, "audits");
  await hourly(store.location, 4);
  const { backup: first } = await createBackup(store, objects);
  await restoreBackup(objects, env, "/srv/new", { point: { log: "events", seq: 5 } });
  await hourly("/srv/new", 7);
  const { backup: second } = await createBackup(at("/srv/new"), objects);
  return { ...made, first, second, startedMs };
}

let made: Promise<TwoFutures> | undefined;

/** The same for each test, and each may change it. */
async function twoFutures(): Promise<TwoFutures> {
  made ??= makeTwoFutures();
  const { first, second, startedMs, disk } = await made;
  return { ...world({}, disk.afterKill()), first, second, startedMs };
}

const seqs = (found: Record<string, unknown[]>): [number, number] => [
  found.events?.length ?? 0,
  found.audits?.length ?? 0,
];

test("a seq that both histories have is the one of the newest backup, and a plan names the other one", async () => {
  const { objects, env, at, first, second } = await twoFutures();
  const point = { log: "events", seq: 8 } as const;
  const passedOver = { backup: first.id, lineage: first.lineage };
  expect(await planRestore(objects, "/r", { point })).toMatchObject({ backup: second.id, passedOver });
  expect(await restoreBackup(objects, env, "/r", { point })).toMatchObject({ backup: second.id, passedOver });
  const [restored, newest] = [await contents(at("/r")), await contents(at("/srv/new"))];
  expect(restored.events).toEqual(newest.events?.slice(0, 8));
});

test("what both histories have in common comes from the oldest backup that reaches it", async () => {
  const { objects, env, at, first } = await twoFutures();
  const point = { log: "events", seq: 4 } as const;
  expect(await restoreBackup(objects, env, "/r", { point })).toMatchObject({ backup: first.id, passedOver: null });
  expect(seqs(await contents(at("/r")))).toEqual([4, 0]);
});

test("what only a history has that was cut off is out of range, and the error says how to get it", async () => {
  const { objects, env, first, second } = await twoFutures();
  const refused = restoreBackup(objects, env, "/r", { point: { log: "audits", seq: 2 } });
  await expect(refused).rejects.toMatchObject({
    code: "RESTORE_OUT_OF_RANGE",
    message: expect.stringContaining(`backup ${first.id} has it, of lineage ${first.lineage}`),
    hint: expect.stringContaining(`--to-backup ${first.id}`),
    details: { cutOff: first.id, current: second.lineage },
  });
  const nobody = restoreBackup(objects, env, "/r", { point: { log: "events", seq: 13 } });
  await expect(nobody).rejects.toMatchObject({ hint: expect.stringContaining("events:12") });
  await expect(nobody).rejects.toMatchObject({
    hint: expect.stringContaining(`${first.id} reaches from events:1 to events:5;`),
  });
});

test.each([
  ["before the cut", 3.5, [4, 0], "first", false],
  ["when only what was cut off was written", 7.5, [5, 0], "first", true],
  ["when the new lineage is written", 12.5, [8, 0], "second", false],
] as const)("a time %s", async (_, hours, expected, from, other) => {
  const made = await twoFutures();
  const { objects, env, at, first, startedMs } = made;
  const report = await restoreBackup(objects, env, "/r", { point: { timeMs: startedMs + hours * HOUR_MS } });
  expect(report.backup).toBe(made[from].id);
  expect(report.passedOver).toEqual(other ? { backup: first.id, lineage: first.lineage } : null);
  expect(seqs(await contents(at("/r")))).toEqual(expected);
});

test("a backup of what was cut off that is made after the restore does not stand for a time of the new history", async () => {
  const { objects, env, at, disk, store, startedMs } = await twoFutures();
  disk.clock.advance(HOUR_MS);
  await createBackup(store, objects); // the old store was still there
  disk.clock.advance(HOUR_MS);
  const { backup: newest } = await createBackup(at("/srv/new"), objects);
  const point = { timeMs: startedMs + 17.5 * HOUR_MS };
  expect(await restoreBackup(objects, env, "/r", { point })).toMatchObject({ backup: newest.id });
  expect(seqs(await contents(at("/r")))).toEqual([12, 0]);
});

test("a restore in place goes to the point that was planned, though its own backup begins another history", async () => {
  const { objects, env, at, first } = await twoFutures();
  await restoreBackup(objects, env, "/srv/again", { point: { backup: first.id } });
  await write(at("/srv/again"), 1);
  const point = { log: "events", seq: 12 } as const;
  const planned = await planRestore(objects, "/r", { point });
  expect(await restoreInPlace(objects, env, "/srv/again", { point })).toMatchObject({ backup: planned.backup });
  expect(seqs(await contents(at("/srv/again")))).toEqual([12, 0]);
});
