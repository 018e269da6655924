// Where a recovery does not keep what it takes out: among the caches, and beside the files of the store, by whichever way one gets there.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { flipBit, gone, makeStore, papyra, papyraJson, scratch } from "./cli/helpers.ts";

const dir = scratch();
afterAll(() => gone(dir));
let stores = 0;

async function damaged(): Promise<string> {
  const path = await makeStore(join(dir, `s${++stores}`), 9);
  flipBit(join(path, "events.ndjson"));
  return path;
}

const link = (to: string): string => {
  const from = join(dir, `link-${stores}`);
  symlinkSync(to, from);
  return from;
};
const cachesIn = (path: string): string => {
  mkdirSync(join(path, "index", "deep"), { recursive: true });
  return join(path, "index");
};

const PLACES: [string, (path: string) => string][] = [
  ["the caches", cachesIn],
  ["a place in the caches", (path) => join(cachesIn(path), "kept")],
  ["the caches, which are not there yet", (path) => join(path, "index")],
  ["a link to the caches", (path) => link(cachesIn(path))],
  ["a place behind a link into the caches", (path) => join(link(join(cachesIn(path), "deep")), "kept")],
  ["a place behind a link to the store", (path) => join(link(path), "index", "kept")],
  ["the store", (path) => path],
  ["a directory beside the logs", (path) => join(path, "kept")],
  ["a directory that begins as the quarantine does", (path) => join(path, "quarantine2", "kept")],
];

test.each(PLACES)("nothing is kept in %s", async (_, placeOf) => {
  const path = await damaged();
  const place = placeOf(path);
  const [before, names] = [readFileSync(join(path, "events.ndjson")), readdirSync(path)];
  const commands = [
    ["persistence", "recover", "--mode", "quarantine"],
    ["persistence", "recover", "--plan"],
    ["persistence", "startup-check", "--mode", "recover"],
    ["doctor", "run", "--mode", "recover"],
  ];
  for (const command of commands) {
    const document = await papyraJson([...command, "--path", path, "--quarantine-dir", place]);
    expect(document, command.join(" ")).toMatchObject({ exit: 64, error: { code: "OPTION_INVALID" } });
    expect((document.error as { hint: string }).hint).toContain(`${path}/quarantine`);
  }
  expect(readFileSync(join(path, "events.ndjson")).equals(before)).toBe(true);
  expect(readdirSync(path)).toEqual(names);
});

test("a start is refused such a place before it is needed", async () => {
  const path = await makeStore(join(dir, "healthy"), 3);
  const command = ["persistence", "startup-check", "--mode", "recover"];
  const { exit, stderr } = await papyra([...command, "--path", path, "--quarantine-dir", join(path, "index")]);
  expect(exit).toBe(64);
  expect(stderr).toContain("anybody may delete");
});

test("a link in the place of the quarantine does not lead to the caches", async () => {
  const path = await damaged();
  symlinkSync(cachesIn(path), join(path, "quarantine"));
  const { exit } = await papyra(["persistence", "recover", "--mode", "quarantine", "--path", path]);
  expect(exit).toBe(64);
  rmSync(join(path, "quarantine"));
});

const GOOD: [string, (path: string) => string][] = [
  ["a directory beside the store", (path) => `${path}-kept`],
  ["the quarantine of the store", (path) => join(path, "quarantine")],
  ["a directory in it", (path) => join(path, "quarantine", "a", "b")],
  ["a link to another place", () => link(dir)],
  [
    "a quarantine that is a link to another disk",
    (path) => {
      mkdirSync(`${path}-disk`);
      symlinkSync(`${path}-disk`, join(path, "quarantine"));
      return join(path, "quarantine");
    },
  ],
];

test.each(GOOD)("it is kept in %s", async (_, placeOf) => {
  const path = await damaged();
  const place = placeOf(path);
  const document = await papyraJson(["persistence", "recover", "--path", path, "--quarantine-dir", place]);
  expect(document).toMatchObject({ exit: 0 });
  expect(existsSync((document.report as { quarantine: string }).quarantine)).toBe(true);
});
