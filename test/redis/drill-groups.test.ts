// Drills of backups with consumer groups: a scratch server shows that they come back; without one the report says that nobody looked.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { GroupState, Stage } from "../../src/backends/backend.ts";
import { backups, type ScratchStore } from "../../src/backup/index.ts";
import { nodeEnv, nodeVolume, startProgram } from "../../src/env/node.ts";
import type { LogName } from "../../src/log/record.ts";
import { redisStore } from "../../src/redis/index.ts";
import { startEmptyServer } from "../../src/rdb/empty-server.ts";
import { findPrograms } from "../../src/rdb/world.ts";
import { papyra, papyraJson } from "../cli/helpers.ts";
import { drain, type Followed, followed, idsOf } from "./consumer-subject.ts";
import { RedisServer } from "./server.ts";

const WORLD = { env: nodeEnv, volume: nodeVolume, start: startProgram };

let server: RedisServer;
let place: string;
let log: Followed;

beforeAll(async () => {
  server = await RedisServer.start();
  place = await mkdtemp(join(tmpdir(), "papyra-drill-"));
  log = followed(server.url);
  await log.append(1, 30);
  const consumer = log.consumer("a");
  await consumer.ensure({ from: "start" });
  await consumer.ack(idsOf(await drain(consumer, { limit: 20 })).slice(2));
  await backups(join(place, "repository")).create(redisStore({ url: server.url, systemId: log.systemId }));
});

afterAll(async () => {
  await server.stop();
  await rm(place, { recursive: true, force: true });
});

const serverWith = (settings: readonly string[] = [], path = process.env.PATH ?? ""): Promise<ScratchStore> => {
  const programs = () => findPrograms(nodeEnv.fs, undefined, path);
  return startEmptyServer({ world: WORLD, programs, scratch: join(place, "server") }, settings);
};
const scratchServer = (): Promise<ScratchStore> => serverWith();
const drill = (scratch?: () => Promise<ScratchStore>) =>
  backups(join(place, "repository")).drill({ scratch: join(place, "scratch"), scratchServer: scratch });

type Make = (log: LogName, groups: readonly GroupState[]) => Promise<void>;

/** A server on which the groups are not made as they were. */
async function forgetful(change: (make: Make) => Make): Promise<ScratchStore> {
  const scratch = await scratchServer();
  const { backend } = scratch;
  const stage = async (purpose: string): Promise<Stage> => {
    const made = (await backend.stage?.(purpose)) as Stage;
    return { ...made, makeGroups: change(async (of, groups) => made.makeGroups?.(of, groups)) };
  };
  return { backend: { ...backend, stage }, stop: () => scratch.stop() };
}

test("groups and pending entries are restored to a scratch server and compared; nothing is left of it", async () => {
  const report = await drill(scratchServer);
  expect(report).toMatchObject({ ok: true, outcome: "pass", groups: { groups: 1, pending: 2, notChecked: undefined } });
  expect(report.verdict).toContain("every line is there; 1 consumer group came back as they were");
  expect(await readdir(place)).toEqual(["repository"]);
});

test.each<[string, (make: Make) => Make]>([
  ["no group is made", () => async () => undefined],
  [
    "a pending entry is missing",
    (make) => (of, groups) =>
      make(
        of,
        groups.map((one) => ({
          ...one,
          consumers: one.consumers.map((it) => ({ ...it, pending: it.pending.slice(1) })),
        })),
      ),
  ],
  [
    "a group stands elsewhere",
    (make) => (of, groups) =>
      make(
        of,
        groups.map((one) => ({ ...one, seq: one.seq - 1 })),
      ),
  ],
])("%s: the drill fails and says what differs", async (_, change) => {
  const report = await drill(() => forgetful(change));
  expect(report).toMatchObject({ ok: false, outcome: "fail" });
  expect(report.difference).toMatch(
    /the consumer groups of events are not those of backup \S+: (?:group|seq \d+ pending|consumer)/,
  );
  expect(await readdir(place)).toEqual(["repository"]);
});

test("without a server the lines count, and the report says what nobody looked at", async () => {
  const none = await drill();
  expect(none).toMatchObject({ outcome: "pass", groups: { groups: 1, notChecked: "no scratch server was given" } });
  expect(none.verdict).toContain("1 consumer group NOT CHECKED");
  const missing = await drill(() => serverWith([], "/nowhere"));
  expect(missing.groups?.notChecked).toBe("neither redis-server nor valkey-server is on the PATH");
  const wrong = await drill(() => serverWith(["--nonsense"]));
  expect(wrong.groups?.notChecked).toMatch(/the scratch server did not start: .*exit 1/);
  expect(await readdir(place)).toEqual(["repository"]);
});

test("the command line starts one by itself", async () => {
  const done = await papyra(["backup", "drill", "--repository", "repository"], {
    cwd: place,
    env: { PATH: process.env.PATH ?? "" },
  });
  expect(done).toMatchObject({ exit: 0, stderr: "" });
  expect(done.stdout).toMatch(/consumer groups: 1, with 2 pending entries, restored to a scratch server and compared/);
  const { report } = await papyraJson(["backup", "drill", "--repository", "repository"], {
    cwd: place,
    env: { PATH: process.env.PATH ?? "" },
  });
  expect(report).toMatchObject({ groups: { groups: 1, pending: 2 } });
  expect(await readdir(place)).toEqual(["repository"]);
});
