// Plants known bugs, one at a time, in a copy of the sources and demands that a test notices. A test suite that a bug can
// pass proves nothing. Usage: node scripts/mutants.mjs [--only TEXT] [--jobs N] [--share N [--turn N]]
// Prints one line a bug, and exits 1 when one survives or no longer applies. With --share, only one in so many is planted: which
// ones is drawn anew for each run, so that none is spared for long and nobody chooses; --turn repeats a run.
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MUTANTS } from "./mutants-list.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const flag = (name) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};
const only = flag("--only");
const jobs = Number(flag("--jobs") ?? 2);
const share = Number(flag("--share") ?? 1);
const turn = Number(flag("--turn") ?? 1 + randomInt(share));
const queue = MUTANTS.filter(
  (mutant, i) => (only === undefined || mutant.name.includes(only)) && i % share === turn - 1,
);
if (share > 1) {
  console.log(
    `planting ${queue.length} of ${MUTANTS.length} bugs; the same again: npm run mutants -- --share ${share} --turn ${turn}`,
  );
}
const results = [];
const running = new Set();
process.on("exit", () => running.forEach(endGroup));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

async function plant(mutant) {
  const dir = mkdtempSync(join(tmpdir(), "papyra-mutant-"));
  try {
    for (const name of [
      "src",
      "test",
      "docs",
      "package.json",
      "tsconfig.json",
      "tsconfig.check.json",
      "vitest.config.ts",
    ]) {
      cpSync(join(root, name), join(dir, name), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
    for (const edit of mutant.edits ?? [mutant]) {
      const path = join(dir, edit.file);
      const source = readFileSync(path, "utf8");
      if (!source.includes(edit.find)) return { mutant, outcome: "does not apply" };
      writeFileSync(
        path,
        edit.all ? source.replaceAll(edit.find, edit.replace) : source.replace(edit.find, () => edit.replace),
      );
    }
    const code = await vitest(dir, mutant);
    return { mutant, outcome: code === 0 ? "SURVIVED" : "caught" };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function vitest(dir, mutant) {
  const args = [
    join(root, "node_modules/vitest/vitest.mjs"),
    "run",
    "--bail",
    "1",
    "--reporter",
    "dot",
    "--testTimeout",
    "40000",
    ...mutant.tests,
  ];
  if (mutant.filter !== undefined) args.push("-t", mutant.filter);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: dir,
      stdio: "ignore",
      env: { ...process.env, PAPYRA_SEEDS: "3" },
      detached: true, // a group of its own: a bug may loop in a worker, which outlives the process that started it
    });
    running.add(child.pid);
    const timer = setTimeout(() => endGroup(child.pid), 240_000);
    child.on("exit", (code) => {
      clearTimeout(timer);
      endGroup(child.pid);
      running.delete(child.pid);
      resolve(code);
    });
  });
}

function endGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // nobody of it is left
  }
}

await Promise.all(
  Array.from({ length: jobs }, async () => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const result = await plant(mutant);
      results.push(result);
      console.log(`${result.outcome.padEnd(14)} ${mutant.name}`);
    }
  }),
);
const failed = results.filter((result) => result.outcome !== "caught").length;
console.log(`planted bugs: ${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
