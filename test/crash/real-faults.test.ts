// Real file systems that break under a writing process (disk-breaker.mjs): nothing acknowledged is lost, nothing is
// accepted after the failure, the error says what happened and what to do, and the store goes on when the fault is gone.
// The same under a process with an actor system (system-breaker.mjs): actors that persist stop, all others go on.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
if (!isRoot && process.env.CI !== undefined) throw new Error("real faults of a disk need root: CI must run as root");

const FAULTS: readonly [string, { readonly code: string; readonly errno: RegExp; readonly says: RegExp }][] = [
  ["turned-read-only", { code: "STORAGE_FAILED", errno: /^(EIO|EROFS)$/, says: /dmesg|is read-only/ }],
  ["failed-write-back", { code: "STORAGE_F", errno: /^(EIO|ENOSPC)$/, says: /cannot sync.*(dmesg|free some space)/ }],
  ["file-size-limit", { code: "STORAGE_FULL", errno: /^EFBIG$/, says: /file size limit/ }],
  ["open-files-limit", { code: "STORAGE_FAILED", errno: /^EMFILE$/, says: /ulimit -n/ }],
  [
    "directory-moved-away",
    { code: "STORAGE_FAILED|STORE_NOT_FOUND", errno: /^(ENOENT)?$/, says: /removed or replaced|check the path/ },
  ],
  ["immutable-file", { code: "STORAGE_FAILED", errno: /^EPERM$/, says: /attributes/ }],
  ["no-inodes", { code: "STORAGE_FULL", errno: /^ENOSPC$/, says: /free some space/ }],
  ["append-only-file", { code: "STORAGE_FAILED", errno: /^EPERM$/, says: /attributes/ }],
];
const UNDER_ACTORS = ["turned-read-only", "open-files-limit", "full-disk"] as const;
const skipped = FAULTS.length + UNDER_ACTORS.length;
if (!isRoot) console.log(`real faults of a disk: ${skipped} skipped, they need root on Linux`);

/** Runs a program that breaks a disk, in a mount namespace of its own; what it says. */
function broken(program: string, fault: string): unknown {
  const work = mkdtempSync(join(tmpdir(), "papyra-fault-"));
  const breaker = fileURLToPath(new URL(program, import.meta.url));
  const args = ["-m", "--propagation", "private", process.execPath, breaker, fault, work];
  const { status, stdout, stderr } = spawnSync("unshare", args, { encoding: "utf8", timeout: 120_000 });
  rmSync(work, { recursive: true, force: true });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout);
}

test.skipIf(!isRoot).each(FAULTS)("%s", (fault, { code, errno, says }) => {
  const result = broken("disk-breaker.mjs", fault) as {
    reason: { code: string; message: string; hint?: string; errno?: string };
    before: number;
    after: number;
    wrong: string[];
  };
  expect(result.wrong).toEqual([]);
  expect(result.before).toBeGreaterThan(0);
  expect(result.after, "the same process goes on when the fault is gone").toBeGreaterThan(0);
  expect(result.reason.code).toMatch(new RegExp(code));
  expect(result.reason.errno ?? "").toMatch(errno);
  expect(`${result.reason.message}; ${result.reason.hint}`).toMatch(says);
});

test.skipIf(!isRoot).each(UNDER_ACTORS)("%s under an actor system", (fault) => {
  const result = broken("system-breaker.mjs", fault) as {
    wrong: string[];
    acknowledged: number;
    refusals: string[];
    late: string[];
    again: string[];
    broken: { plain: number; recordsLost: number; problems: number; ok: boolean; code: string };
    mended: { ok: boolean; recordsLost: number };
  };
  expect(result.wrong, "what was acknowledged is there, what was refused is not").toEqual([]);
  expect(result.acknowledged).toBeGreaterThan(0);
  expect(result.refusals, "each persistent actor is refused once").toHaveLength(3);
  const refused = /^(OUTCOME_UNKNOWN|STORE_POISONED|STORAGE_FAILED|STORAGE_FULL)$/;
  for (const said of result.refusals) expect(said).toMatch(refused);
  expect(result.late).toHaveLength(15);
  for (const said of result.late) expect(said, "nothing is accepted while the disk fails").toMatch(refused);
  expect(result.broken.plain, "actors that do not persist answer").toBe(10);
  expect(result.broken.recordsLost, "records of what happened that were lost are counted").toBeGreaterThan(0);
  expect(result.broken.problems).toBeGreaterThan(0);
  expect(result.broken).toMatchObject({ ok: false, code: "STORE_POISONED" });
  expect(
    result.again.every((said) => said === "ack"),
    "a new system goes on when the fault is gone",
  ).toBe(true);
  expect(result.mended).toEqual({ ok: true, recordsLost: 0 });
});
