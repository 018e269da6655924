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
type About = Pick<Mark, "store" | "lineage" | "mode" | "file" | "directory">;

/** The mark of a store that is being written, open. */
export class MarkFile {
  readonly #env: Env;
  readonly #file: OpenFile;
  readonly #about: About;
  #count = 0;

  private constructor(env: Env, file: OpenFile, about: About) {
    this.#env = env;
    this.#file = file;
    this.#about = about;
  }

  /** Puts a new file in place, so that the slots of an old one can never be mistaken for it; durable when it resolves. */
  static async create(
    env: Env,
    path: string,
    about: Pick<Mark, "store" | "lineage" | "mode">,
    reaches: Reaches,
  ): Promise<MarkFile> {
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

  /** Overwrites the older slot; synced only where the options ask for it. */
  async write(reaches: Reaches): Promise<void> {
    this.#count += 1;
    await writeAll(this.#file, this.#encode(reaches), (this.#count % 2) * MARK_SLOT_BYTES);
    if (this.#about.mode === "exact") await this.#file.sync();
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #encode(reaches: Reaches): Buffer {
    const { clock, host } = this.#env;
    const about = this.#about;
    const logs = Object.fromEntries(LOG_NAMES.map((log) => [log, reaches(log)])) as Record<LogName, LogMark | null>;
    return encodeMark({ ...about, count: this.#count, atMs: clock.nowMs(), boot: host.bootId, logs });
  }
}
