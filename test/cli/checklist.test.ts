// papyra doctor checklist, by real processes: from nothing to everything, by the very commands that it names.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Build, build } from "./build.ts";
import { gone, makeStore, scratch, shellWith } from "./helpers.ts";

let built: Build;
const dir = scratch();
beforeAll(() => {
  built = build();
  mkdirSync(join(dir, ".git"));
});
afterAll(() => {
  built.remove();
  gone(dir);
});

interface Item {
  readonly name: string;
  readonly verdict: string;
  readonly next: string | null;
}

function ask(): { exit: number | null; items: Item[]; open: string[] } {
  const { status, stdout, stderr } = shellWith(built.path, "papyra doctor checklist --json", dir);
  const { report } = JSON.parse(stdout) as { report?: { items: Item[] } };
  if (report === undefined) throw new Error(stdout + stderr);
  const open = report.items.filter(({ verdict }) => verdict === "not done").map(({ name }) => name);
  return { exit: status, items: report.items, open };
}

test("requirement 13: each item, and the commands that lead there", async () => {
  expect(shellWith(built.path, "papyra doctor checklist", dir).status).toBe(10);
  await makeStore(join(dir, "persistence"), 3);
  const first = ask();
  expect(first.exit).toBe(1);
  expect(first.open).toEqual(["daily backup", "weekly restore test", "restore procedure", "quarantine directory"]);
  for (const { name, next } of first.items) {
    if (next?.startsWith("papyra ") !== true) continue;
    expect([name, shellWith(built.path, next, dir).status]).toEqual([name, 0]);
  }
  expect(ask().open).toEqual(["restore procedure", "quarantine directory"]);

  const config = { startup: { quarantineDir: "./quarantine" }, checklist: { restoreProcedure: "docs/restore.md" } };
  writeFileSync(join(dir, "papyra.config.json"), JSON.stringify(config));
  expect(ask().open).toEqual(["restore procedure"]);
  mkdirSync(join(dir, "docs"));
  writeFileSync(join(dir, "docs/restore.md"), "1. Stop the service.\n");
  const before = readFileSync(join(dir, "persistence/papyra.lock"), "utf8");
  expect(ask()).toMatchObject({ exit: 0, open: [] });
  expect(readFileSync(join(dir, "persistence/papyra.lock"), "utf8")).toBe(before);

  const { stdout } = shellWith(built.path, "papyra doctor checklist", dir);
  expect(stdout).toMatch(/^everything that can be told is done\n/);
  expect(stdout).toMatch(/^\[x\] daily backup: the newest good one is \d minutes old; 1 of the last 7 days have one$/m);
  expect(stdout).toMatch(/^\[\?\] scan: cannot be told: .*\n {4}Next: papyra persistence scan --path /m);

  writeFileSync(join(dir, "papyra.config.json"), JSON.stringify({ checklist: { restore: "docs/restore.md" } }));
  expect(shellWith(built.path, "papyra doctor checklist", dir).status).toBe(64);
});
