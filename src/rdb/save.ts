// Asks a server for an RDB file, and waits for its real end: a save of somebody else is not ours, and a file that is there is not
// the one that was asked for.
import { join } from "node:path";
import { readAndClose } from "../env/durable.ts";
import type { Env, FileStat } from "../env/env.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { type Connection, type Reply, ServerError } from "../redis/connection.ts";
import { parseInfo } from "../redis/server-facts.ts";

export interface Saved {
  readonly path: string;
  readonly runId: string | null;
  readonly lastSave: number;
  /** By the clock of the server, right before it was asked; epoch seconds. */
  readonly askedAt: number;
}

const PAUSE_MS = { first: 20, most: 500 } as const;
const BUSY = /in progress|child process|can't BGSAVE/i;
const LOG_BYTES = 64 << 10;
const WHY_SAVES_FAIL =
  /Write error|Failed opening|Can't save|Error moving temp DB|No space left|Cannot allocate|Permission denied/i;

/** What a server says of its own files. */
export class ServerFiles {
  readonly #connection: Connection;
  readonly #env: Env;
  readonly #address: string;
  readonly #signal: AbortSignal | undefined;

  constructor(connection: Connection, env: Env, address: string, signal: AbortSignal | undefined) {
    this.#connection = connection;
    this.#env = env;
    this.#address = address;
    this.#signal = signal;
  }

  /** Its settings of these names. Rejects with STORAGE_FAILED where it does not let this user ask. */
  async settings(...names: readonly string[]): Promise<Record<string, string>> {
    const values: Record<string, string> = {};
    for (const name of names) {
      const [, value] = (await this.#ask("CONFIG", "GET", name)) as (Buffer | undefined)[];
      values[name] = String(value ?? "");
    }
    return values;
  }

  /** BGSAVE, to its end. Rejects with STORAGE_FAILED or STORAGE_FULL, and why. */
  async save(): Promise<Saved> {
    const { dir = "", dbfilename = "" } = await this.settings("dir", "dbfilename");
    const path = join(dir, dbfilename);
    const before = await this.#statHere(dir, path);
    const { askedAt, runId } = await this.#begin();
    const info = await this.#idle();
    if ((info.get("run_id") ?? null) !== runId)
      throw this.#failed("the server was started again meanwhile", "run the same command again");
    const savedAt = Number(info.get("rdb_last_save_time"));
    if (info.get("rdb_last_bgsave_status") !== "ok" || savedAt < askedAt) throw await this.#saveFailed(dir);
    const lastSave = Number(await this.#ask("LASTSAVE"));
    const after = await this.#env.fs.stat(path);
    if (after === undefined || after.id === before?.id)
      throw this.#elsewhere(path, "the server has saved, and the file of that name here is not the one that it wrote");
    return { path, runId, lastSave, askedAt };
  }

  /** What is at the path by now; undefined: nothing yet. */
  async #statHere(dir: string, path: string): Promise<FileStat | undefined> {
    try {
      if ((await this.#env.fs.stat(dir)) === undefined)
        throw this.#elsewhere(path, `there is no directory ${dir} on this machine`);
      return await this.#env.fs.stat(path);
    } catch (error) {
      if (!isPapyraError(error, "STORAGE_FAILED") || typeof error.details.errno !== "string") throw error;
      throw this.#elsewhere(path, `this user may not look there (${error.details.errno})`);
    }
  }

  /** Begins a save of ours as soon as nothing else is being written. */
  async #begin(): Promise<{ askedAt: number; runId: string | null }> {
    for (;;) {
      const info = await this.#idle();
      const [seconds] = (await this.#ask("TIME")) as Buffer[];
      try {
        await this.#connection.command("BGSAVE");
        return { askedAt: Number(String(seconds)), runId: info.get("run_id") ?? null };
      } catch (error) {
        const { cause } = error as PapyraError;
        if (!(cause instanceof ServerError)) throw error;
        // Somebody else was faster, or the answer to our own got lost: either way that one is not known to be ours.
        if (!BUSY.test(cause.message)) throw this.#refused("BGSAVE", cause);
      }
    }
  }

  /** Waits until the server writes neither a snapshot nor a new append-only file. */
  async #idle(): Promise<Map<string, string>> {
    const { clock } = this.#env;
    for (let pause: number = PAUSE_MS.first; ; pause = Math.min(2 * pause, PAUSE_MS.most)) {
      this.#signal?.throwIfAborted();
      const info = parseInfo(await this.#ask("INFO"));
      if (info.get("rdb_bgsave_in_progress") === "0" && info.get("aof_rewrite_in_progress") !== "1") return info;
      if (info.get("rdb_bgsave_in_progress") === undefined)
        throw this.#failed("INFO does not tell about its snapshots", HINT_ELSEWHERE);
      await new Promise<void>((resolve) => void clock.after(pause, resolve, "foreground"));
    }
  }

  async #ask(...command: readonly string[]): Promise<Reply> {
    try {
      return await this.#connection.command(...command);
    } catch (error) {
      const { cause } = error as PapyraError;
      if (cause instanceof ServerError) throw this.#refused(command.slice(0, 2).join(" "), cause);
      throw error;
    }
  }

  #refused(command: string, cause: ServerError): PapyraError {
    return this.#failed(`it refuses ${command}: ${cause.message}`, HINT_ELSEWHERE, cause);
  }

  async #saveFailed(dir: string): Promise<PapyraError> {
    const why = (await this.#lastWords()) ?? "rdb_last_bgsave_status is err";
    const free = await this.#env.fs.freeBytes(dir).catch(() => undefined);
    const space = free === undefined ? "" : ` (${free} bytes are free in ${dir})`;
    const full = /No space left/i.test(why);
    return this.#failed(
      `its BGSAVE failed: ${why}${space}`,
      `mend it on the server, whose log has the whole; papyra backup create without --rdb needs no save`,
      undefined,
      full ? "STORAGE_FULL" : "STORAGE_FAILED",
    );
  }

  /** The reason is in the server's log alone; where that can be read, its last word about it. */
  async #lastWords(): Promise<string | undefined> {
    try {
      const { logfile = "", dir = "" } = await this.settings("logfile", "dir");
      if (logfile === "") return undefined;
      const path = logfile.startsWith("/") ? logfile : join(dir, logfile);
      const file = await this.#env.fs.open(path, "read");
      const { bytes } = await file.stat();
      const parts: Buffer[] = [];
      for await (const chunk of readAndClose(file, Math.max(0, bytes - LOG_BYTES), bytes))
        parts.push(Buffer.from(chunk));
      const lines = Buffer.concat(parts).toString("utf8").split("\n");
      return lines.findLast((line) => WHY_SAVES_FAIL.test(line))?.replace(/^\d+:\S+ /, "");
    } catch {
      return undefined; // the failure of the save is what counts
    }
  }

  #elsewhere(path: string, why: string): PapyraError {
    return this.#failed(`its file ${path} cannot be read by this process: ${why}`, HINT_ELSEWHERE);
  }

  #failed(
    what: string,
    hint: string,
    cause?: unknown,
    code: "STORAGE_FAILED" | "STORAGE_FULL" = "STORAGE_FAILED",
  ): PapyraError {
    return new PapyraError(code, `no RDB file of ${this.#address}: ${what}`, {
      hint,
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

const HINT_ELSEWHERE =
  "run it on the server's machine as a user that may read its files; or fetch one (redis-cli --rdb dump.rdb, or the cloud's own export) and take that in: papyra backup create --rdb-file dump.rdb; or leave --rdb out";
