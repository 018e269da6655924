// Every exit code, and every error in both forms. main() is called as a function.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import { EXIT_CODES } from "../../src/cli/exit-codes.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { ERRORS, PapyraError } from "../../src/errors.ts";
import { flipBit, gone, makeStore, makeUnreadable, papyra, papyraJson, scratch, tear } from "./helpers.ts";

const dir = scratch();
const healthy = join(dir, "healthy");
const unreadable = join(dir, "unreadable");
const empty = join(dir, "empty");

beforeAll(async () => {
  await makeStore(healthy, 10);
  mkdirSync(unreadable);
  await makeUnreadable(unreadable);
  mkdirSync(empty);
});
afterAll(() => gone(dir));

/** A fresh damaged copy of the healthy store. */
function damagedCopy(name: string): string {
  const copy = join(dir, name);
  mkdirSync(copy);
  for (const file of [
    "papyra.json",
    "events.ndjson",
    "journal.ndjson",
    "audits.ndjson",
    "dead_letters.ndjson",
    "snapshots.ndjson",
  ]) {
    copyFileSync(join(healthy, file), join(copy, file));
  }
  flipBit(join(copy, "events.ndjson"));
  tear(join(copy, "events.ndjson"));
  return copy;
}

describe("reports", () => {
  test.each<[number, string]>([
    [0, "persistence scan"],
    [0, "persistence recover"],
    [0, "persistence startup-check"],
    [0, "persistence account"],
    [0, "persistence inspect"],
    [0, "doctor run"],
    [0, "inspect events"],
    [0, "inspect summary --count"],
  ])("%i: %s on a healthy store", async (exit, command) => {
    const ran = await papyra([...command.split(" "), "--path", healthy]);
    expect(ran).toMatchObject({ exit, stderr: "" });
    expect(await papyraJson([...command.split(" "), "--path", healthy])).toMatchObject({
      ok: true,
      exit,
      command: command.replace(" --count", ""),
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      verdict: expect.any(String),
      report: expect.any(Object),
    });
  });

  test.each<[number, string]>([
    [2, "persistence scan"],
    [3, "persistence recover --mode ignore"],
    [3, "persistence recover"],
    [3, "persistence recover --mode quarantine"],
    [4, "persistence startup-check"],
    [5, "persistence startup-check --mode recover"],
    [0, "persistence startup-check --mode ignore"],
    [0, "persistence startup-check --mode scan_only"],
    [1, "doctor run"],
    [2, "doctor run --mode recover"],
    [0, "doctor run --mode scan_only"],
    [0, "doctor run --mode ignore"],
    [0, "inspect events"],
  ])("%i: %s on what cannot be mended", async (exit, command) => {
    expect(await papyraJson([...command.split(" "), "--path", unreadable])).toMatchObject({ ok: exit === 0, exit });
  });

  test("recovery of a damaged copy: 2, then 0, then nothing to do", async () => {
    const copy = damagedCopy("recovered");
    expect((await papyra(["persistence", "scan", "--path", copy])).exit).toBe(2);
    expect((await papyra(["persistence", "startup-check", "--path", copy])).exit).toBe(4);
    expect((await papyra(["doctor", "run", "--path", copy])).exit).toBe(1);
    const { exit, stdout } = await papyra(["persistence", "recover", "--path", copy]);
    expect(exit).toBe(0);
    const sum = /^bytes: (\d+) before = (\d+) after \+ (\d+) removed - (\d+) inserted$/m.exec(stdout);
    const [before = 0, after = 0, removed = 0, inserted = 0] = (sum ?? []).slice(1).map(Number);
    expect(before).toBe(after + removed - inserted);
    expect(removed).toBeGreaterThan(0);
    const again = await papyraJson(["persistence", "recover", "--path", copy]);
    expect(again).toMatchObject({ exit: 0, report: { changed: false } });
    expect((await papyra(["persistence", "scan", "--path", copy])).exit).toBe(0);
  });

  test("0: startup-check and doctor recover when told to", async () => {
    const copy = damagedCopy("startup-recovers");
    expect((await papyra(["persistence", "startup-check", "--mode", "recover", "--path", copy])).exit).toBe(0);
    const other = damagedCopy("doctor-recovers");
    expect(
      (await papyra(["doctor", "run", "--mode", "recover", "--quarantine-dir", join(dir, "q"), "--path", other])).exit,
    ).toBe(0);
    expect(readFileSync(join(other, "events.ndjson"), "utf8")).toContain('"reason":"quarantined"');
  });
});

