// Real processes: consumers that are killed between delivery and acknowledgement, and the command line in a shell.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Build, build } from "../cli/build.ts";
import { textOf } from "../source.ts";
import { type Followed, followed, numbers } from "./consumer-subject.ts";
import { type Admin, RedisServer } from "./server.ts";

let server: RedisServer;
let admin: Admin;
let built: Build;

beforeAll(async () => {
  built = build();
  server = await RedisServer.start();
  admin = await server.admin();
  mkdirSync(join(built.root, "programs"));
  writeFileSync(join(built.root, "programs", "consumer.js"), CONSUMER);
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
  built.remove();
});

/** Says what it was given, what it is about to acknowledge, and what it has acknowledged. */
const CONSUMER = `
import { consumerGroup } from "../dist/redis/index.js";
const [url, systemId, consumer] = process.argv.slice(2);
const group = consumerGroup({ url, systemId, log: "events", group: "tool", consumer });
for await (const { id, seq } of group.consume({ follow: false, batch: 5, claimIdleMs: 30 })) {
  process.stdout.write("got " + seq + "\\n");
  process.stdout.write("acking " + seq + "\\n");
  await group.ack([id]);
  process.stdout.write("acked " + seq + "\\n");
}
`;

async function filled(count: number): Promise<Followed> {
  const log = followed(server.url);
  await log.append(1, count);
  return log;
}

interface Said {
  readonly got: number[];
  readonly acking: number[];
  readonly acked: number[];
}

/** Runs a consumer until it ends, or kills it once it has said so many lines. */
async function run(systemId: string, name: string, killAfter: number): Promise<Said> {
  const script = join(built.root, "programs", "consumer.js");
  const child = spawn(process.execPath, [script, server.url, systemId, name], { stdio: ["ignore", "pipe", "inherit"] });
  const said: Said = { got: [], acking: [], acked: [] };
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, seq] = line.split(" ") as [keyof Said, string];
    said[what].push(Number(seq));
    if (++lines === killAfter) child.kill("SIGKILL");
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return said;
}

test("consumers that are killed at any point: each seq at least once, and what was acknowledged never again", async () => {
  const COUNT = 120;
  const log = await filled(COUNT);
  await log.consumer("model").ensure({ from: "start" });
  const got = new Map<number, number>();
  const acked = new Set<number>();
  const acking = new Set<number>(); // of these nobody knows, unless they were acked
  for (let round = 0; round < 8; round++) {
    // Two at a time, under names that come back; in the last round nobody is killed.
    const kill = round < 7 ? [4 + 5 * round, 31 - 4 * round] : [Infinity, Infinity];
    const both = await Promise.all(["a", "b"].map((name, i) => run(log.systemId, name, kill[i] as number)));
    for (const seq of both.flatMap((said) => said.got)) {
      expect(acked.has(seq), `${seq} was acknowledged in an earlier round`).toBe(false);
      got.set(seq, (got.get(seq) ?? 0) + 1);
    }
    for (const seq of both.flatMap((said) => said.acked)) acked.add(seq);
    const pending = await admin.xPendingRange(log.key, "tool", "-", "+", 1000);
    const held = new Set(await Promise.all(pending.map(({ id }) => seqAt(log.key, id))));
    expect([...acked].filter((seq) => held.has(seq))).toEqual([]);
    for (const seq of both.flatMap((said) => said.acking)) acking.add(seq);
    for (const seq of got.keys())
      if (!acked.has(seq) && !acking.has(seq)) expect(held.has(seq), `${seq} is pending`).toBe(true);
  }
  // A consumer that saw nothing left behind it may have gone before the other was killed: one more alone has the rest.
  const { got: rest } = await run(log.systemId, "a", Infinity);
  for (const seq of rest) got.set(seq, (got.get(seq) ?? 0) + 1);
  expect([...got.keys()].sort((x, y) => x - y)).toEqual(numbers(1, COUNT));
  expect([...got.values()].some((times) => times > 1)).toBe(true);
  expect((await admin.xPending(log.key, "tool")).pending).toBe(0);
});

