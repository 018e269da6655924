// Consumer groups as a backup keeps them, and as a restore makes them again: by seqs, since ids are others elsewhere.
import type { GroupState } from "../backends/backend.ts";
import type { Lineages } from "../log/lineage.ts";
import type { LogName } from "../log/record.ts";
import { settled } from "./claim-reply.ts";
import type { Connection, Reply } from "./connection.ts";
import { EntryReader } from "./delivery.ts";
import { readPages } from "./entries.ts";
import { GIVE_OUT, MAKE_GROUP } from "./group-scripts.ts";
import { idText, seqIn } from "./layout.ts";
import { idBeforeSeq } from "./seq-position.ts";

const GIVE_AT_ONCE = 500;

type ConsumerReply = [consumer: Buffer, pending: [seq: Buffer, id: Buffer, deliveredMs: Buffer, count: number][]];

/** What the look script says of the groups of a log that reaches `lastSeq`. */
export function groupStates(reply: readonly Reply[], lastSeq: number): GroupState[] {
  return (reply as [Buffer, Buffer, Buffer, ConsumerReply[]][]).map(([group, id, ahead, consumers]) => ({
    group: String(group),
    seq: ahead.length === 0 ? lastSeq : Number(ahead) - 1,
    id: String(id),
    consumers: consumers.map(([consumer, pending]) => ({
      consumer: String(consumer),
      pending: pending.map(([seq, entry, deliveredMs, count]) => [
        seq.length === 0 ? null : Number(seq),
        String(entry),
        Number(deliveredMs),
        count,
      ]),
    })),
  }));
}

/** The stream in which groups are made, by a claim that holds. */
export interface GroupsPlace {
  readonly meta: string;
  readonly writer: string;
  readonly stream: string;
  readonly token: string;
  readonly lineages: Lineages;
  readonly log: LogName;
}

/** Makes groups where they stood, with what was pending; a pending entry of no record is left out. */
export async function makeGroups(
  connection: Connection,
  place: GroupsPlace,
  groups: readonly GroupState[],
): Promise<void> {
  const keys = [place.meta, place.writer, place.stream];
  const reader = new EntryReader(place.lineages, place.log);
  const ask = async (script: string, args: readonly string[]): Promise<void> => {
    settled(await connection.script(script, keys, [place.token, ...args]), place.stream);
  };
  for (const { group, seq, consumers } of groups) {
    const id = (await idBeforeSeq(connection, place.stream, reader, seq + 1)) ?? "$";
    await ask(MAKE_GROUP, [group, id, ...consumers.map(({ consumer }) => consumer)]);
    const all = consumers.flatMap(({ consumer, pending }) => pending.map((entry) => ({ consumer, entry })));
    const ids = await idsOf(
      connection,
      place.stream,
      reader,
      all.flatMap(({ entry: [of] }) => of ?? []),
    );
    const given = all.flatMap(({ consumer, entry: [of, , deliveredMs, count] }) => {
      const at = of === null ? undefined : ids.get(of);
      return at === undefined ? [] : [[consumer, at, String(deliveredMs), String(count)]];
    });
    for (let from = 0; from < given.length; from += GIVE_AT_ONCE)
      await ask(GIVE_OUT, [group, ...given.slice(from, from + GIVE_AT_ONCE).flat()]);
  }
}

async function idsOf(
  connection: Connection,
  key: string,
  reader: EntryReader,
  seqs: readonly number[],
): Promise<Map<number, string>> {
  const wanted = new Set(seqs);
  const found = new Map<number, string>();
  const first = seqs.reduce((least, seq) => Math.min(least, seq), Number.POSITIVE_INFINITY);
  const start = wanted.size === 0 ? undefined : await idBeforeSeq(connection, key, reader, first);
  if (start === undefined) return found;
  for await (const page of readPages(connection, key, `(${start}`, "+", { ahead: true })) {
    for (const { id, bytes } of page) {
      const seq = seqIn(bytes);
      if (seq !== undefined && wanted.has(seq)) found.set(seq, idText(id));
    }
    if (found.size === wanted.size) break;
  }
  return found;
}
