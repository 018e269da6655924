// A store that stands still: one script copies all streams with their groups, and what stands beside them, under other names,
// at one instant. Whoever reads it is in nobody's way, and nobody in his. The copies go when they are let go; those of a run that died
// expire, and the next one removes them before.
import type { Backend, Frozen } from "../backends/backend.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { LOG_NAMES } from "../log/record.ts";
import type { Connection, Reply } from "./connection.ts";
import { FREEZE, KEEP_FROZEN, THAW } from "./freeze-scripts.ts";
import { type Keys, keysOf } from "./keys.ts";
import { ownerOf } from "./look.ts";
import { freeMemory } from "./server-facts.ts";

/** What is copied may outlive its holder so many times as long as a lease: a process that was held up finds it still. */
const COPIES_OUTLIVE = 12;
/** What the server needs besides. */
const SPARE_BYTES = 1 << 20;

/** Rejects with STORE_LOCKED (another run holds a frozen copy), STORAGE_FULL, STORE_NOT_FOUND. */
export async function freezeStore(
  env: Env,
  connection: Connection,
  place: { readonly keys: Keys; readonly location: string; readonly leaseMs: number; readonly purpose: string },
  aside: { readonly backend: Backend; readonly base: string },
): Promise<Frozen> {
  const { keys, location, leaseMs, purpose } = place;
  const frozen = keysOf(aside.base);
  const bytes = await assertRoom(connection, keys, location);
  const token = env.random.hex(16);
  const { pid, name: host } = env.host;
  const value = JSON.stringify({ pid, host, sinceMs: env.clock.nowMs(), purpose, token });
  const times = [String(leaseMs), String(COPIES_OUTLIVE * leaseMs)];
  const pairs = LOG_NAMES.flatMap((log) => [keys.stream(log), frozen.stream(log)]);
  const copied = [keys.meta, frozen.meta, keys.writer, frozen.writer, ...pairs];
  const reply = await connection.script(FREEZE, [frozen.holder, ...copied], [token, value, ...times]);
  if (String(reply[0]) === "LOCKED") throw locked(location, reply);
  const copies = copied.filter((_, i) => i % 2 === 1);
  const held = new Hold(env, leaseMs, async () => {
    const [kept] = await connection.script(KEEP_FROZEN, [frozen.holder, ...copies], [token, value, ...times]);
    return String(kept) === "OK";
  });
  return {
    backend: { ...aside.backend, location, claim: () => Promise.reject(claimed(location)) },
    bytes,
    leftovers: reply[1] as number,
    async assertHeld() {
      if (await held.renew()) return;
      throw new PapyraError("STORAGE_FAILED", `the frozen copy of ${location} is gone: it expired, or was removed`, {
        hint: "was this process, or the server, stopped for long? Run it again",
      });
    },
    async release() {
      await held.end();
      await connection.script(THAW, [frozen.holder, ...copies], [token]);
    },
  };
}

/** Keeps the copies from expiring. */
class Hold {
  readonly #renewed: () => Promise<boolean>;
  readonly #env: Env;
  readonly #everyMs: number;
  #cancel: (() => void) | undefined;
  #renewing: Promise<unknown> | undefined;
  #ended = false;

  constructor(env: Env, leaseMs: number, renewed: () => Promise<boolean>) {
    this.#env = env;
    this.#everyMs = leaseMs / 3;
    this.#renewed = renewed;
    this.#schedule();
  }

  renew(): Promise<boolean> {
    return this.#renewed();
  }

  async end(): Promise<void> {
    this.#ended = true;
    this.#cancel?.();
    await this.#renewing;
  }

  #schedule(): void {
    if (this.#ended) return;
    const again = (): void => {
      // One that fails is tried again in its turn; whether the copies are still there is asked in the end.
      const done = this.#renewed().catch(() => false);
      this.#renewing = done.then(() => this.#schedule());
    };
    this.#cancel = this.#env.clock.after(this.#everyMs, again, "background");
  }
}

/** About how many bytes the copies take. */
async function assertRoom(connection: Connection, keys: Keys, location: string): Promise<number> {
  let bytes = 0;
  for (const log of LOG_NAMES) {
    const used = await connection.command("MEMORY", "USAGE", keys.stream(log), "SAMPLES", "50");
    bytes += (used as number | null) ?? 0;
  }
  const needed = Math.ceil(bytes * 1.1) + SPARE_BYTES;
  const free = await freeMemory(connection);
  if (free >= needed) return bytes;
  throw new PapyraError(
    "STORAGE_FULL",
    `a frozen copy of ${location} takes about ${needed} bytes of the server's memory, and ${free} are free below maxmemory`,
    {
      hint: "back up without freezing, which copies nothing in the server; or raise maxmemory, or compact first",
      details: { needed, free },
    },
  );
}

function locked(location: string, [, held, leftMs]: readonly Reply[]): PapyraError {
  const owner = ownerOf(held as Buffer);
  return new PapyraError(
    "STORE_LOCKED",
    `a frozen copy of ${location} is held by pid ${owner?.pid} on ${owner?.host} (${owner?.purpose})`,
    {
      hint: `wait until that backup has ended; if its process is dead, its hold ends in ${String(leftMs)} ms`,
      details: { location, pid: owner?.pid, host: owner?.host },
    },
  );
}

function claimed(location: string): PapyraError {
  return new PapyraError("STORE_LOCKED", `a frozen copy of ${location} is not written`);
}
