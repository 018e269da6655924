// Gap records: what they account for, and those of a compaction.
import fc from "fast-check";
import { expect, test } from "vitest";
import { compactedGaps, gapRanges } from "../../src/log/gaps.ts";
import { normalise } from "../../src/log/ranges.ts";
import type { GapRecord } from "../../src/log/record.ts";

const ranges = fc
  .array(fc.record({ from: fc.integer({ min: 1, max: 5000 }), length: fc.integer({ min: 0, max: 40 }) }), {
    maxLength: 300,
  })
  .map((all) => normalise(all.map(({ from, length }) => ({ from, to: from + length }))));

test("the gap records of a compaction account for exactly what is gone, in lines that are short enough", () => {
  fc.assert(
    fc.property(ranges, fc.constantFrom(1024, 4096, 4 << 20), (gone, lineBytesMax) => {
      const gaps = compactedGaps(gone, "compact 1", lineBytesMax) as unknown as GapRecord[];
      expect(normalise(gaps.flatMap(gapRanges))).toEqual(gone);
      for (const gap of gaps) {
        expect(JSON.stringify(gap).length).toBeLessThan(lineBytesMax - 128);
        expect(gapRanges(gap).every(({ from, to }) => from >= gap.from && to <= gap.to)).toBe(true);
      }
    }),
  );
});

test.each([
  ["nothing was kept", undefined, [{ from: 3, to: 9 }]],
  [
    "one in the middle",
    [[5, 5]],
    [
      { from: 3, to: 4 },
      { from: 6, to: 9 },
    ],
  ],
  [
    "in any order, and twice",
    [
      [8, 9],
      [3, 3],
      [8, 8],
    ],
    [{ from: 4, to: 7 }],
  ],
  ["all of it", [[1, 20]], []],
  ["something else than ranges", "5", [{ from: 3, to: 9 }]],
  ["ranges of something else", [["a", 5]], [{ from: 3, to: 9 }]],
])("what a gap record accounts for: %s", (_, kept, expected) => {
  expect(gapRanges({ from: 3, to: 9, kept: kept as unknown as NonNullable<GapRecord["kept"]> })).toEqual(expected);
});

test("a gap record that ends before it begins accounts for nothing", () => {
  expect(gapRanges({ from: 9, to: 3 })).toEqual([]);
});
