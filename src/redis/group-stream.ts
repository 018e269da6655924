// One consumer group of one stream, command by command. Whatever is asked here is safe to ask twice; what a lost answer can cost is
// said where it is asked.
import { PapyraError } from "../errors.ts";
import type { LogName } from "../log/record.ts";
import { quoted } from "../quoted.ts";
import { type Argument, type Connection, type Reply, ServerError } from "./connection.ts";
import type { GivenEntry } from "./delivery.ts";
import { entryOf } from "./entries.ts";
import { TAKE } from "./group-scripts.ts";

/** A script keeps the server from everything else. */
const TAKE_MAX = 1000;

/** Where a group is, for commands and for messages. */
export interface GroupPlace {
  /** The stream. */
  readonly key: string;
  /** The store. */
  readonly location: string;
  readonly log: LogName;
  readonly group: string;
}

/** An entry that was given out and not acknowledged. */
export interface PendingEntry {
  readonly id: string;
  readonly consumer: string;
  /** Milliseconds since it was given out last. */
  readonly idleMs: number;
  readonly deliveryCount: number;
}

export class GroupStream {
  readonly connection: Connection;
  readonly place: GroupPlace;

  constructor(connection: Connection, place: GroupPlace) {
    this.connection = connection;
    this.place = place;
  }

  /** The last id that the group was given; by it, what others were given is passed over. Rejects where there is no group. */
  async position(): Promise<string> {
    const groups = (await this.command("XINFO", "GROUPS", this.place.key)) as Reply[][];
    for (const flat of groups) {
      const fields = new Map<string, string>();
      for (let i = 0; i < flat.length; i += 2) fields.set(String(flat[i]), String(flat[i + 1]));
      if (fields.get("name") === this.place.group) return fields.get("last-delivered-id") as string;
    }
    throw noGroup(this.place);
  }

  /** Pending entries from an id on, in the order of the stream. */
  async pending(
    from: string,
    count: number,
    filter: { readonly consumer?: string; readonly idleMs?: number } = {},
  ): Promise<PendingEntry[]> {
    const { key, group } = this.place;
    const idle = filter.idleMs === undefined ? [] : ["IDLE", String(filter.idleMs)];
    const whose = filter.consumer === undefined ? [] : [filter.consumer];
    const reply = await this.command("XPENDING", key, group, ...idle, from, "+", String(count), ...whose);
    return (reply as [Buffer, Buffer, number, number][]).map(([id, consumer, idleMs, deliveryCount]) => ({
      id: String(id),
      consumer: String(consumer),
      idleMs,
      deliveryCount,
    }));
  }

  /** Takes pending entries over that were given out that long ago. */
  async take(consumer: string, idleMs: number, ids: readonly string[]): Promise<GivenEntry[]> {
    const taken: Reply[] = [];
    for (let from = 0; from < ids.length; from += TAKE_MAX) {
      const some = ids.slice(from, from + TAKE_MAX);
      taken.push(...(await this.script(TAKE, [this.place.group, consumer, String(idleMs), ...some])));
    }
    return (taken as [Buffer, Buffer[] | Buffer, number][]).map(([id, fields, deliveryCount]) =>
      Array.isArray(fields)
        ? { ...given([id, fields]), deliveryCount }
        : { id: String(id), bytes: undefined, deliveryCount },
    );
  }

  /** What nobody in the group was given yet. Where the answer is lost, it is pending of this consumer. */
  async readNew(consumer: string, count: number, blockMs: number | undefined): Promise<GivenEntry[]> {
    const { key, group } = this.place;
    const block = blockMs === undefined ? [] : ["BLOCK", String(blockMs)];
    const how = ["COUNT", String(count), ...block, "STREAMS", key, ">"];
    const reply = (await this.command("XREADGROUP", "GROUP", group, consumer, ...how)) as Reply[][] | null;
    const [, entries] = (reply?.[0] ?? [key, []]) as [Reply, Reply[][]];
    return entries.map((entry) => ({ ...given(entry), deliveryCount: 1 }));
  }

  /** How many were pending. XACK says 0 of a group that is not there, too. */
  async acknowledge(ids: readonly string[]): Promise<number> {
    if (ids.length === 0) return 0;
    const done = (await this.command("XACK", this.place.key, this.place.group, ...ids)) as number;
    if (done < ids.length) await this.position();
    return done;
  }

  command(...args: readonly Argument[]): Promise<Reply> {
    return this.#understood(this.connection.command(...args));
  }

  async script(text: string, args: readonly Argument[]): Promise<Reply[]> {
    return (await this.#understood(this.connection.script(text, [this.place.key], args))) as Reply[];
  }

  async #understood(reply: Promise<Reply>): Promise<Reply> {
    try {
      return await reply;
    } catch (error) {
      const { cause } = error as PapyraError;
      if (!(cause instanceof ServerError)) throw error;
      const missing = /no such key|requires the key to exist/i.test(cause.message);
      if (cause.code === "NOGROUP") {
        // It says the same of a group and of a stream that are not there.
        throw (await this.connection.command("EXISTS", this.place.key)) === 0 ? noLog(this.place) : noGroup(this.place);
      }
      throw missing ? noLog(this.place) : error;
    }
  }
}

function given(entry: readonly Reply[]): { readonly id: string; readonly bytes: Buffer } {
  return { id: String(entry[0]), bytes: entryOf(entry).bytes };
}

export function noLog({ log, location }: Pick<GroupPlace, "log" | "location">): PapyraError {
  return new PapyraError("STORE_NOT_FOUND", `there is no log ${log} at ${location}`, {
    hint: "check URL, database, prefix and system; a consumer never makes a stream",
    details: { location, log },
  });
}

function noGroup({ log, location, group }: GroupPlace): PapyraError {
  const command = `papyra consume ${log.replace("_", "-")} --group ${quoted(group)} --from start --path ${quoted(location)}`;
  return new PapyraError("GROUP_NOT_FOUND", `there is no consumer group ${group} of ${log} at ${location}`, {
    hint: `make it, from where it shall go on (start, end or a seq): ${command}`,
    details: { location, log, group },
  });
}
