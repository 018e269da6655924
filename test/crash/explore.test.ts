// A part of the exploration at each run, always the same one; scripts/explore.mjs goes on from there.
import { expect, test } from "vitest";
import { exploreSeed } from "./explore.ts";
import { type Explored, nothingExplored } from "./explored.ts";

const SEEDS = Number(process.env.PAPYRA_EXPLORE_SEEDS ?? 8);
const FAULTY_SEEDS = Number(process.env.PAPYRA_FAULTY_SEEDS ?? 12);
const FIRST = Number(process.env.PAPYRA_EXPLORE_SEED ?? 1);

async function explore(seeds: number, faulty: boolean): Promise<Explored> {
  const counts = nothingExplored();
  for (let seed = FIRST; seed < FIRST + seeds; seed++) {
    const found = await exploreSeed(seed, { faulty });
    for (const name of Object.keys(counts) as (keyof Explored)[]) counts[name] += found[name];
  }
  return counts;
}

test("random lives of a store, cut at random calls: nothing promised is lost, and every verdict is right", async () => {
  const { survivors, states, kills, deeper, harmed } = await explore(SEEDS, false);
  const kinds = `${kills} kills, ${deeper} deeper, ${harmed} with damage`;
  console.log(`explored: ${states} different states (${kinds}) of ${survivors} survivors of ${SEEDS} lives`);
  expect(Math.min(kills, deeper, harmed)).toBeGreaterThan(0);
});

test("the same where calls fail: EIO, ENOSPC, EMFILE, EROFS, EINTR, short writes, full disks, failed syncs", async () => {
  const { faults, failures, states, survivors } = await explore(FAULTY_SEEDS, true);
  console.log(
    `faulty lives: ${faults} calls failed, ${failures} operations ended with it, ` +
      `${states} different states of ${survivors} survivors of ${FAULTY_SEEDS} lives`,
  );
  expect(failures).toBeGreaterThan(FAULTY_SEEDS / 2);
});
