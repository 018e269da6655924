import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeControlLine, encodeFields, encodeLine } from "../../src/log/codec.ts";
import { type Entry, LineScanner } from "../../src/log/lines.ts";
import {
  assertCovers,
  damageOf,
  entriesOf,
  gap,
  isWrong,
  line,
  SEAL,
  SEED,
  verifiedOf,
  withoutBreak,
} from "./sample.ts";

const SAMPLE = Buffer.concat([
  line(1, { text: "ä \u2028 😀", nested: { seq: 5, more: [{ seq: 6 }] } }, 0),
  line(2, [{ seq: 1, crc: "00000000" }]),
  gap(3, 1, 1),
  line(4),
  SEAL,
]);

describe("a healthy segment", () => {
  test("gives runs, gaps and control lines, and nothing else", () => {
    const entries = entriesOf([SAMPLE], SEED, 100);
    expect(entries.map((entry) => entry.type)).toEqual(["run", "gap", "run", "control"]);
    assertCovers(entries, SAMPLE.length, 100);
    expect(entries[0]).toMatchObject({ count: 2, firstSeq: 1, lastSeq: 2, durable: 0, unterminated: false });
    expect(entries[1]).toMatchObject({ record: { seq: 3, from: 1, to: 1, reason: "quarantined" } });
    expect(entries[3]).toMatchObject({ fields: { kind: "seal", records: 4 } });
  });

  test("a run ends where seqs are not contiguous, and knows the greatest durable in it", () => {
    const entries = entriesOf([Buffer.concat([line(5, 0, 2), line(6, 0, 4), line(7), line(9, 0, 8), line(8)])]);
    const facts = entries.map((entry) => (entry.type === "run" ? [entry.firstSeq, entry.lastSeq, entry.durable] : []));
    expect(facts).toEqual([
      [5, 7, 4],
      [9, 9, 8],
      [8, 8, 0],
    ]);
  });

  test("an empty segment gives nothing", () => {
    expect(entriesOf([])).toEqual([]);
    expect(entriesOf([Buffer.alloc(0)])).toEqual([]);
  });

  test("an unknown control line and an unknown kind verify", () => {
    const control = Buffer.from(encodeControlLine(SEED, "season", { n: 1 }));
    const body = '{"season":4';
    const odd = Buffer.from(`${body},"crc":"${crc32(body, SEED).toString(16).padStart(8, "0")}"}\n`);
    const fields = encodeFields({ from: 1, to: 1, reason: "lost" });
    const later = Buffer.from(encodeLine(SEED, 1, undefined, "gapless", 0, fields));
    expect(entriesOf([control, odd, later]).map((entry) => entry.type)).toEqual(["control", "control", "run"]);
  });

  test("a gap record without from and to is an ordinary record: nothing is accounted for by guessing", () => {
    const odd = Buffer.from(encodeLine(SEED, 1, undefined, "gap", 0, ',"from":"1"'));
    const broken = Buffer.from(encodeLine(SEED, 2, undefined, "gap", 0, ',"from":1,,'));
    expect(entriesOf([odd, broken]).map((entry) => entry.type)).toEqual(["run", "run"]);
  });
});

describe("every change of one byte is found, and costs no line but its own", () => {
  const before = verifiedOf(entriesOf([SAMPLE]));
  const starts = [0];
  for (let at = 0; at < SAMPLE.length; at++) if (SAMPLE[at] === 0x0a) starts.push(at + 1);
  const lineAt = (at: number): number => starts.filter((start) => start <= at).length - 1;
  const records = [0, 1, 2, 3]; // the sample's lines that are numbered, by their place

  function check(bytes: Buffer, touched: readonly number[], what: string): void {
    const entries = entriesOf([bytes]);
    assertCovers(entries, bytes.length);
    expect(entries.some(isWrong), what).toBe(true);
    const kept = records.filter((i) => !touched.includes(i)).map((i) => before[i]);
    const after = verifiedOf(entries);
    expect(
      after.filter((text) => kept.includes(text)),
      what,
    ).toEqual(kept);
    expect(
      after.filter((text) => !before.includes(text)),
      what,
    ).toEqual([]);
  }

  test("flips of each bit", () => {
    for (let at = 0; at < SAMPLE.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bytes = Buffer.from(SAMPLE);
        bytes[at] = (bytes[at] as number) ^ (1 << bit);
        // A line break that turned into something else costs nobody: both lines are whole.
        check(bytes, SAMPLE[at] === 0x0a ? [] : [lineAt(at)], `bit ${bit} of byte ${at}`);
      }
    }
  });

  test("deletions", () => {
    for (let at = 0; at < SAMPLE.length; at++) {
      const bytes = Buffer.concat([SAMPLE.subarray(0, at), SAMPLE.subarray(at + 1)]);
      check(bytes, SAMPLE[at] === 0x0a ? [] : [lineAt(at)], `byte ${at}`);
    }
  });

  test("insertions", () => {
    for (let at = 0; at <= SAMPLE.length; at++) {
      for (const byte of [0x00, 0x0a, 0x0d, 0x20, 0x30, 0x7b, 0x7d, 0xff]) {
        const bytes = Buffer.concat([SAMPLE.subarray(0, at), Buffer.of(byte), SAMPLE.subarray(at)]);
        check(bytes, starts.includes(at) ? [] : [lineAt(at)], `${byte} at ${at}`);
      }
    }
  });

  test("cuts at each byte but the ends of lines, which only what is outside the log can tell", () => {
    for (let at = 1; at < SAMPLE.length; at++) {
      if (starts.includes(at)) continue;
      const entries = entriesOf([SAMPLE.subarray(0, at)]);
      assertCovers(entries, at);
      expect(entries.some(isWrong), `cut at ${at}`).toBe(true);
      expect(verifiedOf(entries)).toEqual(before.slice(0, lineAt(at) + (SAMPLE[at] === 0x0a ? 1 : 0)));
    }
  });
});

