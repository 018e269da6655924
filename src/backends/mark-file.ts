// The mark of a file store: reading the newest whole slot, if it speaks for this very store, and writing the next one.
import { join } from "node:path";
import { imitateFormer, readStart, writeAll } from "../env/durable.ts";
import type { Env, OpenFile } from "../env/env.ts";
import {
  decodeSlots,
  encodeMark,
  type LogMark,
  type Mark,
  MARK_BYTES,
  MARK_SLOT_BYTES,
  speaksFor,
} from "../log/mark.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { MARK_FILE } from "../log/segments.ts";

export async function readMark(env: Env, path: string): Promise<Mark | undefined> {
  const file = join(path, MARK_FILE);
  const stat = await env.fs.stat(file);
  if (stat === undefined || stat.kind !== "file") return undefined;
  const found = decodeSlots(await readStart(env.fs, file, MARK_BYTES));
  const directory = await env.fs.stat(path);
  if (found === undefined || !speaksFor(found.newest, stat, directory?.id ?? "")) return undefined;
  return found.stale ? { ...found.newest, stale: true } : found.newest;
}

/** What is known of each log at this moment. */
type Reaches = (log: LogName) => LogMark | null;

/** What stays the same from mark to mark. */
type About = Pick<Mark, "store" | "lineage" | "mode" | "durability">;
/** And where it stands. */
type Placed = About & Pick<Mark, "file" | "directory">;

/** The mark of a store that is being written, open. */
export class MarkFile {
  readonly #env: Env;
  readonly #file: OpenFile;
  readonly #about: Placed;
  #count = 0;

  private constructor(env: Env, file: OpenFile, about: Placed) {
    this.#env = env;
    this.#file = file;
    this.#about = about;
  }

  /** Vouches for logs up to these seqs. Of the others it goes on saying what the mark before said, and that is worth no more than it was. */
  static async renew(
    env: Env,
    path: string,
    about: About,
    lastSeqs: Readonly<Partial<Record<LogName, number>>>,
  ): Promise<MarkFile> {
    const old = await readMark(env, path);
    const kept = LOG_NAMES.some((log) => lastSeqs[log] === undefined && (old?.logs[log] ?? null) !== null);
    const exact = about.mode === "exact" && old?.mode === "exact" && old.stale !== true;
    const { durability: _, ...rest } = about;
    const was = old?.stale === true || old?.durability === undefined ? {} : { durability: old.durability };
    const worth = kept ? { ...rest, ...was, mode: exact ? ("exact" as const) : ("lagging" as const) } : about;
    return MarkFile.create(env, path, worth, (log) => {
      const seq = lastSeqs[log];
      return seq === undefined ? (old?.logs[log] ?? null) : { written: seq, durable: seq, boot: env.host.bootId };
    });
  }

  /** Puts a new file in place, so that the slots of an old one can never be mistaken for it; durable when it resolves. */
  static async create(env: Env, path: string, about: About, reaches: Reaches): Promise<MarkFile> {
    const { fs, random } = env;
    const target = join(path, MARK_FILE);
    const temporary = `${target}.tmp-${random.hex(4)}`;
    const file = await fs.open(temporary, "create");
    try {
      const { id: directory = "" } = (await fs.stat(path)) ?? {};
      const made = new MarkFile(env, file, { ...about, file: (await file.stat()).id, directory });
      await writeAll(file, Buffer.alloc(MARK_BYTES, " "), 0);
      await writeAll(file, made.#encode(reaches), 0);
      await file.sync();
      await imitateFormer(fs, temporary, target);
      await fs.rename(temporary, target);
      await fs.syncDir(path);
      return made;
    } catch (error) {
      await file.close();
      await fs.remove(temporary).catch(() => undefined); // best effort, or it has its name by now
      throw error;
    }
  }

  /** Synced only where the options ask for it. */
  async write(reaches: Reaches): Promise<void> {
    await this.#overwrite(reaches);
    if (this.#about.mode === "exact") await this.#file.sync();
  }

  /** The last one of a writer that has made everything durable. */
  async writeClosed(reaches: Reaches): Promise<void> {
    await this.#overwrite(reaches, { closed: true });
    await this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Overwrites the older slot. */
  #overwrite(reaches: Reaches, end?: Pick<Mark, "closed">): Promise<void> {
    this.#count += 1;
    return writeAll(this.#file, this.#encode(reaches, end), (this.#count % 2) * MARK_SLOT_BYTES);
  }

  #encode(reaches: Reaches, end?: Pick<Mark, "closed">): Buffer {
    const { clock, host } = this.#env;
    const { store, lineage, ...about } = this.#about;
    const logs = Object.fromEntries(LOG_NAMES.map((log) => [log, reaches(log)])) as Record<LogName, LogMark | null>;
    const now = { count: this.#count, atMs: clock.nowMs(), boot: host.bootId };
    return encodeMark({ store, lineage, ...now, ...about, ...end, logs });
  }
}
