// The simulated disk is worth what it has in common with the real one: the same life of a store makes the same calls on both,
// in the same order, as far as they change something or make it durable, and leaves the same bytes.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { Journal } from "../../src/actors/journal.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Fs } from "../../src/env/env.ts";
import { compactStore } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { revert } from "../../src/ops/revert.ts";
import { type SimCall, SimDisk } from "../../src/testing/sim-disk.ts";
import { type Build, build } from "../cli/build.ts";
import { actsBelow, hasStrace, traced } from "./strace.ts";

const PROGRAM = fileURLToPath(new URL("same-calls-work.mjs", import.meta.url));
if (!hasStrace) console.log("the same calls on both disks: 2 skipped, they need strace");

/** What decides which calls are made. */
const OPTIONS = [{}, { mark: "exact" }, { durability: "os" }];
/** What the program gets from the built package. */
const PARTS = { Journal, compactStore, digestOf, fileBackend, openStore, recover, revert };

interface Program {
  readonly lifeOfAStore: (parts: typeof PARTS, fs: Fs, nowMs: number, path: string, options: object) => Promise<void>;
}

let root: string;
let built: Build;
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "papyra-same-")));
  if (hasStrace) built = build();
});
afterAll(() => {
  rmSync(root, { recursive: true });
  built?.remove();
});

/** What a call did to the disk, in the words of strace.ts; undefined for one that did nothing. */
function actOf({ operation, path, bytes, position, changed }: SimCall): string | undefined {
  if (operation === "sync" || operation === "syncDir") return `${operation} ${path}`;
  if (changed !== true) return undefined;
  if (operation === "write") return `write ${path} ${bytes} at ${position}`;
  if (operation === "truncate") return `truncate ${path} to ${position}`;
  return `${operation === "lock" ? "create" : operation} ${path}`; // taking a lock makes its file
}

type Lives = readonly (readonly [path: string, options: object])[];

async function simulated(home: string, nowMs: number, lives: Lives): Promise<{ acts: string[]; disk: SimDisk }> {
  const { lifeOfAStore } = (await import(PROGRAM)) as Program;
  const disk = new SimDisk();
  await disk.env.fs.makeDir(home);
  const before = disk.calls;
  for (const [path, options] of lives) await lifeOfAStore(PARTS, disk.env.fs, nowMs, path, options);
  return { acts: disk.trace.slice(before).flatMap((call) => actOf(call) ?? []), disk };
}

function real(home: string, nowMs: number, lives: Lives): string[] {
  const { stdout, trace } = traced([PROGRAM, built.root, String(nowMs), JSON.stringify(lives)]);
  expect(stdout).toBe("");
  return withoutParents(actsBelow(home, trace));
}

/** `makeDir` makes a directory and its parents: for the simulated disk this is one call. */
function withoutParents(acts: readonly string[]): string[] {
  return acts.filter((act, i) => !(act.startsWith("makeDir ") && acts[i + 1]?.startsWith(`${act}/`)));
}

/** These name files as each disk does, one with more digits than the other. */
const NAMES_FILES = /\/index\/\w+\.seals\b/;

/** How long the bytes are in which files are named is not compared. */
function withoutLengthsOfNames(acts: readonly string[]): string[] {
  return acts.map((act) => (NAMES_FILES.test(act) ? act.replace(/ \d+ at/, " at") : act));
}

/** Every file of one tree, but those that name files, as each mark names the very one that it is in. */
function withoutMarks(files: Iterable<readonly [string, Buffer]>): Map<string, string> {
  const kept = [...files].filter(([file]) => !file.endsWith("/papyra.mark") && !NAMES_FILES.test(file));
  return new Map(kept.map(([file, bytes]) => [file, bytes.toString("latin1")]));
}

function filesBelow(home: string): [string, Buffer][] {
  const entries = readdirSync(home, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map(({ parentPath, name }) => [join(parentPath, name), readFileSync(join(parentPath, name))]);
}

test.skipIf(!hasStrace)(
  "the life of a store makes the same calls on the real disk and on the simulated one",
  async () => {
    const home = join(root, "same");
    mkdirSync(home);
    const lives = OPTIONS.map((options, i) => [join(home, String(i), "persistence"), options] as const);
    const nowMs = Date.now() + 3_600_000; // a file that is much younger than its mark is a copy
    const { acts: simulatedActs, disk } = await simulated(home, nowMs, lives);
    const expected = withoutLengthsOfNames(simulatedActs);
    const acts = withoutLengthsOfNames(real(home, nowMs, lives));
    const at = expected.findIndex((act, i) => act !== acts[i]);
    const [from, to] = at < 0 ? [expected.length, undefined] : [Math.max(0, at - 3), at + 5];
    expect(acts.slice(from, to), `call ${at + 1}`).toEqual(expected.slice(from, to));
    for (const kind of ["create", "write", "sync", "syncDir", "rename", "remove", "truncate", "makeDir"]) {
      expect(acts.filter((act) => act.startsWith(`${kind} `)).length, kind).toBeGreaterThan(0);
    }
    for (const cache of ["events.seals", "journal.00000000000000000001.index"]) {
      expect(
        acts.some((act) => act.startsWith("create ") && act.endsWith(`/index/${cache}`)),
        cache,
      ).toBe(true);
    }
    expect(withoutMarks(filesBelow(home))).toEqual(withoutMarks(disk.tree()));
    console.log(`the same calls on both disks: ${acts.length} that change something or make it durable`);
  },
);

test.skipIf(!hasStrace)("the kernel's lock is let go when the file cannot be looked at", () => {
  const path = join(root, "papyra.lock");
  const program = `
    const { nodeEnv } = await import(${JSON.stringify(pathToFileURL(join(built.root, "dist/env/node.js")).href)});
    const take = () => nodeEnv.fs.lock(${JSON.stringify(path)}, "exclusive");
    const said = (lock) => (lock === undefined ? "held" : "taken");
    for (let i = 0; i < 2; i++) console.log(await take().then(said, ({ code, details }) => code + " " + details.errno));`;
  const looks = "statx,newfstatat";
  const inject = ["-e", `trace=${looks}`, "-e", `inject=${looks}:error=EIO:when=1`, "-P", path];
  const { stdout } = traced(["--input-type=module", "-e", program], inject);
  expect(stdout).toBe("STORAGE_FAILED EIO\ntaken\n");
});
