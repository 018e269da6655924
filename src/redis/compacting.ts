// What compaction does to the streams of a claim, while its writer goes on.
import { PapyraError } from "../errors.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { activeName, supersededSegments } from "../log/segments.ts";
import { addSegment } from "./add-segment.ts";
import { settled } from "./claim-reply.ts";
import type { Connection } from "./connection.ts";
import { EntryReader } from "./delivery.ts";
import { endWithout } from "./ends.ts";
import type { Keys } from "./keys.ts";
import { encodeLayout, type SegmentLayout } from "./layout.ts";
import type { Lease } from "./lease.ts";
import { look, type LogLook, viewOf } from "./look.ts";
import { Replace } from "./replace.ts";
import { FORGET } from "./scripts.ts";
import { Staging } from "./staging.ts";
import { assertUnneeded } from "./unneeded.ts";

export class Compacting {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #location: string;
  readonly #token: string;
  readonly #lease: Lease;
  readonly #compactUnread: boolean;
  readonly #changed: () => void;
  /** Layouts change one after the other: the writer begins segments while compaction replaces some. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    connection: Connection,
    of: {
      readonly keys: Keys;
      readonly location: string;
      readonly lease: Lease;
      readonly compactUnread: boolean;
      readonly changed: () => void;
    },
  ) {
    this.#connection = connection;
    this.#keys = of.keys;
    this.#location = of.location;
    this.#token = of.lease.token;
    this.#lease = of.lease;
    this.#compactUnread = of.compactUnread;
    this.#changed = of.changed;
  }

  /** The old stream stays beside the new one until what was replaced is removed. */
  async publish(segment: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const log = logOf(segment);
    const seen = await this.#look(log);
    if (seen.superseded.length > 0) {
      const hint = "compaction removes it first; run: papyra persistence scan";
      throw new PapyraError("STORAGE_FAILED", `${log} still has segments that were replaced earlier`, { hint });
    }
    const names = [...seen.segments.map(({ name }) => name), segment];
    const replaced = supersededSegments(names, log);
    const gone = seen.segments.filter(({ name }) => replaced.get(name) === segment);
    if (gone.length === 0 && seen.segments.every(({ name }) => name !== activeName(log))) {
      await addSegment(this.#connection, this.#keys, this.#lease, { log, seen, name: segment, content });
      this.#changed();
      return;
    }
    await this.#replace(log, seen, gone, { name: segment, content });
  }

  async remove(segments: readonly string[]): Promise<void> {
    for (const log of new Set(segments.map(logOf))) {
      const seen = await this.#look(log);
      const rest = seen.superseded.filter(({ name }) => !segments.includes(name));
      if (rest.length < seen.superseded.length) {
        const keys = [this.#keys.meta, this.#keys.writer, this.#keys.superseded(log)];
        const args = [this.#token, log, rest.length === 0 ? "" : encodeLayout(rest)];
        settled(await this.#connection.script(FORGET, keys, args), this.#keys.stream(log));
      }
      for (const segment of seen.segments.filter(({ name }) => segments.includes(name))) {
        const now = await this.#look(log);
        const gone = now.segments.filter(({ name }) => name === segment.name);
        await this.#replace(log, now, gone, undefined);
      }
    }
    this.#changed();
  }

  /** What goes and what comes is staged while the writer goes on; only the last step keeps it from beginning a segment. */
  async #replace(
    log: LogName,
    seen: LogLook,
    gone: readonly SegmentLayout[],
    made: { readonly name: string; readonly content: AsyncIterable<Uint8Array> } | undefined,
  ): Promise<void> {
    const staging = this.#staging(log);
    const replace = new Replace(this.#connection, this.#keys, staging, { log, seen, gone });
    try {
      const layout = await replace.build(made);
      await this.inTurn(async () => {
        const now = await this.#look(log);
        const names = new Set(gone.map(({ name }) => name));
        const at = now.segments.findIndex(({ name }) => names.has(name));
        const rest = now.segments.filter(({ name }) => !names.has(name));
        if (layout !== undefined) rest.splice(at, 0, layout);
        const active = now.segments.at(-1) as SegmentLayout;
        // Without the active segment nobody is writing: recovery made it, and takes it back.
        const alone = now.end === undefined || names.has(active.name);
        await staging.publish({
          layout: rest,
          noted: now.noted,
          ...(alone ? { end: { end: endWithout(now, rest.at(-1), staging.length), was: now.last } } : {}),
          ...(layout === undefined ? {} : { superseded: gone }),
          mustBeRead: layout === undefined || this.#compactUnread ? undefined : replace.newest,
        });
      });
    } catch (error) {
      await staging.discard().catch(() => undefined); // else the next run does
      throw error;
    } finally {
      this.#changed();
    }
  }

  /** Rejects with GROUP_BEHIND when a group has not read, or not acknowledged, something of what goes. */
  async assertUnneeded(log: LogName, gone: readonly SeqRange[]): Promise<void> {
    if (this.#compactUnread) return;
    const place = { location: this.#location, claimed: true };
    const { identity } = await viewOf(this.#connection, this.#keys, await look(this.#connection, this.#keys), place);
    if (identity === undefined) return; // nothing is compacted then
    await assertUnneeded(this.#connection, this.#keys.stream(log), new EntryReader(identity, log), gone);
  }

  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #look(log: LogName): Promise<LogLook> {
    return (await look(this.#connection, this.#keys)).logs[log];
  }

  #staging(log: LogName): Staging {
    return new Staging(this.#connection, this.#keys, this.#token, log);
  }
}

export function logOf(segment: string): LogName {
  const log = LOG_NAMES.find((name) => segment.startsWith(`${name}.`));
  if (log === undefined) throw new PapyraError("STORE_NOT_FOUND", `there is no segment ${segment}`);
  return log;
}
