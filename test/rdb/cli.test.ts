// The commands of docs/operations/redis-snapshots.md in their order, the main ones by real processes; what they refuse; and what becomes of a server whose
// process is killed.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Build, build } from "../cli/build.ts";
import { papyra } from "../cli/helpers.ts";
import { write } from "../backup/world.ts";
import type { Admin } from "../redis/server.ts";
import { textOf } from "../source.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { findPrograms } from "../../src/rdb/world.ts";
import { redisStore } from "../../src/redis/index.ts";
import { RdbWorld } from "./world.ts";

const page = textOf("docs/operations/redis-snapshots.md");
const commands = [...page.matchAll(/^```sh\n([^]*?)^```$/gm)].flatMap(([, text]) =>
  (text as string).trim().split("\n"),
);

let world: RdbWorld;
let admin: Admin;
let built: Build;
let programs: string;

beforeAll(async () => {
  [built, world] = [build(), await RdbWorld.start("--appendonly", "yes", "--repl-diskless-sync-delay", "0")];
  admin = await world.server.admin();
  programs = dirname((await world.loading().programs()).server);
  await write(redisStore({ url: world.server.url, systemId: "orders" }), 5);
});

afterAll(async () => {
  admin.destroy();
  await world.stop();
  built.remove();
});

const SAYS: Readonly<Record<string, RegExp>> = {
  "backup create --rdb ":
    /an RDB file of \d+ bytes with 5 records of this store, loaded by a server, every line verified/,
  "backup create --rdb-file": /source: .*dump\.rdb \(adopted\)/,
  "backup list": /2 backups, 2 of them good[^]*\(rdb\)/,
  "backup verify": /1 backups are what was stored/,
  "backup drill --repository": /PASS[^]*5 records read/,
  "--system orders-restored": /restored backup .* healthy/,
  "--target restored": /restored backup .* to .*restored: healthy/,
  "--as-rdb": /To put it back into its server:\n1\. stop the services[^]*6\. /,
  "doctor run": /good {2}append-only file: appendfsync everysec/,
  "drill --aof ": /PASS, replayed in [\d.]+ s: every line is there/,
  "drill --aof-dir": /PASS, replayed in [\d.]+ s: every line is there/,
};

/** The others are called as functions: a process takes a second. */
const BY_PROCESS = /^redis-cli|create --rdb |drill --repository/;

async function run(
  command: string,
): Promise<{ readonly exit: number | null; readonly stdout: string; readonly stderr: string }> {
  const port = String(world.server.port);
  const here = command.replaceAll("6379", port).replace("/var/lib/redis", world.server.directory);
  const PATH = `${built.path}:${programs}:${process.env.PATH}`;
  if (!BY_PROCESS.test(command)) return papyra(here.split(" ").slice(1), { cwd: world.place, env: { PATH } });
  const ran = spawnSync("sh", ["-c", here], { cwd: world.place, encoding: "utf8", env: { ...process.env, PATH } });
  return { exit: ran.status, stdout: ran.stdout, stderr: ran.stderr };
}

test.each(commands)("%s", async (command) => {
  const { exit, stdout, stderr } = await run(command);
  const ours = command.startsWith("papyra");
  expect([exit, ours ? stderr : ""]).toEqual([0, ""]);
  const [, says] = Object.entries(SAYS).find(([part]) => command.includes(part)) ?? [];
  if (ours) expect(stdout).toMatch(says as RegExp);
});

test("the file that is written is the one that the server wrote", () => {
  expect(readFileSync(join(world.place, "restored.rdb")).equals(readFileSync(join(world.place, "dump.rdb")))).toBe(
    true,
  );
});

test("kill -9 of the command ends the server that it started", async () => {
  const slow = join(world.place, "slow");
  mkdirSync(slow);
  const pidFile = join(slow, "pid");
  writeFileSync(
    join(slow, "redis-server"),
    `#!/bin/sh\necho $$ > ${pidFile}.new\nmv ${pidFile}.new ${pidFile}\nexec sleep 600\n`,
  );
  chmodSync(join(slow, "redis-server"), 0o755);
  const real = await findPrograms(nodeEnv.fs, undefined, programs);
  symlinkSync(real.checkRdb, join(slow, "redis-check-rdb"));
  symlinkSync(real.checkAof, join(slow, "redis-check-aof"));
  const args = ["backup", "drill", "--repository", "backups", "--redis-server", join(slow, "redis-server")];
  const child = spawn(process.execPath, [built.bin, ...args], { cwd: world.place, stdio: "ignore" });
  while (!existsSync(pidFile)) await delay(20);
  const pid = Number(readFileSync(pidFile, "utf8"));
  expect(isThere(pid)).toBe(true);
  child.kill("SIGKILL");
  for (let i = 0; i < 500 && isThere(pid); i++) await delay(20);
  expect(isThere(pid)).toBe(false);
});

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

test("what does not go together, and what is not there, is said", async () => {
  const store = ["--redis", world.server.url, "--system", "orders", "--repository", "backups"];
  const said = async (...argv: readonly string[]) => papyra(argv, { cwd: world.place, env: { PATH: "/nowhere" } });
  const both = await said("backup", "create", "--rdb", "--rdb-file", "dump.rdb", ...store);
  expect([both.exit, both.stderr]).toMatchObject([
    64,
    expect.stringContaining("--rdb and --rdb-file do not go together"),
  ]);
  const bare = await said("backup", "create", "--rdb", ...store);
  expect([bare.exit, bare.stderr]).toMatchObject([
    64,
    expect.stringContaining("neither redis-server nor valkey-server is on the PATH (CLIENT_MISSING)"),
  ]);
  expect(bare.stderr).toContain("--redis-server");
  const files = await said("backup", "create", "--rdb", "--path", ".", "--repository", "backups");
  expect([files.exit, files.stderr]).toMatchObject([64, expect.stringContaining("RDB files are of stores in Redis")]);
  const kept = await said("backup", "drill", "--keep", "--repository", "backups");
  expect([kept.exit, kept.stderr]).toMatchObject([64, expect.stringContaining("--keep is for a backup of lines")]);
  const verify = await said("backup", "verify", "--level", "replay", "--repository", "backups");
  expect(verify.exit).toBe(64); // not verified is not intact
  const there = await said("backup", "restore", "--as-rdb", "dump.rdb", "--repository", "backups");
  expect([there.exit, there.stderr]).toMatchObject([64, expect.stringContaining("TARGET_NOT_EMPTY")]);
  const shown = await said("backup", "show", "--repository", "backups");
  expect(shown.stdout).toMatch(
    /file: rdb REDIS\d+[^]*redis-check-rdb: .*looks OK.*the store is in database 0, papyra:orders/,
  );
});

test("doctor warns of an append-only file that is not what the procedure wants, and refuses nothing", async () => {
  const doctor = () =>
    papyra(["doctor", "run", "--redis", world.server.url, "--system", "orders"], { cwd: world.place });
  await admin.configSet("appendfsync", "no");
  const unsynced = await doctor();
  expect([unsynced.exit, unsynced.stdout]).toMatchObject([
    0,
    expect.stringMatching(
      /warn {2}append-only file: appendfsync no: .*\n {6}Next: redis-cli CONFIG SET appendfsync everysec/,
    ),
  ]);
  await admin.configSet("appendonly", "no");
  const off = await doctor();
  expect([off.exit, off.stdout]).toMatchObject([
    0,
    expect.stringMatching(/warn {2}append-only file: appendonly no: .*\n {6}Next: redis-cli CONFIG SET appendonly yes/),
  ]);
});
