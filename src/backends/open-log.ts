// The open file of one log: how far it was written, and how far that is durable.
import { writeAll } from "../env/durable.ts";
import type { Fs, OpenFile } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import type { LogMark } from "../log/mark.ts";
import type { AppendPart } from "./backend.ts";

export interface OpenLog {
  readonly file: OpenFile;
  readonly path: string;
  /** Of the open file; the path may come to name another one. */
  readonly id: string;
  /** Where the next line goes. */
  end: number;
  /** The last seq that was written, and the last that is durable. */
  written: number;
  durable: number;
}

/** Opens a log that was verified up to its end. Rejects with STORAGE_FAILED when it has become another one since. */
export async function openLog(fs: Fs, path: string, bytes: number, lastSeq: number): Promise<OpenLog> {
  const file = await fs.open(path, "update");
  try {
    const stat = await file.stat();
    if (stat.bytes !== bytes) {
      throw new PapyraError("STORAGE_FAILED", `${path} has ${stat.bytes} bytes, not the ${bytes} that were verified`, {
        hint: "is something else writing to the store?",
      });
    }
    // A process that was killed leaves bytes that read well and are not on the disk: they are, before anything builds on them.
    await file.sync();
    return { file, path, id: stat.id, end: bytes, written: lastSeq, durable: lastSeq };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Writes whole lines behind the last ones. */
export async function appendTo(open: OpenLog, { bytes, lastSeq }: AppendPart): Promise<void> {
  await writeAll(open.file, bytes, open.end);
  open.end += bytes.length;
  open.written = lastSeq;
}

/** Makes everything durable that was written before this call. */
export async function syncLog(open: OpenLog): Promise<void> {
  const { written } = open;
  if (open.durable === written) return;
  await open.file.sync();
  open.durable = Math.max(open.durable, written);
}

export function syncAll(logs: Iterable<OpenLog>): Promise<void> {
  return settleAll([...logs].map((open) => syncLog(open)));
}

/** What a mark says of a log at this moment; null where nothing is known of it. */
export function reachedBy(open: OpenLog | undefined, boot: string): LogMark | null {
  return open === undefined ? null : { written: open.written, durable: open.durable, boot };
}

/** Makes a file durable that is not open. Resolves with false when there is none. */
export async function syncIfThere(fs: Fs, path: string): Promise<boolean> {
  if ((await fs.stat(path)) === undefined) return false;
  const file = await fs.open(path, "update");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  return true;
}

/**
 * Rejects when the path names another file by now, or none: somebody removed or replaced the log under its writer, and
 * what is written goes where nobody will look for it.
 */
export async function assertInPlace(fs: Fs, open: OpenLog): Promise<void> {
  if ((await fs.stat(open.path))?.id === open.id) return;
  throw new PapyraError("STORAGE_FAILED", `${open.path} was removed or replaced while it was being written`, {
    hint: "stop the system before files are replaced; then run papyra persistence scan, and start again",
    details: { path: open.path },
  });
}

/** Waits for all, also when one fails: nothing may still be under way when the failure is reported. */
export async function settleAll(all: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(all);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
