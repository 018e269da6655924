// The command line on a Redis store: the commands of docs/backends.md, every way to name a store, and hints that can be pasted.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { assertStartable } from "../../src/ops/startup.ts";
import { redisStore } from "../../src/redis/index.ts";
import { event, withStore } from "../../src/testing/contract-subject.ts";
import { papyra, papyraJson } from "../cli/helpers.ts";
import { textOf } from "../source.ts";
import { type Admin, RedisServer } from "./server.ts";
import { rawEntries, uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;
let cwd: string;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = await server.admin();
  cwd = await mkdtemp(join(tmpdir(), "papyra-redis-cli-"));
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
  await rm(cwd, { recursive: true, force: true });
});

async function filled(systemId: string, more: object = {}): Promise<void> {
  await withStore(redisStore({ url: server.url, systemId, ...more }), async (store) => {
    for (let n = 1; n <= 5; n++) await store.append("events", [event(n)]);
  });
}

async function damaged(systemId: string): Promise<void> {
  await filled(systemId);
  const key = `papyra:${systemId}:events`;
  const [, , third] = await rawEntries(admin, key);
  await admin.xDel(key, third?.id as string);
}

describe("docs/backends.md", () => {
  const chapter = textOf("docs/backends.md")
    .split("\n## ")
    .find((part) => part.startsWith("Redis")) as string;
  const commands = (/```sh\n([^]*?)```/.exec(chapter)?.[1] ?? "").trim().split("\n");

  test.each(commands)("%s", async (command) => {
    const systemId = uniqueSystem();
    await filled(systemId);
    const words = command.replaceAll("localhost:6379", server.url.slice("redis://".length)).split(" ").slice(1);
    const argv = words.map((word) => word.replace(/\borders$/, systemId));
    const ran = await papyra(argv, { cwd });
    expect(ran.stderr).toBe("");
    expect(ran.exit).toBe(0);
    expect(ran.stdout).toContain(command.includes("inspect") ? "5 event records" : systemId);
  });

  test("there are commands for all that operates", () => {
    expect(commands.map((command) => command.split(" ").slice(1, 3).join(" "))).toEqual([
      "persistence scan",
      "persistence startup-check",
      "persistence recover",
      "persistence compact",
      "persistence account",
      "inspect events",
      "doctor run",
    ]);
  });
});

test("scan, startup-check, recover and scan again, as with files: the same exits, and hints that can be pasted", async () => {
  const systemId = uniqueSystem();
  await damaged(systemId);
  const named = ["--redis", server.url, "--system", systemId];
  const found = await papyra(["persistence", "scan", ...named], { cwd });
  expect(found.exit).toBe(2);
  const [, hint] =
    /Next: papyra (persistence recover --path redis:\/\/\S+ --mode quarantine --quarantine-dir \S+)/.exec(
      found.stdout,
    ) as RegExpExecArray;
  expect((await papyra(["persistence", "startup-check", ...named], { cwd })).exit).toBe(4);
  const refused = assertStartable(redisStore({ url: server.url, systemId }), {});
  await expect(refused).rejects.toMatchObject({
    code: "STARTUP_REFUSED",
    hint: expect.stringContaining(`papyra persistence scan --path ${server.url}/papyra:${systemId}`) as string,
  });
  const recovered = await papyra((hint as string).split(" "), { cwd });
  expect(recovered).toMatchObject({ exit: 0, stderr: "" });
  const { report } = await papyraJson(["persistence", "account", ...named], { cwd });
  expect(report).toMatchObject({ ok: true });
  expect((await papyra(["persistence", "scan", ...named], { cwd })).exit).toBe(0);
});

test("what is taken out goes to the directory that was named, durably", async () => {
  const systemId = uniqueSystem();
  await filled(systemId);
  await admin.xAdd(`papyra:${systemId}:events`, "*", { data: "nonsense" });
  const named = ["--redis", server.url, "--system", systemId, "--quarantine-dir", "kept"];
  expect((await papyra(["persistence", "recover", ...named], { cwd })).exit).toBe(0);
  const files = (await readdir(join(cwd, "kept"), { recursive: true })).filter((name) => name.includes("."));
  expect(files.map((name) => name.split("/").at(-1) as string).sort()).toEqual([
    "complete.json",
    "events.ndjson.bytes",
    "events.ndjson.reasons.json",
    "undo-1.bytes",
    "undo-1.json",
  ]);
});

