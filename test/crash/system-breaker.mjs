// Breaks a real file system under a process with an actor system (acting.mjs), mends it, and compares what the process was
// told with what its actors remember. It runs in a mount namespace of its own and uses the built package. Arguments: the
// fault, a directory to work in. One JSON line tells what it found.
import { writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { faultsIn } from "./disk-faults.mjs";
import { LiveWriter } from "./live-writer.mjs";

const ACTING = fileURLToPath(new URL("acting.mjs", import.meta.url));
/** With these nobody can know whether the event was stored; with any other it must not be. */
const UNKNOWN = ["OUTCOME_UNKNOWN"];
const [fault, work] = process.argv.slice(2);
const { faults, disk, path } = faultsIn(work);

/** What was told of each number, by actor, in the order in which it was added. */
function addsOf(lines, id) {
  return lines
    .map((line) => line.split(" "))
    .filter(([word, actor]) => word === "add" && actor === id)
    .map(([, , n, said]) => ({ n: Number(n), said }));
}

/** What is wrong with what an actor remembers: all that was acknowledged, once and in order, and nothing that was refused. */
function judge(id, adds, remembered) {
  const must = adds.filter(({ said }) => said === "ack").map(({ n }) => n);
  const may = new Set(adds.filter(({ said }) => said === "ack" || UNKNOWN.includes(said)).map(({ n }) => n));
  const wrong = must.filter((n) => !remembered.includes(n)).map((n) => `${id}: ${n} was acknowledged and is gone`);
  for (const n of remembered) if (!may.has(n)) wrong.push(`${id}: ${n} was refused and is there`);
  if (remembered.some((n, i) => i > 0 && n <= remembered[i - 1])) wrong.push(`${id}: out of order: ${remembered}`);
  return wrong;
}

const told = (lines, word) => lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1);

const { before, hit, heal } = faults[fault];
before();
const system = new LiveWriter([path, join(disk, "quarantine")], ACTING);
for (const id of ["a", "b", "c"]) await system.until(`add ${id} `);
hit(system.child.pid);
await system.until("broken ");
const first = system.lines();
heal(system.child.pid);
system.goOn();
await system.until("mended ");
system.goOn();
await system.until("mended ", 2);
const lines = system.lines();
await system.end();

const refusedAt = first.indexOf("refused");
const wrong = ["a", "b", "c"].flatMap((id) => {
  const states = lines.filter((line) => line.startsWith(`state ${id} `)).map((line) => JSON.parse(line.split(" ")[2]));
  const adds = addsOf(lines, id);
  const untilThen = new Set(addsOf(first, id).map(({ n }) => n));
  return [
    ...judge(
      id,
      adds.filter(({ n }) => untilThen.has(n)),
      states[0],
    ),
    ...judge(
      id,
      adds.filter(({ n }) => n <= Math.max(...states[1], ...untilThen)),
      states[1],
    ),
  ];
});
const said = (some) => ["a", "b", "c"].flatMap((id) => addsOf(some, id)).map((one) => one.said);
writeSync(
  1,
  `${JSON.stringify({
    wrong,
    acknowledged: said(first.slice(0, refusedAt)).filter((word) => word === "ack").length,
    refusals: said(first.slice(0, refusedAt)).filter((word) => word !== "ack"),
    late: said(first.slice(refusedAt)),
    again: said(lines.slice(first.length)),
    broken: JSON.parse(told(lines, "broken")),
    mended: JSON.parse(told(lines, "mended")),
  })}\n`,
);
