// Who holds a repository in a bucket, where there are no locks.
//
// Who holds the repository is written in a chain of entries `holds/<number>.json`. Each is immutable, made on condition that
// none of its number is there, and names everybody who holds from then on. Each holder has a lease besides,
// `holds/lease-<random>.json`, which it stores anew once in a while; a lease that is old, or gone, is a hold that has ended.
//
// To take a hold: 1. store a lease of one's own. 2. Read the newest entry, and look at the lease of everybody in it. 3. When
// one that lives is in the way: remove the own lease, and be refused. 4. Make the next entry, of those that live and oneself; when
// somebody else has made it, begin again at 2. 5. Read the newest entry again: it must still name oneself.
//
// Why two that exclude each other cannot both succeed: let A be the one that made the entry with the smaller number, and B
// the other. Between the two, every entry was made by somebody who had read the one before it and kept everybody whose lease
// lived. So what B read named A, as long as A's lease lived, and B was refused in 3. Nothing here is decided by a listing, which may lag:
// it only says where to begin reading; from there on entries are read by number until one is not there.
//
// When a lease is dead: its age is the difference of two times that the server wrote, that of the lease and that of the own
// one, stored just before; local clocks do not count. It is dead at one and a half times its length and two seconds
// (servers round to seconds). Its holder counts from when it began to store it, by its own monotonic and wall clock,
// whichever went further (a machine may sleep), and gives up at once its length. What is left between the two is more than a call
// may take. A holder that lives and was still taken for dead is not in the newest entry, and `assertHeld` says so.
//
// Crash: a lease without an entry is nobody's; an entry whose lease is gone holds nothing. Both are removed after a day, by
// whoever takes a hold. Old entries are: a process that slept for a day between 2 and 4 could make one of their numbers anew; 5 finds that out.
import { type Holder, type ObjectInfo, repositoryLocked } from "../backup/objects.ts";
import { PapyraError } from "../errors.ts";
import { parseObject } from "../log/codec.ts";
import type { Call } from "./asking.ts";
import { OWN, type Place } from "./place.ts";

/** A holder as entries name it. */
export interface Member extends Holder {
  /** The name of its lease. */
  readonly lease: string;
  readonly leaseMs: number;
}

/** One entry of the chain; number 0 stands for none. */
export interface Entry {
  readonly number: number;
  readonly members: readonly Member[];
}

const ENTRY = /^holds\/(\d{20})\.json$/;
const PAUSE_MS = 100;
const GRACE_MS = 2000;

/** The entries, and how one is added. */
export class Chain {
  readonly #place: Place;

  constructor(place: Place) {
    this.#place = place;
  }

  /** Steps 2 to 5 above. */
  async join(call: Call, me: Member, nowMs: number): Promise<{ entry: Entry; listed: ObjectInfo[] }> {
    for (;;) {
      const { entry: before, listed } = await this.#newest(call);
      const living: Member[] = [];
      for (const member of before.members) {
        const endsMs = await this.#endOf(call, member);
        if (endsMs <= nowMs) continue;
        if (me.mode === "exclusive" || member.mode === "exclusive") throw this.#locked(me, member, endsMs - nowMs);
        living.push(member);
      }
      const entry: Entry = { number: before.number + 1, members: [...living, me] };
      const bytes = Buffer.from(`${JSON.stringify({ members: entry.members })}\n`);
      if (await this.#place.put(call, nameOf(entry.number), bytes, { ifAbsent: true })) {
        const { members } = (await this.#newest(call)).entry;
        if (members.some(({ lease }) => lease === me.lease)) return { entry, listed };
      }
      await this.#again(call, "others keep coming first");
    }
  }

  /** The entries behind one that is known, to the newest. */
  async *behind(call: Call, number: number): AsyncGenerator<Entry> {
    for (let next = number + 1; ; next++) {
      const entry = await this.#read(call, next);
      if (entry === undefined) return;
      yield entry;
    }
  }

  async #newest(call: Call): Promise<{ entry: Entry; listed: ObjectInfo[] }> {
    for (;;) {
      const listed: ObjectInfo[] = [];
      for await (const object of this.#place.list(() => call, OWN)) listed.push(object);
      const number = Math.max(0, ...listed.map(({ name }) => Number(ENTRY.exec(name)?.[1] ?? 0)));
      let entry = number === 0 ? { number, members: [] } : await this.#read(call, number);
      if (entry !== undefined) {
        for await (const later of this.behind(call, number)) entry = later;
        return { entry, listed };
      }
      await this.#again(call, `${nameOf(number)} is listed and not there`); // a listing that lags behind a removal
    }
  }

  async #read(call: Call, number: number): Promise<Entry | undefined> {
    const name = nameOf(number);
    const bytes = await this.#place.get(call, name);
    if (bytes === undefined) return undefined;
    const members = parseObject(bytes)?.members;
    if (Array.isArray(members)) return { number, members: members as Member[] };
    throw new PapyraError("STORAGE_FAILED", `${name} in ${this.#place.location} is not what was stored`, {
      hint: `see to it that nobody works on the repository, then remove everything below ${OWN}`,
    });
  }

  /** When the lease of somebody ends, by the clock of the server, for everybody but itself. */
  async #endOf(call: Call, { lease, leaseMs }: Member): Promise<number> {
    const head = await this.#place.head(call, lease);
    return head === undefined ? 0 : head.storedMs + 1.5 * leaseMs + GRACE_MS;
  }

  async #again(call: Call, why: string): Promise<void> {
    if (await call.pause(PAUSE_MS)) return;
    throw new PapyraError("STORAGE_FAILED", `cannot hold ${this.#place.location}: ${why}`, { hint: "try again" });
  }

  #locked(me: Member, other: Member, leftMs: number): PapyraError {
    const { code, message, details } = repositoryLocked(this.#place.location, me.purpose, other);
    const seconds = Math.ceil(leftMs / 1000);
    return new PapyraError(code, message, {
      hint: `wait until that has ended, or end it; when its process is dead, the hold ends by itself in ${seconds} s`,
      details: { ...details, leftMs },
    });
  }
}

export function nameOf(number: number): string {
  return `${OWN}${String(number).padStart(20, "0")}.json`;
}
