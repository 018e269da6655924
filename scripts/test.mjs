// The whole test command: every test file, then a share of the planted bugs. The last line states the true counts.
// Usage: node scripts/test.mjs [vitest arguments]; with arguments, only these tests run and no bugs are planted.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "papyra-test-"));
const report = join(dir, "report.json");
const args = process.argv.slice(2);

const vitest = spawnSync(
  process.execPath,
  [
    join(root, "node_modules/vitest/vitest.mjs"),
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile=${report}`,
    ...args,
  ],
  { cwd: root, stdio: "inherit" },
);
let passed = 0;
let failed = 0;
let skipped = 0;
try {
  const result = JSON.parse(readFileSync(report, "utf8"));
  passed = result.numPassedTests;
  failed = result.numFailedTests;
  skipped = result.numPendingTests + result.numTodoTests;
  // A file that could not even be loaded has no tests to count; so has an error outside any test.
  if (failed === 0 && (vitest.status !== 0 || !result.success)) failed = 1;
} catch (error) {
  console.error(`the tests left no report: ${error.message}`);
  failed += 1;
}
rmSync(dir, { recursive: true, force: true });

if (args.length === 0 && failed === 0) {
  // All of them take too long for each run: `npm run mutants` plants all.
  const planting = [join(root, "scripts/mutants.mjs"), "--share", process.env.PAPYRA_MUTANTS_SHARE ?? "32"];
  const mutants = spawnSync(process.execPath, planting, { cwd: root, encoding: "utf8" });
  process.stdout.write(mutants.stdout);
  process.stderr.write(mutants.stderr);
  const counts = /planted bugs: (\d+) passed, (\d+) failed/.exec(mutants.stdout);
  passed += Number(counts?.[1] ?? 0);
  failed += Number(counts?.[2] ?? 1);
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
