// One actor of a few events among others that wrote more and more: recovered by its index, as after any start but the first.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileBackend } from "../dist/backends/files.js";
import { ActorSystem, fileStore, openStore, persistentActor } from "../dist/index.js";
import { countingEnv } from "./counting-env.mjs";
import { cpuSeconds, median } from "./measure.mjs";
import { makeHistory } from "./history.mjs";
import { grown, labels, list } from "./sizes.mjs";

const SIZES = [10_000, 100_000, 1_000_000];
const OTHERS = 100_000;
const OWN_EVENTS = 20;

const counter = persistentActor(
  { type: "counter", initial: () => ({ count: 0 }), events: { counted: (state) => ({ count: state.count + 1 }) } },
  { count: (state, _, ctx) => ctx.reply(state.count) },
);

/** The actor's own events stand everywhere in the log. */
function recordAt(size, n) {
  const every = size / OWN_EVENTS;
  const own = n % every === 0;
  return {
    kind: "journal",
    system_id: "bench",
    persistence_id: own ? "counter/one" : `counter/${n % OTHERS}`,
    revision: own ? n / every : Math.floor((n - 1) / OTHERS) + 1,
    event_type: "counted",
    version: 1,
    payload: { amount: n % 977, currency: "EUR", reference: `ref-${n}` },
  };
}

export async function benchOneActor(base, rounds) {
  const rows = [];
  for (const [what, segmentBytes] of [
    ["segments of 4 MiB", 4 << 20],
    ["segments of 64 MiB, the default", 64 << 20],
  ]) {
    const found = [];
    await atSize(join(base, "one-actor-warm-up"), SIZES[0], segmentBytes, rounds);
    for (const size of SIZES) found.push(await atSize(join(base, `one-actor-${size}`), size, segmentBytes, rounds));
    rows.push(rowOf(what, found));
  }
  return rows;
}

async function atSize(path, size, segmentBytes, rounds) {
  await makeHistory(path, "journal", size, (n) => recordAt(size, n), segmentBytes);
  const options = { path, durability: "os", segmentBytes };
  const store = await openStore(fileStore(options));
  await store.maintain("sealing", (maintenance) => maintenance.seal("journal")); // what is active is read by each start
  await store.close();
  await recovered(options); // makes the index
  const runs = [];
  for (let round = 0; round < rounds; round++) runs.push(await recovered(options));
  rmSync(path, { recursive: true });
  const of = (name) => median(runs.map((run) => run[name]));
  return { ms: of("ms"), cpuMs: of("cpuMs"), kB: of("bytes") / 1000, calls: of("calls") };
}

function rowOf(what, found) {
  const all = (name) => found.map((each) => each[name]);
  const others = OTHERS.toLocaleString("en-US");
  return {
    what: `recovering one actor of ${OWN_EVENTS} events, everywhere among those of ${others} others that wrote ${labels(SIZES)}, its index there, ${what}`,
    papyra: `${list(all("ms"), 1)} ms (${list(all("cpuMs"), 1)} ms of processor time); ${list(all("kB"))} kB read in ${list(all("calls"))} calls (what lies between two of its events less than 512 KiB apart is read along)`,
    ratios: grown(all("ms"), SIZES),
    budget: "flat",
  };
}

async function recovered(options) {
  const counted = countingEnv();
  const system = new ActorSystem({ store: fileBackend(options, counted.env), startup: "ignore" });
  await system.start();
  const [calls, bytes, start] = [counted.calls, counted.bytes, performance.now()];
  let ms = 0;
  const cpu = await cpuSeconds(async () => {
    const count = await system.get(counter, "one").ask("count", {}, { timeoutMs: 600_000 });
    if (count !== OWN_EVENTS) throw new Error(`${count} events, not ${OWN_EVENTS}`);
    ms = performance.now() - start;
  });
  const found = { ms, cpuMs: cpu * 1000, calls: counted.calls - calls, bytes: counted.bytes - bytes };
  await system.stop();
  return found;
}
