// One compaction in a process of its own, to see its peak memory: node compact-once.mjs make|compact PATH [RECORDS]
import { readFileSync } from "node:fs";
import { compactStore, fileStore, openStore } from "../dist/index.js";
import { event, makeHistory } from "./history.mjs";

const [what, path, records] = process.argv.slice(2);
if (what === "make") {
  await makeHistory(path, "events", Number(records), event);
} else {
  const store = await openStore(fileStore({ path, segmentBytes: 4 << 20 }));
  const { changed } = await compactStore(store, { retention: { events: { maxRecords: 3000 } } });
  if (!changed) throw new Error("nothing was compacted");
  await store.close();
  console.log(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
}
