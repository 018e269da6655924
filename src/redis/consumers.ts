// Consumer groups: how programs that are not Papyra's follow a log. Delivery is at least once.
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { quoted } from "../quoted.ts";
import { wholeNumber } from "../options.ts";
import { connectionTo, locationOf } from "./connect.ts";
import { ServerError } from "./connection.ts";
import {
  checkedIds,
  type ConsumeOptions,
  type ConsumerGroupOptions,
  type GroupStart,
  resolveConsume,
  type ResolvedGroup,
  resolveGroup,
  resolveStart,
} from "./consumer-options.ts";
import { Consuming } from "./consuming.ts";
import { type Delivery, EntryReader } from "./delivery.ts";
import { factsOf, type PendingSummary, pendingSummary } from "./group-facts.ts";
import { PRUNE, RECREATE } from "./group-scripts.ts";
import { GroupStream, noLog } from "./group-stream.ts";
import { type Keys, keysOf } from "./keys.ts";
import { decodeEnd } from "./layout.ts";
import { look, viewOf } from "./look.ts";
import { idBeforeSeq } from "./seq-position.ts";

/** What became of a consumer that was looked at. */
export interface PrunedConsumer {
  readonly consumer: string;
  readonly pending: number;
  readonly idleMs: number;
  readonly removed: boolean;
}

/** One consumer of one group of one log. See `consumerGroup`. */
export class ConsumerGroup {
  readonly #options: ResolvedGroup;
  readonly #env: Env;
  readonly #keys: Keys;
  readonly #location: string;
  readonly #stream: GroupStream;
  #reader: Promise<EntryReader> | undefined;

  constructor(input: ConsumerGroupOptions, env: Env) {
    this.#options = resolveGroup(input);
    const { redis } = this.#options;
    this.#env = env;
    this.#keys = keysOf(redis.base);
    this.#location = locationOf(redis);
    this.#stream = this.#connected();
  }

  /** Of the group. */
  get name(): string {
    return this.#options.group;
  }

  /**
   * Makes the group if it is not there; where it is, it goes on where it stands. Never makes a stream: rejects with
   * STORE_NOT_FOUND. Resolves with whether it was made. A seq that is gone begins with the next one that is there.
   */
  async ensure({ from }: { readonly from: GroupStart }): Promise<{ readonly created: boolean }> {
    const id = await this.#idOf(resolveStart(from));
    const { key, group } = this.#stream.place;
    try {
      await this.#stream.command("XGROUP", "CREATE", key, group, id);
      return { created: true };
    } catch (error) {
      const { cause } = error as PapyraError;
      if (cause instanceof ServerError && cause.code === "BUSYGROUP") return { created: false };
      throw error;
    }
  }

