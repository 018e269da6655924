// Holds in a bucket: taken, kept and given back. Why no two that exclude each other can be held at once is argued in chain.ts.
import type { Hold, HoldMode, ObjectInfo } from "../backup/objects.ts";
import { PapyraError } from "../errors.ts";
import type { Call } from "./asking.ts";
import { Chain, type Member, nameOf } from "./chain.ts";
import { OWN, type Place } from "./place.ts";

const LEFTOVER_MS = 86_400_000;
const LEFTOVERS_MAX = 50;

/** Takes a hold. Rejects with REPOSITORY_LOCKED, naming whoever is in the way. */
export async function takeHold(
  place: Place,
  { mode, purpose, leaseMs }: { mode: HoldMode; purpose: string; leaseMs: number },
): Promise<Hold> {
  const { clock, host, random } = place.env;
  const lease = `${OWN}lease-${random.hex(8)}.json`;
  const sinceMs = clock.nowMs();
  const me: Member = { pid: host.pid, host: host.name, sinceMs, purpose, mode, lease, leaseMs };
  const call = place.begin(`hold the repository (${purpose})`);
  const chain = new Chain(place);
  await place.open();
  const began = now(place);
  await storeLease(place, call, me);
  try {
    const nowMs = (await place.head(call, lease))?.storedMs ?? 0;
    const { entry, listed } = await chain.join(call, me, nowMs);
    await removeLeftovers(place, call, { listed, before: nowMs - LEFTOVER_MS, newest: entry.number });
    return new S3Hold(place, { me, chain, position: entry.number, began });
  } catch (error) {
    await place.remove(place.begin(`withdraw ${lease}`), lease).catch(() => undefined); // it ends by itself
    throw error;
  }
}

function storeLease(place: Place, call: Call, me: Member): Promise<boolean> {
  return place.put(call, me.lease, Buffer.from(`${JSON.stringify(me)}\n`));
}

async function removeLeftovers(
  place: Place,
  call: Call,
  { listed, before, newest }: { listed: readonly ObjectInfo[]; before: number; newest: number },
): Promise<void> {
  const old = listed.filter(({ name, storedMs }) => storedMs < before && name !== nameOf(newest));
  for (const { name } of old.slice(0, LEFTOVERS_MAX)) {
    const done = await place.remove(call, name).then(
      () => true,
      () => false, // it costs nothing but room: the next one tries again
    );
    if (!done) return;
  }
}

/** By both clocks. */
interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

function now(place: Place): Instant {
  const { clock } = place.env;
  return { monotonicMs: clock.monotonicMs(), wallMs: clock.nowMs() };
}

class S3Hold implements Hold {
  readonly #place: Place;
  readonly #me: Member;
  readonly #chain: Chain;
  /** The newest entry that is known to name this hold. */
  #position: number;
  /** When the lease began to be stored the last time. */
  #renewed: Instant;
  #lost: string | undefined;
  #ended = false;
  #cancel: (() => void) | undefined;
  #renewing: Promise<void> | undefined;

  constructor(place: Place, about: { me: Member; chain: Chain; position: number; began: Instant }) {
    this.#place = place;
    this.#me = about.me;
    this.#chain = about.chain;
    this.#position = about.position;
    this.#renewed = about.began;
    this.#schedule(about.me.leaseMs / 3);
  }

  async assertHeld(): Promise<void> {
    // What is left of the lease when this resolves is more than one more call may take.
    const renew = this.#elapsedMs() > this.#me.leaseMs / 2;
    await this.#look(renew).catch((error: unknown) => {
      if (this.#expired() === undefined) throw error;
    });
    this.#lost ??= this.#expired();
    if (this.#lost === undefined) return;
    throw new PapyraError(
      "REPOSITORY_LOCKED",
      `the ${this.#me.purpose} holds ${this.#place.location} no more: ${this.#lost}`,
      { hint: "nothing more was done; run the command again", details: { lease: this.#me.lease } },
    );
  }

  async release(): Promise<void> {
    this.#ended = true;
    this.#cancel?.();
    await this.#renewing;
    const { lease } = this.#me;
    await this.#place.remove(this.#place.begin(`release ${lease}`), lease).catch(() => undefined); // it ends by itself
  }

  #schedule(delayMs: number): void {
    const renew = async (): Promise<void> => {
      const kept = await this.#look(true).then(
        () => true,
        () => false, // tried again soon, until the lease is over
      );
      if (!this.#ended && this.#lost === undefined) this.#schedule(this.#me.leaseMs / (kept ? 3 : 20));
    };
    this.#cancel = this.#place.env.clock.after(delayMs, () => void (this.#renewing = renew()), "background");
  }

  /** Looks whether everybody still knows of this hold, and stores the lease anew. One that has ended is never begun again. */
  async #look(renew: boolean): Promise<void> {
    this.#lost ??= this.#expired();
    if (this.#lost !== undefined) return;
    const call = this.#place.begin(`keep the hold ${this.#me.lease}`);
    for await (const { number, members } of this.#chain.behind(call, this.#position)) {
      if (!members.some(({ lease }) => lease === this.#me.lease)) {
        this.#lost = `pid ${members.at(-1)?.pid} on ${members.at(-1)?.host} has taken it over`;
        return;
      }
      this.#position = number;
    }
    if ((await this.#place.head(call, this.#me.lease)) === undefined) {
      this.#lost = `${this.#me.lease} was removed`;
      return;
    }
    this.#lost ??= this.#expired();
    if (!renew || this.#lost !== undefined) return;
    const began = now(this.#place);
    await storeLease(this.#place, call, this.#me);
    if (began.monotonicMs > this.#renewed.monotonicMs) this.#renewed = began;
  }

  #elapsedMs(): number {
    const { monotonicMs, wallMs } = now(this.#place);
    return Math.max(monotonicMs - this.#renewed.monotonicMs, wallMs - this.#renewed.wallMs);
  }

  #expired(): string | undefined {
    return this.#elapsedMs() < this.#me.leaseMs ? undefined : `it could not be renewed for ${this.#me.leaseMs} ms`;
  }
}
