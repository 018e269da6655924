// A file with some bytes taken out and others put in, atomically.
import { readRange, replaceDurably, truncateDurably } from "../env/durable.ts";
import type { Fs, Random } from "../env/env.ts";
import type { Splice } from "./backend.ts";

/** Bytes that stay are copied as they are; a crash leaves the file as it was or as it shall be. */
export async function spliceFile(fs: Fs, random: Random, path: string, splices: readonly Splice[]): Promise<void> {
  const stat = await fs.stat(path);
  const bytes = stat?.bytes ?? 0;
  const [only] = splices;
  // What is only cut off needs no copy: a torn tail can be taken out of a full disk.
  if (splices.length === 1 && only?.insert.length === 0 && only.offset + only.remove === bytes) {
    await truncateDurably(fs, path, only.offset);
    return;
  }
  await replaceDurably(fs, random, path, async (append) => {
    let position = 0;
    const copy = async (to: number): Promise<void> => {
      for await (const chunk of readRange(fs, path, position, to)) await append(chunk);
      position = to;
    };
    for (const splice of splices) {
      await copy(splice.offset);
      if (splice.insert.length > 0) await append(splice.insert);
      position += splice.remove;
    }
    await copy(bytes);
  });
}
