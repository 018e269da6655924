// papyra consume and papyra consumers: what they print, and what they say when something is not as it should be.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { papyra, papyraJson, type Ran } from "../cli/helpers.ts";
import { textOf } from "../source.ts";
import { drain, type Followed, followed } from "./consumer-subject.ts";
import { type Admin, RedisServer } from "./server.ts";
import { rawEntries } from "./subject.ts";

let server: RedisServer;
let admin: Admin;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = await server.admin();
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
});

async function filled(count: number): Promise<Followed & { named: readonly string[] }> {
  const log = followed(server.url);
  await log.append(1, count);
  return { ...log, named: ["--redis", server.url, "--system", log.systemId] };
}

const linesIn = ({ stdout }: Ran): unknown[] =>
  stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);

test("the lines of consume are a contract; a record is the stored line itself", async () => {
  const { key, named } = await filled(2);
  const ran = await papyra(["consume", "events", "--group", "tool", "--from", "2", ...named]);
  expect(ran.exit).toBe(0);
  const stored = (await rawEntries(admin, key)).find(({ data }) => data.includes('"seq":2'));
  expect(ran.stdout).toBe(
    `{"seq":2,"id":"${stored?.id}","deliveries":1,"redelivered":false,"record":${String(stored?.data).trimEnd()}}\n`,
  );
  expect(ran.stderr).toContain("made the group tool, from 2");
  const none = await papyra(["consume", "dead-letters", "--group", "tool", "--from", "1", ...named]);
  expect(none).toMatchObject({
    exit: 0,
    stdout: "",
    stderr: expect.stringContaining("0 records of dead_letters") as string,
  });
});

test("findings are written, never acknowledged, and the exit says so", async () => {
  const { key, named, consumer } = await filled(3);
  const forged = '{"seq":4,"kind":"event"}\n';
  await admin.xAdd(key, "*", { data: forged });
  const a = consumer("a");
  await a.ensure({ from: "start" });
  const [first] = await drain(a, { limit: 1 });
  await admin.xDel(key, first?.id as string);
  const argv = ["consume", "events", "--group", "tool", "--consumer", "a", ...named];
  for (const records of [2, 0]) {
    const ran = await papyra(argv);
    expect(ran.exit).toBe(2);
    expect(linesIn(ran)).toMatchObject([
      { deleted: true, redelivered: true },
      ...[2, 3].slice(0, records).map((seq) => ({ seq })),
      { damaged: "it does not verify as a line of this log", bytes: Buffer.from(forged).toString("base64") },
    ]);
    expect(ran.stderr).toContain(
      `${records} records of events written and acknowledged for tool; 1 damaged and 1 deleted`,
    );
  }
});

test("lines that nobody takes are not acknowledged", async () => {
  const { key, named } = await filled(3);
  const argv = ["consume", "events", "--group", "tool", "--from", "start", "--batch", "1", "--json", ...named];
  const ran = await papyra(argv, { deafStdout: true });
  expect(ran.exit).toBe(0);
  expect(JSON.parse(ran.stderr)).toMatchObject({ report: { written: 0, acknowledged: 0, ended: "reader gone" } });
  expect((await admin.xPending(key, "tool")).pending).toBe(1);
});

test("with --json the report is one document beside the lines, on stderr, also on failure", async () => {
  const { named } = await filled(2);
  const argv = ["consume", "events", "--group", "tool", "--json", ...named];
  const failed = await papyra(argv);
  expect(failed).toMatchObject({ exit: 10, stdout: "" });
  expect(JSON.parse(failed.stderr)).toMatchObject({ exit: 10, error: { code: "GROUP_NOT_FOUND" } });
  const ran = await papyra([...argv, "--from", "start", "--consumer", "c"]);
  expect(linesIn(ran)).toMatchObject([{ seq: 1 }, { seq: 2 }]);
  expect((JSON.parse(ran.stderr) as { report: object }).report).toEqual({
    ok: true,
    verdict: "2 records of events written and acknowledged for tool",
    log: "events",
    group: "tool",
    consumer: "c",
    created: true,
    written: 2,
    redelivered: 0,
    acknowledged: 2,
    damaged: 0,
    deleted: 0,
    lastSeq: 2,
    ended: "end",
  });
});

test("consumers list: every group, how far it is, and what it has not acknowledged", async () => {
  const { named, consumer } = await filled(5);
  const none = await papyra(["consumers", "list", ...named]);
  expect(none.stdout).toMatch(/^0 consumer groups, 0 behind, 0 entries pending\n/);
  await consumer("worker").ensure({ from: "start" });
  await drain(consumer("worker"), { limit: 3 });
  const listed = await papyra(["consumers", "list", ...named]);
  expect(listed).toMatchObject({ exit: 0, stderr: "" });
  expect(listed.stdout).toMatch(/^1 consumer group, 1 behind, 3 entries pending\n/);
  expect(listed.stdout).toMatch(/^tool +events +2 +3 +\d+-\d+ +\d/m);
  expect(listed.stdout).toMatch(/^worker +tool +events +3 /m);
  const { report } = await papyraJson(["consumers", "list", ...named]);
  expect(report).toMatchObject({
    logs: [{ log: "events", lastSeq: 5, groups: [{ group: "tool", lag: 2, pending: 3 }] }, {}, {}, {}, {}],
  });
});

