// The main job, end to end: a service whose actors keep their history is killed in the middle of writing, its store is
// copied while it runs, the copy is damaged, checked, recovered and replayed; the service starts again and finishes. At
// the end every actor's state is compared with the one computed from the data. Exits 1 if anything does not hold.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { digestOf, fileStore } from "../dist/index.js";
import { replay } from "../dist/ops/replay.js";
import { airport, movementsByAirport, stateFromData } from "./airports.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = join(root, "demo-output");
const store = join(out, "persistence");
const copy = join(out, "backups", "papyra-2026-01-01");
const bin = join(root, "dist/cli/bin.js");
const movements = movementsByAirport();
const total = [...movements.values()].reduce((sum, list) => sum + list.length, 0);
const startedAt = performance.now();
let failures = 0;

function title(text) {
  console.log(`\n== ${text}`);
}

function expect(what, holds) {
  console.log(`   ${holds ? "ok  " : "FAIL"} ${what}`);
  if (!holds) failures += 1;
}

/** Runs the real command line, as an operator would, in `cwd`, and shows what it printed. */
function papyra(cwd, args, expected) {
  console.log(`   $ papyra ${args.join(" ")}`);
  const run = spawnSync(process.execPath, [bin, ...args], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  for (const line of `${run.stdout}${run.stderr}`.trimEnd().split("\n").slice(0, 24)) console.log(`     | ${line}`);
  expect(`exit code ${run.status}, as it must be (${expected})`, run.status === expected);
}

/**
 * Runs the service. `onAcknowledged` sees the number of acknowledgements so far and may kill it. The ledger is kept out
 * here, so that the service cannot fool us.
 */
function service(ledger, onAcknowledged) {
  const child = spawn(process.execPath, [join(root, "demo/service.mjs"), store], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const [word, code, count] = line.split(" ");
      if (word === "ack") ledger.set(code, Math.max(ledger.get(code) ?? 0, Number(count)));
      else console.log(`   service: ${line}`);
    }
    onAcknowledged(
      [...ledger.values()].reduce((sum, count) => sum + count, 0),
      child,
    );
  });
  return new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal })));
}

/** Folds the store's journal again, without the service, and compares each actor with the data. */
async function compare(path, ledger) {
  const report = await replay(fileStore({ path }), { definitions: [airport], verify: true });
  let equal = 0;
  let lost = 0;
  let events = 0;
  const states = new Map(report.actors.map((actor) => [decodeURIComponent(actor.persistenceId.split("/")[1]), actor]));
  for (const [code, list] of movements) {
    const actor = states.get(code);
    const revision = actor?.revision ?? 0;
    events += revision;
    lost += Math.max(0, (ledger.get(code) ?? 0) - revision);
    if (actor !== undefined && actor.digest === digestOf(stateFromData(list, revision))) equal += 1;
  }
  return { report, equal, lost, events };
}

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "backups"), { recursive: true });

title(
  `1. A service writes: ${movements.size} airports, ${total.toLocaleString("en-US")} departures and landings; it is copied while it runs, then killed`,
);
const ledger = new Map();
let copied = false;
const killed = await service(ledger, (count, child) => {
  if (!copied && count > total * 0.3) {
    copied = true;
    cpSync(store, copy, { recursive: true });
    console.log(
      `   cp -r persistence/ ${relative(out, copy)}/   (after ${count.toLocaleString("en-US")} acknowledged events, while it writes)`,
    );
  }
  if (count > total * 0.5) child.kill("SIGKILL");
});
const acknowledged = [...ledger.values()].reduce((sum, count) => sum + count, 0);
console.log(`   kill -9 after ${acknowledged.toLocaleString("en-US")} acknowledged events`);
expect("the service was killed in the middle of its work", killed.signal === "SIGKILL" && acknowledged < total);

