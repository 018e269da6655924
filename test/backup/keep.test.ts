// The retention of backups against a naive model: whatever the policy and the history, the same ones stay.
import fc from "fast-check";
import { expect, test } from "vitest";
import { chooseKept } from "../../src/backup/keep.ts";
import { keptByModel } from "./keep-model.ts";

const RUNS = 100 * Number(process.env.PAPYRA_SEEDS ?? 12);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const count = fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined });
const policies = fc
  .record({
    last: count,
    hourly: count,
    daily: count,
    weekly: count,
    monthly: count,
    yearly: count,
    withinMs: fc.option(fc.integer({ min: 0, max: 40 * DAY_MS }), { nil: undefined }),
    minGood: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  })
  .filter((policy) => Object.values({ ...policy, minGood: 0 }).some((value) => value !== undefined && value > 0));

/** Over the end of a year; 2026 has 53 ISO weeks, and some years end in the first week of the next. */
const beginnings = fc.integer({ min: 2018, max: 2033 }).map((year) => Date.UTC(year, 11, 20));
const step = fc.record({
  afterMs: fc.oneof(
    fc.integer({ min: 0, max: 3 * HOUR_MS }),
    fc.integer({ min: 0, max: 5 * DAY_MS }),
    fc.integer({ min: 0, max: 90 * DAY_MS }),
  ),
  good: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
  pinned: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});

test("the same backups stay as in a naive model", () => {
  fc.assert(
    fc.property(
      beginnings,
      fc.array(step, { maxLength: 40 }),
      policies,
      fc.integer({ min: 0, max: 9 }),
      (from, steps, policy, days) => {
        let at = from;
        const backups = steps.map(({ afterMs, good, pinned }, i) => ({
          id: `b${i}`,
          instantMs: (at += afterMs),
          good,
          pinned,
        }));
        const nowMs = at + days * DAY_MS;
        const kept = chooseKept(backups, policy, nowMs);
        expect(backups.filter(({ id }) => kept.has(id)).map(({ id }) => id)).toEqual(
          keptByModel(backups, policy, nowMs),
        );
        for (const reasons of kept.values()) expect(reasons.length).toBeGreaterThan(0);
      },
    ),
    { numRuns: RUNS, seed: 7 },
  );
});

test("a policy that keeps nothing is refused", () => {
  for (const policy of [{}, { last: 0 }, { minGood: 3 }, { withinMs: 0 }])
    expect(() => chooseKept([], policy, 0)).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
});

test("what is no whole number from 0 on is refused, and so is a misspelt rule", () => {
  for (const keep of [{ last: -1 }, { daily: 1.5 }, { weekly: Number.NaN }, { dayly: 7 } as object])
    expect(() => chooseKept([], keep, 0), JSON.stringify(keep)).toThrow(/keep/);
});
