// Which backup is the newest: the one that goes furthest in the history, whenever it came into the repository and whatever a wall
// clock said, and never the one that a restore in place makes of what it replaces.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { createBackup } from "../../src/backup/create.ts";
import { restoreInPlace } from "../../src/backup/in-place.ts";
import type { KeepPolicy } from "../../src/backup/keep.ts";
import { inOrder } from "../../src/backup/order.ts";
import { planPrune } from "../../src/backup/prune.ts";
import { findBackup, newestGood, viewRepository } from "../../src/backup/repository.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { backupStatus } from "../../src/backup/status.ts";
import { watchBackups } from "../../src/backup/watch.ts";
import { contents, event, world, write } from "./world.ts";

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

test("an old copy that is adopted later is an old backup: latest, status and retention go by its history", async () => {
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

const DAY_MS = 86_400_000;

/** Three backups, after 10, 15 and 20 events; before the second one, the wall clock goes back by a year, or leaps by one before the first. */
async function withClockSetBack() {
  const made = world();
  const { disk, store, objects } = made;
  const ids: string[] = [];
  for (const count of [10, 5, 5]) {
    await write(store, count);
    ids.push((await createBackup(store, objects)).backup.id);
    disk.clock.set(disk.clock.nowMs() + (ids.length === 1 ? -365 : 1) * DAY_MS);
  }
  return { ...made, ids };
}

test("the wall clock went back between two backups: the newest is the one that was made last", async () => {
  const { store, objects, env, at, ids } = await withClockSetBack();
  const view = await viewRepository(objects);
  const instants = view.backups.map(({ manifest }) => manifest?.instant ?? 0);
  expect(Math.max(...instants), "the oldest one says that it is the newest").toBe(instants[0]);
  expect(view.backups.map(({ id }) => id)).toEqual(ids);
  expect(findBackup(view, "latest").id).toBe(ids[2]);
  const restored = await restoreBackup(objects, env, "/restored");
  expect(restored.backup).toBe(ids[2]);
  expect((await contents(at("/restored"))).events).toEqual((await contents(store)).events);
});

test("nor is it what a policy keeps: the last ones are the ones that were made last", async () => {
  const { objects, ids } = await withClockSetBack();
  const keptBy = async (keep: KeepPolicy): Promise<string[]> => {
    const { backups } = await planPrune(objects, { keep });
    return backups.filter(({ reasons }) => reasons.length > 0).map(({ id }) => id);
  };
  expect(await keptBy({ last: 1 })).toEqual(ids.slice(2));
  expect(await keptBy({ daily: 2 })).toEqual(ids.slice(1));
  expect(await keptBy({ minGood: 2, yearly: 1 })).toEqual(ids.slice(1));
});

test("what a watch has shipped since the last backup is newer than it, and older than the next one", async () => {
  const { disk, store, objects, ids } = await withClockSetBack();
  const writer = await openStore(store);
  const stop = new AbortController();
  let rounds = 0;
  await watchBackups(store, objects, {
    everyMs: 1000,
    signal: stop.signal,
    onShipped: () => {
      if (++rounds === 3) stop.abort();
      disk.clock.set(disk.clock.nowMs() - 30 * DAY_MS);
      void writer.append("events", [event(20 + rounds)]);
    },
  });
  await writer.close();
  const view = await viewRepository(objects);
  expect(view.backups.map(({ id }) => id).slice(0, 3)).toEqual(ids);
  expect(view.watched[0]?.manifest?.instant).toBeLessThan(view.backups.at(-1)?.manifest?.instant ?? 0);
  expect(newestGood(view)).toBe(view.watched[0]);
  await write(store, 5);
  disk.clock.set(disk.clock.nowMs() - 900 * DAY_MS);
  const last = await createBackup(store, objects);
  const again = await viewRepository(objects);
  expect(again.watched).toHaveLength(1);
  expect(findBackup(again, "latest").id).toBe(last.backup.id);
});

test("a copy that is taken in goes where its history says, whatever the clock says by then", async () => {
  const { disk, store, objects, at } = world();
  await write(store, 10);
  for (const [path, bytes] of disk.tree())
    if (path.startsWith("/srv/store/")) disk.put(path.replace("/srv/store", "/copy"), bytes);
  await write(store, 5);
  const { backup: first } = await createBackup(store, objects);
  disk.clock.set(disk.clock.nowMs() - 365 * DAY_MS); // by its instant, the copy is younger than what follows
  await write(store, 5);
  const { backup: second } = await createBackup(store, objects);
  const { backup: copy } = await createBackup(at("/copy"), objects, {}, { how: "adopted" });
  const view = await viewRepository(objects);
  expect(view.backups.map(({ id }) => id)).toEqual([copy.id, first.id, second.id]);
  expect(copy.instant).toBeGreaterThan(second.instant);
});

test("a server's file that is taken in within the second of a backup with the same history is the newer one", async () => {
  const { store, objects } = world();
  await write(store, 10);
  await createBackup(store, objects);
  const [made] = (await viewRepository(objects)).backups;
  const at = (id: string, instant: number) => ({ id, manifest: { ...made!.manifest!, instant } });
  const entries = new Map([
    ["saved", { n: 1, made: true }],
    ["fetched", { n: 2, made: false }],
  ]);
  const ids = (saved: number, fetched: number) =>
    inOrder([at("saved", saved), at("fetched", fetched)], entries).map(({ id }) => id);
  expect(ids(10.05, 10)).toEqual(["saved", "fetched"]); // fetched at 10.9, as far as its file tells
  expect(ids(11.05, 10)).toEqual(["fetched", "saved"]);
});

test("where an entry of the catalog is lost, the history still tells", async () => {
  const { disk, objects, ids } = await withClockSetBack();
  disk.drop("/backups/repository/catalog/000000000002.json");
  const view = await viewRepository(objects);
  expect(view.catalog.lost).toEqual([2]);
  expect(view.backups.map(({ id }) => id)).toEqual(ids);
});
