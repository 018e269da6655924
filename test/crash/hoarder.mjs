// A process that acknowledges appends and keeps ever more memory, until the heap is at its end or the kernel ends it. Arguments: the
// root of the built package, the path of the store, "heap" or "kernel".
import { writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [root, path, what] = process.argv.slice(2);
const { fileStore, openStore } = await import(pathToFileURL(join(root, "dist/index.js")).href);
const store = await openStore(fileStore({ path, segmentBytes: 60_000 }));
const hoard = [];
writeSync(1, "open\n");
for (let n = store.lastSeq("events") + 1; ; n++) {
  const payload = { n, text: "x".repeat(n % 900) };
  const record = { kind: "event", system_id: "s", actor_address: "s://a", event_type: "Noted", payload };
  const { firstSeq } = await store.append("events", [record]);
  writeSync(1, `ack ${firstSeq} ${n}\n`);
  if (what === "kernel") hoard.push(Buffer.alloc(2 << 20, n));
  else hoard.push(Array.from({ length: 60_000 }, (_, i) => i + n / 7));
}
