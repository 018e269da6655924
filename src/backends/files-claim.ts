// The writer's side of the file store: it alone changes files. It keeps one open file a log, appends at positions it
// knows, and after the first failure it accepts nothing more: what a failed write or sync left behind is not known, and
// trying again on the same file has been seen to "succeed" without the data (the fsync lesson of PostgreSQL, 2018).
import { join } from "node:path";
import { publish, readStart, replaceDurably, syncAncestors, writeTemporary } from "../env/durable.ts";
import type { Env, FileLock } from "../env/env.ts";
import { ensureError, PapyraError } from "../errors.ts";
import { activeIdentityLine } from "../log/lineage.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { activeName, closedName, LOCK_FILE, parseFileName, STORE_FILE } from "../log/segments.ts";
import type { AppendedAt, AppendPart, Claim, Splice, StoreIdentity } from "./backend.ts";
import { removeWithCache } from "./cache-files.ts";
import type { ResolvedFileOptions } from "./file-options.ts";
import { dropStrayLockFile, isHeldAt, takeToWrite } from "./lock.ts";
import { MarkFile } from "./mark-file.ts";
import {
  appendTo,
  assertInPlace,
  type OpenLog,
  openLog,
  reachedBy,
  settleAll,
  syncAll,
  syncIfThere,
  syncLog,
} from "./open-log.ts";
import { spliceFile } from "./splice-file.ts";
import { encodeStoreFile } from "./store-file.ts";

/** Takes the lock and becomes the writer. A lock file that this claim made in a place without a store goes with it. */
export async function claimFiles(
  env: Env,
  path: string,
  options: ResolvedFileOptions,
  purpose: string,
  view: Claim["view"],
): Promise<Claim> {
  await env.fs.makeDir(path);
  return new FilesClaim(env, path, options, await takeToWrite(env, path, purpose), view);
}

class FilesClaim implements Claim {
  readonly #env: Env;
  readonly #path: string;
  readonly #options: ResolvedFileOptions;
  readonly #lock: FileLock;
  readonly #logs = new Map<LogName, OpenLog>();
  #identity: StoreIdentity | undefined;
  #mark: MarkFile | undefined;
  #failure: Error | undefined;
  #released = false;
  #cancelTimer: (() => void) | undefined;
  #syncing: Promise<void> = Promise.resolve();

  readonly view: Claim["view"];

  constructor(env: Env, path: string, options: ResolvedFileOptions, lock: FileLock, view: Claim["view"]) {
    this.view = view;
    this.#env = env;
    this.#path = path;
    this.#options = options;
    this.#lock = lock;
  }

