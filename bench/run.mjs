// Every benchmark in one run. Prints the table, and with --write puts it into docs/benchmarks.md with the machine it ran on.
// Usage: node run.mjs [--rounds N] [--only append|scan|growth|replay|backup|redis|actors] [--write] [--dir PLACE]
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir, totalmem, type } from "node:os";
import { join } from "node:path";
import { alone } from "./alone.mjs";

const flag = (name) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};
const roundCount = Number(flag("--rounds") ?? 5);
const only = flag("--only");
const base = mkdtempSync(join(flag("--dir") ?? tmpdir(), "papyra-bench-"));
/** The function of each, in the module of its name. */
const suites = {
  append: "benchAppend",
  scan: "benchScan",
  growth: "benchGrowth",
  replay: "benchReplay",
  backup: "benchBackup",
  redis: "benchRedis",
  actors: "benchActors",
};
const rows = [];
try {
  for (const [name, run] of Object.entries(suites)) {
    if (only !== undefined && only !== name) continue;
    rows.push(...(await alone(new URL(`${name}.mjs`, import.meta.url).href, run, base, roundCount)));
  }
} finally {
  rmSync(base, { recursive: true, force: true });
}

const cells = rows.map((row) => [
  row.what,
  row.papyra,
  Object.entries(row.ratios)
    .map(([name, ratio]) => `${ratio.toFixed(2)} x ${name}`)
    .join("<br>"),
  row.budget,
]);
const head = ["what", "Papyra", "Papyra against", "at least"];
const table = [head, head.map(() => "---"), ...cells].map((row) => `| ${row.join(" | ")} |`).join("\n");
const machine = `Node ${process.version}, ${cpus().length} x ${cpus()[0].model}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release()}`;
console.log(`${machine}\n\n${table}`);

if (process.argv.includes("--write")) {
  const text = `# Benchmarks

Made by \`npm run bench -- --write\` in \`bench/\` (after \`npm ci\` there and \`npm run build\` here): every figure comes from one run on
one machine, rivals in turn, medians of ${roundCount} rounds. Each group of rows is measured in a process of its own, and so is each
size of a scan or of an actor's history. Absolute speeds belong to that machine; the ratios are what counts.
"At least" is the budget that the project has set itself.

Machine: ${machine}. Date: ${new Date().toISOString().slice(0, 10)}.

${table}
`;
  writeFileSync(new URL("../docs/benchmarks.md", import.meta.url), text);
}
