// What the file system does, measured over the same calls that the store makes: syncs, directory syncs, renames, writes.
// Each probe is bounded by time and by count, and leaves its files in the directory it was given.
import { join } from "node:path";
import { readRange, readSmall, writeAll } from "../env/durable.ts";
import type { Env, OpenFile } from "../env/env.ts";
import { ensureError, isPapyraError } from "../errors.ts";
import { type Latency, latencyOf } from "./latency.ts";
import type { DirectoryFacts, LimitFacts, WriteFacts } from "./selftest-report.ts";

/** How much a probe may take. */
export interface ProbeLimits {
  readonly ms: number;
  readonly count: number;
  readonly signal?: AbortSignal | undefined;
}

/** Runs `once` until time or count are used up, at least once; resolves with how long each took. */
async function timed(env: Env, limits: ProbeLimits, once: (n: number) => Promise<void>): Promise<Latency> {
  const { clock } = env;
  const startMs = clock.monotonicMs();
  const samples: number[] = [];
  do {
    limits.signal?.throwIfAborted();
    const beforeMs = clock.monotonicMs();
    await once(samples.length);
    samples.push(clock.monotonicMs() - beforeMs);
  } while (samples.length < limits.count && clock.monotonicMs() - startMs < limits.ms);
  return latencyOf(samples);
}

/** A small record at the end of a file, then a sync, as for each batch; only the sync is timed. */
export async function probeSync(env: Env, dir: string, limits: ProbeLimits): Promise<Latency> {
  const file = await env.fs.open(join(dir, "sync"), "create");
  try {
    const record = Buffer.alloc(200, "s");
    const samples: number[] = [];
    await timed(env, limits, async (n) => {
      await writeAll(file, record, n * record.length);
      const beforeMs = env.clock.monotonicMs();
      await file.sync();
      samples.push(env.clock.monotonicMs() - beforeMs);
    });
    return latencyOf(samples);
  } finally {
    await file.close();
  }
}

/** Names: can they be made durable, how long does it take, and does a rename do what everything that is replaced relies on? */
export async function probeDirectory(env: Env, dir: string, limits: ProbeLimits): Promise<DirectoryFacts> {
  const renameReplaces = await probeRename(env, dir);
  try {
    const sync = await timed(env, limits, async (n) => {
      const file = await env.fs.open(join(dir, `name-${n}`), "create");
      await file.close();
      await env.fs.syncDir(dir);
    });
    return { sync, failure: undefined, renameReplaces };
  } catch (error) {
    limits.signal?.throwIfAborted();
    return { sync: undefined, failure: ensureError(error).message, renameReplaces };
  }
}

async function probeRename({ fs }: Env, dir: string): Promise<boolean> {
  const [target, fresh] = [join(dir, "target"), join(dir, "fresh")];
  for (const [path, text] of [
    [target, "old"],
    [fresh, "new"],
  ] as const) {
    const file = await fs.open(path, "create");
    await writeAll(file, Buffer.from(text), 0);
    await file.close();
  }
  const id = (await fs.stat(fresh))?.id;
  const reader = await fs.open(target, "read");
  try {
    await fs.rename(fresh, target);
    const former = Buffer.alloc(3);
    await reader.read(former, 0);
    return (
      former.toString() === "old" &&
      (await readSmall(fs, target)).toString() === "new" &&
      (await fs.stat(target))?.id === id &&
      (await fs.stat(fresh)) === undefined
    );
  } finally {
    await reader.close();
  }
}

const LARGE_WRITE_BYTES = 4 << 20;

/** Large writes, each until all its bytes are written, counting those that came short; then everything is read back. */
export async function probeWrites({ fs }: Env, dir: string, count: number): Promise<Omit<WriteFacts, "limit">> {
  const path = join(dir, "writes");
  const file = await fs.open(path, "create");
  let [writes, short] = [0, 0];
  const counting: OpenFile = {
    ...file,
    async write(bytes, position) {
      const taken = await file.write(bytes, position);
      writes += 1;
      if (taken < bytes.length) short += 1;
      return taken;
    },
  };
  const patternOf = (n: number): Buffer => Buffer.alloc(LARGE_WRITE_BYTES, `papyra ${n} ${"w".repeat(n * 7)}\n`);
  try {
    for (let n = 0; n < count; n++) await writeAll(counting, patternOf(n), n * LARGE_WRITE_BYTES);
    await file.sync();
  } finally {
    await file.close();
  }
  let readBack = (await fs.stat(path))?.bytes === count * LARGE_WRITE_BYTES;
  for (let n = 0; n < count && readBack; n++) {
    const from = n * LARGE_WRITE_BYTES;
    const parts: Buffer[] = [];
    for await (const chunk of readRange(fs, path, from, from + LARGE_WRITE_BYTES)) parts.push(Buffer.from(chunk));
    readBack = Buffer.concat(parts).equals(patternOf(n));
  }
  await fs.remove(path);
  return { writes, bytes: count * LARGE_WRITE_BYTES, short, readBack };
}

/** No file of ext2/3/4 is larger. */
const BEYOND = 2 ** 50;
const ACROSS_BYTES = 64 << 10;
const FITTING_BYTES = 4096;

/**
 * What a write does that only begins to fit: the largest size of a file is found by halving, then written across. Takes a few
 * blocks, since nothing is written in between: only for file systems that are known to leave holes.
 */
export async function probeLimit({ fs }: Env, dir: string): Promise<LimitFacts | undefined> {
  const path = join(dir, "limit");
  const file = await fs.open(path, "create");
  /** How many bytes were taken; 0 when the write was refused. */
  const take = async (at: number, bytes: number): Promise<number> => {
    try {
      return await file.write(Buffer.alloc(bytes, "l"), at);
    } catch (error) {
      if (isPapyraError(error, "STORAGE_FULL")) return 0;
      throw error;
    }
  };
  try {
    let [fits, refused] = [0, BEYOND];
    if ((await take(refused, 1)) > 0) return undefined;
    while (refused - fits > 1) {
      const middle = Math.floor((fits + refused) / 2);
      if ((await take(middle, 1)) > 0) fits = middle;
      else refused = middle;
    }
    const from = refused - FITTING_BYTES;
    const taken = await take(from, ACROSS_BYTES);
    let [end, more] = [from, taken];
    for (; more > 0; more = await take(end, from + ACROSS_BYTES - end)) end += more;
    const honest = end === refused && (await file.stat()).bytes === refused;
    return { limitBytes: refused, asked: ACROSS_BYTES, taken, honest };
  } finally {
    await file.close();
    await fs.remove(path);
  }
}
