// Recovery's change of a segment. Entries of a stream cannot be changed, and an id that was deleted cannot be given again, so
// that a new stream is made beside the old one and takes its place in one step, with the consumer groups:
// 1. what stays is copied inside the server, under its old ids: whoever remembers an id, remembers the right one;
// 2. what is new gets ids in between, of which every line leaves plenty;
// 3. the new stream is renamed to the old one, together with its layout. A crash before leaves a stream that tidying removes.
import type { Splice } from "../backends/backend.ts";
import type { LogName } from "../log/record.ts";
import { settled } from "./claim-reply.ts";
import type { Connection, Reply } from "./connection.ts";
import { type Entry, readPages } from "./entries.ts";
import type { Keys } from "./keys.ts";
import {
  encodeEnd,
  encodeLayout,
  type EntryId,
  firstId,
  idText,
  isBefore,
  parseId,
  place,
  type SegmentLayout,
} from "./layout.ts";
import type { LogLook } from "./look.ts";
import { COPY, DISCARD, PUBLISH, PUT } from "./scripts.ts";
import { SpliceEntries } from "./splice-entries.ts";

const COPY_ENTRIES = "1000";

export class Rewrite {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #token: string;
  readonly #log: LogName;
  readonly #seen: LogLook;
  /** The last id in the new stream, and how many entries it has. */
  #last: EntryId = { ms: 0, off: 0 };
  #lastBytes = 0;
  #length = 0;

  constructor(connection: Connection, keys: Keys, token: string, log: LogName, seen: LogLook) {
    this.#connection = connection;
    this.#keys = keys;
    this.#token = token;
    this.#log = log;
    this.#seen = seen;
  }

  async run(name: string, splices: readonly Splice[]): Promise<void> {
    const { segments, last } = this.#seen;
    const index = segments.findIndex((segment) => segment.name === name);
    const old = segments[index] as SegmentLayout;
    const following = segments[index + 1];
    await this.#call(DISCARD, [this.#keys.staging(this.#log)], []);
    const begin = firstId(old);
    await this.#copy("-", `(${idText(begin)}`);
    const changed = await this.#changeSegment(old, splices, following);
    if (following !== undefined) await this.#copy(idText(firstId(following)), "+");
    const layout = segments.map((segment, i) => (i === index ? changed : segment));
    await this.#publish(layout, parseId(last));
  }

