// Backups that are RDB files: which file it is, what is in it, and that nothing else ever passes for one.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { readCatalog } from "../../src/backup/catalog.ts";
import { partName } from "../../src/backup/manifest.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { isPapyraError } from "../../src/errors.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { createRdbBackup } from "../../src/rdb/create-rdb.ts";
import { drillRdb } from "../../src/rdb/drill-rdb.ts";
import { judgeBackup, withSource } from "../../src/rdb/load.ts";
import { writeBackedUpFile } from "../../src/rdb/put-back.ts";
import { consumerGroup } from "../../src/redis/index.ts";
import { contents, write } from "../backup/world.ts";
import type { Admin } from "../redis/server.ts";
import { rawEntries } from "../redis/subject.ts";
import { RdbWorld } from "./world.ts";

let world: RdbWorld;
let admin: Admin;

beforeAll(async () => {
  world = await RdbWorld.start("--logfile", "redis.log");
  admin = await world.server.admin();
});

afterAll(async () => {
  admin.destroy();
  await world.stop();
});

const dump = (): string => join(world.server.directory, "dump.rdb");

test("the file that the server saved is a backup like the others: listed, verified, drilled, restored with its groups", async () => {
  const { options, store, objects, repository, target } = world.system();
  await write(store, 30);
  await write(store, 3, "audits");
  const group = consumerGroup({
    url: options.url,
    systemId: options.systemId,
    log: "events",
    group: "g",
    consumer: "c",
  });
  await group.ensure({ from: "start" });
  let given = 0;
  for await (const { id } of group.consume({ follow: false, limit: 10 })) if (++given > 4) await group.ack([id]);

  const made = await createRdbBackup(objects, world.loading(), { store: options, note: "by hand" });
  const file = readFileSync(dump());
  expect(made.backup).toMatchObject({
    how: "bgsave",
    verdict: "good",
    note: "by hand",
    logs: { events: { records: 30, first_seq: 1, last_seq: 30 }, audits: { last_seq: 3 }, journal: { last_seq: 0 } },
    server_file: {
      kind: "rdb",
      bytes: file.length,
      sha256: createHash("sha256").update(file).digest("hex"),
      run_id: /run_id:(\w+)/.exec(await admin.info("server"))?.[1],
      last_save: Number(await admin.sendCommand(["LASTSAVE"])),
      check: expect.stringContaining("RDB looks OK") as string,
    },
  });
  const lines = (await rawEntries(admin, `papyra:${options.systemId}:events`)).map(({ data }) => data);
  expect(made.backup.server_file.digests.events).toBe(createHash("sha256").update(Buffer.concat(lines)).digest("hex"));

  const { id } = made.backup;
  expect((await repository.list()).backups).toMatchObject([{ id, good: true, problems: [] }]);
  const loadFile = () => judgeBackup(world.loading(), objects, made.backup);
  expect(await repository.verify({ level: "replay", loadFile })).toMatchObject({ ok: true, parts: 1, coverage: 1 });
  expect(await drillRdb(objects, world.loading(), made.backup)).toMatchObject({
    ok: true,
    outcome: "pass",
    records: 33,
  });
  expect(await repository.status({ maxAgeMs: 3_600_000, requireDrillMs: 3_600_000 })).toMatchObject({ ok: true });

  const twin = world.system();
  const restored = await withSource(world.loading(), (sourceOf) =>
    restoreBackup(objects, nodeEnv, twin.store, {}, { sourceOf }),
  );
  expect(restored).toMatchObject({
    ok: true,
    backup: id,
    groups: [{ group: "g", seq: 10, pending: 4, restored: true }],
  });
  expect(await contents(twin.store)).toEqual(await contents(store));
  await withSource(world.loading(), (sourceOf) => restoreBackup(objects, nodeEnv, target, {}, { sourceOf }));
  expect(await contents(fileBackend({ path: target }, nodeEnv))).toEqual(await contents(store));
  expect(world.scratches()).toEqual([]);
  expect(await repository.prune({ keep: { last: 1 }, graceMs: 0 })).toMatchObject({ parts: 0 });
});

