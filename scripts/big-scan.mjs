// Writes a store of many gigabytes and scans it with the command line: seconds, rate, and the memory of the process.
// Usage: npm run build && node scripts/big-scan.mjs [--gb 2] [--line-bytes 220] [--recover]
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
    gb: { type: "string", default: "2" },
    "line-bytes": { type: "string", default: "220" },
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
  run("scan", "--json");
  run("scan", "--json");
  run("inspect-events", "--limit", "10", "--json");
  if (values.recover) {
    damage(file);
    run("recover", "--json");
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
  const words = command === "inspect-events" ? ["inspect", "events"] : ["persistence", command];
  // Linux tells the peak of this very process in /proc; what getrusage tells there begins with the memory of the parent.
  const status =
    "import{readFileSync}from'node:fs';const peak=()=>/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status','utf8'))[1];";
  const atExit = `${status}process.on('exit',()=>process.stderr.write('peak '+peak()))`;
  const started = performance.now();
  const child = spawnSync(
    process.execPath,
    ["--import", `data:text/javascript,${atExit}`, bin, ...words, ...args, "--path", path],
    {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    },
  );
  const seconds = (performance.now() - started) / 1000;
  const result = JSON.parse(child.stdout);
  const rss = Number(/peak (\d+)/.exec(child.stderr)?.[1]) / 1024;
  const rate = command === "scan" ? `, ${(bytesWanted / 1e6 / seconds).toFixed(0)} MB/s` : "";
  console.log(
    `${words.join(" ")}: exit ${child.status}, ${seconds.toFixed(2)} s${rate}, peak ${rss.toFixed(0)} MB: ${result.verdict}`,
  );
}
