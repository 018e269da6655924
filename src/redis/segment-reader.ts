// Bytes of segments for who has a view, or the name of a segment. What the last look told is used again while it fits: entries
// never change, and where a recovery has made a stream anew, the ids tell.
import { PapyraError } from "../errors.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { STORE_FILE } from "../log/segments.ts";
import type { Connection } from "./connection.ts";
import { LayoutChanged, readBytes } from "./entries.ts";
import type { Keys } from "./keys.ts";
import { segmentId, type SegmentLayout } from "./layout.ts";
import { type Look, look } from "./look.ts";

/** Replaced and then removed: that is all that can happen to a segment beside a reader. */
const LOOKS_MAX = 3;

export class SegmentReader {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #location: string;
  #known: Look | undefined;

  constructor(connection: Connection, keys: Keys, location: string) {
    this.#connection = connection;
    this.#keys = keys;
    this.#location = location;
  }

  async look(withGroups = false): Promise<Look> {
    this.#known = await look(this.#connection, this.#keys, withGroups);
    return this.#known;
  }

  /** The layout has changed: the next reading looks again. */
  forget(): void {
    this.#known = undefined;
  }

  /** As `Backend.read`. Without an id it is the segment that has the name now, so that it must be looked at. */
  async *read(
    name: string,
    from: number,
    to: number,
    id: string | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const known = id === undefined ? undefined : this.#known;
    const found = known === undefined ? undefined : find(known, name, id);
    // The active segment has grown since; nothing else has.
    const usable = found !== undefined && found.segment.bytes >= to;
    let seen = usable ? known : undefined;
    let at = from;
    for (let looks = usable ? 0 : 1; ; looks++) {
      try {
        for await (const chunk of this.#bytes(seen ?? (await this.look()), name, { from: at, to, id })) {
          at += chunk.length;
          yield chunk;
        }
        return;
      } catch (error) {
        if (!(error instanceof LayoutChanged) || looks === LOOKS_MAX) throw error;
        // Compaction may have replaced it meanwhile: it goes on in the stream as it was, or is gone.
        seen = await this.look();
        const inPlace = find(seen, name, id)?.replaced === false;
        if (inPlace && (looks > 0 || at > from)) throw error;
      }
    }
  }

  async *#bytes(
    seen: Look,
    name: string,
    range: { readonly from: number; readonly to: number; readonly id: string | undefined },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { from, to, id } = range;
    if (name === STORE_FILE && seen.identityBytes !== undefined) {
      yield seen.identityBytes.subarray(from, to);
      return;
    }
    const found = find(seen, name, id);
    if (found === undefined) {
      throw new PapyraError("STORE_NOT_FOUND", `there is no segment ${name} in ${this.#location}`, {
        hint: "was it removed since it was listed? Run: papyra persistence scan",
        details: { segment: name },
      });
    }
    const key = found.replaced ? this.#keys.superseded(found.log) : this.#keys.stream(found.log);
    yield* readBytes(this.#connection, key, found.segment, from, to);
  }
}

/** Numbers are times, so that two logs may have the same one: the name says which log is meant. */
function find(seen: Look, name: string, id: string | undefined): Found | undefined {
  const is = (one: SegmentLayout): boolean =>
    id === undefined ? one.name === name : id.startsWith(String(one.number)) && segmentId(one) === id;
  for (const log of LOG_NAMES) {
    if (!name.startsWith(`${log}.`)) continue;
    const { segments, superseded } = seen.logs[log];
    const segment = segments.find(is);
    if (segment !== undefined) return { log, segment, replaced: false };
    const old = superseded.find(is);
    if (old !== undefined) return { log, segment: old, replaced: true };
  }
  return undefined;
}

interface Found {
  readonly log: LogName;
  readonly segment: SegmentLayout;
  /** By compaction: it is in the stream as it was. */
  readonly replaced: boolean;
}
