// A part of the exploration at each run, always the same one; scripts/explore.mjs goes on from there.
import { expect, test } from "vitest";
import { exploreSeed } from "./explore.ts";

const SEEDS = Number(process.env.PAPYRA_EXPLORE_SEEDS ?? 8);

test("random lives of a store, cut at random calls: nothing promised is lost, and every verdict is right", async () => {
  const counts = { states: 0, kills: 0, deeper: 0, harmed: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const found = await exploreSeed(seed);
    counts.states += found.states;
    counts.kills += found.kills;
    counts.deeper += found.deeper;
    counts.harmed += found.harmed;
  }
  const { states, kills, deeper, harmed } = counts;
  console.log(`explored: ${states} states of ${SEEDS} lives (${kills} kills, ${deeper} deeper, ${harmed} with damage)`);
  expect(Math.min(kills, deeper, harmed)).toBeGreaterThan(0);
});
