// An append-only file that ends in the middle of a command, told from one that is damaged: wherever it is cut, whatever length is wrong.
import fc from "fast-check";
import { expect, test } from "vitest";
import { judgeTail } from "../../src/rdb/aof-tail.ts";

function command(...words: readonly (string | Buffer)[]): Buffer {
  const parts = words.map((word) =>
    Buffer.concat([Buffer.from(`$${Buffer.byteLength(word)}\r\n`), Buffer.from(word), Buffer.from("\r\n")]),
  );
  return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...parts]);
}

/** Lines of JSON, as records are: line breaks in them are escaped. */
const line = fc.json().map((text) => `${text}\n`);
const added = line.map((text) => command("XADD", "papyra:a:events", "1-1", "data", text));

test("cut at any byte, with or without a transaction before it: unfinished", () => {
  fc.assert(
    fc.property(fc.array(added, { maxLength: 4 }), added, fc.nat(), (before, last, at) => {
      const transaction = [command("MULTI"), ...before];
      const cut = last.subarray(0, at % last.length);
      expect(judgeTail(Buffer.concat([...transaction, cut]), true)).toBe("unfinished");
    }),
    { numRuns: 200 },
  );
});

test("a length that is wrong, with a whole command behind it: damaged", () => {
  fc.assert(
    fc.property(
      added,
      added,
      fc.constantFrom("$4\r\nXADD", "$15\r\npapyra", "*5\r\n"),
      fc.integer({ min: 6, max: 9 }),
      (one, next, where, digit) => {
        const wrong = Buffer.from(
          one.toString("latin1").replace(where, where.replace(/\d+/, `${digit}0000`)),
          "latin1",
        );
        expect(judgeTail(Buffer.concat([wrong, next, command("EXEC")]), true)).toBe("damaged");
      },
    ),
    { numRuns: 200 },
  );
});

test.each([
  ["nothing at all", Buffer.alloc(0), true, "unfinished"],
  ["what is no command", Buffer.from("rubbish"), true, "damaged"],
  ["zeros, as a file system leaves them after a power cut", Buffer.alloc(64), true, "damaged"],
  ["an argument with something behind it", Buffer.from("*1\r\n$4\r\nXADDxx"), true, "damaged"],
  ["more than was looked at", command("XADD").subarray(0, 9), false, "damaged"],
] as const)("%s", (_, bytes, whole, verdict) => {
  expect(judgeTail(bytes, whole)).toBe(verdict);
});
