// What docs/format.md says of lineages, by its own program: a store that was restored, twice, is whole, and what does not
// belong into its history is found.
import {
  copyFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import { backups } from "../../src/backup/index.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { LOG_NAMES, type LogName } from "../../src/log/record.ts";
import { scan } from "../../src/ops/scan.ts";
import { event } from "../backup/world.ts";
import { blockOf, page, run } from "./page.ts";

const dir = mkdtempSync(join(tmpdir(), "papyra-lineages-"));
const at = (name: string): string => join(dir, name);
const program = at("check-log.py");

async function write(name: string, count: number, logs: readonly LogName[]): Promise<void> {
  const store = await openStore(fileBackend({ path: at(name), segmentBytes: 4096 }, nodeEnv));
  for (const log of logs) for (let n = 0; n < count; n++) await store.append(log, [event(n)]);
  await store.close();
}

/** Three lineages: the second writes no audits, the third goes on from the middle of the second. */
beforeAll(async () => {
  writeFileSync(program, blockOf("python"));
  const repository = backups(at("backups"));
  await write("first", 40, ["events", "audits"]);
  await repository.create(fileBackend({ path: at("first") }, nodeEnv));
  await repository.restore(at("second"));
  await write("second", 30, ["events"]);
  await repository.create(fileBackend({ path: at("second") }, nodeEnv));
  await repository.restore(at("third"), { point: { log: "events", seq: 55 } });
  await write("third", 20, ["events", "audits"]);
});
afterAll(() => rmSync(dir, { recursive: true }));

/** The segments of a log, in order. */
function segmentsOf(store: string, log: LogName): string[] {
  const names = readdirSync(store).filter((name) => name.startsWith(`${log}.`) && name.endsWith(".ndjson"));
  const closed = names.filter((name) => name !== `${log}.ndjson`).sort();
  return [...closed, `${log}.ndjson`].map((name) => join(store, name));
}

const check = (store: string, log: LogName): { status: number | null; output: string } =>
  run("python3", [program, ...segmentsOf(store, log)]);

test("a store that was restored twice is whole, by both readers, and they count the same", async () => {
  const report = await scan(fileBackend({ path: at("third") }, nodeEnv));
  expect(report.anomalies).toEqual([]);
  for (const { log, records, lastSeq } of report.logs)
    expect(check(at("third"), log as LogName)).toEqual({
      status: 0,
      output: `${records} records, last seq ${lastSeq}, 0 problems\n`,
    });
  expect(report.logs.map(({ lastSeq }) => lastSeq).slice(0, 3)).toEqual([75, 0, 60]);
});

test("the identity lines and papyra.json have the members of the page, in their order", () => {
  const shown = [...page.matchAll(/^\{"papyra":1,.*"parent".*$/gm)].map(([line]) => JSON.parse(line) as object);
  const [line = "{}"] = readFileSync(join(at("third"), "events.ndjson"), "utf8").split("\n");
  const store = readFileSync(join(at("third"), "papyra.json"), "utf8");
  const real = [line, store].map((one) => JSON.parse(one) as { ancestors?: { until: object }[] });
  expect(real.map(Object.keys)).toEqual(shown.map(Object.keys));
  expect(Object.keys(real[1]?.ancestors?.[0]?.until ?? {})).toEqual(LOG_NAMES);
  expect(real[1]?.ancestors).toHaveLength(2);
});

test.each<[string, LogName, (store: string) => void]>([
  [
    "a segment of the future that was left behind",
    "events",
    (store) => copyFileSync(join(at("second"), "events.ndjson"), join(store, "events.ndjson")),
  ],
  [
    "an end of an ancestor that is missing",
    "audits",
    (store) => {
      const [cut = ""] = segmentsOf(store, "audits").slice(-2);
      const lines = readFileSync(cut, "utf8").split("\n");
      truncateSync(cut, Buffer.byteLength(`${lines.slice(0, -3).join("\n")}\n`));
    },
  ],
])("%s is found by both", async (what, log, damage) => {
  const copy = at(what);
  cpSync(at("third"), copy, { recursive: true });
  damage(copy);
  const { counts } = await scan(fileBackend({ path: copy }, nodeEnv));
  expect(Object.keys(counts).length).toBeGreaterThan(0);
  expect(check(copy, log).status).toBe(1);
});
