// The catalog alone knows which backups are pinned. Where an entry of it is lost, whatever it may have pinned stays, until somebody
// says anew what shall be kept.
import { beforeAll, expect, test } from "vitest";
import { readCatalog } from "../../src/backup/catalog.ts";
import { createBackup } from "../../src/backup/create.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import type { ObjectStore } from "../../src/backup/objects.ts";
import { pinBackup } from "../../src/backup/pins.ts";
import { planPrune, prune } from "../../src/backup/prune.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { encodeSealed } from "../../src/backup/sealed-json.ts";
import { backupStatus } from "../../src/backup/status.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import { impatient } from "../sim-env.ts";
import { world, write } from "./world.ts";

const KEEP = { keep: { last: 1 }, graceMs: 0 };
const entry = (n: number): string => `/backups/repository/catalog/${String(n).padStart(12, "0")}.json`;

let made: SimDisk;
let ids: string[];

/** Entries: 1 and 2 create, 3 pins the first, 4 and 5 create. */
beforeAll(async () => {
  const { disk, store, objects } = world();
  made = disk;
  ids = [];
  for (let day = 1; day <= 4; day++) {
    await write(store, 3);
    ids.push((await createBackup(store, objects)).backup.id);
    if (day === 2) await pinBackup(objects, ids[0] as string);
    disk.clock.advance(86_400_000);
  }
});

function damaged(damage: (disk: SimDisk) => void): { disk: SimDisk; objects: ObjectStore } {
  const disk = made.afterKill();
  damage(disk);
  return { disk, objects: directoryObjects(impatient(disk), "/backups/repository") };
}

const left = async (objects: ObjectStore): Promise<string[]> =>
  (await viewRepository(objects)).backups.map(({ id }) => id);

function flip(disk: SimDisk, path: string): void {
  const bytes = Buffer.from(disk.content(path));
  bytes[20] = (bytes[20] as number) ^ 1;
  disk.put(path, bytes);
}

test("of a whole catalog the pinned one and the newest stay", async () => {
  const { objects } = damaged(() => undefined);
  expect(await prune(objects, KEEP)).toMatchObject({ maybePinned: [] });
  expect(await left(objects)).toEqual([ids[0], ids[3]]);
});

test.each<[string, (disk: SimDisk) => void]>([
  ["damaged", (disk) => flip(disk, entry(3))],
  ["missing", (disk) => disk.drop(entry(3))],
  [
    "replaced",
    (disk) =>
      disk.put(
        entry(3),
        encodeSealed({ n: 3, previous: null, at: 0, host: "h", type: "unpinned", backup: "x", detail: "" }),
      ),
  ],
])(
  "the entry of a pin is %s: whatever it may have pinned stays, and list, status and prune say so",
  async (_, damage) => {
    const { objects } = damaged(damage);
    expect((await readCatalog(objects)).lost).toContain(3);
    const { backups, problems } = await viewRepository(objects);
    const unknown = backups.filter(({ maybePinned }) => maybePinned).map(({ id }) => id);
    expect(unknown).toEqual(expect.arrayContaining([ids[0], ids[1]]));
    for (const later of [ids[2], ids[3]]) expect(unknown).not.toContain(later);
    expect(problems.join()).toContain("may have pinned");
    expect(await backupStatus(objects)).toMatchObject({
      ok: false,
      verdict: expect.stringContaining("papyra backup pin, or unpin"),
    });
    expect((await planPrune(objects, KEEP)).verdict).toContain("stay since the catalog is damaged");
    expect(await prune(objects, KEEP)).toMatchObject({ maybePinned: unknown });
    expect(await left(objects)).toEqual(expect.arrayContaining([ids[0], ids[1], ids[3]]));
  },
);

test("what is said anew counts: one is pinned, the other goes", async () => {
  const { objects } = damaged((disk) => flip(disk, entry(3)));
  await pinBackup(objects, ids[0] as string);
  await pinBackup(objects, ids[1] as string, { unpin: true });
  const { problems } = await viewRepository(objects);
  expect(problems).toEqual([
    "catalog/000000000003.json is damaged",
    "catalog/000000000004.json does not follow the entry before it",
  ]);
  expect(await prune(objects, KEEP)).toMatchObject({ maybePinned: [] });
  expect(await left(objects)).toEqual([ids[0], ids[3]]);
});

test("the entry that made a backup is lost: it may have been pinned by any that is lost", async () => {
  const { objects } = damaged((disk) => flip(disk, entry(5)));
  const { backups } = await viewRepository(objects);
  expect(backups.map(({ maybePinned, pinned }) => maybePinned || pinned)).toEqual([true, true, true, true]);
});
