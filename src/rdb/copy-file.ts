// Copies of the files of a server, in a scratch directory: the server's own are never opened for writing.
import { readAndClose, writeAll } from "../env/durable.ts";
import type { Fs } from "../env/env.ts";
import { PapyraError } from "../errors.ts";

/**
 * Copies a file as long as it is now. It is held open meanwhile: a server puts another file in its place by renaming, which changes nothing
 * of this one. Resolves with how many bytes there were; rejects with STORE_NOT_FOUND, STORAGE_FULL, STORAGE_FAILED, or the signal's reason.
 */
export async function copyFile(fs: Fs, from: string, to: string, signal?: AbortSignal): Promise<number> {
  const file = await fs.open(from, "read");
  const { bytes } = await file.stat();
  await writeFile(fs, to, readAndClose(file, 0, bytes), signal);
  const copied = (await fs.stat(to))?.bytes;
  if (copied === bytes) return bytes;
  throw new PapyraError("STORAGE_FAILED", `${from} became shorter while it was copied: ${copied} of ${bytes} bytes`, {
    hint: "something writes to the file itself; run the same command again when that has ended",
  });
}

/** Writes a new file. */
export async function writeFile(
  fs: Fs,
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<void> {
  const file = await fs.open(path, "create");
  try {
    let at = 0;
    for await (const chunk of chunks) {
      signal?.throwIfAborted();
      await writeAll(file, chunk, at);
      at += chunk.length;
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
