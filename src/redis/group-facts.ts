// What there is to measure of streams and their consumer groups. Counted by the lines and not by the server's `lag`: that counts
// identities and seals as well, and is unknown after a compaction.
import type { Clock } from "../env/env.ts";
import { isPapyraError } from "../errors.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import type { Connection } from "./connection.ts";
import { FACTS } from "./group-scripts.ts";
import { GroupStream, type PendingEntry } from "./group-stream.ts";
import type { Keys } from "./keys.ts";
import { seqIn } from "./layout.ts";
import { look, viewOf } from "./look.ts";

const PENDING_PAGE = 1000;

/** What a group was given and has not acknowledged. */
export interface PendingSummary {
  readonly total: number;
  /** The first of them in the log: compaction does not go beyond it. */
  readonly oldestId: string | undefined;
  /** How long ago the one was given out that waits for the longest time. */
  readonly longestIdleMs: number | undefined;
  /** The most that one of them was given out: something may be wrong with that record, or with who handles it. */
  readonly highestDeliveryCount: number | undefined;
  readonly consumers: readonly { readonly consumer: string; readonly pending: number }[];
}

export interface ConsumerFacts {
  readonly consumer: string;
  readonly pending: number;
  /** Milliseconds since it last asked for anything. */
  readonly idleMs: number;
}

export interface GroupFacts extends Omit<PendingSummary, "total" | "consumers"> {
  readonly group: string;
  readonly lastDeliveredId: string;
  /** Seqs from the first that the group was not given to the last of the log; undefined where the lines do not tell. */
  readonly lag: number | undefined;
  readonly pending: number;
  readonly consumers: readonly ConsumerFacts[];
}

export interface LogFacts {
  readonly log: LogName;
  /** Entries of the stream: lines, identities and seals included. */
  readonly entries: number;
  readonly bytes: number;
  readonly lastId: string;
  readonly lastSeq: number | undefined;
  /** Milliseconds since the last record was written, by the clock of this machine. */
  readonly lastAgeMs: number | undefined;
  readonly groups: readonly GroupFacts[];
}

/** Of each log that has a stream. Rejects with STORE_NOT_FOUND where there is no store. */
export async function storeFacts(
  connection: Connection,
  keys: Keys,
  location: string,
  clock: Clock,
): Promise<LogFacts[]> {
  const seen = await look(connection, keys);
  await viewOf(connection, keys, seen, { location, claimed: false }); // rejects where nothing is
  const all: LogFacts[] = [];
  for (const log of LOG_NAMES) {
    const key = keys.stream(log);
    const facts = await factsOf(connection, key);
    if (facts === undefined) continue;
    const { entries, lastId, lastSeq, lastTimestamp } = facts;
    const groups: GroupFacts[] = [];
    for (const one of facts.groups) {
      const place = { key, location, log, group: one.group };
      const pending = await unlessGone(pendingSummary(new GroupStream(connection, place)));
      if (pending === undefined) continue;
      const { oldestId, longestIdleMs, highestDeliveryCount } = pending;
      groups.push({ ...one, pending: pending.total, oldestId, longestIdleMs, highestDeliveryCount });
    }
    const bytes = seen.logs[log].segments.reduce((sum, segment) => sum + segment.bytes, 0);
    const lastAgeMs =
      lastTimestamp === undefined ? undefined : Math.max(0, Math.round(clock.nowMs() - lastTimestamp * 1000));
    all.push({ log, entries, bytes, lastId, lastSeq, lastAgeMs, groups });
  }
  return all;
}

async function unlessGone<T>(facts: Promise<T>): Promise<T | undefined> {
  try {
    return await facts;
  } catch (error) {
    if (isPapyraError(error, "GROUP_NOT_FOUND")) return undefined; // destroyed while it was looked at
    throw error;
  }
}

/** One instant of a stream and its groups; undefined where there is none. */
export async function factsOf(
  connection: Connection,
  key: string,
): Promise<
  | (Pick<LogFacts, "entries" | "lastId" | "lastSeq"> & {
      readonly lastTimestamp: number | undefined;
      readonly groups: readonly Pick<GroupFacts, "group" | "lastDeliveredId" | "lag" | "consumers">[];
    })
  | undefined
> {
  const reply = await connection.script(FACTS, [key], []);
  if (reply.length === 0) return undefined;
  const [entries, lastId, newest, groups] = reply as [number, Buffer, Buffer[], GroupReply[]];
  const last = newest.map(stampIn).find((stamp) => stamp !== undefined);
  return {
    entries,
    lastId: String(lastId),
    lastSeq: last?.seq,
    lastTimestamp: last?.timestamp,
    groups: groups.map(([group, id, , ahead, consumers]) => ({
      group: String(group),
      lastDeliveredId: String(id),
      lag: lagOf(ahead, last?.seq),
      consumers: consumers.map(([consumer, pending, idleMs]) => ({ consumer: String(consumer), pending, idleMs })),
    })),
  };
}

type GroupReply = [group: Buffer, id: Buffer, pending: number, ahead: Buffer[], consumers: [Buffer, number, number][]];

/** How many lines the script looks at. */
const AHEAD = 10;

function lagOf(ahead: readonly Buffer[], lastSeq: number | undefined): number | undefined {
  const first = ahead.map(seqIn).find((seq) => seq !== undefined);
  // Only lines of Papyra's own are left, or the lines say nothing.
  if (first === undefined) return ahead.length < AHEAD ? 0 : undefined;
  return lastSeq === undefined ? undefined : Math.max(0, lastSeq - first + 1);
}

/** Which record a line is, and when it was written, by its beginning. */
function stampIn(line: Buffer): { readonly seq: number; readonly timestamp: number } | undefined {
  const stamp = /^\{"seq":(\d{1,15}),(?:"durable":\d{1,15},)?"kind":"\w+","timestamp":([\d.]+)/.exec(
    line.toString("latin1"),
  );
  return stamp === null ? undefined : { seq: Number(stamp[1]), timestamp: Number(stamp[2]) };
}

/** All that is pending, page by page. */
export async function pendingSummary(stream: GroupStream): Promise<PendingSummary> {
  const counts = new Map<string, number>();
  let [total, oldestId, idleMs, deliveries] = [0, undefined as string | undefined, 0, 0];
  for (let from = "-"; ; ) {
    const page: PendingEntry[] = await stream.pending(from, PENDING_PAGE);
    oldestId ??= page[0]?.id;
    for (const entry of page) {
      total += 1;
      counts.set(entry.consumer, (counts.get(entry.consumer) ?? 0) + 1);
      idleMs = Math.max(idleMs, entry.idleMs);
      deliveries = Math.max(deliveries, entry.deliveryCount);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PENDING_PAGE) break;
    from = `(${last.id}`;
  }
  return {
    total,
    oldestId,
    longestIdleMs: total === 0 ? undefined : idleMs,
    highestDeliveryCount: total === 0 ? undefined : deliveries,
    consumers: [...counts].map(([consumer, pending]) => ({ consumer, pending })),
  };
}
