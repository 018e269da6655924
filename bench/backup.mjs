// Backups against what one would do by hand with the same bytes (cp -r, sha256sum, sync) and against restic where it is installed;
// what an incremental one costs at two sizes; and what a writer feels while one runs.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { backups } from "../dist/backup/index.js";
import { fileStore, openStore } from "../dist/index.js";
import { makeHistory } from "./history.mjs";
import { median } from "./measure.mjs";

const MB = 1 << 20;
const SEGMENT_BYTES = 64 * MB;
const place = (path, durability = "os") => fileStore({ path, durability, segmentBytes: SEGMENT_BYTES });
/** About 500 bytes each. */
const event = (n) => ({
  kind: "event",
  system_id: "bench",
  actor_address: `bench://account/${n % 1000}`,
  event_type: "Deposited",
  payload: { amount: n % 977, currency: "EUR", reference: `ref-${n}`, text: "x".repeat(330) },
});

function run(command, args, env = {}) {
  const start = performance.now();
  const done = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, ...env } });
  if (done.status !== 0) throw new Error(`${command}: ${done.error ?? done.stderr}`);
  return performance.now() - start;
}

const hasRestic = () => spawnSync("restic", ["version"]).status === 0;

async function millis(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** One round of everything over the same bytes. */
async function once(base, source, restic) {
  const repository = join(base, "repository");
  const copy = join(base, "copy");
  const target = join(base, "target");
  const to = backups(repository);
  run("sync", []);
  const times = { create: await millis(() => to.create(place(source))) };
  run("sync", []);
  times.byHand = run("sh", [
    "-c",
    `cp -r ${source} ${copy} && find ${copy} -type f | xargs sha256sum >/dev/null && sync`,
  ]);
  times.verify = await millis(() => to.verify());
  times.sums = run("sh", ["-c", `find ${copy} -type f | xargs sha256sum >/dev/null`]);
  times.restore = await millis(() => to.restore(target));
  times.drill = await millis(() => to.drill({ scratch: join(base, "scratch") }));
  if (restic) {
    const env = {
      RESTIC_REPOSITORY: join(base, "restic"),
      RESTIC_PASSWORD: "bench",
      RESTIC_CACHE_DIR: join(base, "cache"),
    };
    run("restic", ["init"], env);
    times.resticBackup = run("restic", ["backup", source], env);
    times.resticCheck = run("restic", ["check", "--read-data"], env);
    times.resticRestore = run("restic", ["restore", "latest", "--target", join(base, "restic-target")], env);
  }
  for (const dir of ["repository", "copy", "target", "restic", "restic-target"])
    rmSync(join(base, dir), { recursive: true, force: true });
  return times;
}

/** What a second backup costs when 1 MB is new, at two lengths of history. */
async function incremental(base, megabytes) {
  const source = join(base, `history-${megabytes}`);
  const to = backups(join(base, `increments-${megabytes}`));
  await makeHistory(source, "events", megabytes * 2000, event, SEGMENT_BYTES);
  await to.create(place(source));
  const times = [];
  const stored = [];
  for (let round = 0; round < 5; round++) {
    await makeHistory(source, "events", 2000, event, SEGMENT_BYTES);
    const start = performance.now();
    const report = await to.create(place(source));
    times.push(performance.now() - start);
    stored.push(report.storedBytes);
  }
  rmSync(source, { recursive: true });
  return { ms: median(times), bytes: median(stored) };
}

/** Durable appends of 64 writers: per second, and the 99th percentile of their time, alone and while a first backup is taken. */
async function writerBeside(base) {
  const path = join(base, "beside");
  await makeHistory(path, "events", 200_000, event, SEGMENT_BYTES);
  const store = await openStore(place(path, "fsync"));
  const measure = async (beside) => {
    const times = [];
    let ended = false;
    const start = performance.now();
    const writers = Array.from({ length: 64 }, async () => {
      while (!ended) times.push(await millis(() => store.append("events", [event(1)])));
    });
    await beside();
    ended = true;
    await Promise.all(writers);
    times.sort((a, b) => a - b);
    return {
      perSecond: times.length / ((performance.now() - start) / 1000),
      p99: times[Math.floor(times.length * 0.99)],
    };
  };
  const rounds = [];
  for (let round = 0; round < 3; round++) {
    const alone = await measure(() => new Promise((resolve) => setTimeout(resolve, 4000)));
    const beside = await measure(() => backups(join(base, `beside-${round}`)).take(store));
    rounds.push({ throughput: beside.perSecond / alone.perSecond, p99: beside.p99 / alone.p99 });
  }
  await store.close();
  rmSync(path, { recursive: true });
  return {
    throughput: median(rounds.map(({ throughput }) => throughput)),
    p99: median(rounds.map(({ p99 }) => p99)),
  };
}

export async function benchBackup(base, rounds, megabytes = 500) {
  const dir = join(base, "backup");
  mkdirSync(dir);
  const source = join(dir, "source");
  await makeHistory(source, "events", megabytes * 2000, event, SEGMENT_BYTES);
  const bytes = megabytes * MB;
  const restic = hasRestic();
  const all = [];
  for (let round = 0; round < rounds; round++) all.push(await once(dir, source, restic));
  const of = (name) => median(all.map((times) => times[name]));
  const against = (name, other) => median(all.map((times) => times[other] / times[name]));
  const speed = (name) => `${Math.round(bytes / MB / (of(name) / 1000))} MB/s`;
  const beside = (name, other) =>
    restic ? { [`restic ${other.replace("restic", "").toLowerCase()}`]: against(name, other) } : {};
  const small = await incremental(dir, 10);
  const large = await incremental(dir, 1000);
  const felt = await writerBeside(dir);
  rmSync(dir, { recursive: true });
  const label = `of ${megabytes} MB`;
  return [
    {
      what: `backup create ${label}`,
      papyra: speed("create"),
      ratios: { "cp -r + sha256sum + sync": against("create", "byHand"), ...beside("create", "resticBackup") },
      budget: "0.8 of cp -r + sha256sum",
    },
    {
      what: `backup verify ${label}`,
      papyra: speed("verify"),
      ratios: { sha256sum: against("verify", "sums"), ...beside("verify", "resticCheck") },
      budget: "0.8 of sha256sum",
    },
    {
      what: `backup restore ${label}, scanned`,
      papyra: speed("restore"),
      ratios: beside("restore", "resticRestore"),
      budget: "",
    },
    { what: `backup drill ${label}`, papyra: speed("drill"), ratios: {}, budget: "" },
    {
      what: "incremental backup, 1 MB new, of 10 MB / 1 GB",
      papyra: `${small.ms.toFixed(0)} / ${large.ms.toFixed(0)} ms, ${(small.bytes / MB).toFixed(1)} / ${(large.bytes / MB).toFixed(1)} MB stored`,
      ratios: { "the one of 10 MB": large.ms / small.ms },
      budget: "proportional to what is new",
    },
    {
      what: "64 writers while a backup of 100 MB and more is taken in process",
      papyra: `${(felt.throughput * 100).toFixed(0)} % of its throughput, p99 ${felt.p99.toFixed(2)} x`,
      ratios: {},
      budget: "85 %, 2 x",
    },
  ];
}