test("two scans that take turns do not disturb each other", () => {
  const bytes = Buffer.concat([line(5), line(6), line(9), gap(11, 10, 10), line(12), line(20)]);
  const facts = (entry: Entry): unknown =>
    entry.type === "run" ? [entry.firstSeq, entry.lastSeq] : entry.type === "gap" ? entry.record.seq : entry.type;
  const alone = entriesOf([bytes]).map(facts);
  const between: unknown[] = [];
  for (const entry of new LineScanner(SEED, 0).push(bytes)) {
    between.push(facts(entry));
    entriesOf([SAMPLE]);
  }
  expect(between).toEqual(alone);
});

describe("chunks do not matter", () => {
  const pieces = fc.oneof(
    fc.integer({ min: 1, max: 6 }).map((seq) => line(seq)),
    fc.constantFrom(gap(7, 2, 3), SEAL, withoutBreak(line(4)), withoutBreak(SEAL), withoutBreak(gap(8, 1, 1))),
    fc.constantFrom(
      line(3).subarray(0, 40),
      line(3).subarray(12),
      Buffer.from("\n"),
      Buffer.from('{"seq":'),
      Buffer.alloc(9),
    ),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  );

  /** Entries with runs taken apart, since where a run ends depends on the chunks. */
  const facts = (entries: readonly Entry[]): string[] =>
    entries.flatMap((entry) =>
      entry.type === "damage"
        ? [`${entry.offset}+${entry.length} ${entry.kind} ${entry.lines} ${entry.detail}`]
        : entry.type === "unchecked"
          ? []
          : [
              ...verifiedOf([entry]).map((text) => `${text} ${String(entry.unterminated)}`),
              ...(entry.type === "control" ? ["control"] : []),
            ],
    );

  test("the same bytes in any chunks give the same findings and the same records", () => {
    fc.assert(
      fc.property(
        fc.array(pieces, { maxLength: 8 }),
        fc.array(fc.nat({ max: 400 }), { maxLength: 12 }),
        (parts, cuts) => {
          const bytes = Buffer.concat(parts);
          const whole = entriesOf([bytes]);
          assertCovers(whole, bytes.length);
          const chunks: Buffer[] = [];
          let from = 0;
          for (const cut of cuts) {
            chunks.push(bytes.subarray(from, from + cut));
            from += cut;
          }
          chunks.push(bytes.subarray(from));
          const single = [...bytes].map((byte) => Buffer.of(byte));
          for (const given of [chunks, single]) {
            const entries = entriesOf(given);
            assertCovers(entries, bytes.length);
            expect(facts(entries)).toEqual(facts(whole));
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test("what waits for its line break is known, and nothing is given out twice", () => {
    const scanner = new LineScanner(SEED, 10);
    const text = line(1);
    expect([...scanner.push(text.subarray(0, 30))]).toEqual([]);
    expect([scanner.pendingOffset, scanner.pendingBytes]).toEqual([10, 30]);
    expect([...scanner.push(Buffer.concat([text.subarray(30), Buffer.from("abc")]))]).toHaveLength(1);
    expect([scanner.pendingOffset, scanner.pendingBytes]).toEqual([10 + text.length, 3]);
    expect([...scanner.end()]).toHaveLength(1);
    expect(scanner.pendingBytes).toBe(0);
    expect([...scanner.end()]).toEqual([]);
  });
});

describe("what is said of damage", () => {
  test.each<[string, Buffer, string, RegExp, number]>([
    ["an empty line", Buffer.from("\n"), "malformed-line", /empty/, 1],
    ["zeros", Buffer.alloc(512), "malformed-line", /512 zero bytes/, 0],
    [
      "zeros and a line break",
      Buffer.concat([Buffer.alloc(5), Buffer.from("\n")]),
      "malformed-line",
      /5 zero bytes/,
      1,
    ],
    ["no JSON", Buffer.from("{nope}\n"), "malformed-line", /not a JSON object/, 1],
    ["an array", Buffer.from("[]\n"), "malformed-line", /not a JSON object/, 1],
    ["no checksum", Buffer.from('{"seq":1}\n'), "malformed-line", /no checksum/, 1],
    ["a wrong digit", Buffer.from(line(9).toString().replace('"n":9', '"n":8')), "checksum-mismatch", /seq 9/, 1],
  ])("%s", (_, bytes, kind, detail, breaks) => {
    const [damage] = damageOf(entriesOf([bytes]));
    expect(damage).toMatchObject({ offset: 0, length: bytes.length, kind, lines: breaks });
    expect(damage?.detail).toMatch(detail);
  });
});

describe("a log without checksums", () => {
  function scan(text: string): Entry[] {
    const scanner = new LineScanner(undefined, 0);
    return [...scanner.push(Buffer.from(text)), ...scanner.end()];
  }

  test("its objects are counted as unchecked, everything else is damage", () => {
    const entries = scan('{"a":1}\n{"b":2}\nnope\n[1]\n{"c":3}\n{"torn');
    assertCovers(entries, Buffer.byteLength('{"a":1}\n{"b":2}\nnope\n[1]\n{"c":3}\n{"torn'));
    expect(entries.map((entry) => (entry.type === "unchecked" ? entry.count : entry.type))).toEqual([
      2,
      "damage",
      "damage",
      1,
      "damage",
    ]);
  });
});
