// What is written straight into bytes for speed must be what the plain way would give, byte for byte.
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NUMBER_BYTES_MAX, putHex8, putNumber } from "../../src/log/ascii.ts";
import { crcOf } from "../../src/log/crc.ts";
import { JsonBytes } from "../../src/log/json-bytes.ts";

const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ minLength: 60, maxLength: 200 }),
  fc.constantFrom(
    "\ud83d",
    "\udc00x",
    "a\u2028b",
    '"',
    "\\",
    "\u007f",
    "\u0000",
    "é".repeat(90),
    "x".repeat(96),
    "x".repeat(97),
  ),
);
const number = fc
  .oneof(
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.maxSafeNat(),
    fc.constantFrom(2 ** 31 - 1, 2 ** 31, 1e21, 5e-324),
  )
  .filter((value) => !Object.is(value, -0));
const value = fc.letrec((tie) => ({
  any: fc.oneof({ maxDepth: 4 }, text, number, fc.boolean(), fc.constant(null), tie("list"), tie("object")),
  list: fc.array(tie("any"), { maxLength: 5 }),
  object: fc.dictionary(text, tie("any"), { maxKeys: 5, noNullPrototype: false }),
})).any;

test("members are written as JSON.stringify writes them", () => {
  const bytes = new JsonBytes();
  fc.assert(
    fc.property(fc.dictionary(text, value, { minKeys: 1, maxKeys: 4 }), (fields) => {
      bytes.clear();
      bytes.members(fields, undefined);
      expect(bytes.toString()).toBe(`,${JSON.stringify(fields).slice(1, -1)}`);
    }),
    { numRuns: 2000 },
  );
});

test("own members only, in their order, without the undefined ones and the exception", () => {
  const bytes = new JsonBytes();
  const fields = Object.assign(Object.create({ inherited: 1 }) as object, {
    b: 1,
    7: 2,
    gone: undefined,
    kind: "x",
    a: 3,
  });
  bytes.members(fields, "kind");
  expect(bytes.toString()).toBe(',"7":2,"b":1,"a":3');
});

test("after a value was refused half-way, the next one is written from its start", () => {
  const bytes = new JsonBytes();
  expect(() => bytes.members({ a: [1, { b: Number.NaN }] }, undefined)).toThrow("a[1].b is NaN");
  bytes.clear();
  bytes.members({ a: 1 }, undefined);
  expect(bytes.toString()).toBe(',"a":1');
});

test("a value is asked for once: what was checked is what is written", () => {
  let asked = 0;
  const bytes = new JsonBytes();
  bytes.members(
    {
      get sly() {
        asked += 1;
        return asked === 1 ? "text" : new Date(0);
      },
    },
    undefined,
  );
  expect(bytes.toString()).toBe(',"sly":"text"');
});

describe("checksums and numbers", () => {
  test("the checksum of any stretch is zlib's", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 3000 }),
        fc.nat(40),
        fc.integer({ min: 0, max: 0xffffffff }),
        (array, from, seed) => {
          const bytes = Buffer.from(array);
          const start = Math.min(from, bytes.length - 1);
          expect(crcOf(viewOf(bytes), start, bytes.length, seed)).toBe(crc32(bytes.subarray(start), seed));
        },
      ),
    );
  });

  test("numbers and hex digits", () => {
    const bytes = Buffer.alloc(64);
    fc.assert(
      fc.property(number, fc.integer({ min: 0, max: 0xffffffff }), (value, crc) => {
        const end = putNumber(bytes, 3, value);
        expect(end - 3).toBeLessThanOrEqual(NUMBER_BYTES_MAX);
        expect(bytes.toString("latin1", 3, end)).toBe(JSON.stringify(value));
        expect(bytes.toString("latin1", 5, putHex8(bytes, 5, crc))).toBe(crc.toString(16).padStart(8, "0"));
      }),
      { numRuns: 2000 },
    );
  });
});