test("a save of somebody else is awaited, and then ours is made: what was acknowledged before is in it", async () => {
  const { options, store, objects } = world.system();
  await write(store, 5);
  await admin.configSet("rdb-key-save-delay", "2000000"); // microseconds a key: it does not end by itself
  await admin.sendCommand(["BGSAVE"]);
  await admin.configSet("rdb-key-save-delay", "0");
  await write(store, 5); // behind that save's instant
  const [, pid] = /process_id:(\d+)/.exec(await admin.info("server")) as unknown as [string, string];
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  let done = false;
  const creating = createRdbBackup(objects, world.loading(), { store: options }).finally(() => (done = true));
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect([done, await admin.info("persistence")]).toEqual([false, expect.stringContaining("rdb_bgsave_in_progress:1")]);
  process.kill(Number(children[0]), "SIGKILL"); // that it fails is not our failure
  expect((await creating).backup.logs.events.last_seq).toBe(10);
});

test("a save that fails says why, and leaves neither a backup nor anything else", async () => {
  const { options, store, objects } = world.system();
  await write(store, 2);
  rmSync(dump(), { force: true });
  mkdirSync(join(dump(), "in-the-way"), { recursive: true });
  await admin.configSet("save", "900 1"); // from the first failure on every write is refused: MISCONF
  try {
    for (const _ of ["at first", "with MISCONF"]) {
      const failed = await createRdbBackup(objects, world.loading(), { store: options }).catch((e: unknown) => e);
      expect(failed).toMatchObject({ code: "STORAGE_FAILED" });
      expect(String(failed)).toMatch(
        /its BGSAVE failed: .*Error moving temp DB file.*Is a directory.* bytes are free in/,
      );
    }
    await expect(admin.sendCommand(["XADD", "other", "*", "a", "b"])).rejects.toThrow("MISCONF");
    expect(await readCatalog(objects)).toMatchObject({ entries: [] });
    expect([await namesIn(objects), world.scratches()]).toEqual([[], []]);
  } finally {
    rmSync(dump(), { recursive: true });
    await admin.configSet("save", "");
  }
  expect((await createRdbBackup(objects, world.loading(), { store: options })).ok).toBe(true);
});

async function namesIn(objects: ReturnType<RdbWorld["system"]>["objects"]): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of objects.list("backups/")) names.push(name);
  return names;
}

describe("a file that was brought", () => {
  test("is taken in as it is, whatever database and tag its store has; one that is not whole, or without the store, is not", async () => {
    const { options, store, objects, repository } = world.system({ url: `${world.server.url}/3`, hashTag: true });
    await write(store, 7);
    await admin.sendCommand(["SAVE"]);
    const file = join(world.place, "brought.rdb");
    copyFileSync(dump(), file);
    await write(store, 1);
    const made = await createRdbBackup(objects, world.loading(), { store: options, file });
    expect(made.backup).toMatchObject({ how: "adopted", source: file, logs: { events: { last_seq: 7 } } });
    expect(made.backup.instant).toBe(made.backup.server_file.begun);
    expect(made.backup.server_file).toMatchObject({ database: 3, hash_tag: true, run_id: null, last_save: null });
    expect((await drillRdb(objects, world.loading(), made.backup)).ok).toBe(true);

    const take = (path: string, more: object = {}) =>
      createRdbBackup(objects, world.loading(), { store: { ...options, ...more }, file: path });
    await expect(take(file, { url: world.server.url })).rejects.toMatchObject({
      code: "STORE_NOT_FOUND",
      message: expect.stringContaining(`in database 0 of ${file}`) as string,
    });
    const bad = join(world.place, "bad.rdb");
    writeFileSync(bad, "appendonly yes\n");
    await expect(take(bad)).rejects.toMatchObject({ code: "BACKUP_DAMAGED" });
    copyFileSync(file, bad);
    truncateSync(bad, readFileSync(file).length - 100);
    await expect(take(bad)).rejects.toMatchObject({
      code: "BACKUP_DAMAGED",
      message: expect.stringMatching(/redis-check-rdb \(exit 1\): \[offset \d+\]/) as string,
    });
    writeFileSync(bad, Buffer.concat([Buffer.from("REDIS0099"), readFileSync(file).subarray(9)]));
    await expect(take(bad)).rejects.toMatchObject({ code: "FORMAT_UNKNOWN" });
    expect((await repository.list()).backups).toHaveLength(1);
    expect(world.scratches()).toEqual([]);
  });
});

