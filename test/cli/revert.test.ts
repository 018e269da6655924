// What a reversal says when the last files of a quarantine are gone.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { flipBit, gone, makeStore, papyra, papyraJson, scratch, tear } from "./helpers.ts";

const dir = scratch();
afterAll(() => gone(dir));

const REVERT = ["persistence", "recover", "--revert"];

test("the last files are missing, and nothing tells: both possibilities, and what is to be done in each", async () => {
  const path = await makeStore(join(dir, "store"), 9);
  flipBit(join(path, "events.ndjson"));
  tear(join(path, "dead_letters.ndjson"));
  const logs = ["events.ndjson", "dead_letters.ndjson"].map((name) => join(path, name));
  const damaged = logs.map((file) => readFileSync(file, "latin1"));
  const recover = ["persistence", "recover", "--path", path, "--quarantine-dir", join(dir, "kept")];
  const { report } = (await papyraJson(recover)) as { report: { id: string; quarantine: string } };
  const [kept, at] = [report.quarantine, ["--path", path, "--quarantine-dir", join(dir, "kept")]];
  cpSync(kept, `${kept}-backup`, { recursive: true });
  const last = readdirSync(kept).filter((name) => name.startsWith("undo-2."));
  expect(last).toHaveLength(2);
  for (const name of last) rmSync(join(kept, name));

  const told = await papyra([...REVERT, report.id, ...at]);
  expect(told.exit).toBe(2);
  expect(told.stderr).toContain("undo-2.json: it is missing, and that recovery kept 2 such; nothing was done");

  rmSync(join(kept, "complete.json"));
  const { exit, stdout } = await papyra([...REVERT, report.id, ...at]);
  expect(exit).toBe(0);
  expect(stdout).toContain("either that recovery was interrupted, or the last files that it kept are missing");
  const where = `--path ${path} --quarantine-dir ${join(dir, "kept")}`;
  expect(stdout).toContain(
    `Next, if that recovery was interrupted: papyra persistence recover --mode quarantine ${where}`,
  );
  expect(stdout).toContain(`then: papyra persistence recover --revert ${report.id} ${where}`);

  cpSync(`${kept}-backup`, kept, { recursive: true });
  expect((await papyraJson([...REVERT, report.id, ...at])).report).toMatchObject({ complete: true, changed: true });
  expect(logs.map((file) => readFileSync(file, "latin1"))).toEqual(damaged);
});

test("of a papyra.json that somebody has blown up, everything is kept, and put back once", async () => {
  const path = await makeStore(join(dir, "blown-up"), 9);
  const file = join(path, "papyra.json");
  const junk = Buffer.from("not what was written\n".repeat(10_000));
  writeFileSync(file, junk);
  const { report } = (await papyraJson(["persistence", "recover", "--mode", "quarantine", "--path", path])) as {
    report: { id: string; quarantine: string };
  };
  expect(readFileSync(join(report.quarantine, "papyra.json.bytes")).equals(junk)).toBe(true);
  for (const changed of [true, false]) {
    expect((await papyraJson([...REVERT, report.id, "--path", path])).report).toMatchObject({
      complete: true,
      changed,
    });
    expect(readFileSync(file).equals(junk)).toBe(true);
  }
});
