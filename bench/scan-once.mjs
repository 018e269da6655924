// One scan in a process of its own: prints its peak memory in KiB. Linux counts the parent's memory into maxRSS of a child
// that it started with vfork, so the peak is read from the process's own account where there is one.
import { existsSync, readFileSync } from "node:fs";
import { fileStore } from "../dist/index.js";
import { scan } from "../dist/ops/scan.js";
import { makeLog } from "./scan.mjs";

const [what, path, records] = process.argv.slice(2);
if (what === "make") await makeLog(path, Number(records));
else {
  await scan(fileStore({ path }));
  const own = existsSync("/proc/self/status") && /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
  process.stdout.write(own ? own[1] : String(process.resourceUsage().maxRSS));
}
