// Under the shim: one store, opened, written, compacted and closed in this process again and again, each time with another fault
// at one of its file calls. Nothing that may be there is lost, and nothing grows: the heap, the open files, the files of the store.
// Arguments: the root of the built package, a directory to work in, how many rounds, a seed. One JSON line tells what was found.
import { readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { KINDS } from "./kinds.mjs";
import { ACTING, Shim } from "./shim.mjs";

const [root, work, rounds, seed] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(root, `dist/${name}.js`)).href);
const { openStore } = await load("index");
const { fileBackend } = await load("backends/files");
const { nodeEnv } = await load("env/node");
const { compact } = await load("ops/compact");
const { recover } = await load("ops/recover");
const { scan } = await load("ops/scan");
const shim = Shim.ofThisProcess();
const path = join(work, "persistence");
const backend = fileBackend({ path, segmentBytes: 4096 }, nodeEnv);
const kinds = Object.entries(KINDS).filter(([, { lies }]) => lies !== true);
const KEPT = 30;

let state = Number(seed) >>> 0;
const below = (limit) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
};
const result = {
  rounds: 0,
  fired: 0,
  refused: 0,
  recovered: 0,
  acknowledged: 0,
  wrong: [],
  heap: [],
  open: [],
  files: [],
};
const acknowledged = new Map();
let next = 0;

async function use() {
  const store = await openStore(backend);
  try {
    for (const count of [1, 4, 2]) {
      const numbers = Array.from({ length: count }, () => ++next);
      const about = { kind: "event", system_id: "s", actor_address: "s://a", event_type: "Noted" };
      const records = numbers.map((n) => ({ ...about, payload: { n, text: "x".repeat((n * 37) % 400) } }));
      const { firstSeq } = await store.append("events", records);
      numbers.forEach((n, i) => acknowledged.set(firstSeq + i, n));
    }
  } finally {
    await store.close();
  }
  await compact(backend, { retention: { events: { maxRecords: KEPT } } });
}

async function judge(what) {
  const found = await scan(backend).catch((error) => error);
  if (found instanceof Error) {
    if (found.code !== "STORE_NOT_FOUND" || acknowledged.size > 0) result.wrong.push(`${what}: ${String(found)}`);
    return;
  }
  if (!found.startable) result.wrong.push(`${what}: ${found.verdict}`);
  if (!found.ok) {
    result.recovered += 1;
    await recover(backend, { mode: "repair" });
  }
  const store = await openStore(backend);
  const present = new Map();
  for await (const { kind, seq, payload } of store.read("events")) if (kind === "event") present.set(seq, payload.n);
  await store.close();
  const oldest = store.lastSeq("events") - KEPT;
  for (const [seq, n] of acknowledged) {
    if (present.get(seq) === n) continue;
    if (seq > oldest) result.wrong.push(`${what}: I1: seq ${seq} was acknowledged and is ${present.get(seq)}`);
    acknowledged.delete(seq);
  }
}

for (let round = 1; round <= Number(rounds); round++) {
  const [kind, { action = "fail", value = 0, operations = ACTING, sticky = false }] = kinds[below(kinds.length)];
  const n = 1 + below(operations === ACTING ? 120 : 30);
  shim.order({ from: n, to: sticky ? Number.POSITIVE_INFINITY : n, action, value, operations });
  const refused = await use().then(
    () => false,
    () => true,
  );
  result.fired += shim.fired > 0 ? 1 : 0;
  shim.order();
  result.refused += refused ? 1 : 0;
  await judge(`round ${round}, ${kind} at call ${n}`);
  result.rounds += 1;
  globalThis.gc();
  result.heap.push(Math.round(process.memoryUsage().heapUsed / 1024));
  result.open.push(readdirSync("/proc/self/fd").length);
  result.files.push(readdirSync(path, { recursive: true }).length);
}
result.acknowledged = next;
writeSync(1, `${JSON.stringify(result)}\n`);
