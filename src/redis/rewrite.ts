// Recovery's change of a segment, as a new stream (staging.ts): what stays keeps its ids, so that whoever remembers an id, remembers
// the right one; what is new gets ids in between, of which every line leaves plenty.
import type { Splice } from "../backends/backend.ts";
import type { LogName } from "../log/record.ts";
import type { Connection, Reply } from "./connection.ts";
import { type Entry, readPages } from "./entries.ts";
import type { Keys } from "./keys.ts";
import { type EntryId, firstId, idText, isBefore, parseId, place, type SegmentLayout } from "./layout.ts";
import type { LogLook } from "./look.ts";
import type { Staging } from "./staging.ts";
import { SpliceEntries } from "./splice-entries.ts";

export class Rewrite {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #log: LogName;
  readonly #staging: Staging;
  readonly #seen: LogLook;
  /** The last id in the new stream. */
  #last: EntryId = { ms: 0, off: 0 };
  #lastBytes = 0;

  constructor(connection: Connection, keys: Keys, staging: Staging, log: LogName, seen: LogLook) {
    this.#connection = connection;
    this.#keys = keys;
    this.#staging = staging;
    this.#log = log;
    this.#seen = seen;
  }

  async run(name: string, splices: readonly Splice[]): Promise<void> {
    const { segments, last } = this.#seen;
    const index = segments.findIndex((segment) => segment.name === name);
    const old = segments[index] as SegmentLayout;
    const following = segments[index + 1];
    await this.#staging.begin();
    const begin = firstId(old);
    await this.#staging.copy("-", `(${idText(begin)}`);
    const changed = await this.#changeSegment(old, splices, following);
    if (following !== undefined) await this.#staging.copy(idText(firstId(following)), "+");
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
      if (kept !== undefined) await this.#staging.copy(idText(kept.from), idText(kept.to));
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
    await this.#staging.put(entries);
    const last = entries.at(-1);
    if (last === undefined) return;
    this.#last = last.id;
    this.#lastBytes = last.bytes.length;
  }

  async #publish(layout: readonly SegmentLayout[], ever: EntryId): Promise<void> {
    const active = layout.at(-1) as SegmentLayout;
    const [newest] = (await this.#connection.command(
      "XREVRANGE",
      this.#staging.key,
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
    const end = {
      seq,
      last: idText(last),
      bytes: active.bytes,
      length: this.#staging.length,
      next: idText(next),
    };
    await this.#staging.publish({ layout, noted: this.#seen.noted, end: { end, was: this.#seen.last } });
  }

  get #stream(): string {
    return this.#keys.stream(this.#log);
  }
}
