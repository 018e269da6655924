// Under the shim: lives of a store, over and over, in this process, each with one fault at one of its real file calls; then,
// without any fault, what was acknowledged is compared with what is there. Arguments: the root of the built package, a directory
// to work in, how many faults, a seed. One JSON line tells what was found.
import { mkdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { KINDS } from "./kinds.mjs";
import { ACTING, Shim } from "./shim.mjs";

const [root, work, wanted, seed] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(root, `dist/${name}.js`)).href);
const { fileStore, isPapyraError, openStore } = await load("index");
const { fileBackend } = await load("backends/files");
const { nodeEnv } = await load("env/node");
const { compact } = await load("ops/compact");
const { scan } = await load("ops/scan");
const { createBackup } = await load("backup/create");
const { directoryObjects } = await load("backup/directory");
const { restoreBackup } = await load("backup/restore");
const { verifyBackups } = await load("backup/verify");
const shim = Shim.ofThisProcess();

const record = (n) => ({
  kind: "event",
  system_id: "s",
  actor_address: "s://a",
  event_type: "Noted",
  payload: { n, text: "x".repeat((n * 37) % 400) },
});

/** What was acknowledged, by seq, and the end of the log when the backup was made. */
async function live(place, ledger) {
  const path = join(place, "persistence");
  const backend = fileBackend({ path, segmentBytes: 4096 }, nodeEnv);
  for (let run = 0; run < 2; run++) {
    const store = await openStore(backend);
    try {
      for (const count of [1, 7, 3, 6]) {
        const numbers = Array.from({ length: count }, () => ++ledger.next);
        const { firstSeq } = await store.append("events", numbers.map(record));
        numbers.forEach((n, i) => ledger.acknowledged.set(firstSeq + i, n));
        await store.append("audits", numbers.map(record));
      }
    } finally {
      await store.close();
    }
  }
  await compact(backend, { retention: { audits: { maxRecords: 5 } } });
  const before = Math.max(...ledger.acknowledged.keys());
  await createBackup(backend, directoryObjects(nodeEnv, join(place, "backups")));
  ledger.backedUp = before;
}

async function contentOf(path) {
  const store = await openStore(fileStore({ path }));
  try {
    const found = new Map();
    for await (const { kind, seq, payload } of store.read("events")) if (kind === "event") found.set(seq, payload.n);
    return found;
  } finally {
    await store.close();
  }
}

function missingOf(ledger, content, to = Number.POSITIVE_INFINITY) {
  return [...ledger.acknowledged].filter(([seq, n]) => seq <= to && content.get(seq) !== n).map(([seq]) => seq);
}

/** What is wrong, in words. */
async function judge(place, ledger, kind) {
  const path = join(place, "persistence");
  const found = await scan(fileBackend({ path }, nodeEnv)).catch((error) => error);
  if (found instanceof Error)
    return found.code === "STORE_NOT_FOUND" && ledger.acknowledged.size === 0 ? [] : [`scan: ${found}`];
  const suspect = found.anomalies.some(({ acknowledged }) => acknowledged !== "none");
  if (!KINDS[kind].lies && !found.startable) return [`not startable: ${found.verdict}`];
  const content = await contentOf(path).catch((error) => error);
  const wrong = [];
  if (content instanceof Error) {
    if (!suspect) wrong.push(`it cannot be read, and the scan says nothing: ${content}`);
  } else {
    const missing = missingOf(ledger, content);
    if (missing.length > 0 && !suspect) wrong.push(`I3: lost and not reported: ${missing.join()}`);
    if (missing.length > 0 && !KINDS[kind].lies) wrong.push(`I1: acknowledged and gone: ${missing.join()}`);
  }
  if (KINDS[kind].lies) reported += suspect ? 1 : 0;
  if (ledger.backedUp === undefined) return wrong;
  const objects = directoryObjects(nodeEnv, join(place, "backups"));
  const restored = join(place, "restored");
  try {
    const { ok, backups } = await verifyBackups(objects, { level: "replay" });
    if (!ok || backups.length !== 1) throw new Error("it does not verify");
    await restoreBackup(objects, nodeEnv, restored);
  } catch (error) {
    // Without a lie on the way it is as it was made.
    return KINDS[kind].lies ? wrong : [...wrong, `I9: a backup that was made: ${String(error)}`];
  }
  const lost = missingOf(ledger, await contentOf(restored), ledger.backedUp);
  return lost.length > 0 && !suspect ? [...wrong, `I9: verified and restored, and lacks ${lost.join()}`] : wrong;
}

let reported = 0;
const known =
  /^(STORAGE_FAILED|STORAGE_FULL|OUTCOME_UNKNOWN|STORE_POISONED|STORE_NOT_FOUND|LOG_DAMAGED|STORE_DAMAGED)$/;
const result = { points: 0, fired: 0, refused: 0, reported: 0, byKind: {}, wrong: [] };
const newLedger = () => ({ next: 0, acknowledged: new Map(), backedUp: undefined });

async function onePoint(kind, n) {
  const {
    action = "fail",
    value = 0,
    operations = ACTING,
    sticky = false,
    lies = false,
    harmless = false,
  } = KINDS[kind];
  const place = join(work, "life");
  mkdirSync(place);
  const ledger = newLedger();
  shim.order({ from: n, to: sticky ? Number.POSITIVE_INFINITY : n, action, value, operations });
  const failure = await live(place, ledger).then(
    () => undefined,
    (error) => error,
  );
  const { fired } = shim;
  shim.order();
  const wrong = [];
  if (failure !== undefined) {
    result.refused += 1;
    if (!isPapyraError(failure) || (!lies && !known.test(failure.code))) wrong.push(`it ends with ${failure.stack}`);
    if (harmless) wrong.push(`it is refused: ${failure}`);
  }
  wrong.push(...(await judge(place, ledger, kind)));
  rmSync(place, { recursive: true });
  result.points += 1;
  result.fired += fired > 0 ? 1 : 0;
  result.byKind[kind] = (result.byKind[kind] ?? 0) + 1;
  result.wrong.push(...wrong.map((what) => `${kind} at call ${n}: ${what}`));
}

/** How many calls of these operations an undisturbed life makes. */
async function callsOf(operations) {
  const place = join(work, "counted");
  mkdirSync(place);
  shim.order({ operations });
  await live(place, newLedger());
  const { calls } = shim;
  rmSync(place, { recursive: true });
  return calls;
}

const kinds = Object.keys(KINDS);
const calls = new Map();
for (const kind of kinds) {
  const { operations = ACTING } = KINDS[kind];
  const key = operations.join();
  if (!calls.has(key)) calls.set(key, await callsOf(operations));
}
/** Spread evenly over the calls of each kind; another seed begins elsewhere. */
const each = Math.ceil(Number(wanted) / kinds.length);
for (const kind of kinds) {
  const all = calls.get((KINDS[kind].operations ?? ACTING).join());
  for (let i = 0; i < Math.min(each, all); i++)
    await onePoint(kind, 1 + ((Math.floor((i * all) / Math.min(each, all)) + Number(seed)) % all));
}
result.reported = reported;
writeSync(1, `${JSON.stringify(result)}\n`);
