// A store that is written to, sealed and compacted by the built package; every acknowledgement is printed. Arguments: the root of
// the package, the path of the store.
import { writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [root, path] = process.argv.slice(2);
const { fileStore, openStore } = await import(pathToFileURL(join(root, "dist/index.js")).href);
const store = await openStore(fileStore({ path, segmentBytes: 4096 }));
let n = store.lastSeq("events");
const records = (count) =>
  Array.from({ length: count }, () => {
    const payload = { n: ++n, text: "x".repeat((n * 37) % 700) };
    return { kind: "event", system_id: "s", actor_address: "s://a", event_type: "Noted", payload };
  });
for (const count of [1, 3, 8, 2]) {
  const { firstSeq } = await store.append("events", records(count));
  for (let i = 0; i < count; i++) writeSync(1, `ack ${firstSeq + i} ${n - count + 1 + i}\n`);
}
await store.close();
writeSync(1, "closed\n");
