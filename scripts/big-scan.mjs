// Writes a store of many gigabytes in one segment and reads it with the command line, in a heap that is far smaller: seconds,
// rate, and the memory of the process. With --backup it is also backed up and the backup verified; with --recover also
// damaged and recovered. Exits with 1 when a command fails or takes more than --most-mb.
// Usage: npm run build && node scripts/big-scan.mjs [--gb 2.1] [--line-bytes 220] [--heap-mb 64] [--most-mb 200] [--backup] [--recover]
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fileStore, openStore } from "../dist/index.js";
import { encodeFields, encodeIdentity, encodeLine, seedOf } from "../dist/log/codec.js";

const { values } = parseArgs({
  options: {
    gb: { type: "string", default: "2.1" },
    "line-bytes": { type: "string", default: "220" },
    "heap-mb": { type: "string", default: "64" },
    "most-mb": { type: "string", default: "200" },
    backup: { type: "boolean", default: false },
    recover: { type: "boolean", default: false },
  },
});
const bytesWanted = Number(values.gb) * 1e9;
const bin = fileURLToPath(new URL("../dist/cli/bin.js", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "papyra-big-"));
const path = join(dir, "store");

try {
  const store = await openStore(fileStore({ path }));
  const { store: name, lineage } = store.identity;
  await store.close();
  rmSync(join(path, "papyra.mark")); // it vouches for an empty log
  const file = join(path, "events.ndjson");
  const lines = generate(file, seedOf(encodeIdentity({ log: "events", store: name, lineage })));
  console.log(`${lines} lines, ${(statSync(file).size / 1e9).toFixed(2)} GB`);
  run("persistence scan", "--json");
  run("persistence scan", "--json");
  run("inspect events", "--limit", "10", "--json");
  if (values.backup) {
    const repository = ["--repository", join(dir, "backups")];
    run("backup create", ...repository, "--json");
    runWithoutStore("backup verify", ...repository, "--json");
  }
  if (values.recover) {
    damage(file);
    run("persistence recover", "--json");
  }
} finally {
  rmSync(dir, { recursive: true });
}

function generate(file, seed) {
  const envelope = 190;
  const text = "x".repeat(Math.max(1, Number(values["line-bytes"]) - envelope));
  const record = {
    system_id: "local",
    actor_address: "local://orders/42",
    event_type: "ActorStarted",
    payload: { text },
  };
  const fields = encodeFields(record);
  const out = openSync(file, "a");
  let seq = 0;
  for (let bytes = 0; bytes < bytesWanted; ) {
    const batch = [];
    for (let i = 0; i < 5000; i++) {
      seq += 1;
      batch.push(encodeLine(seed, seq, i === 0 && seq > 1 ? seq - 1 : undefined, "event", 1767225600000 + seq, fields));
    }
    bytes += writeSync(out, batch.join(""));
  }
  closeSync(out);
  return seq;
}

/** One flipped bit in the middle, and a torn line at the end. */
function damage(file) {
  const out = openSync(file, "r+");
  writeSync(out, "X", Math.floor(statSync(file).size / 2));
  writeSync(out, '{"seq":99999999,"ki', statSync(file).size);
  closeSync(out);
}

function run(command, ...args) {
  runWithoutStore(command, ...args, "--path", path);
}

function runWithoutStore(command, ...args) {
  // Linux tells the peak of this very process in /proc; what getrusage tells there begins with the memory of the parent.
  const status =
    "import{readFileSync}from'node:fs';const peak=()=>/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status','utf8'))[1];";
  const atExit = `${status}process.on('exit',()=>process.stderr.write('peak '+peak()))`;
  const node = [`--max-old-space-size=${values["heap-mb"]}`, "--import", `data:text/javascript,${atExit}`];
  const started = performance.now();
  const options = { encoding: "utf8", maxBuffer: 1 << 28 };
  const child = spawnSync(process.execPath, [...node, bin, ...command.split(" "), ...args], options);
  const seconds = (performance.now() - started) / 1000;
  const megabytes = Number(/peak (\d+)/.exec(child.stderr)?.[1]) / 1024;
  const verdict = child.status === 0 ? JSON.parse(child.stdout).verdict : child.signal + child.stderr.slice(-500);
  const rate = `${(bytesWanted / 1e6 / seconds).toFixed(0)} MB/s`;
  console.log(
    `${command}: exit ${child.status}, ${seconds.toFixed(2)} s, ${rate}, peak ${megabytes.toFixed(0)} MB: ${verdict}`,
  );
  if (child.status !== 0 || !(megabytes <= Number(values["most-mb"]))) process.exitCode = 1;
}
