import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SeqRange } from "../../src/log/anomaly.ts";
import { countOf, intersect, normalise, subtract } from "../../src/log/ranges.ts";

const anyRanges = fc.array(
  fc
    .tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: -2, max: 9 }))
    .map(([from, more]) => ({ from, to: from + more })),
  { maxLength: 8 },
);

function setOf(ranges: readonly SeqRange[]): Set<number> {
  const set = new Set<number>();
  for (const { from, to } of ranges) for (let n = from; n <= to; n++) set.add(n);
  return set;
}

const sorted = (set: Set<number>): number[] => [...set].sort((a, b) => a - b);

describe("ranges behave as sets of numbers", () => {
  test("normalise keeps the numbers, sorted, disjoint and merged", () => {
    fc.assert(
      fc.property(anyRanges, (ranges) => {
        const normal = normalise(ranges);
        expect(sorted(setOf(normal))).toEqual(sorted(setOf(ranges)));
        expect(countOf(normal)).toBe(setOf(ranges).size);
        for (const [i, range] of normal.entries()) {
          expect(range.from).toBeLessThanOrEqual(range.to);
          if (i > 0) expect(range.from).toBeGreaterThan((normal[i - 1] as SeqRange).to + 1);
        }
        expect(normalise(normal)).toEqual(normal);
      }),
    );
  });

  test("subtract and intersect", () => {
    fc.assert(
      fc.property(anyRanges, anyRanges, (a, b) => {
        const [left, right] = [normalise(a), normalise(b)];
        const [inLeft, inRight] = [setOf(left), setOf(right)];
        const minus = subtract(left, right);
        const both = intersect(left, right);
        expect(sorted(setOf(minus))).toEqual(sorted(inLeft).filter((n) => !inRight.has(n)));
        expect(sorted(setOf(both))).toEqual(sorted(inLeft).filter((n) => inRight.has(n)));
        expect(countOf(minus) + countOf(both)).toBe(countOf(left));
      }),
    );
  });

  test("large ranges cost nothing", () => {
    const all = [{ from: 1, to: Number.MAX_SAFE_INTEGER }];
    expect(subtract(all, [{ from: 5, to: 6 }])).toEqual([
      { from: 1, to: 4 },
      { from: 7, to: Number.MAX_SAFE_INTEGER },
    ]);
    expect(intersect(all, [{ from: 5, to: 6 }])).toEqual([{ from: 5, to: 6 }]);
  });

  test("neither argument is changed", () => {
    const ranges = Object.freeze([Object.freeze({ from: 4, to: 9 }), Object.freeze({ from: 1, to: 5 })]);
    expect(normalise(ranges)).toEqual([{ from: 1, to: 9 }]);
    expect(ranges[0]).toEqual({ from: 4, to: 9 });
  });
});
