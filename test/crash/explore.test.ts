// A part of the exploration at each run, always the same one; scripts/explore.mjs goes on from there.
import { expect, test } from "vitest";
import { exploreSeed } from "./explore.ts";

const SEEDS = Number(process.env.PAPYRA_EXPLORE_SEEDS ?? 8);

test("random lives of a store, cut at random calls: nothing promised is lost, and every verdict is right", async () => {
  const counts = { survivors: 0, states: 0, kills: 0, deeper: 0, harmed: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const found = await exploreSeed(seed);
    counts.survivors += found.survivors;
    counts.states += found.states;
    counts.kills += found.kills;
    counts.deeper += found.deeper;
    counts.harmed += found.harmed;
  }
  const { survivors, states, kills, deeper, harmed } = counts;
  const kinds = `${kills} kills, ${deeper} deeper, ${harmed} with damage`;
  console.log(`explored: ${states} different states (${kinds}) of ${survivors} survivors of ${SEEDS} lives`);
  expect(Math.min(kills, deeper, harmed)).toBeGreaterThan(0);
});
