// Where bytes are in a stream, by ids alone.
import { expect, test } from "vitest";
import {
  decodeEnd,
  decodeLayout,
  encodeEnd,
  encodeLayout,
  idAt,
  LayoutBuilder,
  offsetOf,
  parseId,
  parseIdBytes,
} from "../../src/redis/layout.ts";
import { redisStore } from "../../src/redis/index.ts";

test("ids of bytes are those of text, and what no number can hold is refused by both", () => {
  for (const id of ["0-0", "1767225600123-0", "1767225600123-8388608", "9007199254740991-9007199254740991"])
    expect(parseIdBytes(Buffer.from(id))).toEqual(parseId(id));
  for (const id of ["9007199254740993-0", "1-18446744073709551615"]) {
    expect(() => parseIdBytes(Buffer.from(id))).toThrow(/which Papyra never gives/);
    expect(() => parseId(id)).toThrow(/which Papyra never gives/);
  }
});

test("entries of others belong to the segment before them; deleted ones begin a new run", () => {
  const known = [
    { number: 10, name: "events.00000000000000000001.ndjson", bytes: 30, runs: [{ ms: 10, off: 0, at: 0 }] },
    { number: 20, name: "events.ndjson", bytes: 0, runs: [{ ms: 20, off: 0, at: 0 }] },
  ];
  const builder = new LayoutBuilder("events", known);
  const add = (ms: number, off: number, bytes: number): void =>
    builder.add({ id: { ms, off }, bytes }, Buffer.from("x"));
  add(10, 0, 10);
  add(10, 20, 10); // 10-10 was deleted
  add(15, 7, 5); // somebody else's
  add(20, 0, 8);
  add(20, 8, 8);
  const [closed, active] = builder.finish() as [(typeof known)[0], (typeof known)[0]];
  expect(closed).toMatchObject({ number: 10, bytes: 25 });
  expect(closed.runs.map(({ ms, off, at }) => [ms, off, at])).toEqual([
    [10, 0, 0],
    [10, 20, 10],
    [15, 7, 20],
  ]);
  expect(active).toMatchObject({ number: 20, bytes: 16, runs: [{ at: 0 }] });
  expect(offsetOf(closed, { ms: 10, off: 20 })).toBe(10);
  expect(idAt(closed, 22)?.id).toEqual({ ms: 15, off: 9 });
  expect(decodeLayout(encodeLayout([closed, active]))).toEqual([closed, active]);
});

test("notes that were damaged are none", () => {
  expect(decodeLayout("[[1")).toBeUndefined();
  expect(decodeLayout(undefined)).toBeUndefined();
  const end = { seq: 7, last: "1-2", bytes: 3, length: 4, next: "1-5" };
  expect(decodeEnd(encodeEnd(end))).toEqual(end);
  expect(decodeEnd("7 1-2 3 4")).toBeUndefined();
});

test.each([
  [{}, /name either `url` or `client`/],
  [{ url: "redis://h", systemId: "a b" }, /no braces, colons, slashes or spaces/],
  [{ url: "redis://h", systemId: "a", prefix: "{x}", hashTag: true }, /the prefix has no braces/],
  [{ url: "nonsense", systemId: "a" }, /no URL/],
  [{ url: "redis://h", systemId: "a", leaseMs: 1 }, /leaseMs/],
  [{ url: "redis://h", systemId: "a", requireDurability: "always" }, /requireDurability/],
  [{ url: "redis://h", systemId: "a", durability: "fsync" }, /knows no option `durability`/],
])("options %j are refused", (options, message) => {
  expect(() => redisStore(options as never)).toThrow(message);
});
