// Compaction's change of a stream: segments go, and one that is made of them comes, as a new stream (staging.ts), while the
// writer goes on. Lines that stay keep their ids, so that a consumer group reads each of them once, wherever it stands; the
// seal, which is new, gets an id behind everything that the segments ever had.
import { PapyraError } from "../errors.ts";
import type { LogName } from "../log/record.ts";
import type { Connection } from "./connection.ts";
import { type Entry, readPages } from "./entries.ts";
import type { Keys } from "./keys.ts";
import { type EntryId, firstId, idText, place, type SegmentLayout, seqIn } from "./layout.ts";
import type { LogLook } from "./look.ts";
import type { Staging } from "./staging.ts";

const BATCH_ENTRIES = 500;

export class Replace {
  readonly #connection: Connection;
  readonly #key: string;
  readonly #staging: Staging;
  readonly #seen: LogLook;
  readonly #gone: ReadonlySet<SegmentLayout>;
  readonly #kept: Entry[] = [];
  /** The newest record that goes. */
  #newest: EntryId | undefined;

  constructor(
    connection: Connection,
    keys: Keys,
    staging: Staging,
    what: { readonly log: LogName; readonly seen: LogLook; readonly gone: readonly SegmentLayout[] },
  ) {
    this.#connection = connection;
    this.#key = keys.stream(what.log);
    this.#staging = staging;
    this.#seen = what.seen;
    this.#gone = new Set(what.gone);
  }

  /** The newest record that goes, if any does. */
  get newest(): string | undefined {
    return this.#newest === undefined ? undefined : idText(this.#newest);
  }

  /** Copies everything but what goes; in place of it comes the new segment, if there is one. */
  async build(
    made: { readonly name: string; readonly content: AsyncIterable<Uint8Array> } | undefined,
  ): Promise<SegmentLayout | undefined> {
    const { segments } = this.#seen;
    const from = segments.findIndex((segment) => this.#gone.has(segment));
    const to = segments.findLastIndex((segment) => this.#gone.has(segment)) + 1;
    if (from === -1 || to - from !== this.#gone.size) {
      throw new PapyraError("INTERNAL", "segments that do not follow each other in the stream were to be replaced");
    }
    const start = idText(firstId(segments[from] as SegmentLayout));
    const following = segments[to];
    const end = following === undefined ? "+" : `(${idText(firstId(following))}`;
    await this.#staging.begin();
    await this.#staging.copy("-", `(${start}`);
    this.#staging.passed(following === undefined ? this.#seen.last : idText(firstId(following)));
    const layout = made === undefined ? undefined : await this.#fill(made, segments[from] as SegmentLayout, start, end);
    if (following !== undefined) await this.#staging.copy(idText(firstId(following)), "+");
    return layout;
  }

  async #fill(
    { name, content }: { readonly name: string; readonly content: AsyncIterable<Uint8Array> },
    first: SegmentLayout,
    start: string,
    end: string,
  ): Promise<SegmentLayout> {
    const layout: SegmentLayout = { number: first.number, name, bytes: 0, runs: [] };
    const old = new Cursor(readPages(this.#connection, this.#key, start, end));
    const add = async (id: EntryId, bytes: Buffer): Promise<void> => {
      place(layout, { id, bytes: bytes.length });
      this.#kept.push({ id, bytes });
      if (this.#kept.length >= BATCH_ENTRIES) await this.#flush();
    };
    let behind: EntryId | undefined;
    for await (const line of linesOf(content)) {
      if (behind === undefined) {
        const same = await this.#pass(old, line);
        if (same !== undefined) {
          await add(same.id, line);
          continue;
        }
        await this.#pass(old, undefined);
        behind = { ms: old.last.ms, off: old.last.off + Math.max(1, old.lastBytes) };
      }
      await add(behind, line);
      behind = { ms: behind.ms, off: behind.off + line.length };
    }
    await this.#pass(old, undefined);
    await this.#flush();
    return layout;
  }

  /** The entry that is this line; what stands before it goes. A line with a seq is not looked for behind that seq. */
  async #pass(old: Cursor, line: Buffer | undefined): Promise<Entry | undefined> {
    const seq = line === undefined ? undefined : seqIn(line);
    for (let entry = await old.peek(); entry !== undefined; entry = await old.peek()) {
      if (line !== undefined && entry.bytes.equals(line)) {
        old.take();
        return entry;
      }
      const its = seqIn(entry.bytes);
      if (seq !== undefined && its !== undefined && its >= seq) return undefined;
      if (its !== undefined) this.#newest = entry.id;
      old.take();
    }
    return undefined;
  }

  async #flush(): Promise<void> {
    await this.#staging.put(this.#kept.splice(0));
  }
}

/** Entries one by one. */
class Cursor {
  readonly #pages: AsyncIterator<Entry[]>;
  #page: readonly Entry[] = [];
  #at = 0;
  /** The last one that was taken, and how long it is. */
  last: EntryId = { ms: 0, off: 0 };
  lastBytes = 0;

  constructor(pages: AsyncIterable<Entry[]>) {
    this.#pages = pages[Symbol.asyncIterator]();
  }

  async peek(): Promise<Entry | undefined> {
    while (this.#at >= this.#page.length) {
      const next = await this.#pages.next();
      if (next.done === true) return undefined;
      this.#page = next.value;
      this.#at = 0;
    }
    return this.#page[this.#at];
  }

  take(): void {
    const { id, bytes } = this.#page[this.#at] as Entry;
    this.last = id;
    this.lastBytes = bytes.length;
    this.#at += 1;
  }
}

/** Whole lines, however the chunks are cut. */
export async function* linesOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for await (const chunk of content) {
    const bytes = Buffer.concat([rest, chunk]);
    let from = 0;
    for (let eol = bytes.indexOf(0x0a); eol !== -1; eol = bytes.indexOf(0x0a, from)) {
      yield bytes.subarray(from, eol + 1);
      from = eol + 1;
    }
    rest = bytes.subarray(from);
  }
  if (rest.length > 0) yield rest;
}
