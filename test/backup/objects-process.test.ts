// Real processes at one repository, in a directory and in a bucket: they race, are stopped and are killed.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { createBackup } from "../../src/backup/create.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import type { ObjectStore } from "../../src/backup/objects.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { s3Objects, type S3ObjectsOptions } from "../../src/s3/index.ts";
import { type Build, build } from "../cli/build.ts";
import { Gateway } from "./gateway.ts";
import { listed, refusal } from "./objects-contract.ts";
import { CREDENTIALS, makeBucket, S3Server } from "./s3-servers.ts";
import { type Said, Worker } from "./worker.ts";
import { write } from "./world.ts";

type Where = { directory: string } | { s3: S3ObjectsOptions };

let built: Build;
let root: string;
let server: S3Server;
let gateway: Gateway;
const workers: Worker[] = [];

beforeAll(async () => {
  built = build();
  root = mkdtempSync(join(tmpdir(), "papyra-places-"));
  server = await S3Server.start("fauxqs");
  gateway = await Gateway.before(server.port, { conditions: true });
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()));
});
afterAll(async () => {
  await gateway.close();
  await server.stop();
  built.remove();
  rmSync(root, { recursive: true });
});

async function start(where: Where): Promise<Worker> {
  const worker = await Worker.start(built.root, where);
  workers.push(worker);
  return worker;
}

const open = (where: Where): ObjectStore =>
  "s3" in where ? s3Objects(where.s3) : directoryObjects(nodeEnv, where.directory);

const aDirectory = (): Where => ({ directory: mkdtempSync(join(root, "place-")) });
const aBucket = async (): Promise<Where> => {
  const bucket = await makeBucket(server.url);
  return { s3: { bucket, endpoint: gateway.url, credentials: CREDENTIALS } };
};

describe.each<[string, () => Where | Promise<Where>]>([
  ["a directory", aDirectory],
  ["a bucket", aBucket],
])("%s", (_, make) => {
  test("of several processes that put with ifAbsent one wins, each time", async () => {
    const where = await make();
    const racers = await Promise.all([1, 2, 3, 4].map(() => start(where)));
    const store = open(where);
    for (let round = 0; round < 6; round++) {
      const name = `race/${round}`;
      const said = await Promise.all(racers.map((racer, n) => racer.ask("put", { name, text: `racer ${n}` })));
      expect(
        said.filter(({ done }) => done === true),
        JSON.stringify(said),
      ).toHaveLength(1);
      expect(said.filter(({ done }) => done === false)).toHaveLength(3);
      const winner = said.findIndex(({ done }) => done === true);
      expect(String(await store.get(name))).toBe(`racer ${winner}`);
    }
  });

  test("a process holds until it is killed, also while it is stopped; who is refused is told its pid", async () => {
    const where = await make();
    const holder = await start(where);
    const other = await start(where);
    const store = open(where);
    expect(await holder.ask("hold", { mode: "exclusive", purpose: "prune" })).toEqual({ done: holder.child.pid });
    for (const mode of ["shared", "exclusive"]) {
      const said: Said = await other.ask("hold", { mode, purpose: "backup" });
      expect(said.code).toBe("REPOSITORY_LOCKED");
      expect(said.message).toContain(`held by pid ${holder.child.pid} on ${nodeEnv.host.name} since 20`);
    }
    if ("directory" in where) {
      holder.child.kill("SIGSTOP"); // a lease in a bucket ends for who is stopped, a lock does not
      await refusal(store.hold("shared", "backup"), "REPOSITORY_LOCKED");
    }
    await holder.kill();
    // The lock of a file is free at once; a lease takes its time, and is not free before that.
    if ("s3" in where) {
      const refused = await refusal(store.hold("shared", "backup"), "REPOSITORY_LOCKED");
      expect(refused.hint).toMatch(/when its process is dead, the hold ends by itself in 1[78]\d s$/);
      gateway.clockMs += 183_000;
    }
    const got = await store.hold("exclusive", "prune");
    await got.assertHeld();
    expect((await other.ask("hold", { mode: "shared", purpose: "backup" })).code).toBe("REPOSITORY_LOCKED");
    await got.release();
    expect((await other.ask("hold", { mode: "shared", purpose: "backup" })).done).toBe(other.child.pid);
    expect(await other.end(), "a hold keeps no process alive").toBe(0);
  });
});

test("a process that is killed while it puts leaves whole objects and nothing else that counts", async () => {
  const where = aDirectory();
  const store = open(where);
  for (let round = 1; round <= 5; round++) {
    const worker = await start(where);
    worker.tell("forever", { seed: round });
    const announced = [await worker.said(), await worker.said()];
    await delay(round * 6);
    announced.push(...(await worker.kill()));
    const found = await listed(store);
    for (const { done } of announced) expect(found.map(({ name }) => name)).toContain(done);
    for (const { name, bytes } of found) {
      const object = await store.get(name);
      expect(object?.length).toBe(bytes);
      expect(Number.parseInt(String(object), 10), name).toBe(bytes);
    }
  }
});

test("what a restore leaves that is killed, the next one removes; of one that is stopped nothing is touched", async () => {
  const where = aDirectory();
  const store = fileBackend({ path: mkdtempSync(join(root, "store-")) }, nodeEnv);
  await write(store, 50);
  await createBackup(store, open(where));
  const parent = mkdtempSync(join(root, "targets-"));
  const target = join(parent, "restored");
  const beside = (): string[] => readdirSync(parent).filter((name) => name !== "restored");
  const [killed, stopped] = [await start(where), await start(where)];
  for (const worker of [killed, stopped]) expect(await worker.ask("restoreHalf", { target })).toEqual({ done: "half" });
  expect(beside()).toHaveLength(4);
  stopped.child.kill("SIGSTOP");
  await killed.kill();
  await restoreBackup(open(where), nodeEnv, target);
  expect(beside()).toHaveLength(2); // it lives, and may go on
  await stopped.kill();
  await refusal(restoreBackup(open(where), nodeEnv, target), "TARGET_NOT_EMPTY");
  expect(beside()).toEqual([]);
});

test("without the package @aws-sdk/client-s3 a bucket says what to install; a directory needs no such thing", () => {
  const bare = mkdtempSync(join(root, "bare-"));
  cpSync(join(built.root, "dist"), join(bare, "dist"), { recursive: true });
  cpSync(join(built.root, "package.json"), join(bare, "package.json"));
  const script = `
    const { s3Objects } = await import(${JSON.stringify(join(bare, "dist/s3/index.js"))});
    const { directoryObjects } = await import(${JSON.stringify(join(bare, "dist/backup/directory.js"))});
    const store = s3Objects({ bucket: "backups", region: "eu-north-1" });
    await store.get("a").catch(({ code, hint }) => console.log(code, hint));
    console.log(await directoryObjects(store.env, ${JSON.stringify(join(bare, "place"))}).get("a"));
  `;
  const ran = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8", cwd: bare });
  expect(ran.stderr).toBe("");
  expect(ran.stdout).toBe("CLIENT_MISSING run: npm install @aws-sdk/client-s3@3\nundefined\n");
});
