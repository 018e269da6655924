// A part of the exploration at each run, always the same one; scripts/explore.mjs goes on from there.
import { expect, test } from "vitest";
import { exploreSeed } from "./explore.ts";
import { type Explored, nothingExplored } from "./explored.ts";

const SEEDS = Number(process.env.PAPYRA_EXPLORE_SEEDS ?? 64);
const FAULTY_SEEDS = Number(process.env.PAPYRA_FAULTY_SEEDS ?? 24);
const FIRST = Number(process.env.PAPYRA_EXPLORE_SEED ?? 1);
/** In so many tests, each with its own time limit. */
const PARTS = 4;
/** What the lives of a run with no settings must come to: so many states of which none is like another of the same life. */
const STATES_MIN = 10_000;

async function explore(seeds: readonly number[], faulty: boolean): Promise<Explored> {
  const counts = nothingExplored();
  for (const seed of seeds) add(counts, await exploreSeed(seed, { faulty }));
  return counts;
}

function add(counts: Explored, found: Explored): void {
  for (const name of Object.keys(counts) as (keyof Explored)[]) counts[name] += found[name];
}

const seedsFrom = (count: number): number[] => Array.from({ length: count }, (_, i) => FIRST + i);
const all = nothingExplored();

test.each(Array.from({ length: PARTS }, (_, part) => part))(
  "random lives of a store, cut at random calls: nothing promised is lost, and every verdict is right (%i)",
  async (part) => {
    const found = await explore(
      seedsFrom(SEEDS).filter((seed) => seed % PARTS === part),
      false,
    );
    add(all, found);
  },
);

test("among them are kills, cuts of recovering and opening, and damage, and many that differ", () => {
  const { survivors, states, kills, deeper, harmed } = all;
  const kinds = `${kills} kills, ${deeper} deeper, ${harmed} with damage`;
  console.log(`explored: ${states} different states (${kinds}) of ${survivors} survivors of ${SEEDS} lives`);
  expect(Math.min(kills, deeper, harmed)).toBeGreaterThan(0);
  const { PAPYRA_EXPLORE_SEEDS: set, PAPYRA_EXPLORE_SEED: moved } = process.env;
  if (set === undefined && moved === undefined) expect(states).toBeGreaterThanOrEqual(STATES_MIN);
});

test("the same where calls fail: EIO, ENOSPC, EMFILE, EROFS, EINTR, short writes, full disks, failed syncs", async () => {
  const { faults, failures, states, survivors } = await explore(seedsFrom(FAULTY_SEEDS), true);
  console.log(
    `faulty lives: ${faults} calls failed, ${failures} operations ended with it, ` +
      `${states} different states of ${survivors} survivors of ${FAULTY_SEEDS} lives`,
  );
  expect(failures).toBeGreaterThan(FAULTY_SEEDS / 2);
});
