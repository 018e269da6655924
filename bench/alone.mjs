// Calls a function of a module in a process of its own: what was measured before leaves code that was compiled for other data,
// and garbage, behind, and whatever comes next is slower for it.
import { fork } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Resolves with what `name`, which `module` (a URL) exports, returns or resolves with: plain data, as its arguments are. */
export function alone(module, name, ...args) {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), [], { execArgv: ["--expose-gc"], serialization: "advanced" });
    let found;
    child.once("message", (message) => (found = message));
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (found !== undefined && code === 0) resolve(found.value);
      else reject(new Error(`${name} of ${module} ended with ${signal ?? code}; it says why above`));
    });
    child.send({ module, name, args });
  });
}

/** The most memory that this process ever had, in MB. What the parent had when it started it counts into maxRSS on Linux. */
export function peakMB() {
  const own = existsSync("/proc/self/status") && /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
  return (own ? Number(own[1]) : process.resourceUsage().maxRSS) / 1024;
}

async function answer({ module, name, args }) {
  const value = await (await import(module))[name](...args);
  // A connection to a server may be kept for a while yet: nobody waits for it.
  process.send({ value }, () => process.exit());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // What it throws is printed, and the exit says that there is no answer.
  process.once("message", (message) => void answer(message));
}
