// One scan in a process of its own: prints its peak memory in KiB.
import { fileStore } from "../dist/index.js";
import { scan } from "../dist/ops/scan.js";
import { makeLog } from "./scan.mjs";

const [what, path, records] = process.argv.slice(2);
if (what === "make") await makeLog(path, Number(records));
else {
  await scan(fileStore({ path }));
  process.stdout.write(String(process.resourceUsage().maxRSS));
}