describe("errors", () => {
  const unknownVersion = join(dir, "later.ndjson");
  const notAFile = join(dir, "odd");
  beforeAll(() => {
    writeFileSync(unknownVersion, '{"papyra":9,"log":"events","store":"s","lineage":"b"}\n');
    mkdirSync(join(notAFile, "events.ndjson"), { recursive: true });
  });

  test.each<[number, string, string, () => string[]]>([
    [10, "STORE_NOT_FOUND", "nothing at the path", () => ["persistence", "scan", "--path", join(dir, "nowhere")]],
    [10, "STORE_NOT_FOUND", "a directory without a store", () => ["persistence", "scan", "--path", empty]],
    [
      10,
      "STORE_NOT_FOUND",
      "a missing log of a store",
      () => ["persistence", "scan", "--path", join(empty, "events.ndjson")],
    ],
    [10, "STORE_NOT_FOUND", "recover of nothing", () => ["persistence", "recover", "--path", join(dir, "nowhere")]],
    [
      10,
      "STORE_NOT_FOUND",
      "startup-check of nothing",
      () => ["persistence", "startup-check", "--path", join(dir, "nowhere")],
    ],
    [10, "STORE_NOT_FOUND", "doctor of nothing", () => ["doctor", "run", "--path", join(dir, "nowhere")]],
    [10, "STORE_NOT_FOUND", "inspect of nothing", () => ["inspect", "audits", "--path", join(dir, "nowhere")]],
    [
      10,
      "STORE_NOT_FOUND",
      "not even mode ignore is healthy then",
      () => ["persistence", "startup-check", "--mode", "ignore", "--path", empty],
    ],
    [16, "FORMAT_UNKNOWN", "a later format", () => ["persistence", "scan", "--path", unknownVersion]],
    [74, "STORAGE_FAILED", "a directory in place of a log", () => ["persistence", "scan", "--path", notAFile]],
    [64, "OPTION_INVALID", "an unknown command", () => ["persistence", "scn"]],
    [64, "OPTION_INVALID", "an unknown option", () => ["persistence", "scan", "--pth", "x"]],
    [64, "OPTION_INVALID", "a mistyped mode", () => ["persistence", "recover", "--mode", "repare"]],
    [64, "OPTION_INVALID", "no command", () => []],
    [64, "OPTION_INVALID", "half a command", () => ["inspect"]],
    [64, "OPTION_INVALID", "an extra word", () => ["persistence", "scan", "backups"]],
    [64, "OPTION_INVALID", "an empty path", () => ["persistence", "scan", "--path", ""]],
    [64, "OPTION_INVALID", "a limit that is none", () => ["inspect", "events", "--limit", "0x5", "--path", healthy]],
    [
      64,
      "OPTION_INVALID",
      "a time that is none",
      () => ["inspect", "events", "--since", "yesterday", "--path", healthy],
    ],
    [
      64,
      "OPTION_INVALID",
      "quarantine-dir with repair",
      () => ["persistence", "recover", "--mode", "repair", "--quarantine-dir", "q", "--path", healthy],
    ],
    [
      64,
      "OPTION_INVALID",
      "quarantine-dir without recover",
      () => ["doctor", "run", "--quarantine-dir", "q", "--path", healthy],
    ],
    [
      64,
      "OPTION_INVALID",
      "a file of a store that is no log",
      () => ["persistence", "scan", "--path", join(healthy, "papyra.json")],
    ],
    [64, "OPTION_INVALID", "the wrong log", () => ["inspect", "audits", "--path", join(healthy, "events.ndjson")]],
    [64, "OPTION_INVALID", "a replay without definitions", () => ["replay", "--path", healthy]],
    [
      64,
      "CONFIG_INVALID",
      "a configuration that is not there",
      () => ["persistence", "scan", "--config", "nowhere.json"],
    ],
  ])("%i %s: %s", async (exit, code, _, argv) => {
    const ran = await papyra(argv(), { cwd: dir });
    expect(ran).toMatchObject({ exit, stdout: "" });
    expect(ran.stderr).toContain(`(${code})`);
    expect(ran.stderr).toMatch(/^Next: \S/m);
    expect(ran.stderr).not.toMatch(/^\s+at /m);
    const document = await papyraJson(argv(), { cwd: dir });
    expect(document).toMatchObject({
      ok: false,
      exit,
      error: { code, message: expect.any(String), hint: expect.any(String) },
    });
    expect(Object.keys(document)).toEqual(["ok", "exit", "command", "version", "error"]);
  });

  test("64 names what was meant, and the choices", async () => {
    expect((await papyra(["persistence", "scn"])).stderr).toContain("Did you mean scan?");
    expect((await papyra(["persistence", "scan", "--pth", "x"])).stderr).toContain("Did you mean --path?");
    expect((await papyra(["persistence", "recover", "--mode", "x"])).stderr).toContain("ignore, repair, quarantine");
    expect((await papyra(["doctor", "run", "--mode", "x"])).stderr).toContain(
      "ignore, scan_only, fail_on_anomaly, recover",
    );
  });

  test("11: a damaged store that a living process holds, named by pid; a scan beside it is fine", async () => {
    const path = damagedCopy("held");
    await papyra(["persistence", "recover", "--path", path]);
    const store = await openStore(fileBackend({ path }, nodeEnv));
    try {
      flipBit(join(path, "events.ndjson"));
      const ran = await papyra(["persistence", "recover", "--path", path]);
      expect(ran.exit).toBe(11);
      expect(ran.stderr).toContain(`pid ${process.pid} `);
      const scan = await papyra(["persistence", "scan", "--path", path]);
      expect(scan.exit).toBe(2);
      expect(scan.stdout).toContain(`Next: stop pid ${process.pid}, then: papyra persistence recover`);
    } finally {
      await store.close();
    }
  });

  test("70: a bug prints its stack and asks to report it", async () => {
    const ran = await papyra(["persistence", "scan", "--path", healthy], { brokenStdout: true });
    expect(ran.exit).toBe(70);
    expect(ran.stderr).toContain("a bug, for the test (INTERNAL)");
    expect(ran.stderr).toMatch(/^\s+at /m);
    expect(ran.stderr).toContain("please report it");
  });

  test("130: interrupted", async () => {
    const signal = AbortSignal.abort(new PapyraError("INTERRUPTED", "stopped by SIGINT"));
    for (const command of [
      "persistence scan",
      "persistence recover",
      "doctor run",
      "inspect events",
      "inspect summary --count",
    ]) {
      expect(await papyraJson([...command.split(" "), "--path", healthy], { signal }), command).toMatchObject({
        exit: 130,
      });
    }
  });

  test("every code of an error is an exit code that the table explains", () => {
    for (const { exit } of Object.values(ERRORS)) expect(EXIT_CODES).toHaveProperty(String(exit));
  });
});

describe("help and version", () => {
  test.each([["--help"], ["persistence --help"], ["persistence scan --help"], ["replay --help"], ["help"]])(
    "%s: 0, on stdout",
    async (argv) => {
      const ran = await papyra(argv.split(" "));
      expect(ran).toMatchObject({ exit: 0, stderr: "" });
      expect(ran.stdout).toContain("Usage: papyra");
      if (argv !== "persistence --help") expect(ran.stdout).toContain("Examples:");
    },
  );

  test("--version is the number alone, everywhere", async () => {
    for (const argv of [["--version"], ["persistence", "scan", "--version"]]) {
      expect((await papyra(argv)).stdout).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
    }
  });
});
