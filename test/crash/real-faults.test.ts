// Real file systems that break under a writing process (disk-breaker.mjs): nothing acknowledged is lost, nothing is
// accepted after the failure, the error says what happened and what to do, and the store goes on when the fault is gone.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const BREAKER = fileURLToPath(new URL("disk-breaker.mjs", import.meta.url));
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
];
if (!isRoot) console.log(`real faults of a disk: ${FAULTS.length} skipped, they need root on Linux`);

test.skipIf(!isRoot).each(FAULTS)("%s", (fault, { code, errno, says }) => {
  const work = mkdtempSync(join(tmpdir(), "papyra-fault-"));
  const args = ["-m", "--propagation", "private", process.execPath, BREAKER, fault, work];
  const { status, stdout, stderr } = spawnSync("unshare", args, { encoding: "utf8", timeout: 120_000 });
  rmSync(work, { recursive: true, force: true });
  expect(status, stderr).toBe(0);
  const result = JSON.parse(stdout) as {
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
