// The lease of the one writer: a key that goes by itself unless it is renewed, and a token that every write is compared with.
// The lease tells others that somebody lives; the token fences: whoever takes over changes it, and what an earlier writer
// still sends is refused, however late it comes. While nobody took over, a lease that ran out is simply taken up again.
import type { Env } from "../env/env.ts";
import { ensureError, isPapyraError, PapyraError } from "../errors.ts";
import { settled } from "./claim-reply.ts";
import type { Connection } from "./connection.ts";
import type { Keys } from "./keys.ts";
import { ownerOf } from "./look.ts";
import { ACQUIRE, RELEASE, RENEW } from "./scripts.ts";

export class Lease {
  readonly token: string;
  /** What stands in the key. */
  readonly value: string;
  readonly leaseMs: number;
  readonly sinceMs: number;
  /** Why the claim has ended, when another writer took over. */
  lost: Error | undefined;
  /** Called after each renewal. */
  onRenewed: () => Promise<void> = async () => undefined;
  readonly #env: Env;
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #location: string;
  #cancel: (() => void) | undefined;
  #renewing: Promise<void> | undefined;
  #ended = false;

  private constructor(
    env: Env,
    connection: Connection,
    keys: Keys,
    about: { readonly location: string; readonly purpose: string; readonly leaseMs: number },
  ) {
    this.#env = env;
    this.#connection = connection;
    this.#keys = keys;
    this.#location = about.location;
    this.leaseMs = about.leaseMs;
    this.token = env.random.hex(16);
    const { pid, name: host } = env.host;
    const { purpose } = about;
    this.sinceMs = env.clock.nowMs();
    this.value = JSON.stringify({ pid, host, sinceMs: this.sinceMs, purpose, token: this.token });
  }

  /** Rejects with STORE_LOCKED, naming the holder. */
  static async take(
    env: Env,
    connection: Connection,
    keys: Keys,
    about: { readonly location: string; readonly purpose: string; readonly leaseMs: number },
  ): Promise<Lease> {
    const lease = new Lease(env, connection, keys, about);
    const args = [lease.token, lease.value, String(lease.leaseMs)];
    const [status, held, leftMs] = await connection.script(ACQUIRE, [keys.meta, keys.writer], args);
    if (String(status) === "LOCKED") {
      const owner = ownerOf(held as Buffer);
      const since = new Date(owner?.sinceMs ?? 0).toISOString();
      throw new PapyraError(
        "STORE_LOCKED",
        `the store ${about.location} is held by pid ${owner?.pid} on ${owner?.host} since ${since} (${owner?.purpose})`,
        {
          hint: `stop that process first; if it is dead, its lease ends in ${String(leftMs)} ms`,
          details: { location: about.location, pid: owner?.pid, host: owner?.host, leftMs },
        },
      );
    }
    lease.#schedule();
    return lease;
  }

  async release(): Promise<void> {
    this.#ended = true;
    this.#cancel?.();
    await this.#renewing;
    if (this.lost !== undefined) return;
    await this.#connection.script(RELEASE, [this.#keys.meta, this.#keys.writer], [this.token]);
  }

  #schedule(): void {
    this.#cancel = this.#env.clock.after(
      this.leaseMs / 3,
      () => {
        this.#renewing = this.#renew();
      },
      "background",
    );
  }

  /** One that fails is tried again in its turn: whether the claim still holds is decided by the next write. */
  async #renew(): Promise<void> {
    const args = [this.token, this.value, String(this.leaseMs)];
    try {
      settled(await this.#connection.script(RENEW, [this.#keys.meta, this.#keys.writer], args), this.#location);
      await this.onRenewed();
    } catch (error) {
      if (isPapyraError(error, "STORE_FENCED")) this.lost = ensureError(error);
    }
    if (!this.#ended && this.lost === undefined) this.#schedule();
  }
}
