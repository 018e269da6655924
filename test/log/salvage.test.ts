import { describe, expect, test } from "vitest";
import { LINE_BYTES_MAX } from "../../src/log/codec.ts";
import { LineScanner } from "../../src/log/lines.ts";
import { assertCovers, damageOf, entriesOf, gap, line, lines, SEAL, SEED, seqsOf, withoutBreak } from "./sample.ts";

describe("salvage", () => {
  test("a lost line break costs nobody, whatever stands on either side", () => {
    const kinds = [line(5), gap(6, 1, 2), SEAL];
    for (const left of kinds) {
      for (const right of kinds) {
        const entries = entriesOf([Buffer.concat([withoutBreak(left), right])]);
        assertCovers(entries, left.length + right.length - 1);
        expect(damageOf(entries)).toEqual([]);
        expect(
          entries.map((entry) => entry.type !== "damage" && Buffer.from(entry.bytes).equals(withoutBreak(left)))[0],
        ).toBe(true);
        expect(entries.map((entry) => "unterminated" in entry && entry.unterminated)).toEqual([true, false]);
      }
    }
  });

  test("a torn write costs itself, at every byte, in front of records and gaps", () => {
    const torn = line(8, { more: { seq: 9 } });
    for (let cut = 1; cut < torn.length - 1; cut++) {
      const entries = entriesOf([Buffer.concat([torn.subarray(0, cut), line(9), gap(10, 8, 8)])]);
      expect(seqsOf(entries)).toEqual([9, 10]);
      expect(damageOf(entries).map(({ offset, length }) => [offset, length])).toEqual([[0, cut]]);
    }
  });

  test('a nested `{"seq":` does no harm: neither in a whole line nor in a damaged one', () => {
    const nested = JSON.parse(line(3).toString()) as unknown; // a whole record of this very log, as a payload
    const outer = line(50, { kept: [nested, { seq: 1, crc: "12345678" }] });
    expect(seqsOf(entriesOf([outer]))).toEqual([50]);
    const glued = entriesOf([Buffer.concat([withoutBreak(outer), line(51)])]);
    expect(seqsOf(glued)).toEqual([50, 51]);
    const many = line(
      60,
      Array.from({ length: 300 }, (_, seq) => ({ seq, crc: "12345678" })),
    );
    expect(seqsOf(entriesOf([Buffer.concat([many.subarray(0, many.length - 40), line(61)])]))).toEqual([61]);
    expect(seqsOf(entriesOf([Buffer.concat([withoutBreak(many), line(61)])]))).toEqual([60, 61]);
  });

  test("a record between two pieces of junk", () => {
    const bytes = Buffer.concat([Buffer.from("junk"), withoutBreak(line(2)), Buffer.alloc(7), line(3)]);
    const entries = entriesOf([bytes]);
    assertCovers(entries, bytes.length);
    expect(entries.map((entry) => entry.type)).toEqual(["damage", "run", "damage", "run"]);
    expect(seqsOf(entries)).toEqual([2, 3]);
  });

  test("lines with line breaks of another system are found whole", () => {
    const bytes = Buffer.from(Buffer.concat(lines(1, 3)).toString().replaceAll("\n", "\r\n"));
    expect(seqsOf(entriesOf([bytes]))).toEqual([1, 2, 3]);
  });

  test("what is hostile costs a bounded amount of work: by the naive way this test takes hours", () => {
    const knot = Buffer.from('{"seq":1,"crc":"00000000"}'.repeat(40_000)); // each anchor could end at each suffix
    const breaks = Buffer.alloc(1 << 20, "\n");
    expect(seqsOf(entriesOf([Buffer.concat([knot, Buffer.from("\n"), line(7)])]))).toEqual([7]);
    expect(damageOf(entriesOf([breaks]))).toHaveLength(1 << 20);
  });
});

describe("lines that are too long", () => {
  const chunk = Buffer.alloc(1 << 20, "x");
  const longest = (extra: number): Buffer => {
    const empty = line(2, "").length;
    return line(2, "x".repeat(LINE_BYTES_MAX - empty + extra));
  };

  test("the longest line there may be is read; one byte more is damage, and its neighbours are whole", () => {
    for (const extra of [0, 1]) {
      const middle = longest(extra);
      expect(middle.length).toBe(LINE_BYTES_MAX + extra);
      const bytes = Buffer.concat([line(1), middle, line(3)]);
      for (const size of [bytes.length, 1 << 20, LINE_BYTES_MAX + 1]) {
        const chunks: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
        const entries = entriesOf(chunks);
        assertCovers(entries, bytes.length);
        expect(seqsOf(entries)).toEqual(extra === 0 ? [1, 2, 3] : [1, 3]);
        const expected = extra === 0 ? [] : [[line(1).length, middle.length, "malformed-line", 1]];
        expect(damageOf(entries).map((d) => [d.offset, d.length, d.kind, d.lines])).toEqual(expected);
        for (const { detail } of damageOf(entries)) expect(detail).toContain(`${middle.length} bytes`);
      }
    }
  });

  test("are skipped without being held", () => {
    const scanner = new LineScanner(SEED, 0);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 512; i++) expect([...scanner.push(chunk)]).toEqual([]);
    expect(scanner.pendingBytes).toBe(512 << 20);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
    const entries = [...scanner.push(Buffer.concat([Buffer.from("\n"), line(5)]))];
    expect(entries).toMatchObject([
      { type: "damage", length: (512 << 20) + 1, lines: 1 },
      { type: "run", firstSeq: 5 },
    ]);
  });

  test("at the end of a segment they are damage without a line break", () => {
    for (const chunks of [Array.from({ length: 17 }, () => chunk), Array.from({ length: 16 }, () => chunk)]) {
      const entries = entriesOf(chunks);
      expect(entries).toMatchObject([{ type: "damage", offset: 0, length: chunks.length << 20, lines: 0 }]);
      expect(damageOf(entries)[0]?.detail).toContain("no line is longer");
    }
  });
});
