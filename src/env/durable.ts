// The few sequences of file calls that make bytes durable, written once over Fs. Everybody who writes uses these.
import { dirname } from "node:path";
import type { Fs, OpenFile, Random } from "./env.ts";
import { isPapyraError, PapyraError } from "../errors.ts";

/** Writes every byte at `position`: a file may take fewer than it was given without saying why. */
export async function writeAll(file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const count = await file.write(written === 0 ? bytes : bytes.subarray(written), position + written);
    if (count <= 0)
      throw new PapyraError("STORAGE_FAILED", `a write of ${bytes.length - written} bytes made no progress`);
    written += count;
  }
}

const CHUNK_BYTES = 1 << 20;
/** A shorter range gets memory of its own. */
const SPARE_FROM_BYTES = CHUNK_BYTES / 16;
const SPARES_MAX = 8;
/**
 * Memory for chunks that nobody reads into now. New memory for each range costs several times what reading into it does: the
 * kernel hands it out page by page, zeroed.
 */
const spares: Buffer[] = [];

/** Reads exactly `[from, to)` in chunks; each is valid until the next is asked for, and the last until the reading is over. */
export async function* readRange(
  fs: Fs,
  path: string,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (to > from) yield* readAndClose(await fs.open(path, "read"), from, to);
}

/** The same of a file that is open; it is closed in the end. */
export async function* readAndClose(
  file: OpenFile,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* readOpen(file, from, to);
  } finally {
    await file.close();
  }
}

/** The same of a file that stays open. While a chunk is used the next one is read. */
export async function* readOpen(file: OpenFile, from: number, to: number): AsyncGenerator<Uint8Array, void, undefined> {
  if (to <= from) return;
  let buffer = bufferFor(to - from);
  let other = to - from > buffer.length ? bufferFor(to - from) : undefined;
  let ahead: Promise<number> | undefined;
  const read = (into: Buffer, position: number): Promise<number> =>
    file.read(into.subarray(0, Math.min(into.length, to - position)), position);
  try {
    for (let position = from; position < to; ) {
      const count = await (ahead ?? read(buffer, position));
      ahead = undefined;
      if (count === 0) return; // shorter than it was: the caller compares lengths
      const chunk = buffer.subarray(0, count);
      position += count;
      if (other !== undefined && position < to) {
        [buffer, other] = [other, buffer];
        ahead = read(buffer, position);
        ahead.catch(() => undefined); // thrown when it is its turn
      }
      yield chunk;
    }
  } finally {
    await ahead?.catch(() => undefined); // else it would read into memory that is somebody else's by then
    giveBack(buffer);
    if (other !== undefined) giveBack(other);
  }
}

function giveBack(buffer: Buffer): void {
  if (buffer.length === CHUNK_BYTES && spares.length < SPARES_MAX) spares.push(buffer);
}

function bufferFor(bytes: number): Buffer {
  return bytes < SPARE_FROM_BYTES ? Buffer.allocUnsafe(bytes) : (spares.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES));
}

/** Reads a whole small file; refuses one larger than `bytesMax`. */
export async function readSmall(fs: Fs, path: string, bytesMax: number = 1 << 20): Promise<Buffer> {
  const stat = await fs.stat(path);
  if (stat === undefined) throw new PapyraError("STORE_NOT_FOUND", `there is no file ${path}`);
  if (stat.bytes > bytesMax)
    throw new PapyraError("STORAGE_FAILED", `${path} has ${stat.bytes} bytes, more than ${bytesMax}`);
  const bytes = Buffer.allocUnsafe(stat.bytes);
  let length = 0;
  for await (const chunk of readRange(fs, path, 0, stat.bytes)) {
    bytes.set(chunk, length);
    length += chunk.length;
  }
  return bytes.subarray(0, length);
}

/** A file that takes a name over gets the owner and mode of the one that had it; a new name the owner of its directory. */
export async function imitateFormer(fs: Fs, temporary: string, path: string): Promise<void> {
  await fs.imitate(temporary, (await fs.stat(path)) === undefined ? dirname(path) : path);
}

/** The first bytes of a file, at most so many. */
export async function readStart(fs: Fs, path: string, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of readRange(fs, path, 0, bytesMax)) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

/**
 * Puts a file in place so that a crash leaves the old one or the new one, whole:
 * 1. a new temporary file in the same directory is written and synced; a crash leaves a stray temporary file;
 * 2. it is renamed over the target: atomic, but not yet durable;
 * 3. the directory is synced: the commit point.
 * `write` gets a function that appends bytes to the temporary file.
 */
export async function replaceDurably(fs: Fs, random: Random, path: string, write: WriteAll): Promise<void> {
  await publish(fs, await writeTemporary(fs, random, path, write), path);
}

/** Cuts the end of a file off: a crash leaves the length that it had or the one that it shall have. Needs no space. */
export async function truncateDurably(fs: Fs, path: string, bytes: number): Promise<void> {
  const file = await fs.open(path, "update");
  try {
    await file.truncate(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Writes a file by a function that appends to it. */
type WriteAll = (append: (bytes: Uint8Array) => Promise<void>) => Promise<void>;

/** Step 1 of the above, for who has something to do before the others. Resolves with the path of the temporary file. */
export async function writeTemporary(fs: Fs, random: Random, path: string, write: WriteAll): Promise<string> {
  const temporary = `${path}.tmp-${random.hex(4)}`;
  const file = await fs.open(temporary, "create");
  try {
    let position = 0;
    try {
      await write(async (bytes) => {
        await writeAll(file, bytes, position);
        position += bytes.length;
      });
      await file.sync();
    } finally {
      await file.close();
    }
    await imitateFormer(fs, temporary, path);
    return temporary;
  } catch (error) {
    await drop(fs, temporary);
    throw error;
  }
}

/** Steps 2 and 3. */
export async function publish(fs: Fs, temporary: string, path: string): Promise<void> {
  try {
    await fs.rename(temporary, path);
  } catch (error) {
    await drop(fs, temporary);
    throw error;
  }
  await fs.syncDir(dirname(path));
}

/** Best effort: a stray temporary file is reported by scan and harmless. */
async function drop(fs: Fs, temporary: string): Promise<void> {
  await fs.remove(temporary).catch(() => undefined);
}

/**
 * Makes the names of a new directory's ancestors durable, up to the root: a process that was killed between making them and
 * syncing them leaves names that look old and are not on the disk. An ancestor that this process may not read was not made by it.
 */
export async function syncAncestors(fs: Fs, path: string): Promise<void> {
  for (let dir = dirname(path); ; dir = dirname(dir)) {
    try {
      await fs.syncDir(dir);
    } catch (error) {
      const errno = isPapyraError(error) ? error.details.errno : undefined;
      if (errno !== "EACCES" && errno !== "EPERM" && errno !== "EROFS") throw error;
    }
    if (dirname(dir) === dir) return;
  }
}