test.each([[[]], [["--quarantine-dir", "kept"]]])(
  "a recovery is reverted, wherever it kept things: %j",
  async (kept) => {
    const systemId = uniqueSystem();
    await filled(systemId);
    const key = `papyra:${systemId}:events`;
    await admin.xAdd(key, "*", { data: "nonsense" });
    const before = await rawEntries(admin, key);
    const named = ["--redis", server.url, "--system", systemId];
    const mode = kept.length === 0 ? ["--mode", "quarantine"] : kept;
    const done = await papyraJson(["persistence", "recover", ...named, ...mode], { cwd });
    const { quarantine } = done.report as { quarantine: string };
    expect(await rawEntries(admin, key)).not.toEqual(before);
    const id = quarantine.split("/").at(-1) as string;
    const reverted = await papyra(["persistence", "recover", ...named, "--revert", id, ...kept], { cwd });
    expect(reverted).toMatchObject({ exit: 0, stderr: "" });
    expect((await rawEntries(admin, key)).map(({ data }) => String(data))).toEqual(
      before.map(({ data }) => String(data)),
    );
  },
);

test("compact: a plan says what goes, and is applied", async () => {
  const systemId = uniqueSystem();
  await filled(systemId);
  const named = ["--redis", server.url, "--system", systemId];
  const bounds = ["--log", "events", "--max-records", "2"];
  const planned = await papyraJson(["persistence", "compact", ...named, ...bounds, "--plan", "plan.json"], { cwd });
  expect(planned.report).toMatchObject({ changed: false, logs: [{ log: "events", records: 3 }] });
  expect((await scanned(named)).records).toBe(5);
  const applied = await papyraJson(["persistence", "compact", ...named, "--apply", "plan.json"], { cwd });
  expect(applied.report).toMatchObject({ changed: true, logs: [{ log: "events", records: 3 }] });
  expect((await scanned(named)).records).toBe(3); // with the gap record
});

test("compact --path: an address names the store, too", async () => {
  const systemId = uniqueSystem();
  await filled(systemId);
  const path = `${server.url}/papyra:${systemId}`;
  const argv = ["persistence", "compact", "--path", path, "--log", "events", "--max-records", "2"];
  expect((await papyraJson(argv, { cwd })).report).toMatchObject({ changed: true, logs: [{ records: 3 }] });
});

async function scanned(named: readonly string[]): Promise<{ records: number }> {
  const { report } = await papyraJson(["persistence", "scan", ...named], { cwd });
  const { logs } = report as { logs: { log: string; records: number }[] };
  return logs.find(({ log }) => log === "events") as { records: number };
}

describe("naming a store", () => {
  const scanned = async (argv: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    papyraJson(["persistence", "scan", ...argv], { cwd, env });

  test("by address, with a prefix, a database and a hash tag", async () => {
    const systemId = uniqueSystem();
    const url = `${server.url}/3`;
    await filled(systemId, { url, prefix: "my:app", hashTag: true });
    const path = `${url}/{my:app:${systemId}}`;
    expect(await scanned(["--path", path])).toMatchObject({ exit: 0, report: { path } });
    expect(await scanned(["--path", path.replace("/3/", "/4/")])).toMatchObject({ exit: 10 });
  });

  test("by the environment, which brings the password for an address", async () => {
    const systemId = uniqueSystem();
    await filled(systemId);
    expect(await scanned(["--system", systemId], { PAPYRA_REDIS: server.url })).toMatchObject({ exit: 0 });
    const path = `${server.url}/papyra:${systemId}`;
    expect(await scanned([], { PAPYRA_PATH: path })).toMatchObject({ exit: 0, report: { path } });
    await admin.sendCommand(["ACL", "SETUSER", "tool", "on", ">s3cret", "~*", "+@all"]);
    await admin.sendCommand(["ACL", "SETUSER", "default", "resetkeys"]);
    const url = server.url.replace("redis://", "redis://tool:s3cret@");
    const document = await scanned(["--path", path], { PAPYRA_REDIS: url });
    await admin.sendCommand(["ACL", "SETUSER", "default", "allkeys"]);
    expect(document).toMatchObject({ exit: 0, report: { path } });
    expect(JSON.stringify(document)).not.toContain("s3cret");
  });

  test.each([
    [["--redis", "redis://h"], /needs the id of the system/],
    [["--system", "s"], /need a server/],
    [["--redis", "redis://h", "--system", "s", "--path", "x"], /both name a store/],
    [["--redis", "redis://h", "--path", "redis://h:1/a:b"], /both name a store/],
    [["--path", "redis://h:1/nothing"], /no address of a store/],
    [["--redis", "http://h", "--system", "s"], /begins with redis:/],
    [["--redis", "redis://h", "--system", "a:b"], /no braces, colons/],
  ])("%j is refused", async (argv, message) => {
    expect(await scanned(argv)).toMatchObject({
      exit: 64,
      error: { code: "OPTION_INVALID", message: expect.stringMatching(message) as string },
    });
  });

  test("a server that is not there is 74, a store that is not there 10", async () => {
    expect(await scanned(["--redis", "redis://127.0.0.1:1", "--system", "s"])).toMatchObject({
      exit: 74,
      error: { code: "STORAGE_FAILED", hint: "check the URL, and that the server runs" },
    });
    expect(await scanned(["--redis", server.url, "--system", "nobody"])).toMatchObject({ exit: 10 });
  });
});
