// Where a plan is written: `--plan` reads like an option that names the store, and a log that is named there must not become a plan.
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { gone, makeStore, papyra, papyraJson, scratch, tear } from "./helpers.ts";

const dir = scratch();
afterAll(() => gone(dir));

const COMMANDS = [
  ["persistence", "recover", "--mode", "quarantine"],
  ["persistence", "compact", "--log", "events", "--max-records", "2"],
];
let stores = 0;

async function damaged(): Promise<string> {
  const path = await makeStore(join(dir, `s${++stores}`), 9);
  tear(join(path, "journal.ndjson"));
  return path;
}

const PLACES: [string, (path: string) => string | Promise<string>][] = [
  ["a log of the store", (path) => join(path, "journal.ndjson")],
  ["a log of another store", async () => join(await damaged(), "events.ndjson")],
  ["a file of somebody else", () => (writeFileSync(join(dir, "notes.txt"), "mine"), join(dir, "notes.txt"))],
  ["an empty file", () => (writeFileSync(join(dir, "empty"), ""), join(dir, "empty"))],
  ["a directory", () => dir],
  ["a new file beside the logs", (path) => join(path, "plan.json")],
  ["a new file in the quarantine", (path) => join(path, "quarantine", "plan.json")],
  [
    "a new file behind a link to the store",
    (path) => (symlinkSync(path, `${path}-link`), join(`${path}-link`, "p.json")),
  ],
];

test.each(PLACES)("no plan is written to %s", async (_, placeOf) => {
  const path = await damaged();
  const file = await placeOf(path);
  const before = [readdirSync(path), readdirSync(dir), file === dir ? "" : contentOf(file)];
  for (const command of COMMANDS) {
    const document = await papyraJson([...command, "--path", path, "--plan", file]);
    expect(document, command.join(" ")).toMatchObject({ exit: 64, error: { code: "OPTION_INVALID" } });
    expect((document.error as { hint: string }).hint).toContain("the store is named with --path");
  }
  expect([readdirSync(path), readdirSync(dir), file === dir ? "" : contentOf(file)]).toEqual(before);
});

function contentOf(file: string): string | undefined {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return undefined;
  }
}

test("a plan takes the place of a former one, and is applied where it was made", async () => {
  const path = await damaged();
  mkdirSync(join(dir, "plans"));
  const file = join(dir, "plans", "plan.json");
  const [recover, compact] = COMMANDS as [string[], string[]];
  for (const command of [compact, recover, recover])
    expect(await papyraJson([...command, "--path", path, "--plan", file])).toMatchObject({ exit: 0 });
  expect(await papyraJson(["persistence", "recover", "--path", path, "--apply", file])).toMatchObject({ exit: 0 });
});

test("who applies a log is not told to make a plan of it", async () => {
  const path = await damaged();
  const { exit, stderr } = await papyra([
    "persistence",
    "recover",
    "--path",
    path,
    "--apply",
    join(path, "events.ndjson"),
  ]);
  expect(exit).toBe(64);
  expect(stderr).toContain("Next: make one with: papyra persistence recover --plan plan.json");
});