title("2. What the kill left behind");
papyra(out, ["persistence", "startup-check"], 0);
const after = await compare(store, ledger);
console.log(
  `   the journal holds ${after.events.toLocaleString("en-US")} events, ${(after.events - acknowledged).toLocaleString("en-US")} of them stored but not yet acknowledged`,
);
expect(`acknowledged events lost: ${after.lost}`, after.lost === 0);
expect(
  `${after.equal} of ${movements.size} actors, replayed, equal the state computed from the data`,
  after.equal === movements.size && after.report.ok,
);
expect(
  `folded twice, and ${after.report.verified.snapshots} snapshots agree`,
  after.report.verified.divergences.length === 0 && after.report.verified.snapshots > 0,
);

title("3. The copy that was taken while it wrote");
const untouched = await compare(copy, new Map());
expect(
  `${untouched.equal} of ${movements.size} actors of the copy equal the data up to where it reaches (${untouched.events.toLocaleString("en-US")} events)`,
  untouched.equal === movements.size,
);

title("4. The copy is damaged: one bit in events.ndjson, one bit in journal.ndjson, and a torn end");
const flip = (name, text, back) => {
  const path = join(copy, name);
  const bytes = readFileSync(path);
  const at = bytes.indexOf(text) + back;
  bytes[at] ^= 1;
  writeFileSync(path, bytes);
  console.log(`   ${name}: bit 0 of byte ${at} flipped`);
};
flip("events.ndjson", '{"seq":7,', 60);
flip("journal.ndjson", '{"seq":500,', 150);
const events = join(copy, "events.ndjson");
writeFileSync(events, Buffer.concat([readFileSync(events), Buffer.from('{"seq":100000,"kind":"event","timest')]));
console.log("   events.ndjson: half a line at the end");
papyra(out, ["persistence", "scan", "--path", "backups/papyra-2026-01-01/events.ndjson"], 2);
papyra(out, ["persistence", "startup-check", "--path", "backups/papyra-2026-01-01"], 4);

title("5. Recovery: what is damaged is kept aside, what is healthy stays byte for byte");
const healthy = (path) =>
  readFileSync(path)
    .toString("latin1")
    .split("\n")
    .filter((line) => line.startsWith('{"seq":') && line.endsWith('"}'));
const before = healthy(events);
papyra(
  copy,
  ["persistence", "recover", "--mode", "quarantine", "--quarantine-dir", "./quarantine", "--path", "events.ndjson"],
  0,
);
const kept = new Set(healthy(events));
expect("every line but the damaged one is as it was", before.filter((line) => !kept.has(line)).length === 1);
papyra(copy, ["persistence", "recover", "--path", "events.ndjson"], 0);
papyra(out, ["persistence", "recover", "--path", "backups/papyra-2026-01-01", "--mode", "quarantine"], 0);
papyra(out, ["persistence", "startup-check", "--path", "backups/papyra-2026-01-01"], 0);
const recovered = await compare(copy, new Map());
const refused = recovered.report.problems;
for (const problem of refused) console.log(`   ${problem.persistenceId}: ${problem.message}`);
expect(
  `the one actor whose event was damaged refuses to run on half a history (${refused.length})`,
  refused.length === 1,
);
expect(`the other ${recovered.equal} actors equal the data`, recovered.equal === movements.size - 1);

title("6. The service starts again on its own store, and finishes");
const finished = await service(ledger, () => undefined);
expect("it ended by itself", finished.code === 0);
papyra(out, ["persistence", "scan"], 0);
const end = await compare(store, ledger);

title("7. The end");
expect(`acknowledged events lost: ${end.lost}`, end.lost === 0);
expect(
  `events stored: ${end.events.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}, none twice`,
  end.events === total,
);
expect(
  `the rebuilt state of every actor (${end.equal} of ${movements.size}) equals the state computed from the data`,
  end.equal === movements.size && end.report.ok,
);
console.log(
  `\n   ${((performance.now() - startedAt) / 1000).toFixed(1)} s. To look at: ${relative(process.cwd(), out) || "."}/ (${readdirSync(out).join(", ")})`,
);
console.log(failures === 0 ? "   Everything holds." : `   ${failures} things do not hold.`);
process.exitCode = failures === 0 ? 0 : 1;
