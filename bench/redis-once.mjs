// One scan or backup of a Redis store in a process of its own: prints its peak memory in KiB, as scan-once.mjs does.
// Usage: node redis-once.mjs scan|backup URL REPOSITORY
import { existsSync, readFileSync } from "node:fs";
import { backups } from "../dist/backup/index.js";
import { scan } from "../dist/ops/scan.js";
import { redisStore } from "../dist/redis/index.js";

const [what, url, repository] = process.argv.slice(2);
const place = redisStore({ url, systemId: "bench" });
if (what === "scan") await scan(place);
else await backups(repository).create(place);
const own = existsSync("/proc/self/status") && /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
console.log(own ? own[1] : process.resourceUsage().maxRSS);
process.exit(0); // a connection is kept for a while
