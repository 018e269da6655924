// The logs of the Python Papyra, as it wrote them: read, judged, mended byte for byte, never taken for ours.
import { appendFileSync, copyFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { ROOT } from "../source.ts";
import { gone, papyra, papyraJson, scratch } from "./helpers.ts";

const fixtures = join(ROOT, "test", "fixtures", "python-papyra");
const FILES = ["papyra.ndjson", "rotating.log", "rotating.log.1", "rotating.log.2", "rotating.log.3"];
const dir = scratch();
let copy: string;
let copies = 0;
beforeEach(() => {
  copy = join(dir, String(++copies));
  mkdirSync(copy);
  for (const file of FILES) copyFileSync(join(fixtures, file), join(copy, file));
});
afterAll(() => gone(dir));

const linesOf = (file: string): number => readFileSync(join(fixtures, file), "latin1").split("\n").length - 1;

describe.each(FILES)("%s", (file) => {
  test("scan: 0, and every line is said to be unchecked", async () => {
    const { exit, stdout } = await papyra(["persistence", "scan", "--path", join(copy, file)]);
    expect(exit).toBe(0);
    expect(stdout).toContain(
      `healthy: ${linesOf(file)} lines without checksums: they are JSON, nothing more can be proved`,
    );
    const json = await papyraJson(["persistence", "scan", "--path", join(copy, file)]);
    expect(json).toMatchObject({
      report: { store: null, logs: [{ log: "(file)", records: 0, unchecked: linesOf(file) }] },
    });
  });

  test("a torn last line: 2; recover takes away only that, and nothing is left behind", async () => {
    const path = join(copy, file);
    appendFileSync(path, '{"kind": "event", "system_id": "sh');
    expect((await papyra(["persistence", "scan", "--path", path])).exit).toBe(2);
    const { exit, stdout } = await papyra(["persistence", "recover", "--path", path]);
    expect(exit).toBe(0);
    expect(stdout).toContain("34 removed");
    expect(readFileSync(path).equals(readFileSync(join(fixtures, file)))).toBe(true);
    expect(readdirSync(copy).sort()).toEqual([...FILES].sort());
    expect(await papyraJson(["persistence", "recover", "--path", path])).toMatchObject({
      exit: 0,
      report: { changed: false },
    });
  });

  test("it is never safe to start on: Papyra would have to append to it", async () => {
    const check = await papyra(["persistence", "startup-check", "--path", join(copy, file)]);
    expect(check.exit).toBe(4);
    expect(check.stdout).toContain("Papyra never appends to them");
    expect(check.stdout).toContain("Next: keep these files as they are");
    expect((await papyra(["doctor", "run", "--path", join(copy, file)])).exit).toBe(1);
    expect((await papyra(["persistence", "startup-check", "--mode", "recover", "--path", join(copy, file)])).exit).toBe(
      5,
    );
  });
});

test("a whole last line that only lacks its line break is completed, not removed", async () => {
  const path = join(copy, "papyra.ndjson");
  appendFileSync(path, '{"kind": "event"}');
  expect(await papyraJson(["persistence", "scan", "--path", path])).toMatchObject({
    exit: 2,
    report: { counts: { "torn-tail": 1 }, anomalies: [{ acknowledged: "none" }] },
  });
  expect((await papyra(["persistence", "recover", "--path", path])).exit).toBe(0);
  expect(readFileSync(path, "utf8").endsWith('\n{"kind": "event"}\n')).toBe(true);
});

test("with quarantine, the bytes are kept beside the file when no other place is named", async () => {
  const path = join(copy, "papyra.ndjson");
  appendFileSync(path, "torn");
  expect((await papyra(["persistence", "recover", "--mode", "quarantine", "--path", path])).exit).toBe(0);
  const [run = ""] = readdirSync(join(copy, "quarantine"));
  expect(readFileSync(join(copy, "quarantine", run, "papyra.ndjson.bytes"), "utf8")).toBe("torn");
});

test("a mixed log is inspected by kind", async () => {
  const path = join(copy, "papyra.ndjson");
  const records = readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { kind: string });
  for (const [command, kind] of [
    ["events", "event"],
    ["audits", "audit"],
    ["dead-letters", "dead_letter"],
  ] as const) {
    const { report } = (await papyraJson(["inspect", command, "--limit", "10000", "--path", path])) as {
      report: { records: { record: unknown }[]; checked: boolean };
    };
    expect(report.records.map(({ record }) => record)).toEqual(records.filter((record) => record.kind === kind));
    expect(report.checked).toBe(false);
  }
  const { stdout } = await papyra(["inspect", "events", "--actor", "4", "--type", "ActorStarted", "--path", path]);
  expect(stdout).toMatch(/ActorStarted {2}shop:\/\/4 /);
});

test("a directory of them is no store, and the way to read them is named", async () => {
  const { exit, stderr } = await papyra(["persistence", "scan", "--path", copy]);
  expect(exit).toBe(10);
  expect(stderr).toContain(`--path ${copy}/papyra.ndjson`);
});

test("under the name of a log it is read as that file, and as nothing of ours", async () => {
  const store = join(copy, "store");
  mkdirSync(store);
  copyFileSync(join(copy, "papyra.ndjson"), join(store, "events.ndjson"));
  expect(await papyraJson(["persistence", "scan", "--path", join(store, "events.ndjson")])).toMatchObject({
    exit: 0,
    report: { logs: [{ log: "events", unchecked: 137 }] },
  });
  expect(await papyraJson(["inspect", "audits", "--path", store])).toMatchObject({
    report: { records: { length: 6 } },
  });
  expect((await papyra(["persistence", "startup-check", "--path", store])).exit).toBe(4);
});
