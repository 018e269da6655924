// A stream in the making, beside the one whose place it takes. Entries of a stream cannot be changed, and an id that was deleted
// cannot be given again, so that every change of what is stored is a new stream: what stays is copied inside the server,
// under its old ids, and one step puts it in place, together with its layout and the consumer groups. A crash before leaves a
// stream that the next run, or tidying, removes.
import type { LogName } from "../log/record.ts";
import { settled } from "./claim-reply.ts";
import type { Connection, Reply } from "./connection.ts";
import type { Entry } from "./entries.ts";
import type { Keys } from "./keys.ts";
import { encodeEnd, encodeLayout, idText, type LogEnd, type SegmentLayout } from "./layout.ts";
import { COPY, DISCARD, PUBLISH, PUT } from "./scripts.ts";

const COPY_ENTRIES = 1000;
const PUT_ENTRIES = 500;
const PUT_BYTES = 512 << 10;

/** What takes the place of a stream, besides its entries. */
export interface Publication {
  readonly layout: readonly SegmentLayout[];
  /** For who alone writes: where the log ends then, and the last id that the stream has now. */
  readonly end?: { readonly end: LogEnd; readonly was: string };
  /** Else the layout that must still be noted: what was appended since is copied, too. */
  readonly noted: string;
  /** What is replaced, and read from the old stream until it is removed. */
  readonly superseded?: readonly SegmentLayout[];
  /** The newest id of what goes, if consumer groups must have read it. */
  readonly mustBeRead?: string | undefined;
}

export class Staging {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #token: string;
  readonly #log: LogName;
  #length = 0;
  #copied = "0-0";

  constructor(connection: Connection, keys: Keys, token: string, log: LogName) {
    this.#connection = connection;
    this.#keys = keys;
    this.#token = token;
    this.#log = log;
  }

  get key(): string {
    return this.#keys.staging(this.#log);
  }

  get length(): number {
    return this.#length;
  }

  async begin(): Promise<void> {
    await this.discard();
    this.#length = 0;
  }

  async discard(): Promise<void> {
    await this.#call(DISCARD, [this.key], []);
  }

  /** Entries of the stream, inside the server. */
  async copy(from: string, to: string): Promise<void> {
    for (let start = from; ; ) {
      const [count, last] = await this.#call(COPY, [this.#stream, this.key], [start, to, String(COPY_ENTRIES)]);
      this.#length += count as number;
      if ((count as number) > 0) this.#copied = String(last);
      if ((count as number) < COPY_ENTRIES) return;
      start = `(${this.#copied}`;
    }
  }

  /** Entries that are not in the stream, or not under these ids. */
  async put(entries: readonly Entry[]): Promise<void> {
    let batch: (string | Buffer)[] = [];
    let bytes = 0;
    for (const [i, entry] of entries.entries()) {
      batch.push(idText(entry.id), entry.bytes);
      bytes += entry.bytes.length;
      if (batch.length < 2 * PUT_ENTRIES && bytes < PUT_BYTES && i < entries.length - 1) continue;
      await this.#call(PUT, [this.key], batch);
      [batch, bytes] = [[], 0];
    }
    this.#length += entries.length;
  }

  /** Everything up to this id was looked at, though not all of it was copied. */
  passed(id: string): void {
    this.#copied = id;
  }

  /** Rejects with GROUP_BEHIND, STORE_FENCED, and HISTORY_CHANGED when the stream is not the one that was copied. */
  async publish({ layout, end, noted, superseded, mustBeRead = "" }: Publication): Promise<void> {
    const keys = [this.#stream, this.key, this.#keys.superseded(this.#log)];
    for (;;) {
      const args = [
        this.#log,
        String(this.#length),
        encodeLayout(layout),
        end === undefined ? "" : encodeEnd(end.end),
        end?.was ?? this.#copied,
        end?.end.last ?? "",
        noted,
        superseded === undefined ? "" : encodeLayout(superseded),
        mustBeRead,
      ];
      const reply = await this.#ask(PUBLISH, keys, args);
      if (String(reply[0]) !== "MORE") {
        settled(reply, this.#stream);
        return;
      }
      await this.copy(`(${this.#copied}`, "+");
    }
  }

  get #stream(): string {
    return this.#keys.stream(this.#log);
  }

  #ask(script: string, keys: readonly string[], args: readonly (string | Buffer)[]): Promise<Reply[]> {
    return this.#connection.script(script, [this.#keys.meta, this.#keys.writer, ...keys], [this.#token, ...args]);
  }

  async #call(script: string, keys: readonly string[], args: readonly (string | Buffer)[]): Promise<readonly Reply[]> {
    return settled(await this.#ask(script, keys, args), this.#stream);
  }
}