async function seqAt(key: string, id: string): Promise<number> {
  const entries = await admin.xRange(key, id, id);
  return Number(/"seq":(\d+)/.exec(String(entries?.[0]?.message.data))?.[1]);
}

describe("papyra consume", () => {
  const shell = (line: string, systemId: string) => {
    const env = {
      ...process.env,
      PATH: `${built.path}:${process.env.PATH}`,
      PAPYRA_PATH: `${server.url}/papyra:${systemId}`,
    };
    return spawnSync("bash", ["-c", line], { cwd: built.root, env, encoding: "utf8" });
  };
  const seqsIn = (text: string): number[] =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { seq: number }).seq);

  test("one line a record, and what is acknowledged is what was written", async () => {
    const log = await filled(7);
    const first = shell("papyra consume events --group tool --from start --limit 3", log.systemId);
    expect(first).toMatchObject({ status: 0, stderr: expect.stringContaining("3 records of events") as string });
    expect(seqsIn(first.stdout)).toEqual([1, 2, 3]);
    expect((await admin.xPending(log.key, "tool")).pending).toBe(0);
    const rest = shell("papyra consume events --group tool", log.systemId);
    expect(seqsIn(rest.stdout)).toEqual([4, 5, 6, 7]);
  });

  test("| head -n 3: it ends cleanly, what nobody took is pending, and comes again", async () => {
    const log = await filled(400);
    const line = "papyra consume events --group tool --from start --batch 1 | head -n 3; echo ${PIPESTATUS[0]}";
    const ran = shell(line, log.systemId);
    const lines = ran.stdout.trimEnd().split("\n");
    expect(lines.at(-1)).toBe("0");
    expect(seqsIn(lines.slice(0, -1).join("\n"))).toEqual([1, 2, 3]);
    expect(ran.stderr).toContain("nobody reads any more");
    const { pending, firstId } = await admin.xPending(log.key, "tool");
    expect(pending).toBe(1);
    const first = await seqAt(log.key, firstId as string);
    expect(first).toBeGreaterThan(3);
    const again = shell("papyra consume events --group tool", log.systemId);
    expect(seqsIn(again.stdout)).toEqual(numbers(first, 400));
  });

  test("SIGINT while it follows: 130, and nothing is lost", async () => {
    const log = await filled(5);
    const args = ["consume", "events", "--group", "tool", "--from", "start", "--follow"];
    const path = `${server.url}/papyra:${log.systemId}`;
    const child = spawn(process.execPath, [built.bin, ...args, "--path", path], { stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (text: Buffer) => (stderr += String(text)));
    const seen: number[] = [];
    const exit = once(child, "exit");
    for await (const line of createInterface({ input: child.stdout })) {
      seen.push(...seqsIn(line));
      if (seen.length === 5) await log.append(6, 6);
      if (seen.length === 6) child.kill("SIGINT");
    }
    expect(await exit).toEqual([130, null]);
    expect(stderr).toContain("INTERRUPTED");
    expect(seen).toEqual(numbers(1, 6));
    const again = shell("papyra consume events --group tool", log.systemId);
    expect(new Set([...seen, ...(again.stdout === "" ? [] : seqsIn(again.stdout))])).toEqual(new Set(numbers(1, 6)));
  });

  test("the commands of docs/consumers.md, as they stand", async () => {
    const log = await filled(10);
    const [, block = ""] = /```sh\n([^]*?)```/.exec(textOf("docs/consumers.md")) ?? [];
    const commands = block.trim().split("\n");
    const said = commands.map((command) => {
      const { status, stdout, stderr } = shell(command, log.systemId);
      expect(status, command + stderr).toBe(0);
      return stdout.trim();
    });
    expect(said).toEqual([
      "",
      "7",
      expect.stringMatching(/^1 consumer group, 0 behind, 0 entries pending\n/) as string,
      "0 of 1 consumers of billing removed",
      "billing of events goes on from 4; 0 pending entries were forgotten",
    ]);
  });

  test("a full disk behind it is no acknowledgement", async () => {
    const log = await filled(3);
    const ran = shell("papyra consume events --group tool --from start > /dev/full", log.systemId);
    expect(ran.status).toBe(15);
    expect((await admin.xPending(log.key, "tool")).pending).toBe(3);
  });
});
