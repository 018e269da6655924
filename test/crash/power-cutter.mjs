// Cuts the power of a real file system under a writing process, again and again. It runs in a mount namespace of its own, so
// that mounts and loop devices vanish with it, and it uses the built package. One JSON line a cut goes to its standard output.
// Arguments: xfs, or ext4 with its way of journalling ("ext4:writeback"), a directory to work in, how many cuts, a seed, the size of a segment (or nothing), the durability.
//
// `xfs_io -x -c shutdown` (FS_IOC_SHUTDOWN) stops a file system at once and throws its page cache away, as a power cut
// does; mounting it again replays the journal.
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileBackend } from "../../dist/backends/files.js";
import { openStore } from "../../dist/backends/open.js";
import { nodeEnv } from "../../dist/env/node.js";
import { recover } from "../../dist/ops/recover.js";
import { scan } from "../../dist/ops/scan.js";
import { LiveWriter, run } from "./live-writer.mjs";

const [disktype, work, cuts, seed, segmentBytes, durability] = process.argv.slice(2);
const [type, data] = disktype.split(":");
const MOUNTED = data === undefined ? "loop" : `loop,data=${data}`;
const CUTS_PER_STORE = 5; // a growing store would make the check the whole work
const images = join(work, "images");
const image = join(images, "disk.img");
const disk = join(work, "disk");
const path = join(disk, "persistence");
const quarantineDir = join(disk, "quarantine");

let state = Number(seed) >>> 0;
function random() {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return state / 2 ** 32;
}

function makeDisk() {
  mkdirSync(images);
  mkdirSync(disk);
  run("mount", "-t", "tmpfs", "-o", "size=600m", "papyra-test", images); // a loop device over a real disk syncs 30 times slower
  run("truncate", "-s", type === "xfs" ? "320M" : "64M", image);
  run(`mkfs.${type}`, "-q", image);
  run("mount", "-o", MOUNTED, image, disk);
}

/** Lets the writer acknowledge for a while, then cuts the power. Only what was heard before the cut counts. */
async function cutUnder(writer) {
  await writer.until("ack ");
  await new Promise((resolve) => void setTimeout(resolve, random() * 25));
  const heard = writer.acknowledged();
  run("xfs_io", "-x", "-c", "shutdown", disk); // from here on a sync can return 0 although it did nothing
  await writer.untilFailed();
  return heard;
}

/** Fails when the writer has left a file open. */
function mountAgain() {
  run("umount", disk);
  run("mount", "-o", MOUNTED, image, disk);
}

/** What is wrong with the store after a cut, by a ledger of everything that was acknowledged. */
async function judge(acknowledged, last) {
  // The machine that starts after a power cut is in another boot.
  const env = { ...nodeEnv, host: { ...nodeEnv.host, bootId: randomUUID() } };
  const backend = fileBackend({ path, ...(segmentBytes ? { segmentBytes: Number(segmentBytes) } : {}) }, env);
  const wrong = [];
  const found = await scan(backend);
  for (const anomaly of found.anomalies) if (anomaly.acknowledged === "lost") wrong.push(JSON.stringify(anomaly));
  const recovered = found.startable ? undefined : await recover(backend, { mode: "quarantine", quarantineDir });
  const store = await openStore(backend);
  for (const log of ["events", "journal"]) {
    const present = new Map();
    for await (const record of store.read(log)) if (record.kind !== "gap") present.set(record.seq, record.payload.n);
    for (const [seq, value] of acknowledged[log])
      if (present.get(seq) !== value) wrong.push(`${log} seq ${seq} was acknowledged and is ${present.get(seq)}`);
  }
  const { firstSeq } = await store.append("events", [
    { kind: "event", system_id: "kill", actor_address: "kill://a", event_type: "Noted", payload: { n: -1 } },
  ]);
  acknowledged.events.set(firstSeq, -1);
  await store.close();
  if (last) {
    const after = await recover(backend, { mode: "quarantine", quarantineDir });
    if (!after.ok) wrong.push(`after recovery: ${after.verdict}`);
  }
  const closed = (await backend.view()).segments.filter(({ active }) => !active).length;
  return { wrong, torn: found.counts["torn-tail"] ?? 0, helped: recovered !== undefined, closed };
}

makeDisk();
let acknowledged;
let live;
for (let n = 1; n <= Number(cuts); n++) {
  if (n % CUTS_PER_STORE === 1) {
    await live?.end();
    for (const place of [path, quarantineDir]) rmSync(place, { recursive: true, force: true });
    acknowledged = { events: new Map(), journal: new Map() };
    live = new LiveWriter([path, String(Number(seed) * 1000 + n), segmentBytes, "8000", durability]);
  } else live.goOn();
  const heard = await cutUnder(live);
  for (const { log, seq, n: value } of heard) acknowledged[log].set(seq, value);
  mountAgain();
  writeSync(
    1,
    `${JSON.stringify({ n, heard: heard.length, ...(await judge(acknowledged, n % CUTS_PER_STORE === 0)) })}\n`,
  );
}
await live.end();
