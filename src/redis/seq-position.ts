// Where in a stream a seq begins. Ids and seqs both grow, so that it is found by halving: some sixty small questions, however long the
// log is. Only lines that verify count: what somebody else has put there must not lead astray.
import type { Connection, Reply } from "./connection.ts";
import type { EntryReader } from "./delivery.ts";
import { type Entry, readPages } from "./entries.ts";
import { idText, parseId } from "./layout.ts";

interface Found {
  readonly seq: number;
  readonly entry: Entry;
}

/** The id behind which a group stands that is given the first record from `seq` on next; undefined when there is none yet. */
export async function idBeforeSeq(
  connection: Connection,
  key: string,
  reader: EntryReader,
  seq: number,
): Promise<string | undefined> {
  const found = await firstFromSeq(connection, key, reader, seq);
  if (found === undefined) return undefined;
  const before = `(${idText(found.entry.id)}`;
  const [entry] = (await connection.command("XREVRANGE", key, before, "-", "COUNT", "1")) as Reply[][];
  return entry === undefined ? "0-0" : String(entry[0]);
}

/** The first record from `seq` on; undefined when there is none yet. */
export async function firstFromSeq(
  connection: Connection,
  key: string,
  reader: EntryReader,
  seq: number,
): Promise<Found | undefined> {
  const end = async (command: string, from: string, to: string): Promise<string | undefined> => {
    const [entry] = (await connection.command(command, key, from, to, "COUNT", "1")) as Reply[][];
    return entry === undefined ? undefined : String(entry[0]);
  };
  const [oldest, newest] = [await end("XRANGE", "-", "+"), await end("XREVRANGE", "+", "-")];
  if (oldest === undefined || newest === undefined) return undefined;
  const reaches = async (from: string): Promise<boolean> => {
    const found = await firstRecord(connection, key, reader, from);
    return found === undefined || found.seq >= seq;
  };
  // The last segment that begins before the record, then the last place in it.
  const [low, high] = [parseId(oldest).ms, parseId(newest).ms];
  const ms = await last(low, high + 1, async (n) => !(await reaches(idText({ ms: n, off: 0 }))));
  const start = ms ?? low;
  const top = parseId((await end("XREVRANGE", `${start}-18446744073709551615`, "-")) ?? oldest);
  const off = top.ms === start ? top.off : 0;
  const place = await last(0, off + 1, async (n) => !(await reaches(idText({ ms: start, off: n }))));
  const from = place === undefined ? idText({ ms: start, off: 0 }) : idText({ ms: start, off: place + 1 });
  return firstRecord(connection, key, reader, from);
}

/** The greatest number in `[from, to)` of which it holds, where it holds of all up to that one and of none behind it. */
async function last(from: number, to: number, holds: (n: number) => Promise<boolean>): Promise<number | undefined> {
  let [low, high] = [from - 1, to];
  while (high - low > 1) {
    const middle = low + Math.floor((high - low) / 2);
    if (await holds(middle)) low = middle;
    else high = middle;
  }
  return low < from ? undefined : low;
}

async function firstRecord(
  connection: Connection,
  key: string,
  reader: EntryReader,
  from: string,
): Promise<Found | undefined> {
  for await (const page of readPages(connection, key, from, "+", { count: 5 })) {
    for (const entry of page) {
      const seq = reader.seqOf(entry.bytes);
      if (seq !== undefined) return { seq, entry };
    }
  }
  return undefined;
}
