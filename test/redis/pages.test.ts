// What the pages on Redis say is so: every command of redis-backups.md runs, and the commands of the server that backends.md lists are
// enough for a writer.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { backups } from "../../src/backup/index.ts";
import { compact } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore } from "../../src/redis/index.ts";
import { event, withStore } from "../../src/testing/contract-subject.ts";
import { write } from "../backup/world.ts";
import { papyra } from "../cli/helpers.ts";
import { textOf } from "../source.ts";
import { drain, followed } from "./consumer-subject.ts";
import { type Admin, RedisServer } from "./server.ts";
import { uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;
let cwd: string;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = await server.admin();
  cwd = await mkdtemp(join(tmpdir(), "papyra-redis-pages-"));
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
  await rm(cwd, { recursive: true, force: true });
});

test("the commands of redis-backups.md, one after the other", async () => {
  const log = followed(server.url);
  await log.append(1, 5);
  await log.consumer("a").ensure({ from: "start" });
  await drain(log.consumer("a"), { limit: 2 });
  const page = textOf("docs/operations/redis-backups.md");
  const blocks = [...page.matchAll(/```sh\n([^]*?)```/g)].flatMap(([, text = ""]) => text.trim().split("\n"));
  const inline = [...page.matchAll(/`(papyra backup [^`]+)`/g)].map(([, command = ""]) => command);
  const commands = [...blocks, ...inline];
  expect(commands.map((command) => command.replace(/--redis \S+ --system |--repository backups/g, "").trim())).toEqual([
    "papyra backup create orders",
    "papyra backup create orders  --freeze",
    "papyra backup restore orders-restored",
    "papyra backup restore --target restored",
    "papyra backup drill",
  ]);
  for (const command of commands) {
    const words = command.replaceAll("redis://localhost:6379", server.url).split(" ").slice(1);
    const ran = await papyra(
      words.map((word) => word.replace(/^orders/, log.systemId)),
      { cwd },
    );
    expect(ran, command).toMatchObject({ exit: 0, stderr: "" });
  }
});

test("the commands of the server that backends.md lists are enough to write, compact, recover, restore and freeze", async () => {
  const said = textOf("docs/backends.md").split("**What the user of the server may do**")[1] as string;
  const lists = [...said.split("A consumer needs")[0]!.matchAll(/`([A-Z ]+)`/g)].map(([, names = ""]) => names);
  expect(lists).toHaveLength(3);
  const allowed = lists
    .join(" ")
    .split(" ")
    .map((name) => `+${name.toLowerCase()}`);
  await admin.sendCommand(["ACL", "SETUSER", "app", "on", ">secret", "~papyra:*", "-@all", ...allowed]);
  const systemId = uniqueSystem();
  const storeOf = (id: string) =>
    redisStore({ url: server.url.replace("redis://", "redis://app:secret@"), systemId: id, segmentBytes: 4096 });
  await write(storeOf(systemId), 60);
  await admin.sendCommand(["XGROUP", "CREATE", `papyra:${systemId}:events`, "tool", "$"]);
  const repository = backups(join(cwd, "allowed"));
  expect((await repository.create(storeOf(systemId), { freeze: true })).ok).toBe(true);
  expect((await repository.restore(storeOf(`${systemId}x`))).ok).toBe(true);
  await compact(storeOf(systemId), { retention: { events: { maxRecords: 10 } } });
  await admin.xAdd(`papyra:${systemId}:events`, "*", { data: "nonsense" });
  expect(await recover(storeOf(systemId), { mode: "quarantine" })).toMatchObject({ ok: true, changed: true });
  expect((await scan(storeOf(systemId))).ok).toBe(true);
});

test("what the table says of a living writer, the next start and a scan", async () => {
  const systemId = uniqueSystem();
  const store = redisStore({ url: server.url, systemId });
  const key = `papyra:${systemId}:events`;
  const writer = await openStore(store);
  for (let n = 1; n <= 6; n++) await writer.append("events", [event(n)]);
  const ids = (await admin.xRange(key, "-", "+"))?.map(({ id }) => id) ?? [];
  await admin.xDel(key, ids[3] as string);
  for (const n of [7, 8]) await writer.append("events", [event(n)]); // in the middle: it goes on
  const lost = [{ kind: "sequence-gap", acknowledged: "lost", lostSeqs: { from: 3, to: 3 } }];
  expect((await scan(store)).anomalies).toMatchObject(lost);
  await writer.close();
  await withStore(store, (opened) => opened.append("events", [event(9)]));
  expect((await scan(store)).anomalies).toMatchObject(lost);
  expect(await recover(store, { mode: "repair" })).toMatchObject({
    ok: true,
    gaps: [{ from: 3, to: 3, reason: "lost" }],
  });
  expect((await scan(store)).anomalies).toEqual([]);
  const again = await openStore(store);
  await admin.del(key);
  await expect(again.append("events", [event(10)])).rejects.toMatchObject({ cause: { code: "HISTORY_CHANGED" } });
  await again.close();
  expect((await scan(store)).anomalies).toMatchObject([{ kind: "missing-segment" }]);
});