  async #changeSegment(
    old: SegmentLayout,
    splices: readonly Splice[],
    following: SegmentLayout | undefined,
  ): Promise<SegmentLayout> {
    const changed: SegmentLayout = { number: old.number, name: old.name, bytes: 0, runs: [] };
    const ceiling = following === undefined ? undefined : firstId(following);
    const change = new SpliceEntries(splices);
    /** The old ids of what was kept since the last line that is new. */
    let kept: { from: EntryId; to: EntryId } | undefined;
    const flush = async (): Promise<void> => {
      if (kept !== undefined) await this.#copy(idText(kept.from), idText(kept.to));
      kept = undefined;
    };
    const put = async (lines: readonly Buffer[], before: EntryId | undefined): Promise<void> => {
      if (lines.length === 0) return;
      await flush();
      const entries = this.#identify(lines, old, before);
      await this.#put(entries);
      for (const { id, bytes } of entries) place(changed, { id, bytes: bytes.length });
    };
    const end = ceiling === undefined ? "+" : `(${idText(ceiling)}`;
    for await (const page of readPages(this.#connection, this.#stream, idText(firstId(old)), end)) {
      for (const entry of page) {
        const { before, keep } = change.next(entry);
        if (keep && before.length > 0 && !this.#hasRoomBefore(entry.id, old)) {
          // Never by our own ids, since every line is longer than one byte: then they share an entry, and no byte is lost.
          await flush();
          const both = { id: entry.id, bytes: Buffer.concat([...before, entry.bytes]) };
          await this.#put([both]);
          place(changed, { id: both.id, bytes: both.bytes.length });
          continue;
        }
        await put(before, keep ? entry.id : undefined);
        if (!keep) {
          await flush();
          continue;
        }
        kept = { from: kept?.from ?? entry.id, to: entry.id };
        place(changed, { id: entry.id, bytes: entry.bytes.length });
        this.#last = entry.id;
        this.#lastBytes = entry.bytes.length;
      }
      await flush();
    }
    await flush();
    await put(change.end(), ceiling);
    return changed;
  }

  #hasRoomBefore(id: EntryId, segment: SegmentLayout): boolean {
    const start = { ms: segment.number, off: 0 };
    return isBefore(isBefore(this.#last, start) ? start : { ms: this.#last.ms, off: this.#last.off + 1 }, id);
  }

  /** Ids for new lines, behind the last one and before `before`; at the end of the log behind every id that there ever was. */
  #identify(lines: readonly Buffer[], segment: SegmentLayout, before: EntryId | undefined): Entry[] {
    const start = { ms: segment.number, off: 0 };
    let next = isBefore(this.#last, start)
      ? start
      : { ms: this.#last.ms, off: this.#last.off + Math.max(1, this.#lastBytes) };
    const ever = parseId(this.#seen.last);
    if (before === undefined && isBefore(next, ever)) next = { ms: ever.ms, off: ever.off + 1 };
    const room = before?.ms === next.ms ? before.off - next.off : Number.POSITIVE_INFINITY;
    // Too little room between two lines that stay: closer together, and behind the very beginning of the line before.
    const close = lines.length > room;
    if (close && !isBefore(this.#last, start)) next = { ms: next.ms, off: this.#last.off + 1 };
    const entries: Entry[] = [];
    const fits = before?.ms === next.ms ? Math.max(1, before.off - next.off) : lines.length;
    for (const [i, bytes] of lines.entries()) {
      const tail = entries.at(-1);
      if (tail !== undefined && i >= fits) {
        entries[entries.length - 1] = { id: tail.id, bytes: Buffer.concat([tail.bytes, bytes]) };
        continue;
      }
      entries.push({ id: next, bytes });
      const step = before?.ms === next.ms ? 1 : bytes.length;
      next = { ms: next.ms, off: next.off + step };
    }
    return entries;
  }

  async #put(entries: readonly Entry[]): Promise<void> {
    for (const { id, bytes } of entries) {
      await this.#call(PUT, [this.#keys.staging(this.#log)], [idText(id), bytes]);
      this.#last = id;
      this.#lastBytes = bytes.length;
      this.#length += 1;
    }
  }

  async #copy(from: string, to: string): Promise<void> {
    for (let start = from; ; ) {
      const keys = [this.#stream, this.#keys.staging(this.#log)];
      const [count, last] = await this.#call(COPY, keys, [start, to, COPY_ENTRIES]);
      this.#length += count as number;
      if ((count as number) < Number(COPY_ENTRIES)) return;
      start = `(${String(last)}`;
    }
  }

  async #publish(layout: readonly SegmentLayout[], ever: EntryId): Promise<void> {
    const active = layout.at(-1) as SegmentLayout;
    const [newest] = (await this.#connection.command(
      "XREVRANGE",
      this.#keys.staging(this.#log),
      "+",
      "-",
      "COUNT",
      "1",
    )) as Reply[][] as [Reply[]];
    const lastStaged = parseId(String(newest[0]));
    // Somebody else's may be empty.
    const bytes = Math.max(1, (newest[1] as Buffer[])[1]?.length ?? 0);
    const last = isBefore(lastStaged, ever) ? ever : lastStaged;
    const next =
      last === ever && isBefore(lastStaged, ever)
        ? { ms: ever.ms, off: ever.off + 1 }
        : { ms: last.ms, off: last.off + bytes };
    place(active, { id: next, bytes: 0 });
    const seq = this.#seen.end?.seq ?? 0;
    const end = encodeEnd({ seq, last: idText(last), bytes: active.bytes, length: this.#length, next: idText(next) });
    const keys = [this.#stream, this.#keys.staging(this.#log)];
    const args = [this.#seen.last, this.#log, encodeLayout(layout), end, idText(last)];
    await this.#call(PUBLISH, keys, args);
  }

  get #stream(): string {
    return this.#keys.stream(this.#log);
  }

  async #call(script: string, keys: readonly string[], args: readonly (string | Buffer)[]): Promise<readonly Reply[]> {
    const all = [this.#keys.meta, this.#keys.writer, ...keys];
    return settled(await this.#connection.script(script, all, [this.#token, ...args]), this.#stream);
  }
}
