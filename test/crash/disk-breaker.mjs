// Breaks a real file system under a writing process in one way, takes the fault away, and lets the process open the store
// again. It runs in a mount namespace of its own and uses the built package. Arguments: the fault, a directory to work in.
// One JSON line tells what the writer said and what a ledger of everything it acknowledged finds wrong.
import { writeSync } from "node:fs";
import { join } from "node:path";
import { fileStore, openStore } from "../../dist/index.js";
import { fileBackend } from "../../dist/backends/files.js";
import { nodeEnv } from "../../dist/env/node.js";
import { recover } from "../../dist/ops/recover.js";
import { scan } from "../../dist/ops/scan.js";
import { faultsIn } from "./disk-faults.mjs";
import { LiveWriter } from "./live-writer.mjs";

const [fault, work] = process.argv.slice(2);
const { faults, disk, path } = faultsIn(work);

/** What a ledger finds wrong after the writer went on. */
async function judge(acknowledged) {
  const wrong = [];
  const backend = fileBackend({ path }, nodeEnv);
  const found = await scan(backend);
  for (const anomaly of found.anomalies) if (anomaly.acknowledged === "lost") wrong.push(JSON.stringify(anomaly));
  // Seqs whose fate nobody can tell are an operator's decision; what the ledger knows of them is judged below.
  if (!found.startable) await recover(backend, { mode: "quarantine", quarantineDir: join(disk, "quarantine") });
  const store = await openStore(fileStore({ path }));
  const present = { events: new Map(), journal: new Map() };
  for (const log of ["events", "journal"])
    for await (const record of store.read(log))
      if (record.kind !== "gap") present[log].set(record.seq, record.payload.n);
  await store.close();
  for (const { log, seq, n } of acknowledged)
    if (present[log].get(seq) !== n) wrong.push(`${log} seq ${seq} was acknowledged and is ${present[log].get(seq)}`);
  return wrong;
}

const { before, hit, heal, segmentBytes = "60000" } = faults[fault];
before();
const writer = new LiveWriter([path, "5", segmentBytes, "8000", "fsync"]);
await writer.until("ack ");
hit(writer.child.pid);
await writer.until("refused ");
const first = writer.acknowledged();
const reason = await writer.untilFailed();
heal(writer.child.pid);
writer.goOn();
await writer.until("ack ");
const second = writer.acknowledged();
await writer.end();
const wrong = await judge([...first, ...second]);
writeSync(1, `${JSON.stringify({ reason, before: first.length, after: second.length, wrong })}\n`);