test("a store from which somebody deleted makes a damaged one: listed, never counted, restored only when that is asked for", async () => {
  const { options, store, objects, repository, key } = world.system();
  await write(store, 6);
  await admin.xDel(key, (await rawEntries(admin, key))[3]?.id as string);
  const made = await createRdbBackup(objects, world.loading(), { store: options });
  expect(made).toMatchObject({ ok: false, backup: { verdict: "damaged" } });
  expect(made.backup.anomalies.join()).toMatch(/seq 3|missing/);
  expect((await repository.list()).backups).toMatchObject([{ good: false }]);
  expect((await drillRdb(objects, world.loading(), made.backup)).ok).toBe(true); // it is what was stored
});

test("what differs from the manifest is found by a verification and by a drill", async () => {
  const { options, store, objects, repository } = world.system();
  await write(store, 6);
  const { backup } = await createRdbBackup(objects, world.loading(), { store: options });
  const { events } = backup.logs;
  const lied = [
    [{ logs: { ...backup.logs, events: { ...events, last_seq: 7 } } }, "events ends at seq 6 instead of 7"],
    [{ logs: { ...backup.logs, events: { ...events, records: 5 } } }, "events has 6 records instead of 5"],
    [
      { server_file: { ...backup.server_file, digests: { ...backup.server_file.digests, journal: "0" } } },
      "the lines of journal are others than they were",
    ],
    [
      { logs: { ...backup.logs, events: { ...events, groups: [{ group: "g", seq: 1, id: "", consumers: [] }] } } },
      "group g at seq 1",
    ],
    [{ lineage: "b0" }, "instead of store"],
  ] as const;
  const [first, ...others] = lied;
  expect(await judgeBackup(world.loading(), objects, { ...backup, ...first[0] })).toContain(first[1]);
  const { contentsOfBackup, withBackup } = await import("../../src/rdb/load.ts");
  const { differenceTo } = await import("../../src/rdb/contents.ts");
  await withBackup(world.loading(), objects, backup, async (server) => {
    const found = await contentsOfBackup(server, backup);
    expect(differenceTo(backup, found)).toBeUndefined();
    for (const [lie, words] of others) expect(differenceTo({ ...backup, ...lie }, found)).toContain(words);
  });

  const part = partName("rdb", backup.server_file.parts[0] as { sha256: string });
  const bytes = (await objects.get(part)) as Buffer;
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
  await objects.put(part, bytes);
  expect(await repository.verify()).toMatchObject({ ok: false, backups: [{ ok: false }] });
  const target = join(world.place, "not-put-back.rdb");
  await expect(writeBackedUpFile(objects, nodeEnv, backup, target)).rejects.toMatchObject({ code: "BACKUP_DAMAGED" });
  expect(await nodeEnv.fs.stat(target)).toBeUndefined();
  const drill = await drillRdb(objects, world.loading(), backup);
  expect(drill).toMatchObject({ ok: false, outcome: "fail", detail: expect.stringContaining(part) as string });
  expect((await repository.status()).broken.join()).toContain("the last drill failed");
});

test("what reads lines by itself says that it cannot, and a backup of lines is made in full beside a file", async () => {
  const { options, store, objects, repository, target } = world.system();
  await write(store, 4);
  const { backup } = await createRdbBackup(objects, world.loading(), { store: options });
  for (const refused of [
    () => repository.restore(target),
    () => repository.verify({ level: "replay" }),
    () => repository.restore(target, { point: { backup: backup.id } }),
  ]) {
    const error = await refused().catch((thrown: unknown) => thrown);
    expect(isPapyraError(error, "OPTION_INVALID")).toBe(true);
    expect(String(error)).toContain("read by a server");
  }
  await expect(repository.restore(target, { point: { log: "events", seq: 2 } })).rejects.toMatchObject({
    code: "RESTORE_OUT_OF_RANGE",
  });
  const lines = await repository.create(store);
  expect(lines.backup.logs.events).toMatchObject({ records: 4, last_seq: 4 });
  expect((await repository.restore(target)).backup).toBe(lines.backup.id); // the newest
  expect((await repository.prune({ keep: { last: 1 }, graceMs: 0 })).backups).toMatchObject([
    { id: backup.id, reasons: [] },
    { id: lines.backup.id },
  ]);
  expect(await objects.get(partName("rdb", backup.server_file.parts[0] as { sha256: string }))).toBeUndefined();
});
