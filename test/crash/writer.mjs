// A process that writes to a store until it is killed, and tells its parent of every acknowledgement. It runs the built
// package, as a user's process would. When its disk fails it says so, closes the store, and opens it again for each line
// that it reads. Arguments: the path of the store, a seed, the size of a segment (or nothing), the largest text, the
// durability.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileStore, openStore } from "../../dist/index.js";

const [path, seed, segmentBytes, textMost = 500_000, durability = "fsync"] = process.argv.slice(2);
let state = Number(seed) >>> 0;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
let n = 0;

function newRecord(log) {
  n += 1;
  const payload = { n, text: "x".repeat(Math.floor(random() ** 4 * Number(textMost))) };
  return log === "events"
    ? { kind: "event", system_id: "kill", actor_address: "kill://a", event_type: "Noted", payload }
    : {
        kind: "journal",
        system_id: "kill",
        persistence_id: "a/1",
        revision: n,
        event_type: "noted",
        version: 1,
        payload,
      };
}

async function writeForever(store, log) {
  for (;;) {
    const count = 1 + Math.floor(random() * 4);
    const records = Array.from({ length: count }, () => newRecord(log));
    const first = n - count + 1;
    const { firstSeq } = await store.append(log, records);
    // One small write to a pipe is atomic: the parent sees whole lines.
    for (let i = 0; i < count; i++) writeSync(1, `ack ${log} ${firstSeq + i} ${records[i].payload.n} ${first}\n`);
  }
}

async function writeUntilItFails() {
  const rotation = segmentBytes ? { segmentBytes: Number(segmentBytes) } : {};
  const store = await openStore(fileStore({ path, durability, ...rotation }));
  writeSync(1, `open ${store.lastSeq("events")} ${store.lastSeq("journal")}\n`);
  const writers = ["events", "events", "journal"].map((log) => writeForever(store, log));
  const [reason] = (await Promise.allSettled(writers)).map((result) => result.reason.cause ?? result.reason);
  const later = await store.append("events", [newRecord("events")]).then(
    () => "accepted",
    (error) => error.code,
  );
  await store.close().catch(() => undefined); // it says again what has failed
  const { code, message, hint, details } = reason;
  writeSync(1, `failed ${JSON.stringify({ code, message, hint, errno: details?.errno })}\n`);
  writeSync(1, `refused ${later}\n`);
}

await writeUntilItFails();
for await (const _ of createInterface({ input: process.stdin })) await writeUntilItFails();
