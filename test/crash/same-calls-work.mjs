// The life of a store, written so that it makes the same calls over any file system: its clock stands still, its random names
// are numbers, and nothing in it runs beside anything else but what the store itself runs so. Run as a program, it leads
// such lives on the real file system. Arguments: the root of a built package, the time, and the lives as JSON: of each the
// path of the store and its options.
import { pathToFileURL } from "node:url";

/** The modules that its parts are from. */
const MODULES = [
  "actors/digest",
  "actors/journal",
  "backends/files",
  "backends/open",
  "ops/compact",
  "ops/recover",
  "ops/revert",
];

function worldOver(fs, nowMs) {
  let names = 0;
  return {
    fs,
    clock: {
      nowMs: () => nowMs,
      monotonicMs: () => 0,
      after(_delayMs, fn, kind) {
        if (kind === "foreground") setImmediate(() => fn());
        return () => undefined;
      },
    },
    random: { hex: (bytes) => (++names).toString(16).padStart(2 * bytes, "0") },
    host: { pid: 4711, name: "same", bootId: "same-boot" },
  };
}

const eventOf = (n) => ({
  kind: "event",
  system_id: "same",
  actor_address: "same://a",
  event_type: "Noted",
  payload: { n, text: "é".repeat((n * 13) % 90) },
});

const happenedOf = (revision) => ({
  kind: "journal",
  system_id: "same",
  persistence_id: "a/1",
  revision,
  event_type: "happened",
  version: 1,
  payload: { n: revision, text: "x".repeat((revision * 37) % 300) },
});

const numbers = (from, count) => Array.from({ length: count }, (_, i) => from + i);

/** Makes it, fills it until segments are sealed, takes snapshots, closes, goes on, compacts, opens with many segments, is damaged, recovered and reverted. */
export async function lifeOfAStore(parts, fs, nowMs, path, options) {
  const { Journal, compactStore, digestOf, fileBackend, openStore, recover, revert } = parts;
  const env = worldOver(fs, nowMs);
  const backend = fileBackend({ path, segmentBytes: 4096, ...options }, env);
  const snapshotOf = (revision) => {
    const payload = { n: revision };
    return {
      kind: "snapshot",
      system_id: "same",
      persistence_id: "a/1",
      revision,
      journal_seq: revision,
      digest: digestOf(payload),
      payload,
    };
  };
  const first = await openStore(backend);
  await first.append("events", [eventOf(1)]);
  await Promise.all([first.append("events", [eventOf(2), eventOf(3)]), first.append("journal", [happenedOf(1)])]);
  await first.append("audits", [eventOf(4)]);
  await first.append("journal", numbers(2, 9).map(happenedOf));
  await first.flush();
  await first.close();

  const second = await openStore(backend);
  const journal = new Journal(second);
  await journal.withIndexes(async () => undefined);
  for (const from of [11, 21, 31]) {
    await journal.append(numbers(from, 10).map(happenedOf));
    await journal.settled();
    await journal.appendSnapshot(snapshotOf(from + 4));
  }
  await Promise.all([10, 20, 30].map((from) => second.append("events", numbers(from, 10).map(eventOf))));
  await second.maintain("sealing", (maintenance) => maintenance.seal("snapshots"));
  await journal.withIndexes(async () => undefined);
  await journal.settled();
  const retention = { events: { maxRecords: 12 }, journal: { maxRecords: 0 } };
  await compactStore(second, { retention });
  await second.append("events", [eventOf(99)]);
  await second.close();

  const third = await openStore(backend);
  for (const batch of numbers(4, 10)) await third.append("events", numbers(batch * 25, 25).map(eventOf));
  await third.close();
  await (await openStore(backend)).close(); // keeps what it has verified at the ends of so many segments

  await damage(backend, fs, path);
  const torn = await openStore(backend); // leaves the torn tail behind, under a closed name
  await torn.append("events", [eventOf(100)]);
  await torn.close();
  const { id } = await recover(backend, { mode: "quarantine" });
  await revert(backend, { id });
  await recover(backend, { mode: "repair" });
  const last = await openStore(backend);
  await last.append("journal", [happenedOf(41)]);
  await last.close();
}

/** A byte of a closed segment is another one, and the active segment of a log ends in half a line. */
async function damage(backend, fs, path) {
  const { segments } = await backend.view();
  const closed = segments.find(({ log, active }) => log === "journal" && !active);
  const active = segments.find(({ log, active: last }) => log === "events" && last);
  for (const [{ name }, at] of [
    [closed, 300],
    [active, active.bytes],
  ]) {
    const file = await fs.open(`${path}/${name}`, "update");
    await file.write(Buffer.from("~~~"), at);
    await file.close();
  }
}

const [root, nowMs, lives] = process.argv.slice(2);
if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const moduleOf = (name) => import(pathToFileURL(`${root}/dist/${name}.js`).href);
  const parts = Object.assign({}, ...(await Promise.all(MODULES.map(moduleOf))));
  const { nodeEnv } = await moduleOf("env/node");
  for (const [path, options] of JSON.parse(lives)) await lifeOfAStore(parts, nodeEnv.fs, Number(nowMs), path, options);
}
