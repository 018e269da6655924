// The witness: a file on the writer's machine that says how far the logs reached when it was last written. A server that comes
// back empty, or older, has no way to know that it is; the witness has. It lags behind and never leads, and who deletes it says
// that the history of the server counts, whatever it is.
import { replaceDurably, readStart } from "../env/durable.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { parseObject } from "../log/codec.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";

const BYTES_MAX = 64 << 10;

type Reached = Readonly<Partial<Record<LogName, number>>>;

export class Witness {
  readonly #env: Env;
  readonly #path: string;
  #written = "";

  constructor(env: Env, path: string) {
    this.#env = env;
    this.#path = path;
  }

  /** Rejects with HISTORY_CHANGED when the server holds less than was seen before, or something else. */
  async check(store: string | undefined, reached: Reached, location: string): Promise<void> {
    if ((await this.#env.fs.stat(this.#path)) === undefined) return;
    const seen = parseObject(await readStart(this.#env.fs, this.#path, BYTES_MAX));
    if (seen === undefined) return; // it says nothing
    const logs = seen.logs as Reached;
    const why =
      store === undefined
        ? `is empty, and store ${String(seen.store)} was there`
        : store !== seen.store
          ? `holds store ${store}, and store ${String(seen.store)} was there`
          : LOG_NAMES.filter((log) => (reached[log] ?? 0) < (logs[log] ?? 0))
              .map((log) => `reaches seq ${reached[log] ?? 0} of ${log}, and reached seq ${logs[log]} before`)
              .join("; ");
    if (why === "") return;
    throw new PapyraError("HISTORY_CHANGED", `${location} ${why}`, {
      hint: `restore the server from a backup; or, to go on with what it holds, remove ${this.#path}`,
      details: { witness: this.#path, seen: logs, store },
    });
  }

  async note(store: string, reached: Reached): Promise<void> {
    const text = `${JSON.stringify({ store, logs: reached })}\n`;
    if (text === this.#written) return;
    await replaceDurably(this.#env.fs, this.#env.random, this.#path, (append) => append(Buffer.from(text)));
    this.#written = text;
  }
}
