// The world of a simulated disk in which nobody waits: whoever asks to be called later moves the clock there at once.
import type { Env } from "../src/env/env.ts";
import type { SimDisk } from "../src/testing/sim-disk.ts";

export function impatient(disk: SimDisk): Env {
  const { clock } = disk;
  return {
    ...disk.env,
    clock: {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
      after(delayMs, fn, kind) {
        const cancel = clock.after(delayMs, fn, kind);
        if (kind === "foreground") setImmediate(() => clock.advance(delayMs));
        return cancel;
      },
    },
  };
}
