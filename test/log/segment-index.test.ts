import fc from "fast-check";
import { expect, test } from "vitest";
import {
  bucketOf,
  decodeBucket,
  decodeIndexHead,
  decodeOffsets,
  encodeSegmentIndex,
  offsetsAt,
  type Place,
  type ReadHead,
} from "../../src/log/segment-index.ts";
import { INDEX_DIR, indexName, parseFileName } from "../../src/log/segments.ts";

const FACTS = { seal: "ab".repeat(32), sealAt: 4711, runs: [{ from: 3, to: 9 }], gaps: [] };

/** A cache of these actors, each with places in the order of the log. */
const cacheOf = (actors: ReadonlyMap<string, readonly Place[]>): Buffer => encodeSegmentIndex(FACTS, [...actors]);

function lookUp(cache: Buffer, id: string): readonly Place[] | undefined {
  const read = decodeIndexHead(cache) as ReadHead;
  const bucket = bucketOf(id, read.head.buckets);
  const [from, to] = decodeOffsets(cache.subarray(...offsetsAt(read, bucket)));
  const actors = decodeBucket(read, bucket, cache.subarray(from, to));
  if (actors === undefined) return undefined;
  const places = actors.get(id);
  const next = places?.begin();
  return Array.from({ length: places?.length ?? 0 }, () => next!());
}

test("every actor that was put in is found with its places, and nobody else", () => {
  const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
  const place = fc.record({ seq: count, revision: count, journalSeq: count, offset: count, length: count });
  const id = fc.string({ unit: "binary", maxLength: 8 });
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(id, fc.array(place, { minLength: 1 })), { selector: ([name]) => name }),
      id,
      (actors, other) => {
        const all = new Map(actors);
        const cache = cacheOf(all);
        for (const [name, places] of all) expect(lookUp(cache, name)).toEqual(places);
        expect(lookUp(cache, other)).toEqual(all.get(other) ?? []);
        expect((decodeIndexHead(cache) as ReadHead).head).toMatchObject(FACTS);
      },
    ),
  );
});

test("a history that stands together takes few bytes", () => {
  const places = Array.from({ length: 1000 }, (_, i) => ({
    seq: 5000 + i,
    revision: 1 + i,
    journalSeq: 5000 + i,
    offset: 1_000_000 + 255 * i,
    length: 254,
  }));
  const cache = cacheOf(new Map([["account/1", places]]));
  expect(lookUp(cache, "account/1")).toEqual(places);
  expect(cache.length).toBeLessThan(6 * 1000 + 300);
});

test("numbers that would not come back as they were are refused", () => {
  const place = { seq: 3, revision: 1.5, journalSeq: 3, offset: 100, length: 80 };
  expect(() => cacheOf(new Map([["a", [place]]]))).toThrow(RangeError);
});

test("an offset that leads to another bucket is noticed: nobody is taken for one who has no records", () => {
  const place = { seq: 3, revision: 1, journalSeq: 3, offset: 100, length: 80 };
  const ids = Array.from({ length: 40 }, (_, i) => `a/${i}`);
  const cache = cacheOf(new Map(ids.map((id) => [id, [place]])));
  const read = decodeIndexHead(cache) as ReadHead;
  expect(read.head.buckets).toBe(5);
  for (let bucket = 1; bucket < 5; bucket++) {
    const wrong = Buffer.from(cache);
    cache.copy(wrong, offsetsAt(read, bucket)[0], ...offsetsAt(read, bucket - 1));
    for (const id of ids.filter((each) => bucketOf(each, 5) === bucket)) expect(lookUp(wrong, id)).toBeUndefined();
  }
});

test("the caches have a directory of their own, and the names of their segments", () => {
  expect(parseFileName(INDEX_DIR)).toEqual({ type: "index" });
  expect(indexName("journal.00000000000000000043-00000000000000000998.g1.ndjson")).toBe(
    "journal.00000000000000000043-00000000000000000998.g1.index",
  );
});
