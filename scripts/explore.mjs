// Explores random lives of a store on the simulated disk (test/crash/explore.ts), for as many states as one likes, in one
// process a core. Ctrl-C ends it with the counts so far. A failure prints the seed that repeats it alone, and the exit is 1.
// The code is compiled once, outside the repository, as the build compiles it: transpiled in each process it is slower.
// With --faulty the calls of the disk fail as well: EIO, ENOSPC, short writes, failed syncs, and so on, several in a life.
// Usage: node scripts/explore.mjs [--seed 1] [--states 1000000] [--jobs N] [--faulty] | --only SEED [--faulty]
import { execFileSync, fork } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const PROGRESS_MS = 5000;
const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    states: { type: "string", default: "1000000" },
    jobs: { type: "string", default: String(availableParallelism()) },
    only: { type: "string" },
    faulty: { type: "boolean", default: false },
    worker: { type: "string" },
  },
});
const more = values.faulty ? ["--faulty"] : [];
const script = fileURLToPath(import.meta.url);
const root = dirname(dirname(script));

/** Compiles the exploration into a directory. Returns the module to import. */
function compile(directory) {
  const compilerOptions = {
    rootDir: root,
    outDir: join(directory, "out"),
    declaration: false,
    declarationMap: false,
    sourceMap: false,
    noCheck: true,
    typeRoots: [join(root, "node_modules", "@types")],
  };
  const files = [join(root, "test/crash/explore.ts")];
  const config = { extends: join(root, "tsconfig.json"), compilerOptions, include: [], files };
  writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(directory, "package.json"), '{"type":"module"}');
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", join(directory, "tsconfig.json")], { stdio: "inherit" });
  return join(directory, "out/test/crash/explore.js");
}

/** Answers each seed that it is sent with what became of it. */
async function work(module) {
  const { exploreSeed } = await import(pathToFileURL(module).href);
  process.on("SIGINT", () => undefined); // the parent says when
  process.on("disconnect", () => process.exit());
  process.on("message", (seed) => {
    const before = process.cpuUsage();
    const answer = (result) => {
      const { user, system } = process.cpuUsage(before);
      process.send({ seed, cpuMs: (user + system) / 1000, ...result });
    };
    void exploreSeed(seed, { faulty: values.faulty }).then(answer, (error) => answer({ failure: error.message }));
  });
  process.send({});
}

async function explore(module, { first, states, jobs, onlyOne }) {
  const { nothingExplored } = await import(pathToFileURL(join(dirname(module), "explored.js")).href);
  const counts = { lives: 0, cpuMs: 0, ...nothingExplored() };
  const failures = [];
  const started = performance.now();
  let next = first;
  let interrupted = false;
  const line = () => {
    const seconds = (performance.now() - started) / 1000;
    const { lives, survivors, kills, deeper, harmed, cpuMs } = counts;
    const failed = values.faulty ? `, ${counts.faults} failed calls, ${counts.failures} operations ended with it` : "";
    const kinds = `${kills} kills, ${deeper} cuts of recovering and opening, ${harmed} with damage${failed}`;
    const speed = `${Math.round(counts.states / seconds)} states/s, ${Math.round((counts.states * 1000) / (cpuMs || 1))} a second of a core`;
    return `${counts.states} different states (${kinds}) of ${survivors} survivors of ${lives} lives, ${failures.length} failures; ${seconds.toFixed(0)} s, ${speed}`;
  };
  const timer = setInterval(() => console.log(line()), PROGRESS_MS);
  process.on("SIGINT", () => (interrupted = true));
  const isDone = () => interrupted || (onlyOne ? next > first : counts.states >= states);
  const one = () =>
    new Promise((resolve) => {
      const child = fork(script, ["--worker", module, ...more]);
      child.on("exit", resolve);
      child.on("message", ({ seed, failure, ...found }) => {
        if (seed !== undefined) counts.lives += 1;
        for (const [name, count] of Object.entries(found)) counts[name] += count;
        if (failure !== undefined) {
          failures.push(seed);
          console.error(
            `FAILED ${failure}\nrepeat it: node scripts/explore.mjs ${["--only", seed, ...more].join(" ")}`,
          );
        }
        if (isDone()) child.disconnect();
        else child.send(next++);
      });
    });
  await Promise.all(Array.from({ length: jobs }, one));
  clearInterval(timer);
  console.log(`seeds ${first} to ${next - 1}: ${line()}${interrupted ? " (interrupted)" : ""}`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

async function main() {
  const directory = mkdtempSync(join(tmpdir(), "papyra-explore-"));
  try {
    const module = compile(directory);
    if (values.only !== undefined) await explore(module, { first: Number(values.only), jobs: 1, onlyOne: true });
    else
      await explore(module, {
        first: Number(values.seed),
        states: Number(values.states),
        jobs: Number(values.jobs),
      });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

if (values.worker !== undefined) await work(values.worker);
else await main();