test("consumers recreate and prune", async () => {
  const { named, consumer } = await filled(4);
  await consumer("worker").ensure({ from: "start" });
  await drain(consumer("worker"), { limit: 3 });
  const of = ["events", "--group", "tool"];
  const refused = await papyra(["consumers", "recreate", ...of, "--from", "start", ...named]);
  expect(refused).toMatchObject({ exit: 74, stderr: expect.stringContaining("GROUP_PENDING") as string });
  const pruned = await papyra(["consumers", "prune", ...of, "--idle", "0s", ...named]);
  expect(pruned.stdout).toMatch(/^0 of 1 consumers of tool removed\nworker: stays, 3 pending, idle for 0\.\ds\nNext: /);
  const done = await papyra(["consumers", "recreate", ...of, "--from", "4", "--drop-pending", ...named]);
  expect(done.stdout).toBe("tool of events goes on from 4; 3 pending entries were forgotten\n");
  const { stdout } = await papyra(["consume", ...of, "--consumer", "other", ...named]);
  expect(stdout).toMatch(/^\{"seq":4,.*\}\n$/);
  const { report } = await papyraJson(["consumers", "prune", ...of, "--idle", "0s", ...named]);
  expect(report).toMatchObject({ consumers: [{ consumer: "other", pending: 0, removed: true }] });
});

describe("refused", () => {
  test.each([
    [["consume", "events"], 64, /required option '--group/],
    [["consume", "snapshots", "--group", "g"], 64, /Allowed choices are events, audits, dead-letters, journal/],
    [["consume", "events", "--group", "g", "--from", "0"], 64, /--from is start, end or a seq/],
    [["consume", "events", "--group", "g", "--from", "9"], 64, /events has no seq 9: it reaches 3/],
    [
      ["consume", "events", "--group", "g"],
      10,
      /Next: make it, .*papyra consume events --group g --from start --path redis:/,
    ],
    [["consumers", "prune", "events", "--group", "g"], 10, /GROUP_NOT_FOUND/],
    [["consumers", "prune", "events", "--group", "g", "--idle", "x"], 64, /--idle is not a span of time/],
  ])("%j", async (argv, exit, message) => {
    const { named } = await filled(3);
    const ran = await papyra([...argv, ...named]);
    expect(ran).toMatchObject({ exit, stdout: "", stderr: expect.stringMatching(message) as string });
  });

  test("a store in files has no consumer groups", async () => {
    const ran = await papyra(["consume", "events", "--group", "g", "--path", "."]);
    expect(ran).toMatchObject({ exit: 64, stderr: expect.stringContaining("stores in Redis") as string });
  });

  test("a store that is not there is not made", async () => {
    const named = ["--redis", server.url, "--system", "nobody"];
    for (const argv of [
      ["consume", "events", "--group", "g", "--from", "start"],
      ["consumers", "list"],
    ])
      expect((await papyra([...argv, ...named])).exit).toBe(10);
    expect(await admin.keys("papyra:nobody:*")).toEqual([]);
  });
});

test("what docs/cli.md says of the fields is there", async () => {
  const { named, consumer } = await filled(2);
  await consumer("worker").ensure({ from: "start" });
  await drain(consumer("worker"), { limit: 1 });
  const of = ["events", "--group", "tool", ...named];
  const reports: Readonly<Record<string, unknown>> = {
    "consumers list": (await papyraJson(["consumers", "list", ...named])).report,
    "consumers prune": (await papyraJson(["consumers", "prune", ...of])).report,
    "consumers recreate": (await papyraJson(["consumers", "recreate", ...of, "--from", "end", "--drop-pending"]))
      .report,
    consume: (JSON.parse((await papyra(["consume", ...of, "--json"])).stderr) as { report: unknown }).report,
  };
  for (const [command, report] of Object.entries(reports)) {
    const [, section = ""] = textOf("docs/cli.md").split(`\n### papyra ${command}\n`);
    const bullets = [...(section.split("\n### ")[0] ?? "").matchAll(/^- (.+?)(?:: .*)?$/gm)].map(
      ([, one]) => one as string,
    );
    const fields = bullets.flatMap((one) => one.match(/(?<=`)[A-Za-z[\].]+(?=`)/g) ?? []);
    expect(fields.length, command).toBeGreaterThan(3);
    for (const field of fields) expect(at(report, field), `${command}: ${field}`).not.toBeUndefined();
  }
});

/** What stands at `logs[].groups[].lag`. */
function at(value: unknown, path: string): unknown {
  return path
    .split(".")
    .flatMap((name) => (name.endsWith("[]") ? [name.slice(0, -2), 0] : [name]))
    .reduce((inner: unknown, name) => (inner as Record<string | number, unknown>)[name], value);
}
