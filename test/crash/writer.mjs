// A process that writes to a store until it is killed, and tells its parent of every acknowledgement. It runs the built
// package, as a user's process would. Arguments: the path of the store, a seed, the size of a segment (or nothing).
import { writeSync } from "node:fs";
import { fileStore, openStore } from "../../dist/index.js";

const [path, seed, segmentBytes] = process.argv.slice(2);
let state = Number(seed) >>> 0;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};

const store = await openStore(fileStore({ path, ...(segmentBytes ? { segmentBytes: Number(segmentBytes) } : {}) }));
writeSync(1, `open ${store.lastSeq("events")} ${store.lastSeq("journal")}\n`);
let n = 0;

async function writeForever(log) {
  for (;;) {
    const count = 1 + Math.floor(random() * 4);
    const records = Array.from({ length: count }, () => {
      n += 1;
      const payload = { n, text: "x".repeat(Math.floor(random() ** 4 * 500_000)) };
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
    });
    const first = n - count + 1;
    const { firstSeq } = await store.append(log, records);
    // One small write to a pipe is atomic: the parent sees whole lines.
    for (let i = 0; i < count; i++) writeSync(1, `ack ${log} ${firstSeq + i} ${records[i].payload.n} ${first}\n`);
  }
}

await Promise.all([writeForever("events"), writeForever("events"), writeForever("journal")]);
