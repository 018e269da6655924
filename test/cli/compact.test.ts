// compact on the command line: what goes is said by the command line or the configuration, planned, applied and refused.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { event, flipBit, gone, makeStore, papyra, papyraJson, scratch, tear } from "./helpers.ts";

const dir = scratch();
afterAll(() => gone(dir));

const COMPACT = ["persistence", "compact"];
let stores = 0;
const newStore = (events: number): Promise<string> => makeStore(join(dir, `store-${(stores += 1)}`), events);

/** The seqs of the events that `inspect` shows. */
async function shown(args: readonly string[], cwd?: string): Promise<unknown[]> {
  const document = await papyraJson(
    ["inspect", "events", "--limit", "1000", ...args],
    cwd === undefined ? {} : { cwd },
  );
  const { records } = document.report as { records: { record: { seq: number; kind: string } }[] };
  return records.filter(({ record }) => record.kind === "event").map(({ record }) => record.seq);
}

test("--plan says what would go and changes nothing; without it, that is what goes", async () => {
  const path = await newStore(30);
  const before = readFileSync(join(path, "events.ndjson"));
  const args = [...COMPACT, "--path", path, "--max-records", "10"];
  const planned = await papyra([...args, "--plan"]);
  expect(planned).toMatchObject({ exit: 0, stderr: "" });
  expect(planned.stdout).toContain("20 records would go");
  expect(planned.stdout).toMatch(/events: 20 records go; \d+ bytes before = \d+ that stay \+ \d+ that go/);
  expect(planned.stdout).toContain("seqs 1-20");
  expect(readFileSync(join(path, "events.ndjson")).equals(before)).toBe(true);
  const done = await papyra(args);
  expect(done.stdout).toContain("20 records went");
  expect(done.stdout).toContain(`Next: papyra persistence account --path ${path}`);
  expect(await shown(["--path", path])).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
  expect(await papyra(["persistence", "scan", "--path", path])).toMatchObject({ exit: 0 });
  expect((await papyra(args)).stdout).toContain("nothing to compact");
});

test("a plan that was written down is applied by its own clock, once, and not after a change", async () => {
  const path = await newStore(12);
  const file = join(dir, "plan.json");
  const planned = await papyra([...COMPACT, "--path", path, "--log", "events", "--max-records", "4", "--plan", file]);
  expect(planned.stdout).toContain(`Next: papyra persistence compact --apply ${file} --path ${path}`);
  const store = await openStore(fileBackend({ path }, nodeEnv));
  await store.append("events", [event("Late", "local://a", 1)]);
  await store.close();
  const stale = await papyraJson([...COMPACT, "--path", path, "--apply", file]);
  expect(stale).toMatchObject({ exit: 64, error: { code: "STORE_CHANGED" } });
  expect(await shown(["--path", path])).toHaveLength(13);
  await papyra([...COMPACT, "--path", path, "--log", "events", "--max-records", "4", "--plan", file]);
  expect(await papyraJson([...COMPACT, "--path", path, "--apply", file])).toMatchObject({
    exit: 0,
    report: { changed: true, logs: [{ log: "events", records: 9 }] },
  });
  expect(await papyraJson([...COMPACT, "--path", path, "--apply", file])).toMatchObject({
    error: { code: "STORE_CHANGED" },
  });
});

test.each([
  ["--max-records", "1"],
  ["--log", "events"],
  ["--max-age", "1d"],
  ["--max-bytes", "1KiB"],
])("a plan is not applied with %s %s: it says itself what goes", async (...bounds) => {
  const path = await newStore(12);
  const file = join(dir, "own-bounds.json");
  await papyra([...COMPACT, "--path", path, "--log", "events", "--max-records", "4", "--plan", file]);
  const document = await papyraJson([...COMPACT, "--path", path, "--apply", file, ...bounds]);
  expect(document).toMatchObject({ exit: 64, error: { code: "OPTION_INVALID" } });
  expect(await shown(["--path", path])).toHaveLength(12);
});