  /**
   * 1. each missing active segment is put in place whole, with its identity line; 2. papyra.json follows: from here on a log that
   * is not there is missing. A crash before 2 leaves logs that say themselves whose they are, and this is called again.
   */
  async create(identity: StoreIdentity): Promise<void> {
    this.#assertUsable();
    const { fs, random } = this.#env;
    const names = await fs.list(this.#path);
    for (const log of LOG_NAMES) {
      if (names.includes(activeName(log))) continue;
      const line = activeIdentityLine(identity, log);
      await replaceDurably(fs, random, join(this.#path, activeName(log)), (append) => append(line));
    }
    const path = join(this.#path, STORE_FILE);
    const content = encodeStoreFile(identity);
    if (!names.includes(STORE_FILE) || !(await readStart(fs, path, content.length + 1)).equals(content)) {
      await replaceDurably(fs, random, path, (append) => append(content));
    }
    await syncAncestors(fs, this.#path);
    this.#identity = identity;
  }

  async resume(log: LogName, bytes: number, lastSeq: number): Promise<void> {
    this.#assertUsable();
    this.#logs.set(log, await openLog(this.#env.fs, join(this.#path, activeName(log)), bytes, lastSeq));
  }

  /**
   * 1. the new segment is written whole under a temporary name: on a full disk nothing else happens; 2. the old one gets its
   * closed name, durably; 3. the new one gets the active name, durably. A crash between 2 and 3 leaves no active segment, and
   * this is called again.
   */
  async startSegment(log: LogName, identityLine: Uint8Array, closedSeq: number, lastSeq: number): Promise<void> {
    this.#assertUsable();
    const { fs, random } = this.#env;
    const active = join(this.#path, activeName(log));
    try {
      const temporary = await writeTemporary(fs, random, active, (append) => append(identityLine));
      await this.#close(log, active, closedSeq);
      await publish(fs, temporary, active);
      await this.resume(log, identityLine.length, lastSeq);
    } catch (error) {
      throw this.#poison(error); // the mark goes on saying what it said
    }
  }

  async #close(log: LogName, active: string, closedSeq: number): Promise<void> {
    const { fs } = this.#env;
    const open = this.#logs.get(log);
    if (open !== undefined) await open.file.close();
    this.#logs.delete(log);
    // Synced, since whole records in front of a torn one count from now on.
    if (await syncIfThere(fs, active)) {
      let generation = 0;
      while ((await fs.stat(join(this.#path, closedName(log, closedSeq, generation)))) !== undefined) generation += 1;
      await fs.rename(active, join(this.#path, closedName(log, closedSeq, generation)));
      await fs.syncDir(this.#path);
    }
  }

  async append(parts: readonly AppendPart[], underway?: (wait: "call" | "disk") => void): Promise<AppendedAt[]> {
    this.#assertUsable();
    const during = (wait: "call" | "disk", begun: Promise<void>): Promise<void> => {
      underway?.(wait);
      return begun;
    };
    try {
      const placed = parts.map(({ log }): AppendedAt => {
        const { id, end } = this.#open(log);
        return { segment: activeName(log), id, offset: end };
      });
      await during("call", this.#assertSoleWriter());
      const written = parts.flatMap((part) => {
        const open = this.#open(part.log);
        return [appendTo(open, part), assertInPlace(this.#env.fs, open)]; // known before anybody is told
      });
      await during("call", settleAll(written));
      const synced = this.#options.durability === "fsync" ? parts.map(({ log }) => syncLog(this.#open(log))) : [];
      await during("disk", settleAll(synced));
      if (this.#options.durability === "interval") this.#scheduleSync();
      await during("call", this.#writeMark());
      return placed;
    } catch (error) {
      throw this.#poison(error);
    }
  }

  durableSeq(log: LogName): number {
    return this.#open(log).durable;
  }

  async sync(): Promise<void> {
    this.#assertUsable();
    try {
      await syncAll(this.#logs.values());
      await this.#writeMark();
    } catch (error) {
      throw this.#poison(error);
    }
  }

  /**
   * Bytes that stay are copied as they are; the result replaces the segment atomically (env/durable.ts). The mark
   * goes on speaking for the same seqs, which a repair never lowers; recovery renews it where it was exact before.
   */
  async rewrite(segment: string, splices: readonly Splice[]): Promise<void> {
    this.#assertUsable();
    const { fs, random } = this.#env;
    await spliceFile(fs, random, join(this.#path, segment), splices);
  }

  async publish(segment: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    this.#assertUsable();
    await this.#assertSoleWriter();
    const { fs, random } = this.#env;
    await replaceDurably(fs, random, join(this.#path, segment), async (append) => {
      for await (const bytes of content) await append(bytes);
    });
  }

  async remove(segments: readonly string[]): Promise<void> {
    this.#assertUsable();
    if (segments.length === 0) return;
    await this.#assertSoleWriter();
    for (const segment of segments) await removeWithCache(this.#env.fs, this.#path, segment);
    await this.#env.fs.syncDir(this.#path);
  }

  async vouch(lastSeqs: Readonly<Partial<Record<LogName, number>>>): Promise<void> {
    this.#assertUsable();
    // The mark will say that it is durable: also what a policy did not sync, and what a killed process had only written.
    for (const log of LOG_NAMES) {
      const open = this.#logs.get(log);
      if (open !== undefined) await syncLog(open);
      else if (lastSeqs[log] !== undefined) await syncIfThere(this.#env.fs, join(this.#path, activeName(log)));
    }
    await this.#env.fs.syncDir(this.#path); // and its name
    this.#identity ??= (await this.view()).identity; // a mark that names no store speaks for none
    await this.#mark?.close();
    this.#mark = undefined;
    const { store = "", lineage = "" } = this.#identity ?? {};
    const { mark: mode, durability } = this.#options;
    this.#mark = await MarkFile.renew(this.#env, this.#path, { store, lineage, mode, durability }, lastSeqs);
  }

  async tidy(): Promise<readonly string[]> {
    this.#assertUsable();
    const { fs } = this.#env;
    const names = (await fs.list(this.#path)).filter((name) => parseFileName(name).type === "temporary");
    for (const name of names) await fs.remove(join(this.#path, name));
    if (names.length > 0) await fs.syncDir(this.#path);
    return names;
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#cancelTimer?.();
    await this.#syncing.catch(() => undefined); // its failure has poisoned the claim already
    // One that fails must not keep the others from being let go, least of all the lock.
    const failures: unknown[] = [];
    const tried = async (step: () => Promise<unknown> | undefined): Promise<void> => {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    };
    if (this.#failure === undefined && this.#logs.size > 0) await tried(() => this.#end());
    this.#released = true;
    for (const open of this.#logs.values()) await tried(() => open.file.close());
    await tried(() => this.#mark?.close());
    await tried(() => dropStrayLockFile(this.#env, this.#path, this.#lock));
    await tried(() => this.#lock.release());
    if (failures.length > 0) throw failures[0];
  }

  /** In this order: the mark says that all is durable, and that it is the last word. */
  async #end(): Promise<void> {
    await syncAll(this.#logs.values());
    await this.#mark?.writeClosed((log) => reachedBy(this.#logs.get(log), this.#env.host.bootId));
  }

  #open(log: LogName): OpenLog {
    const open = this.#logs.get(log);
    if (open === undefined) throw new PapyraError("INTERNAL", `the log ${log} was appended to before it was resumed`);
    return open;
  }

  /** Whoever takes the lock file away opens the door to a second writer: then this one must not write any more. */
  async #assertSoleWriter(): Promise<void> {
    if (await isHeldAt(this.#env, this.#path, this.#lock)) return;
    throw new PapyraError("STORAGE_FAILED", `${join(this.#path, LOCK_FILE)} was removed or replaced under its holder`, {
      hint: "make sure that nothing else writes to the store, then start again; never remove the lock file",
      details: { path: this.#path },
    });
  }

  #scheduleSync(): void {
    if (this.#cancelTimer !== undefined) return;
    this.#cancelTimer = this.#env.clock.after(
      this.#options.intervalMs,
      () => {
        this.#cancelTimer = undefined;
        this.#syncing = syncAll(this.#logs.values()).catch((error: unknown) => {
          this.#poison(error); // seen by the next append, and by the release
        });
      },
      "background",
    );
  }

  /** Before every acknowledgement, so that while the machine stays up the mark is exact. */
  async #writeMark(): Promise<void> {
    await this.#mark?.write((log) => reachedBy(this.#logs.get(log), this.#env.host.bootId));
  }

  #poison(error: unknown): Error {
    this.#failure ??= ensureError(error);
    return this.#failure;
  }

  #assertUsable(): void {
    if (this.#released) throw new PapyraError("STORE_CLOSED", `the claim on ${this.#path} has ended`);
    if (this.#failure !== undefined) {
      throw new PapyraError("STORE_POISONED", `an earlier write to ${this.#path} failed: ${this.#failure.message}`, {
        cause: this.#failure,
        hint: "mend the cause, then open the store again; run papyra persistence scan to see what is there",
      });
    }
  }
}
