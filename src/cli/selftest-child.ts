// The program of the processes that `papyra persistence selftest` starts. It ends when its stdin does: with its parent.
import { nodeEnv } from "../env/node.ts";
import { runWorker } from "../ops/selftest-worker.ts";

process.stdin.on("end", () => process.exit(1)).resume();
await runWorker(nodeEnv, process.argv.slice(2), (line) => process.stdout.write(`${line}\n`));
