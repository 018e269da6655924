import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LogLedger } from "../../src/log/ledger.ts";
import type { Reach } from "../../src/log/ledger.ts";
import { accountOf, brief, concat, gap, line, withoutBreak } from "./sample.ts";

const exact = (seq: number): Reach => ({ seq, exact: true });
const damaged = (seq: number): Buffer =>
  Buffer.from(
    line(seq)
      .toString()
      .replace(`"n":${seq}`, `"n":${seq + 5}`),
  );
describe("damage and the seqs it concerns", () => {
  test("as many damaged lines as seqs are missing: each gets its own", () => {
    const log = [concat(line(1), damaged(2), damaged(3), line(4))];
    expect(brief(accountOf(log, exact(4)))).toEqual([
      "checksum-mismatch 2..2 lost 2..2 remove",
      "checksum-mismatch 3..3 lost 3..3 remove",
    ]);
  });

  test("otherwise each gets them all", () => {
    const log = [concat(line(1), damaged(2), line(5))];
    expect(brief(accountOf(log, exact(5)))).toEqual(["checksum-mismatch 2..4 lost 2..4 remove"]);
  });

  test("a file that cannot be read explains what is missing behind it", () => {
    const ledger = new LogLedger("events", 10);
    ledger.startSegment("s1", 1);
    ledger.report("unreadable", { offset: 0, length: 99, detail: "no identity" }, { type: "none" });
    ledger.endSegment(99);
    const seen = (reach?: Reach): string[] => brief(ledger.finish(reach));
    expect(seen(exact(7))).toEqual(["unreadable 1..7 lost 1..7 none"]);
  });

  test("an identity that is mended lost nothing", () => {
    const ledger = new LogLedger("events", 10);
    ledger.startSegment("s1", 1);
    ledger.report(
      "malformed-line",
      { offset: 0, length: 9, detail: "identity" },
      { type: "identity", line: Buffer.alloc(1) },
    );
    ledger.endSegment(9);
    expect(brief(ledger.finish(exact(0)))).toEqual(["malformed-line - none identity"]);
  });
});

describe("bounds", () => {
  test("all findings are counted, the first are kept", () => {
    const log = [
      concat(
        line(1),
        Array.from({ length: 50 }, () => line(1)),
        line(2),
      ),
    ];
    const account = accountOf(log, undefined, 5);
    expect(account.findings).toHaveLength(5);
    expect(account.counts).toEqual({ duplicate: 50 });
  });

  test("more damage than can be kept becomes one finding, that still covers all its bytes", () => {
    const junk = Array.from({ length: 20 }, () => Buffer.from("junk\n"));
    const account = accountOf([concat(line(1), junk, line(22)), concat(line(23))], exact(23), 4);
    expect(account.findings).toHaveLength(4);
    const covered = account.findings.reduce((sum, { length }) => sum + length, 0);
    expect(covered).toBe(20 * 5);
    expect(account.findings.every(({ length }) => length > 0)).toBe(true);
  });

  test("damage of another file is never merged into one finding", () => {
    const junk = concat(Array.from({ length: 9 }, () => Buffer.from("junk\n")));
    const account = accountOf([junk, junk, junk], undefined, 3);
    for (const { offset, length, file } of account.findings) {
      expect(offset + length, file).toBeLessThanOrEqual(junk.length);
      expect(length).toBeGreaterThan(0);
    }
  });
});

test("the sum: every seq from 1 to the last is present, accounted for or missing, whatever was done to the log", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 12 }).map((seq) => ({ seq, bytes: line(seq) })) },
    fc
      .tuple(
        fc.integer({ min: 1, max: 16 }),
        fc.integer({ min: 1, max: 12 }),
        fc.nat({ max: 5 }),
        fc.constantFrom("compacted", "quarantined", "lost"),
      )
      .map(([least, from, more, reason]) => {
        const seq = Math.max(least, from + more + 1); // it stands behind what it accounts for
        return { seq, bytes: gap(seq, from, from + more, reason) };
      }),
    fc.integer({ min: 1, max: 12 }).map((seq) => ({ seq, bytes: withoutBreak(line(seq)) })),
    fc.constant({ seq: 0, bytes: Buffer.from("junk\n") }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.array(step, { maxLength: 8 }), { maxLength: 3 }),
      fc.option(fc.nat({ max: 20 }), { nil: undefined }),
      fc.boolean(),
      (files, seq, isExact) => {
        const reach = seq === undefined ? undefined : { seq, exact: isExact };
        const account = accountOf(
          files.map((steps) => concat(steps.map(({ bytes }) => bytes))),
          reach,
        );
        const present = new Set(
          files
            .flat()
            .map((one) => one.seq)
            .filter((one) => one > 0),
        );
        expect(account.present).toBe(present.size);
        expect(account.lastSeq).toBe(Math.max(0, ...present, seq ?? 0));
        expect(account.present + account.compacted + account.quarantined + account.lost + account.missing).toBe(
          account.lastSeq,
        );
        expect(account.nextSeq).toBeGreaterThan(account.lastSeq);
        const counted = Object.values(account.counts).reduce((sum, count) => sum + count, 0);
        expect(counted).toBe(account.findings.length);
        // What is missing has a finding that names it or bytes that explain it.
        for (const { from, to } of account.missingSeqs) {
          for (let one = from; one <= to; one++) {
            const named = account.findings.some((f) => f.seqs !== undefined && f.seqs.from <= one && one <= f.seqs.to);
            expect(named).toBe(true);
          }
        }
      },
    ),
    { numRuns: 3000 },
  );
});
