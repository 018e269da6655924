// A file that is not the one that was asked for, and what keeps a server's file from being read at all.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Fs } from "../../src/env/env.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { createRdbBackup } from "../../src/rdb/create-rdb.ts";
import { write } from "../backup/world.ts";
import { type Admin, RedisServer } from "../redis/server.ts";
import { RdbWorld } from "./world.ts";

let world: RdbWorld;
let admin: Admin;

beforeAll(async () => {
  world = await RdbWorld.start();
  admin = await world.server.admin();
});

afterAll(async () => {
  admin.destroy();
  await world.stop();
});

const dump = (): string => join(world.server.directory, "dump.rdb");

test("the path is one of another machine", async () => {
  const { options, store, objects } = world.system();
  await write(store, 2);
  await admin.sendCommand(["SAVE"]);
  const before = await nodeEnv.fs.stat(dump());
  const here = { stat: async (path: string) => (path === dump() ? before : nodeEnv.fs.stat(path)) };
  await expect(createRdbBackup(objects, world.loading(here), { store: options })).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringContaining("is not the one that it wrote") as string,
    hint: expect.stringContaining("--rdb-file") as string,
  });
  const nowhere = {
    stat: async (path: string) => (path === world.server.directory ? undefined : nodeEnv.fs.stat(path)),
  };
  const saves = /rdb_saves:(\d+)/.exec(await admin.info("persistence"))?.[1];
  await expect(createRdbBackup(objects, world.loading(nowhere), { store: options })).rejects.toMatchObject({
    message: expect.stringContaining(`there is no directory ${world.server.directory} on this machine`) as string,
  });
  expect(await admin.info("persistence")).toContain(`rdb_saves:${saves}`); // and nothing was asked in vain
});

test("one that was begun before the server was asked", async () => {
  const { options, store, objects, repository } = world.system();
  await write(store, 2);
  await admin.sendCommand(["SAVE"]);
  const old = join(world.place, "old.rdb");
  copyFileSync(dump(), old);
  await new Promise((resolve) => setTimeout(resolve, 1100)); // the file knows whole seconds
  const older = instead(async () => old);
  const failed = await createRdbBackup(objects, world.loading(older), { store: options }).catch((e: unknown) => e);
  expect(String(failed)).toMatch(/it was begun at \d+, and the server was asked at \d+/);
  await expect(repository.list()).rejects.toMatchObject({ code: "BACKUP_NOT_FOUND" });
});

test("one of another server that writes to the same path, with less than was acknowledged", async () => {
  const { options, store, objects, repository } = world.system();
  await write(store, 2);
  await admin.sendCommand(["SAVE"]);
  const other = await RedisServer.start();
  try {
    await other.kill();
    copyFileSync(dump(), join(other.directory, "dump.rdb"));
    await other.run();
    await write(store, 2);
    const later = instead(async () => {
      const client = await other.admin();
      await client.sendCommand(["SAVE"]);
      client.destroy();
      return join(other.directory, "dump.rdb");
    });
    const failed = await createRdbBackup(objects, world.loading(later), { store: options }).catch((e: unknown) => e);
    expect(String(failed)).toContain("it ends at seq 2 of events, and seq 4 was acknowledged before");
    await expect(repository.list()).rejects.toMatchObject({ code: "BACKUP_NOT_FOUND" });
  } finally {
    await other.stop();
  }
});

/** Another file is at the path when it is opened. */
function instead(which: () => Promise<string>): Partial<Fs> {
  return {
    open: async (path, mode) => nodeEnv.fs.open(path === dump() && mode === "read" ? await which() : path, mode),
  };
}

test("a server that does not tell where its files are", async () => {
  const { options, store, objects } = world.system();
  await write(store, 1);
  await admin.sendCommand(["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-config"]);
  const url = world.server.url.replace("redis://", "redis://app:secret@");
  await expect(createRdbBackup(objects, world.loading(), { store: { ...options, url } })).rejects.toMatchObject({
    message: expect.stringMatching(/it refuses CONFIG GET: NOPERM/) as string,
    hint: expect.stringContaining("--rdb-file") as string,
  });
});

test("where there is no server program, that is said before anything is asked or written", async () => {
  const { options, store, objects } = world.system();
  await write(store, 1);
  const saves = /rdb_saves:\d+/.exec(await admin.info("persistence"))?.[0] as string;
  await expect(
    createRdbBackup(objects, world.loading({}, "/nowhere/redis-server"), { store: options }),
  ).rejects.toMatchObject({
    code: "CLIENT_MISSING",
    message: "there is no program /nowhere/redis-server",
  });
  expect(await admin.info("persistence")).toContain(saves);
});

test("a command that is stopped while a server loads ends that server, and leaves nothing", async () => {
  const { options, store, objects } = world.system();
  await write(store, 1);
  const directory = join(world.place, "slow");
  mkdirSync(directory);
  const { checkRdb } = await world.loading().programs();
  const pidFile = join(directory, "pid");
  const server = join(directory, "redis-server");
  writeFileSync(server, `#!/bin/sh\necho $$ > ${pidFile}.new\nmv ${pidFile}.new ${pidFile}\nexec sleep 600\n`, {
    mode: 0o755,
  });
  const stop = new AbortController();
  const loading = {
    ...world.loading(),
    programs: async () => ({ server, checkRdb, checkAof: checkRdb }),
    signal: stop.signal,
  };
  const created = createRdbBackup(objects, loading, { store: options }).catch((error: unknown) => error);
  while (!existsSync(pidFile)) await new Promise((resolve) => setTimeout(resolve, 20));
  stop.abort(new Error("stopped"));
  expect(await created).toMatchObject({ message: "stopped" });
  expect(world.scratches()).toEqual([]);
  expect(() => process.kill(Number(readFileSync(pidFile, "utf8")), 0)).toThrow("ESRCH");
});
