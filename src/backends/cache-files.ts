// Caches in files. They are written in place and never synced: who reads one verifies every line of it, so that a crash in
// the middle leaves a cache that is not believed, and costs one reading of the segment that it speaks of.
import { join } from "node:path";
import { readOpen, writeAll } from "../env/durable.ts";
import type { Fs, OpenFile } from "../env/env.ts";
import { INDEX_DIR, indexName } from "../log/segments.ts";
import type { ReadPart } from "./backend.ts";

/** Whatever is wrong with the file: then there is no cache. What is read instead says what is wrong with the disk, if anything is. */
export async function readCacheFile<T>(
  fs: Fs,
  directory: string,
  name: string,
  use: (read: ReadPart) => Promise<T>,
): Promise<T | undefined> {
  const file = await fs.open(join(directory, INDEX_DIR, name), "read").catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    return await use((from, to) => readPart(file, from, to).catch(() => undefined));
  } finally {
    await file.close().catch(() => undefined);
  }
}

async function readPart(file: OpenFile, from: number, to: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of readOpen(file, from, to)) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

/** Rejects with STORAGE_FULL, STORAGE_FAILED; then the old one is gone, and no part of the new one is left if that can be helped. */
export async function writeCacheFile(fs: Fs, directory: string, name: string, bytes: Uint8Array): Promise<void> {
  await fs.makeDir(join(directory, INDEX_DIR));
  const path = join(directory, INDEX_DIR, name);
  if ((await fs.stat(path)) !== undefined) await fs.remove(path);
  const file = await fs.open(path, "create");
  try {
    await writeAll(file, bytes, 0);
  } catch (error) {
    await fs.remove(path).catch(() => undefined); // a full disk has better use for it
    throw error;
  } finally {
    await file.close();
  }
}

/** Removes a segment, and before it, so that none is left behind, its cache: that is best effort. */
export async function removeWithCache(fs: Fs, directory: string, segment: string): Promise<void> {
  const cache = join(directory, INDEX_DIR, indexName(segment));
  const there = await fs.stat(cache).catch(() => undefined);
  if (there !== undefined) await fs.remove(cache).catch(() => undefined);
  await fs.remove(join(directory, segment));
}