  /**
   * Puts the group at another place, as if it had never been anywhere: its consumers and what is pending are forgotten. Rejects with
   * GROUP_PENDING when something is pending, unless `dropPending` is true. Resolves with how many pending entries went.
   */
  async recreate(options: {
    readonly from: GroupStart;
    readonly dropPending?: boolean;
  }): Promise<{ readonly dropped: number }> {
    const id = await this.#idOf(resolveStart(options.from));
    const { group, log } = this.#stream.place;
    const [status, pending] = await this.#stream.script(RECREATE, [
      group,
      id,
      options.dropPending === true ? "drop" : "",
    ]);
    if (String(status) === "NOSTREAM") throw noLog(this.#stream.place);
    if (String(status) === "OK") return { dropped: pending as number };
    const command = `papyra consumers list --path ${quoted(this.#location)}`;
    throw new PapyraError("GROUP_PENDING", `${pending as number} entries of ${group} of ${log} are not acknowledged`, {
      hint: `see whose they are: ${command}; or say that they may be forgotten (dropPending, --drop-pending)`,
      details: { log, group, pending },
    });
  }

  /** Deliveries one by one; acknowledge each when it is done with. Ends as `ConsumeOptions` say; `break` ends it, too. */
  async *consume(options: ConsumeOptions = {}): AsyncGenerator<Delivery, void, undefined> {
    for await (const batch of this.batches(options)) yield* batch;
  }

  /** The same, as many at a time as came together. */
  async *batches(options: ConsumeOptions = {}): AsyncGenerator<readonly Delivery[], void, undefined> {
    const resolved = resolveConsume(options, this.#options.redis.timing);
    resolved.signal?.throwIfAborted();
    const reader = await this.#entryReader();
    const of = { reader, clock: this.#env.clock, consumer: this.#options.consumer };
    yield* new Consuming(this.#connected(), of, resolved).batches();
  }

  /**
   * Says that these are done with, for the whole group. Resolves with how many of them were pending: fewer where some were
   * acknowledged before, also by this very command when its answer was lost.
   */
  async ack(ids: readonly string[]): Promise<number> {
    return this.#stream.acknowledge(checkedIds(ids));
  }

  /** Takes pending entries over from whoever has them, if they were given out at least so many milliseconds ago. */
  async claim(ids: readonly string[], minIdleMs: number): Promise<Delivery[]> {
    const idle = wholeNumber("minIdleMs", minIdleMs, Number.NaN, 0, 2 ** 31 - 1);
    const reader = await this.#entryReader();
    const entries = await this.#stream.take(this.#options.consumer, idle, checkedIds(ids));
    const found = entries.map((entry) => ({ id: entry.id, deliveries: reader.deliveries(entry) }));
    await this.#stream.acknowledge(found.filter(({ deliveries }) => deliveries.length === 0).map(({ id }) => id));
    return found.flatMap(({ deliveries }) => deliveries);
  }

  /** What was given out and not acknowledged. */
  pending(): Promise<PendingSummary> {
    return pendingSummary(this.#stream);
  }

  /**
   * How many seqs there are from the first that the group was not given to the last of the log; those that compaction or
   * recovery took out in between count as well. Undefined where the lines do not tell.
   */
  async lag(): Promise<number | undefined> {
    const { key, group } = this.#stream.place;
    const facts = await factsOf(this.#stream.connection, key);
    if (facts === undefined) throw noLog(this.#stream.place);
    const found = facts.groups.find((one) => one.group === group);
    if (found === undefined) await this.#stream.position(); // rejects
    return found?.lag;
  }

  /** Removes the consumers that nothing was heard of for so long and that have nothing pending. What is pending must be claimed first. */
  async removeIdle({ idleMs }: { readonly idleMs: number }): Promise<readonly PrunedConsumer[]> {
    const idle = wholeNumber("idleMs", idleMs, Number.NaN, 0, Number.MAX_SAFE_INTEGER);
    const reply = await this.#stream.script(PRUNE, [this.#stream.place.group, String(idle)]);
    return (reply as [Buffer, number, number, number][]).map(([consumer, pending, idleFor, removed]) => ({
      consumer: String(consumer),
      pending,
      idleMs: idleFor,
      removed: removed === 1,
    }));
  }

  /** The id that a group stands at which begins there. */
  async #idOf(from: GroupStart): Promise<string> {
    const { key, log } = this.#stream.place;
    if ((await this.#stream.command("EXISTS", key)) === 0) throw noLog(this.#stream.place);
    if (from === "start") return "0";
    if (from === "end") return "$";
    const id = await idBeforeSeq(this.#stream.connection, key, await this.#entryReader(), from);
    if (id !== undefined) return id;
    const end = await this.#stream.command("HGET", this.#keys.meta, `${log}:end`);
    const reached = decodeEnd(end === null ? undefined : String(end))?.seq;
    if (reached === undefined || from > reached + 1) {
      throw new PapyraError("OPTION_INVALID", `${log} has no seq ${from}: it reaches ${reached ?? "an unknown one"}`, {
        hint: 'begin at "end" for what comes next',
        details: { option: "from", value: from, reached },
      });
    }
    return "$";
  }

  #entryReader(): Promise<EntryReader> {
    this.#reader ??= this.#makeReader().catch((error: unknown) => {
      this.#reader = undefined;
      throw error;
    });
    return this.#reader;
  }

  async #makeReader(): Promise<EntryReader> {
    const { connection, place } = this.#stream;
    const { log, location } = place;
    const { identity } = await viewOf(connection, this.#keys, await look(connection, this.#keys), {
      location,
      claimed: false,
    });
    if (identity !== undefined) return new EntryReader(identity, log);
    throw new PapyraError("STORE_DAMAGED", `nothing at ${location} says whose lines these are`, {
      hint: `papyra persistence scan --path ${quoted(location)}`,
      details: { location },
    });
  }

  #connected(): GroupStream {
    const { redis, log, group } = this.#options;
    const location = this.#location;
    return new GroupStream(connectionTo(redis, this.#env), { key: this.#keys.stream(log), location, log, group });
  }
}
