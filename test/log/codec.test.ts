import { deepStrictEqual } from "node:assert";
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isPapyraError } from "../../src/errors.ts";
import {
  decodeIdentity,
  decodeRecord,
  encodeControlLine,
  encodeFields,
  encodeIdentity,
  encodeLine,
  parseObject,
  seedOf,
  SUFFIX_BYTES,
  verifies,
} from "../../src/log/codec.ts";
import type { GapRecord } from "../../src/log/record.ts";
import { IDENTITY, IDENTITY_LINE, line, SEED, withoutBreak } from "./sample.ts";

/** JSON values as a program has them, with the strings and keys that have hurt others. */
const nasty = fc.constantFrom(
  "__proto__",
  "constructor",
  "\u2028\u2029",
  "\ud800",
  "\udfff x",
  '\0\n\r\t"\\',
  "😀",
  "\ufeff",
  '{"seq":',
  ',"crc":"00000000"}',
);
const anyString = fc.oneof(fc.string({ unit: "binary" }), fc.string(), nasty);
const anyNumber = fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (Object.is(n, -0) ? 0 : n));
const { value: anyJson } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    fc.oneof(anyString, anyNumber, fc.boolean(), fc.constant(null), fc.integer()),
    fc.array(tie("value"), { maxLength: 5 }),
    fc
      .array(fc.tuple(anyString, tie("value")), { maxLength: 5 })
      .map((members) => Object.fromEntries(members) as unknown),
  ),
}));

