// Explores random lives of a store on the simulated disk (test/crash/explore.ts), for as many states as one likes, in one
// process a core. Ctrl-C ends it with the counts so far. A failure prints the seed that repeats it alone, and the exit is 1.
// Usage: node scripts/explore.mjs [--seed 1] [--states 1000000] [--jobs N] | --only SEED
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createJiti } from "jiti";

const PROGRESS_MS = 5000;
const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    states: { type: "string", default: "1000000" },
    jobs: { type: "string", default: String(availableParallelism()) },
    only: { type: "string" },
    worker: { type: "boolean", default: false },
  },
});
const script = fileURLToPath(import.meta.url);

/** Answers each seed that it is sent with what became of it. */
async function work() {
  const { exploreSeed } = await createJiti(script).import("../test/crash/explore.ts");
  process.on("SIGINT", () => undefined); // the parent says when
  process.on("disconnect", () => process.exit());
  process.on("message", (seed) => {
    const answer = (result) => process.send({ seed, ...result });
    void exploreSeed(seed).then(answer, (error) => answer({ failure: error.message }));
  });
  process.send({});
}

async function explore({ first, states, jobs, onlyOne }) {
  const counts = { lives: 0, states: 0, kills: 0, deeper: 0, harmed: 0 };
  const failures = [];
  const started = performance.now();
  let next = first;
  let interrupted = false;
  const line = () => {
    const seconds = (performance.now() - started) / 1000;
    const { lives, kills, deeper, harmed } = counts;
    return `${counts.states} states of ${lives} lives (${kills} kills, ${deeper} cuts of recovering and opening, ${harmed} with damage), ${failures.length} failures; ${seconds.toFixed(0)} s, ${Math.round(counts.states / seconds)} states/s`;
  };
  const timer = setInterval(() => console.log(line()), PROGRESS_MS);
  process.on("SIGINT", () => (interrupted = true));
  const isDone = () => interrupted || (onlyOne ? next > first : counts.states >= states);
  const one = () =>
    new Promise((resolve) => {
      const child = fork(script, ["--worker"]);
      child.on("exit", resolve);
      child.on("message", ({ seed, failure, ...found }) => {
        if (seed !== undefined) counts.lives += 1;
        for (const [name, count] of Object.entries(found)) counts[name] += count;
        if (failure !== undefined) {
          failures.push(seed);
          console.error(`FAILED ${failure}\nrepeat it: node scripts/explore.mjs --only ${seed}`);
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

if (values.worker) await work();
else if (values.only !== undefined) await explore({ first: Number(values.only), jobs: 1, onlyOne: true });
else await explore({ first: Number(values.seed), states: Number(values.states), jobs: Number(values.jobs) });
