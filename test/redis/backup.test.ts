// Backups of a Redis store: one instant of streams and consumer groups beside the writer, only what is new is read, and what
// somebody deletes meanwhile is noticed.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import { backups } from "../../src/backup/index.ts";
import { backupReader } from "../../src/backup/backup-reader.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore } from "../../src/redis/index.ts";
import { contents, event, write } from "../backup/world.ts";
import { type Admin, RedisServer } from "./server.ts";
import { rawEntries, uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;
let place: string;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = await server.admin();
  place = await mkdtemp(join(tmpdir(), "papyra-redis-backup-"));
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
  await rm(place, { recursive: true, force: true });
});

function system(more: object = {}) {
  const systemId = uniqueSystem();
  const store = redisStore({ url: server.url, systemId, segmentBytes: 4096, ...more });
  return {
    systemId,
    store,
    key: `papyra:${systemId}:events`,
    repository: backups(join(place, `${systemId}-backups`)),
    objects: directoryObjects(nodeEnv, join(place, `${systemId}-backups`)),
    target: join(place, `${systemId}-restored`),
  };
}

const at = (path: string): Backend => fileBackend({ path }, nodeEnv);

test("beside its writer it is one instant; restored to files, numbers and records are the same", async () => {
  const { store, repository, objects, target } = system();
  const writer = await openStore(store);
  for (let n = 1; n <= 120; n++) {
    await writer.append("events", [event(n)]);
    await writer.append("audits", [event(n)]);
  }
  const made = await repository.create(store);
  expect(made.backup).toMatchObject({ verdict: "good", how: "live", anomalies: [] });
  await writer.append("events", [event(121)]);
  await writer.close();
  expect((await scan(backupReader(objects, made.backup))).verdict).toContain("healthy");
  expect((await repository.verify({ level: "replay" })).ok).toBe(true);
  const restored = await repository.restore(target);
  expect(restored.ok).toBe(true);
  expect((await scan(at(target))).verdict).toContain("healthy");
  const [before, after] = [await contents(store), await contents(at(target))];
  expect(after.events).toEqual(before.events?.slice(0, 120));
  expect(after.audits).toEqual(before.audits);
  await write(at(target), 1);
  expect((await contents(at(target))).events).toHaveLength(121);
});

test("the next backup reads what is new", async () => {
  const { store, repository } = system({ segmentBytes: undefined });
  await write(store, 400);
  const first = await repository.create(store);
  await write(store, 20);
  const second = await repository.create(store);
  expect(second.backup.logs.events).toMatchObject({ records: 420, last_seq: 420 });
  expect(second.readBytes).toBeLessThan(first.readBytes / 10);
  expect((await repository.create(store)).readBytes).toBe(0);
});

for (const [what, command] of Object.entries({
  "an entry in the middle": (ids: string[], key: string) => ["XDEL", key, ids[200] as string],
  "the newest entry": (ids: string[], key: string) => ["XDEL", key, ids.at(-1) as string],
  "the first half": (ids: string[], key: string) => ["XTRIM", key, "MINID", "=", ids[250] as string],
})) {
  test(`deleted while it is read: ${what}: there is a whole backup or none, and the next one tells`, async () => {
    const { store, repository, key } = system({ segmentBytes: undefined });
    await write(store, 500);
    const ids = (await rawEntries(admin, key)).map(({ id }) => id);
    let done = false;
    const deletedFrom: Backend = {
      ...store,
      async *read(...range) {
        for await (const chunk of store.read(...range)) {
          yield chunk;
          if (!done) await admin.sendCommand(command(ids, key));
          done = true;
        }
      },
    };
    await expect(repository.create(deletedFrom)).rejects.toMatchObject({ code: "STORAGE_FAILED" });
    await expect(repository.list()).rejects.toMatchObject({ code: "BACKUP_NOT_FOUND" });
    expect((await repository.create(store)).backup).toMatchObject({ verdict: "damaged" });
  });
}

test("deleted when it was read already: the backup is whole, restores, and the next one tells", async () => {
  const { store, repository, key, target } = system({ segmentBytes: undefined });
  await write(store, 50);
  const ids = (await rawEntries(admin, key)).map(({ id }) => id);
  const deletedBehind: Backend = {
    ...store,
    async *read(...range) {
      yield* store.read(...range);
      if (range[0].startsWith("audits")) await admin.xDel(key, ids[20] as string);
    },
  };
  const made = await repository.create(deletedBehind);
  expect(made.backup).toMatchObject({ verdict: "good", logs: { events: { records: 50 } } });
  expect(await admin.xLen(key)).toBe(ids.length - 1);
  await repository.restore(target);
  expect((await contents(at(target))).events).toHaveLength(50);
  expect((await repository.create(store)).backup).toMatchObject({ verdict: "damaged" });
});

test("what was deleted since the last backup makes the next one a damaged one, which does not count", async () => {
  const { store, repository, key } = system({ segmentBytes: undefined });
  await write(store, 50);
  const good = await repository.create(store);
  await admin.sendCommand(["XDEL", key, (await rawEntries(admin, key))[20]?.id as string]);
  await write(store, 1).catch(() => undefined); // whether it may be written or not
  const damaged = await repository.create(store);
  expect(damaged).toMatchObject({ ok: false, backup: { verdict: "damaged" } });
  expect((await repository.list()).backups.filter((one) => one.good).map(({ id }) => id)).toEqual([good.backup.id]);
});
