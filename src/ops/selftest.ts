// The self-test of a disk: measures, crashes, judges. Works in one new directory with a name that is nobody else's, and takes it
// away again, whatever happens.
import { dirname, join } from "node:path";
import type { Env, Volume } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { wholeNumber } from "../options.ts";
import { ClockWatch } from "./selftest-clock.ts";
import { crashMatrix } from "./selftest-crash.ts";
import { probeDirectory, probeLimit, probeSync, probeWrites } from "./selftest-disk.ts";
import { type VolumeFacts, volumeFacts } from "./selftest-durability.ts";
import { probeLock, type StartWorker } from "./selftest-lock.ts";
import { judgeSelftest, type SelftestFacts, type SelftestReport } from "./selftest-report.ts";
import { probeTails, probeThroughput } from "./selftest-store.ts";

export interface SelftestOptions {
  /** How long the crash matrix runs, in seconds. From 1 to 3,600. Default 60. The measurements before it take a tenth of it more. */
  readonly seconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the milliseconds of the crash matrix that are over, and all of them. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** The world of a self-test: the usual one, the file system as a whole, and a way to start processes of Papyra. */
export interface SelftestWorld {
  readonly env: Env;
  readonly volume: Volume;
  readonly start: StartWorker;
}

/** More than the self-test ever keeps at once. */
export const SPACE_NEEDED = 256 << 20;
/** What of the disk's speed is measured ends at these, on a disk that takes no time. */
const SYNCS_MAX = 500;
const RECORDS_MAX = 20_000;
const LARGE_WRITES = 4;
const CLOCK_LOOKS = 1000;
const NAME = /^papyra-selftest-[0-9a-f]{16}$/;

/**
 * Tests the disk of `dir`, which exists, or whose parent does. Rejects with STORE_NOT_FOUND, STORAGE_FULL (less than 256 MiB are
 * free), STORAGE_FAILED, LOCK_UNAVAILABLE, OPTION_INVALID, or the signal's reason.
 */
export async function selftest(
  { env, volume, start }: SelftestWorld,
  dir: string,
  options: SelftestOptions = {},
): Promise<SelftestReport> {
  const ms = wholeNumber("seconds", options.seconds, 60, 1, 3600) * 1000;
  const place = await placeOf(env, dir);
  const { freeBytes, type } = await volume.space(place);
  if (freeBytes < SPACE_NEEDED)
    throw new PapyraError(
      "STORAGE_FULL",
      `the self-test needs ${SPACE_NEEDED} bytes in ${place}; ${freeBytes} are free`,
      {
        hint: "free some space, or name a directory on another disk",
        details: { path: place, freeBytes, neededBytes: SPACE_NEEDED },
      },
    );
  const name = `papyra-selftest-${env.random.hex(8)}`;
  if (!NAME.test(name)) throw new PapyraError("INTERNAL", `${name} is no name for the directory of a self-test`);
  const work = join(place, name);
  if ((await env.fs.stat(work)) !== undefined) throw new PapyraError("STORAGE_FAILED", `${work} is there already`);
  try {
    await env.fs.makeDir(work);
    const facts = await measure({ env, volume, start }, work, volumeFacts(type, freeBytes), ms, options);
    return judgeSelftest(dir, facts);
  } finally {
    await volume.removeTree(work);
  }
}

/** Where the test is made: in the directory itself, or where it would be made. */
async function placeOf({ fs }: Env, dir: string): Promise<string> {
  for (const place of [dir, dirname(dir)]) {
    const stat = await fs.stat(place);
    if (stat?.kind === "directory") return place;
    if (stat !== undefined)
      throw new PapyraError("STORE_NOT_FOUND", `${place} is no directory`, { hint: "name the directory of a store" });
  }
  throw new PapyraError("STORE_NOT_FOUND", `neither ${dir} nor the directory above it is there`, {
    hint: "name a directory on the disk that shall be tested",
    details: { path: dir },
  });
}

async function measure(
  { env, volume, start }: SelftestWorld,
  work: string,
  facts: VolumeFacts,
  ms: number,
  { signal, onProgress }: SelftestOptions,
): Promise<SelftestFacts> {
  const clock = new ClockWatch(env.clock);
  const limits = { ms: Math.min(2000, ms / 10), count: SYNCS_MAX, signal };
  for (let i = 0; i < CLOCK_LOOKS; i++) clock.sample(); // close together: how fine the clocks are
  const sync = await probeSync(env, work, limits);
  clock.sample();
  const directory = await probeDirectory(env, work, limits);
  const limit = facts.hasHoles ? await probeLimit(env, work) : undefined;
  const writes = { ...(await probeWrites(env, work, LARGE_WRITES)), limit };
  clock.sample();
  const throughput = await probeThroughput(env, join(work, "throughput"), { ...limits, count: RECORDS_MAX });
  const lock = await probeLock(env, start, join(work, "lock"), signal);
  clock.sample();
  const tails = await probeTails(env, join(work, "tails"), signal);
  const startMs = env.clock.monotonicMs();
  const crash = await crashMatrix(env, join(work, "crash"), {
    ms,
    roundsPerStore: ms < 10_000 ? 1 : 5, // a short run sees both kinds of store, too
    start,
    signal,
    remove: (path) => volume.removeTree(path),
    onRound: () => {
      clock.sample();
      onProgress?.(Math.min(ms, env.clock.monotonicMs() - startMs), ms);
    },
  });
  return { volume: facts, sync, directory, writes, throughput, lock, tails, crash, clock: clock.facts() };
}
