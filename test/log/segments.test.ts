import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LOG_NAMES } from "../../src/log/record.ts";
import {
  activeName,
  closedName,
  compactedName,
  orderSegments,
  parseFileName,
  supersededSegments,
} from "../../src/log/segments.ts";
import { SEQ_MAX } from "../../src/log/seqs.ts";

const anyLog = fc.constantFrom(...LOG_NAMES);
const anySeq = fc.integer({ min: 1, max: SEQ_MAX });
const anyGeneration = fc.integer({ min: 0, max: 999_999_999 });

describe("file names", () => {
  test("a name that was built is parsed to what it was built from", () => {
    fc.assert(
      fc.property(anyLog, anySeq, anyGeneration, (log, firstSeq, generation) => {
        expect(parseFileName(closedName(log, firstSeq, generation))).toEqual({
          type: "closed",
          log,
          firstSeq,
          generation,
        });
        expect(parseFileName(activeName(log))).toEqual({ type: "active", log });
      }),
    );
  });

  test("a name that parses as a segment is the one that would be built: no two names mean the same file", () => {
    const pieces = fc.constantFrom(
      ...LOG_NAMES,
      ".",
      "00000000000000000001",
      "1",
      ".g1",
      ".g0",
      ".g01",
      ".ndjson",
      "g",
      " ",
      "\n",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 6 }), (parts) => {
        const name = parts.join("");
        const parsed = parseFileName(name);
        if (parsed.type === "closed") expect(closedName(parsed.log, parsed.firstSeq, parsed.generation)).toBe(name);
        if (parsed.type === "active") expect(activeName(parsed.log)).toBe(name);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["papyra.json", "store"],
    ["papyra.lock", "lock"],
    ["papyra.mark", "mark"],
    ["quarantine", "quarantine"],
    ["events.ndjson.tmp-0a1b2c3d", "temporary"],
    ["papyra.json.tmp-0a1b2c3d", "temporary"],
    ["events.ndjson.tmp-0A1B2C3D", "unexpected"],
    ["events.ndjson.bak", "unexpected"],
    ["Events.ndjson", "unexpected"],
    ["other.ndjson", "unexpected"],
    ["other.00000000000000000001.ndjson", "unexpected"],
    ["events.1.ndjson", "unexpected"],
    ["events.00000000000000000001.g0.ndjson", "unexpected"],
    ["events.00000000000000000001.g01.ndjson", "unexpected"],
    ["events.99999999999999999999.ndjson", "unexpected"],
    ["events.00000000000000000001.ndjson\n", "unexpected"],
    ["", "unexpected"],
  ])("%j is %s", (name, type) => {
    expect(parseFileName(name).type).toBe(type);
  });

  test("superseded is what begins within the seqs of a compacted one of a later generation", () => {
    const small = fc.integer({ min: 1, max: 12 });
    const file = fc.record({ first: small, more: fc.option(fc.nat(8)), generation: fc.integer({ min: 1, max: 3 }) });
    fc.assert(
      fc.property(fc.uniqueArray(file, { selector: (one) => JSON.stringify(one), maxLength: 10 }), (files) => {
        const named = files.map(({ first, more, generation }) => {
          const last = more === null ? undefined : first + more;
          const name =
            last === undefined
              ? closedName("events", first, generation)
              : compactedName("events", first, last, generation);
          return { name, first, last, generation };
        });
        const expected = named
          .filter((one) =>
            named.some(
              ({ first, last, generation }) =>
                last !== undefined && generation > one.generation && first <= one.first && one.first <= last,
            ),
          )
          .map(({ name }) => name);
        const names = named.map(({ name }) => name);
        expect([...supersededSegments(names, "events").keys()].sort()).toEqual([...new Set(expected)].sort());
      }),
    );
  });

  // Some hundred milliseconds; what looks at each one for each one takes more than ten billion steps.
  test("a hundred and fifty thousand compacted segments are put in order in one walk", { timeout: 10_000 }, () => {
    const names = Array.from({ length: 150_000 }, (_, i) => compactedName("events", i * 10 + 1, i * 10 + 10, 1));
    expect(orderSegments(names, "events")).toHaveLength(names.length);
  });

  test("segments come in the order of their seqs, then generations; the active one is last; other logs stay out", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(anySeq, fc.integer({ min: 0, max: 12 })), { selector: String, maxLength: 12 }),
        fc.boolean(),
        fc.infiniteStream(fc.nat()),
        (segments, active, order) => {
          const expected = [...segments]
            .sort(([a, g], [b, h]) => a - b || g - h)
            .map(([firstSeq, generation]) => closedName("journal", firstSeq, generation));
          if (active) expected.push(activeName("journal"));
          const keys = new Map(expected.map((name) => [name, order.next().value]));
          const shuffled = [...expected].sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0));
          const noise = ["papyra.json", activeName("events"), closedName("events", 3), "journal.ndjson.tmp-00000000"];
          expect(orderSegments([...noise, ...shuffled], "journal")).toEqual(expected);
        },
      ),
    );
  });
});