test.each([
  ["no plan at all", "hello"],
  ["one of another command", JSON.stringify({ papyra_plan: 1, command: "persistence recover" })],
  ["one of a later release", JSON.stringify({ papyra_plan: 2, command: "persistence compact" })],
  ["half of one", JSON.stringify({ papyra_plan: 1, command: "persistence compact", store: "x" })],
])("%s is refused", async (_, text) => {
  const path = await newStore(2);
  const file = join(dir, "wrong.json");
  writeFileSync(file, text);
  const document = await papyraJson([...COMPACT, "--path", path, "--apply", file]);
  expect(document).toMatchObject({ exit: 64, error: { code: "OPTION_INVALID" } });
  expect((document.error as { message: string }).message).toContain(file);
});

test("the configuration's retention is what goes, and what is not shown before", async () => {
  const at = join(dir, "project");
  mkdirSync(join(at, ".git"), { recursive: true });
  await makeStore(join(at, "data"), 9);
  const retention = { events: { maxRecords: 3 } };
  writeFileSync(join(at, "papyra.config.json"), JSON.stringify({ path: "data", store: { retention } }));
  expect(await shown([], at)).toEqual([7, 8, 9]);
  expect((await papyra(["inspect", "events"], { cwd: at })).stdout).toContain("older ones are expired");
  expect(await shown(["--expired"], at)).toHaveLength(9);
  expect(await shown(["--path", join(at, "data")], at), "a named store may be a backup").toHaveLength(9);
  expect(await papyraJson(COMPACT, { cwd: at })).toMatchObject({ report: { logs: [{ log: "events", records: 6 }] } });
  expect(await shown(["--expired"], at)).toEqual([7, 8, 9]);
});

test.each([
  ["without any bounds", []],
  ["with a log and no bounds", ["--log", "events"]],
  ["with an unknown log", ["--log", "snapshots", "--max-records", "1"]],
  ["with a size that is none", ["--max-bytes", "12 apples"]],
  ["with a fraction of a byte, where gigabytes were meant", ["--max-bytes", "1.5"]],
  ["with a span that is none", ["--max-age", "yesterday"]],
  ["with a count that is none", ["--max-records", "-1"]],
  ["with a plan to make and one to apply", ["--max-records", "1", "--plan", "--apply", "x.json"]],
])("%s: wrong usage", async (_, more) => {
  const path = await newStore(2);
  expect(await papyraJson([...COMPACT, "--path", path, ...more])).toMatchObject({ exit: 64 });
});

test("sizes and spans", async () => {
  const path = await newStore(40);
  expect(await papyraJson([...COMPACT, "--path", path, "--max-age", "1h", "--plan"])).toMatchObject({
    report: { logs: [{ records: 0 }, { records: 0 }, { records: 0 }] },
  });
  const { report } = await papyraJson([...COMPACT, "--path", path, "--log", "events", "--max-bytes", "2KiB", "--plan"]);
  const [log] = (report as { logs: { bytesBefore: number; goneBytes: number }[] }).logs;
  expect((log?.bytesBefore ?? 0) - (log?.goneBytes ?? 0)).toBeLessThanOrEqual(2048 + 200);
  expect(log?.goneBytes).toBeGreaterThan(2000);
});

test.each([
  ["damaged", flipBit],
  ["torn", tear],
] as const)("a %s log is refused and not touched", async (_, damage) => {
  const path = await newStore(9);
  const file = join(path, "events.ndjson");
  damage(file);
  const before = readFileSync(file);
  const ran = await papyra([...COMPACT, "--path", path, "--max-records", "1"]);
  expect(ran.exit).toBe(2);
  expect(ran.stderr).toContain("is not compacted, since it is not whole");
  expect(ran.stderr).toContain("papyra persistence recover");
  expect(readFileSync(file).equals(before)).toBe(true);
});

test("a store that is being written is refused, with its holder", async () => {
  const path = await newStore(9);
  const store = await openStore(fileBackend({ path }, nodeEnv));
  try {
    const ran = await papyra([...COMPACT, "--path", path, "--max-records", "1"]);
    expect(ran.exit).toBe(11);
    expect(ran.stderr).toContain(String(process.pid));
    expect(await papyra([...COMPACT, "--path", path, "--max-records", "1", "--plan"])).toMatchObject({ exit: 0 });
  } finally {
    await store.close();
  }
});
