import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** Until the kernel says that the process is stopped. */
export async function untilStopped(pid: number): Promise<void> {
  while (!/^State:\tT/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) await delay(5);
}
