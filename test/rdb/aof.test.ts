// The drill of an append-only file: what a restart of the server would find, told before it is needed.
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCatalog } from "../../src/backup/catalog.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { drillAof } from "../../src/rdb/drill-aof.ts";
import { write } from "../backup/world.ts";
import type { Admin } from "../redis/server.ts";
import { RdbWorld } from "./world.ts";

let world: RdbWorld;
let admin: Admin;
let system: ReturnType<RdbWorld["system"]>;

beforeAll(async () => {
  world = await RdbWorld.start("--appendonly", "yes", "--appendfsync", "always");
  admin = await world.server.admin();
  system = world.system();
  await write(system.store, 12);
});

afterAll(async () => {
  admin.destroy();
  await world.stop();
});

const live = (): string => join(world.server.directory, "appendonlydir");
const newest = (directory: string): string =>
  join(
    directory,
    readdirSync(directory)
      .filter((name) => name.endsWith(".incr.aof"))
      .at(-1) as string,
  );

/** A copy, changed. */
function copy(name: string, change: (incr: string, directory: string) => void): string {
  const directory = join(world.place, name);
  cpSync(live(), directory, { recursive: true });
  change(newest(directory), directory);
  return directory;
}

const drill = (directory?: string, fs: object = {}) =>
  drillAof(system.objects, world.loading(fs), { store: system.options, directory });

test("of the running server: replayed, every line read, the result in the catalog; a drill of a backup it is not", async () => {
  const before = readFileSync(newest(live()));
  const report = await drill();
  expect(report).toMatchObject({
    ok: true,
    outcome: "pass",
    detail: "every line is there",
    records: 12,
    source: live(),
  });
  expect(report.loadSeconds).toBeGreaterThan(0);
  const { store, lineage: _ } = (await system.store.view()).identity as { store: string; lineage: string };
  expect((await readCatalog(system.objects)).entries).toMatchObject([
    { type: "replayed-aof", outcome: "pass", store, source: live() },
  ]);
  expect((await system.repository.status({ requireDrillMs: 3_600_000 })).ok).toBe(false);
  expect(readFileSync(newest(live())).equals(before)).toBe(true);
  expect(world.scratches()).toEqual([]);
});

describe("a copy", () => {
  test("that ends in the middle of a command is used without it", async () => {
    const inTheLastRecord = (incr: string): void => truncateSync(incr, readFileSync(incr).lastIndexOf("XADD") + 40);
    const report = await drill(copy("cut", inTheLastRecord));
    expect(report).toMatchObject({ outcome: "pass" });
    expect(report.detail).toMatch(
      /an unfinished command was cut off, the last \d+ bytes of .*incr\.aof \(aof-load-truncated\)/,
    );
    expect(report.records).toBe(11);
  });

  test("with a length that is wrong: the server would cut off all that follows without a word, and the drill fails", async () => {
    const directory = copy("length", (incr) => {
      const text = readFileSync(incr).toString("latin1");
      const at = text.indexOf("\r\n$4\r\nXADD", text.length >> 1);
      writeFileSync(incr, `${text.slice(0, at)}\r\n$9999\r\nXADD${text.slice(at + 10)}`, "latin1");
    });
    const report = await drill(directory);
    expect(report).toMatchObject({ ok: false, outcome: "fail" });
    expect(report.detail).toMatch(
      /incr\.aof is damaged at byte \d+, and \d+ bytes follow that belong to other commands/,
    );
  });

  test.each<[string, (incr: string, directory: string) => void, RegExp]>([
    ["rubbish in the middle", (incr) => spoil(incr), /damaged at byte \d+/],
    [
      "a base that is damaged",
      (_, directory) => spoil(join(directory, baseIn(directory))),
      /redis-check-aof|does not load/,
    ],
    [
      "without a manifest",
      (_, directory) => rmSync(join(directory, "appendonly.aof.manifest")),
      /no manifest.*would start empty/,
    ],
    ["without the newest file", (incr) => rmSync(incr), /incr\.aof is missing, and the manifest names it/],
  ])("%s", async (name, change, why) => {
    const report = await drill(copy(name.replaceAll(" ", "-"), change));
    expect(report).toMatchObject({ ok: false, outcome: "fail" });
    expect(report.detail).toMatch(why);
    expect(world.scratches()).toEqual([]);
  });

  test("without the store: that is no verdict about the file", async () => {
    const other = world.system();
    const wrong = drillAof(system.objects, world.loading(), { store: other.options, directory: live() });
    await expect(wrong).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
  });
});

function spoil(file: string): void {
  const bytes = readFileSync(file);
  bytes.fill(0x5a, bytes.length >> 1, (bytes.length >> 1) + 24);
  writeFileSync(file, bytes);
}

function baseIn(directory: string): string {
  return readdirSync(directory).find((name) => name.endsWith(".base.rdb")) as string;
}

test("a file that is rewritten while it is copied is copied again", async () => {
  let rewritten = false;
  const meanwhile = {
    open: async (path: string, mode: "read" | "update" | "create") => {
      if (mode === "read" && path.startsWith(live()) && path.endsWith(".base.rdb") && !rewritten) {
        rewritten = true;
        await admin.sendCommand(["BGREWRITEAOF"]);
        while (/aof_rewrite_in_progress:1|aof_rewrite_scheduled:1/.test(await admin.info("persistence")));
      }
      return nodeEnv.fs.open(path, mode);
    },
  };
  expect(await drill(undefined, meanwhile)).toMatchObject({ outcome: "pass", records: 12 });
  expect(rewritten).toBe(true);
});

test("a file without what was acknowledged before: inconclusive, since a slow disk may be all that it is", async () => {
  const older = copy("older", () => undefined);
  await write(system.store, 1);
  const behind = {
    open: (path: string, mode: "read" | "update" | "create") =>
      nodeEnv.fs.open(mode === "read" && path === newest(live()) ? newest(older) : path, mode),
  };
  const report = await drill(undefined, behind);
  expect(report).toMatchObject({ ok: false, outcome: "inconclusive" });
  expect(report.detail).toMatch(
    /it ends at seq 12 of events, and seq 13 was acknowledged before it was copied \(appendfsync always\)/,
  );
});

test("a server that writes none says so", async () => {
  await admin.configSet("appendonly", "no");
  try {
    await expect(drill()).rejects.toMatchObject({
      code: "OPTION_INVALID",
      message: expect.stringContaining("writes no append-only file (appendonly no)") as string,
    });
  } finally {
    await admin.configSet("appendonly", "yes");
  }
});
