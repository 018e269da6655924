// Breaks a real file system under a writing process in one way, takes the fault away, and lets the process open the store
// again. It runs in a mount namespace of its own and uses the built package. Arguments: the fault, a directory to work in.
// One JSON line tells what the writer said and what a ledger of everything it acknowledged finds wrong.
import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { fileStore, openStore } from "../../dist/index.js";
import { fileBackend } from "../../dist/backends/files.js";
import { nodeEnv } from "../../dist/env/node.js";
import { recover } from "../../dist/ops/recover.js";
import { scan } from "../../dist/ops/scan.js";
import { LiveWriter, run } from "./live-writer.mjs";

const [fault, work] = process.argv.slice(2);
const images = join(work, "images");
const image = join(images, "disk.img");
const disk = join(work, "disk");
const path = join(disk, "persistence");
const events = join(path, "events.ndjson");

/** A file system on a loop device; the image lies on a tmpfs of `bytes`. */
function mountDisk(bytes, mkfs = [], mount = "loop") {
  run("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "papyra-test", images);
  run("truncate", "-s", "64M", image);
  run("mkfs.ext4", "-q", ...mkfs, image);
  run("mount", "-o", mount, image, disk);
}

function loopName() {
  const { stdout } = spawnSync("findmnt", ["-no", "SOURCE", disk], { encoding: "utf8" });
  return basename(stdout.trim());
}

const pid = (writer) => String(writer.child.pid);
const FAULTS = {
  /** ext4 finds an error and turns itself read-only. */
  "turned-read-only": {
    before: () => mountDisk("200m", [], "loop,errors=remount-ro"),
    hit: () => run("sh", "-c", `echo papyra > /sys/fs/ext4/${loopName()}/trigger_fs_error`),
    heal() {
      run("umount", disk);
      spawnSync("e2fsck", ["-fy", image]); // ends with 1 when it has mended something
      run("mount", "-o", "loop", image, disk);
    },
  },
  /** Write-back fails: the device under the file system has no space. A second sync would "succeed" (fsyncgate). */
  "failed-write-back": {
    before: () => mountDisk("3m", ["-O", "^has_journal"]),
    hit: () => undefined,
    heal: () => run("mount", "-o", "remount,size=200m", images),
  },
  "file-size-limit": {
    before: () => undefined,
    hit: (writer) => run("prlimit", "--pid", pid(writer), "--fsize=300000:unlimited"),
    heal: (writer) => run("prlimit", "--pid", pid(writer), "--fsize=unlimited:unlimited"),
    segmentBytes: "",
  },
  "open-files-limit": {
    before: () => undefined,
    hit: (writer) => run("prlimit", "--pid", pid(writer), "--nofile=4:4096"),
    heal: (writer) => run("prlimit", "--pid", pid(writer), "--nofile=4096:4096"),
  },
  "directory-moved-away": {
    before: () => undefined,
    hit: () => renameSync(path, join(disk, "elsewhere")),
    heal: () => renameSync(join(disk, "elsewhere"), path),
  },
  "immutable-file": {
    before: () => mountDisk("200m"),
    hit: () => run("chattr", "+i", events),
    heal: () => run("chattr", "-i", events),
    segmentBytes: "",
  },
};

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

const { before, hit, heal, segmentBytes = "60000" } = FAULTS[fault];
mkdirSync(images);
mkdirSync(disk);
before();
const writer = new LiveWriter([path, "5", segmentBytes, "8000", "fsync"]);
await writer.until("ack ");
hit(writer);
await writer.until("refused ");
const first = writer.acknowledged();
const reason = await writer.untilFailed();
heal(writer);
writer.goOn();
await writer.until("ack ");
const second = writer.acknowledged();
await writer.end();
const wrong = await judge([...first, ...second]);
writeSync(1, `${JSON.stringify({ reason, before: first.length, after: second.length, wrong })}\n`);