describe("a record survives its line", () => {
  test("decode(encode(record)) is the record", () => {
    fc.assert(
      fc.property(
        anyJson,
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        fc.option(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), { nil: undefined }),
        fc.integer({ min: 0, max: 4_102_444_800_000 }),
        anyString,
        (payload, seq, durable, timestampMs, address) => {
          const fields = { system_id: "local", actor_address: address, event_type: "Tick", payload };
          const text = encodeLine(SEED, seq, durable, "event", timestampMs, encodeFields(fields));
          const bytes = Buffer.from(text);
          expect(text.indexOf("\n")).toBe(text.length - 1);
          expect(verifies(SEED, bytes, 0, bytes.length - 1)).toBe(true);
          const { crc, ...record } = decodeRecord(bytes) as unknown as Record<string, unknown>;
          const mark = durable === undefined ? {} : { durable };
          deepStrictEqual(record, { seq, ...mark, kind: "event", timestamp: timestampMs / 1000, ...fields });
          expect(crc).toMatch(/^[0-9a-f]{8}$/);
          expect(Math.round((record.timestamp as number) * 1000)).toBe(timestampMs);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("the order of the members and the width of the suffix are fixed", () => {
    const text = line(42, { a: 1 }, 41).toString();
    expect(text.replace(/"crc":"[0-9a-f]{8}"/, '"crc":"?"')).toBe(
      '{"seq":42,"durable":41,"kind":"event","timestamp":1767225600.042,"system_id":"local","actor_address":"local://a/42","event_type":"Tick","payload":{"a":1},"crc":"?"}\n',
    );
    expect(text.slice(-SUFFIX_BYTES - 1, -10)).toBe(',"crc":"' + text.slice(-11, -10));
  });

  test("a known line, computed by another program, verifies", () => {
    const identity = '{"papyra":1,"log":"events","store":"orders-7f3a91c2","lineage":"b1"}\n';
    const body =
      '{"seq":42,"kind":"event","timestamp":1767225600.123,"system_id":"local","actor_address":"local://orders/42","event_type":"ActorStarted","payload":{}';
    const program =
      "import sys,zlib; print('%08x' % zlib.crc32(sys.argv[2].encode(), zlib.crc32(sys.argv[1].encode())))";
    const crc = execFileSync("python3", ["-c", program, identity, body], { encoding: "utf8" }).trim();
    const bytes = Buffer.from(`${body},"crc":"${crc}"}`);
    expect(encodeIdentity(IDENTITY)).toBe(identity);
    expect(verifies(seedOf(identity), bytes, 0, bytes.length)).toBe(true);
    const fields = { system_id: "local", actor_address: "local://orders/42", event_type: "ActorStarted", payload: {} };
    expect(encodeLine(SEED, 42, undefined, "event", 1_767_225_600_123, encodeFields(fields))).toBe(
      `${bytes.toString()}\n`,
    );
  });

  test("a checksum of few digits is padded", () => {
    const padded = Array.from({ length: 2000 }, (_, seq) => line(seq + 1).toString()).filter((text) =>
      text.includes('"crc":"00'),
    );
    expect(padded.length).toBeGreaterThan(0);
    for (const text of padded) expect(verifies(SEED, Buffer.from(text), 0, Buffer.byteLength(text) - 1)).toBe(true);
  });

  test("a kind of a later release is kept whole", () => {
    const bytes = Buffer.from(encodeLine(SEED, 1, undefined, "hologram", 1000, encodeFields({ colour: "blue" })));
    expect(decodeRecord(bytes)).toMatchObject({
      kind: "unknown",
      seq: 1,
      fields: { kind: "hologram", colour: "blue" },
    });
  });

  test("a gap", () => {
    const fields = encodeFields({ from: 2, to: 4, reason: "lost", by: "me" });
    const record = decodeRecord(Buffer.from(encodeLine(SEED, 9, undefined, "gap", 0, fields))) as GapRecord;
    expect([record.from, record.to, record.reason]).toEqual([2, 4, "lost"]);
  });

  test("a line that verifies and is not JSON is refused by its code", () => {
    const bytes = Buffer.from('{"seq":1,oops}');
    expect(() => decodeRecord(bytes)).toThrow(expect.objectContaining({ code: "LOG_DAMAGED" }));
  });
});

describe("a line that is not as it was written does not verify", () => {
  const whole = withoutBreak(line(7, { text: "grün \u2028", list: [1, 2] }, 6));

  test("every flip of every bit", () => {
    for (let at = 0; at < whole.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = Buffer.from(whole);
        flipped[at] = (flipped[at] as number) ^ (1 << bit);
        expect(verifies(SEED, flipped, 0, flipped.length), `bit ${bit} of byte ${at}`).toBe(false);
      }
    }
  });

  test("every cut, from either end", () => {
    for (let at = 0; at < whole.length; at++) expect(verifies(SEED, whole, 0, at)).toBe(false);
    for (let at = 1; at <= whole.length; at++) expect(verifies(SEED, whole, at, whole.length)).toBe(false);
  });

  test("a line of another log, store or lineage", () => {
    for (const change of [{ log: "journal" }, { store: "orders-7f3a91c3" }, { lineage: "b2" }] as const) {
      expect(verifies(seedOf(encodeIdentity({ ...IDENTITY, ...change })), whole, 0, whole.length)).toBe(false);
    }
  });

  test("its place in a buffer does not matter, its ends do", () => {
    const buffer = Buffer.concat([Buffer.from("xx"), whole, Buffer.from("yy")]);
    expect(verifies(SEED, buffer, 2, 2 + whole.length)).toBe(true);
    expect(verifies(SEED, buffer, 1, 2 + whole.length)).toBe(false);
    expect(verifies(SEED, buffer, 2, 3 + whole.length)).toBe(false);
  });
});

describe("what JSON would change is refused, with its place", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = { deeper: cyclic };
  const deep: unknown[] = [];
  let innermost = deep;
  for (let i = 0; i < 250; i++) innermost.push((innermost = []));
  const sparse = [1];
  sparse[2] = 3;
  class Money {
    readonly cents = 5;
  }
  test.each<[string, unknown, string]>([
    ["NaN", { list: [1, Number.NaN] }, "payload.list[1]"],
    ["infinity", { n: Number.POSITIVE_INFINITY }, "payload.n"],
    ["-0", { n: -0 }, "payload.n"],
    ["a BigInt", { n: 1n }, "payload.n"],
    ["undefined in an array", [1, undefined], "payload[1]"],
    ["undefined in an object", { gone: undefined }, "payload.gone"],
    ["a hole", sparse, "payload"],
    ["a Date", { at: new Date(0) }, "payload.at"],
    ["a Map", { map: new Map() }, "payload.map"],
    ["a class", { price: new Money() }, "payload.price"],
    ["an array of a class of its own", { list: new (class extends Array<number> {})(2).fill(1) }, "payload.list"],
    ["a Buffer", { bytes: Buffer.from("x") }, "payload.bytes"],
    ["a function", { call: () => 1 }, "payload.call"],
    ["a symbol", { s: Symbol("s") }, "payload.s"],
    ["a symbol key", { o: { [Symbol("s")]: 1 } }, "payload.o"],
    ["toJSON", { o: { toJSON: () => 1 } }, "payload.o"],
    ["a cycle", cyclic, "payload.self.deeper"],
    ["what is nested too deep", deep, "payload[0]"],
  ])("%s", (_, payload, path) => {
    let thrown: unknown;
    try {
      encodeFields({ payload });
    } catch (error) {
      thrown = error;
    }
    expect(isPapyraError(thrown, "RECORD_INVALID")).toBe(true);
    expect((thrown as { details: { path: string } }).details.path).toContain(path);
  });

  test("a cycle is found at its first turn, not at the depth that is too deep", () => {
    const details = { path: "payload[0].self.deeper", what: "a value that contains itself" };
    expect(() => encodeFields({ payload: [cyclic] })).toThrow(expect.objectContaining({ details }));
  });

  test("the same object twice is no cycle, and an object without prototype is plain", () => {
    const shared = { n: 1 };
    const bare = Object.assign(Object.create(null) as object, { a: shared, b: [shared, shared] });
    expect(encodeFields({ payload: bare })).toBe(',"payload":{"a":{"n":1},"b":[{"n":1},{"n":1}]}');
  });

  test("a field that is undefined is left out", () => {
    expect(encodeFields({ a: undefined, b: null })).toBe(',"b":null');
  });
});

describe("identity lines", () => {
  test("say what they were made of", () => {
    fc.assert(
      fc.property(anyString, anyString, (store, lineage) => {
        const identity = { log: "journal", store, lineage } as const;
        expect(decodeIdentity(Buffer.from(encodeIdentity(identity)))).toEqual(identity);
      }),
    );
  });

  test.each([
    ["{}", undefined],
    ["", undefined],
    ["[1]", undefined],
    ['{"papyra":1}', undefined],
    ['{"papyra":1,"log":"nope","store":"s","lineage":"l"}', undefined],
    ['{"papyra":1,"log":"events","store":5,"lineage":"l"}', undefined],
    ['{"papyra":2,"anything":true}', { unknownVersion: 2 }],
    ['{"papyra":"1","log":"events","store":"s","lineage":"l"}', { unknownVersion: "1" }],
  ])("%s", (text, expected) => {
    expect(decodeIdentity(Buffer.from(`${text}\n`))).toEqual(expected);
  });
});

test("invalid UTF-8 is never decoded to something else", () => {
  expect(parseObject(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toBeUndefined();
  expect(parseObject(Buffer.from('\ufeff{"ok":1}'))).toBeUndefined();
  expect(parseObject(Buffer.from('{"ok":1}'))).toEqual({ ok: 1 });
});

test("a control line has a checksum and no seq", () => {
  const text = encodeControlLine(SEED, "seal", { records: 1 });
  expect(text).toMatch(/^\{"kind":"seal","records":1,"crc":"[0-9a-f]{8}"\}\n$/);
  expect(verifies(SEED, Buffer.from(text), 0, text.length - 1)).toBe(true);
  expect(IDENTITY_LINE.at(-1)).toBe(0x0a);
});
