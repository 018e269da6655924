// Entries of a stream, page by page, and bytes of a segment by their offsets.
import { PapyraError } from "../errors.ts";
import type { Connection, Reply } from "./connection.ts";
import { type EntryId, idAt, idText, isBefore, offsetOf, parseIdBytes, type SegmentLayout } from "./layout.ts";

export interface Entry {
  readonly id: EntryId;
  readonly bytes: Buffer;
}

const PAGE_ENTRIES = 1000;
const PAGE_BYTES = 4 << 20;
/** The first page shows how long the lines are. */
const FIRST_ENTRIES = 50;
const LINE_BYTES = 256;
const FIELD = Buffer.from("data");

/** How to page. */
interface Paging {
  readonly count?: number;
  readonly pages?: number;
  /** Ask for the next page while this one is looked at: for who reads on anyway. */
  readonly ahead?: boolean;
}

/** Entries from one id to another, in pages of about equal bytes. */
export async function* readPages(
  connection: Connection,
  key: string,
  from: string,
  to: string,
  paging: Paging = {},
): AsyncGenerator<Entry[], void, undefined> {
  const ask = (start: string, count: number): Promise<Reply> => {
    const reply = connection.command("XRANGE", key, start, to, "COUNT", String(count));
    reply.catch(() => undefined); // seen where it is awaited, unless nobody reads on
    return reply;
  };
  let count = paging.count ?? FIRST_ENTRIES;
  let next = ask(from, count);
  for (let page = 1; ; page++) {
    const reply = (await next) as Reply[][];
    if (reply.length === 0) return;
    const entries = reply.map(entryOf);
    const last = reply.length < count || page === paging.pages;
    const start = `(${String((reply.at(-1) as Reply[])[0])}`;
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes.length, 0);
    count = Math.max(1, Math.min(PAGE_ENTRIES, Math.floor((PAGE_BYTES * entries.length) / Math.max(bytes, 1))));
    const asked = !last && paging.ahead === true ? ask(start, count) : undefined;
    yield entries;
    if (last) return;
    next = asked ?? ask(start, count);
  }
}

/** Ours have one field. What somebody else put there is shown as it is, in one line, for a scan to judge. */
export function entryOf([id, fields]: readonly Reply[]): Entry {
  const values = fields as Buffer[];
  const ours = values.length === 2 && FIELD.equals(values[0] as Buffer);
  const foreign = (): Buffer =>
    Buffer.concat([
      ...values.flatMap((value, i) => (i === 0 ? [value] : [Buffer.from(" "), value])),
      Buffer.from("\n"),
    ]);
  return { id: parseIdBytes(id as Buffer), bytes: ours ? (values[1] as Buffer) : foreign() };
}

/** Bytes `[from, to)` of a segment, a page a chunk. */
export async function* readBytes(
  connection: Connection,
  key: string,
  segment: SegmentLayout,
  from: number,
  to: number,
): AsyncGenerator<Buffer, void, undefined> {
  const end = Math.min(to, segment.bytes);
  if (from >= end) return;
  const first = await entryAt(connection, key, segment, from);
  let position = offsetOf(segment, first.id) as number;
  const take = ({ id, bytes }: Entry): Buffer => {
    if (offsetOf(segment, id) !== position) throw changed(segment.name, id);
    const part = bytes.subarray(Math.max(0, from - position), Math.min(bytes.length, end - position));
    position += bytes.length;
    return part;
  };
  yield take(first);
  if (position >= end) return;
  const count = Math.max(1, Math.min(FIRST_ENTRIES, Math.ceil((end - position) / LINE_BYTES)));
  const paging = { count, ahead: end - position > PAGE_BYTES / 4 };
  for await (const page of readPages(connection, key, `(${idText(first.id)}`, "+", paging)) {
    const parts: Buffer[] = [];
    for (const entry of page) {
      if (position >= end) break;
      parts.push(take(entry));
    }
    yield Buffer.concat(parts);
    if (position >= end) return;
  }
}

/** The entry in which a byte of a segment lies. */
async function entryAt(connection: Connection, key: string, segment: SegmentLayout, offset: number): Promise<Entry> {
  const found = idAt(segment, offset);
  if (found === undefined) throw changed(segment.name, { ms: segment.number, off: 0 });
  const reply = await connection.command("XREVRANGE", key, idText(found.id), idText(found.run), "COUNT", "1");
  const [entry] = (reply as Reply[][]).map(entryOf);
  if (entry === undefined || isBefore(entry.id, found.run)) throw changed(segment.name, found.id);
  if ((offsetOf(segment, entry.id) as number) + entry.bytes.length <= offset) throw changed(segment.name, found.id);
  return entry;
}

/** The layout that the caller has is no longer that of the stream. */
export class LayoutChanged extends PapyraError {
  constructor(segment: string, id: EntryId) {
    super("STORAGE_FAILED", `${segment} changed while it was read: nothing, or something else, is at ${idText(id)}`, {
      hint: "is something else than Papyra changing the stream? Run: papyra persistence scan",
      details: { segment, id: idText(id) },
    });
  }
}

function changed(segment: string, id: EntryId): LayoutChanged {
  return new LayoutChanged(segment, id);
}
