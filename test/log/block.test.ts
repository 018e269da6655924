// A block of lines is verified in one go exactly if each of its lines verifies by itself.
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { allVerify } from "../../src/log/block.ts";
import { encodeControlLine, encodeFields, encodeLine, verifies } from "../../src/log/codec.ts";

const seed = crc32("some identity line\n");

function oneByOne(bytes: Buffer): boolean {
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0x0a, start);
    if (!verifies(seed, bytes, start, end)) return false;
    start = end + 1;
  }
  return true;
}

const blockOf = (texts: readonly string[]): Buffer =>
  Buffer.from(
    texts
      .map((text, i) =>
        i % 7 === 6
          ? encodeControlLine(seed, "seal", { text })
          : encodeLine(seed, i + 1, undefined, "event", 1, encodeFields({ payload: { text } })),
      )
      .join(""),
  );

test("whole blocks verify, whatever the lengths of their lines", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme", maxLength: 300 }), { minLength: 1, maxLength: 30 }), (texts) => {
      expect(allVerify(seed, blockOf(texts))).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test("every single flipped bit of a block is noticed", () => {
  const bytes = blockOf(["a", "bc", "", "é☃", "x".repeat(40), "y", "z", "w"]);
  expect(allVerify(seed, bytes)).toBe(true);
  for (let i = 0; i < bytes.length - 1; i++) {
    for (let bit = 0; bit < 8; bit++) {
      bytes[i] = (bytes[i] as number) ^ (1 << bit);
      expect(allVerify(seed, bytes), `byte ${i}, bit ${bit}`).toBe(false);
      bytes[i] = (bytes[i] as number) ^ (1 << bit);
    }
  }
});

test("a block and its lines are always judged alike", () => {
  const change = fc.record({
    at: fc.nat(),
    length: fc.integer({ min: 0, max: 12 }),
    put: fc.uint8Array({ maxLength: 12 }),
  });
  fc.assert(
    fc.property(
      fc.array(fc.string({ maxLength: 60 }), { minLength: 1, maxLength: 12 }),
      fc.array(change, { maxLength: 3 }),
      (texts, changes) => {
        let bytes = blockOf(texts);
        for (const { at, length, put } of changes) {
          const from = at % bytes.length;
          bytes = Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + length)]);
        }
        bytes = bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);
        if (bytes.length > 0) expect(allVerify(seed, bytes)).toBe(oneByOne(bytes));
      },
    ),
    { numRuns: 3000 },
  );
});

test("more lengths of lines than are kept are verified one by one", () => {
  const bytes = blockOf(Array.from({ length: 1500 }, (_, i) => "q".repeat(i)));
  expect(allVerify(seed, bytes)).toBe(true);
  bytes[bytes.length - 40] = (bytes[bytes.length - 40] as number) ^ 4;
  expect(allVerify(seed, bytes)).toBe(false);
});
