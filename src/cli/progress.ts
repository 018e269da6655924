// One line of progress on stderr, rewritten in place and erased at the end; nothing at all where it would only litter.
import type { Clock } from "../env/env.ts";
import type { Output } from "./io.ts";
import { roughBytes } from "./text.ts";

const EVERY_MS = 100;
/** A command that is done sooner shows nothing. */
const QUIET_MS = 300;
const ERASE = "\r\u001b[K";

export interface Progress {
  readonly onProgress: (done: number, total: number) => void;
  /** Takes the line away again. */
  end(): void;
}

/** Of "ms", what is done is time: there is no speed to show. */
export function showProgress(stderr: Output, clock: Clock, what: string, unit: "bytes" | "ms" = "bytes"): Progress {
  const startMs = clock.monotonicMs();
  let shownMs = startMs + QUIET_MS - EVERY_MS;
  let shown = false;
  return {
    onProgress(done, total) {
      const nowMs = clock.monotonicMs();
      if (nowMs - shownMs < EVERY_MS) return;
      shownMs = nowMs;
      shown = true;
      const share = total === 0 ? 100 : Math.min(100, Math.floor((done / total) * 100));
      const seconds = Math.max((nowMs - startMs) / 1000, 0.001);
      const speed = unit === "ms" ? 1000 : done / seconds;
      const left = done === 0 ? "" : `, ${Math.ceil((total - done) / speed)} s left`;
      const amount = unit === "ms" ? "" : ` of ${roughBytes(total)}, ${roughBytes(done / seconds)}/s`;
      stderr.write(`${ERASE}${what}: ${share} %${amount}${left}`);
    },
    end() {
      if (shown) stderr.write(ERASE);
      shown = false;
    },
  };
}

export const NO_PROGRESS: Progress = { onProgress: () => undefined, end: () => undefined };
