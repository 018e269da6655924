import { describe, expect, test } from "vitest";
import type { Reach } from "../../src/log/ledger.ts";
import { accountOf, brief, concat, gap, line, lines, SEAL, withoutBreak } from "./sample.ts";

const exact = (seq: number): Reach => ({ seq, exact: true });
const lagging = (seq: number): Reach => ({ seq, exact: false });
const damaged = (seq: number): Buffer =>
  Buffer.from(
    line(seq)
      .toString()
      .replace(`"n":${seq}`, `"n":${seq + 5}`),
  );
describe("a healthy log", () => {
  test("has an account and no findings", () => {
    expect(accountOf([concat(lines(1, 4), SEAL), concat(lines(5, 9))], exact(9))).toEqual({
      lastSeq: 9,
      present: 9,
      compacted: 0,
      quarantined: 0,
      lost: 0,
      missing: 0,
      missingSeqs: [],
      unpromisedSeqs: [],
      absentSeqs: [],
      allowedSeqs: [],
      unchecked: 0,
      nextSeq: 10,
      endVouched: true,
      findings: [],
      counts: {},
    });
  });

  test("an empty one begins with seq 1", () => {
    expect(accountOf([])).toMatchObject({ lastSeq: 0, nextSeq: 1, endVouched: false, findings: [] });
    expect(accountOf([], exact(0))).toMatchObject({ nextSeq: 1, endVouched: true });
  });

  test("its end is vouched for by a mark that reaches it, or by an exact one", () => {
    const log = [concat(lines(1, 4))];
    expect([undefined, lagging(3), lagging(4), exact(3)].map((reach) => accountOf(log, reach).endVouched)).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });
});

describe("seqs that are missing", () => {
  test("within a file, at its beginning, and as a whole file", () => {
    expect(brief(accountOf([concat(lines(1, 3), lines(7, 8))], exact(8)))).toEqual([
      "sequence-gap 4..6 lost 4..6 none",
    ]);
    expect(brief(accountOf([concat(lines(3, 4))], exact(4)))).toEqual(["sequence-gap 1..2 lost 1..2 none"]);
    const files = [1, 7].map((firstSeq) => ({
      name: `f${firstSeq}`,
      firstSeq,
      bytes: concat(lines(firstSeq, firstSeq + 2)),
    }));
    const account = accountOf(files, exact(9));
    expect(brief(account)).toEqual(["missing-segment 4..6 lost 4..6 none"]);
    expect(account.findings[0]).toMatchObject({
      file: "f7",
      offset: 0,
      length: 0,
      detail: "seq 4 to 6 are missing before seq 7",
    });
    expect(account).toMatchObject({
      missing: 3,
      missingSeqs: [{ from: 4, to: 6 }],
      present: 6,
      lastSeq: 9,
      nextSeq: 10,
    });
  });

  test("a hole that a gap record accounts for is no finding, wherever the record stands", () => {
    for (const log of [
      [concat(lines(1, 2), line(6), gap(7, 3, 5))],
      [concat(lines(1, 2), line(6), lines(7, 20), gap(21, 3, 5))],
      [concat(lines(1, 2), line(6)), concat(lines(7, 8), gap(9, 3, 5))],
      [concat(gap(4, 1, 3))],
    ]) {
      const account = accountOf(log);
      expect(brief(account)).toEqual([]);
      expect(account.counts).toEqual({});
      expect(account.quarantined).toBe(3);
      expect(account.missing).toBe(0);
    }
  });

  test("what a gap record leaves out of a hole is missing, piece by piece", () => {
    const account = accountOf([concat(line(1), line(10), gap(11, 3, 4), gap(12, 7, 7, "compacted"))], exact(12));
    expect(brief(account)).toEqual([
      "sequence-gap 2..2 lost 2..2 none",
      "sequence-gap 5..6 lost 5..6 none",
      "sequence-gap 8..9 lost 8..9 none",
    ]);
    expect(account).toMatchObject({ quarantined: 2, compacted: 1, missing: 5, present: 4 });
    expect(account.counts).toEqual({ "sequence-gap": 3 });
  });

  test("seqs that two gap records name are counted once, and present ones not at all", () => {
    const log = concat(line(1), line(6), gap(7, 2, 4, "compacted"), gap(8, 3, 5, "lost"), gap(9, 6, 6, "lost"));
    expect(accountOf([log])).toMatchObject({ compacted: 3, lost: 1, present: 5, missing: 0, lastSeq: 9 });
  });

  test("a gap record without its line break accounts for its hole all the same", () => {
    const log = concat(line(1), line(4), withoutBreak(gap(5, 2, 3)));
    expect(brief(accountOf([log], exact(5)))).toEqual(["torn-tail 5..5 none terminate"]);
    expect(brief(accountOf([concat(log, line(6))], exact(6)))).toEqual(["malformed-line 5..5 none terminate"]);
  });
});

describe("lines in the wrong place", () => {
  test("two that are swapped: one is moved, and no seq is missing", () => {
    const log = concat(line(1), line(3), line(2), line(4));
    const account = accountOf([log], exact(4));
    expect(brief(account)).toEqual(["out-of-order 2..2 none move"]);
    const at = line(1).length;
    expect(account.findings[0]).toMatchObject({
      offset: at + line(3).length,
      length: line(2).length,
      repair: { type: "move", seq: 2, toFile: "s1", toOffset: at },
    });
    expect(account).toMatchObject({ present: 4, missing: 0 });
  });

  test("a late line fills its part of a hole; the rest stays missing", () => {
    const account = accountOf([concat(line(1), line(6)), concat(line(4), line(7))], exact(7));
    expect(brief(account)).toEqual([
      "sequence-gap 2..3 lost 2..3 none",
      "sequence-gap 5..5 lost 5..5 none",
      "out-of-order 4..4 none move",
    ]);
    expect(account.findings[2]).toMatchObject({ file: "s2", repair: { toFile: "s1", toOffset: line(1).length } });
  });

  test("a line that stands there twice, and a block", () => {
    expect(brief(accountOf([concat(line(1), line(2), line(2), line(3))], exact(3)))).toEqual([
      "duplicate 2..2 none remove",
    ]);
    const account = accountOf([concat(lines(1, 4), lines(2, 6))], exact(6));
    expect(brief(account)).toEqual([
      "duplicate 2..2 none remove",
      "duplicate 3..3 none remove",
      "duplicate 4..4 none remove",
    ]);
    expect(account).toMatchObject({ present: 6, missing: 0, counts: { duplicate: 3 } });
    const offsets = account.findings.map(({ offset, length }) => [offset, length]);
    const at = concat(lines(1, 4)).length;
    expect(offsets).toEqual([0, 1, 2].map((i) => [at + concat(lines(2, 1 + i)).length, line(2 + i).length]));
  });

  test("a second copy that lacks its line break goes as it is: nothing is put behind what is removed", () => {
    expect(brief(accountOf([concat(line(1), line(2), withoutBreak(line(2)), line(3))]))).toEqual([
      "duplicate 2..2 none remove",
    ]);
    expect(brief(accountOf([concat(line(1), withoutBreak(line(1)))]))).toEqual(["duplicate 1..1 none remove"]);
  });
});

describe("was acknowledged data lost?", () => {
  const middle = [concat(lines(1, 2), damaged(3), lines(4, 5))];

  test("of what is missing before the reach: yes, and which", () => {
    expect(brief(accountOf(middle, lagging(4)))).toEqual(["checksum-mismatch 3..3 lost 3..3 remove"]);
    expect(brief(accountOf(middle, exact(5)))).toEqual(["checksum-mismatch 3..3 lost 3..3 remove"]);
  });

  test("a later record that states `durable` vouches by itself", () => {
    const log = (durable: number): Buffer[] => [concat(lines(1, 2), damaged(3), line(4, { n: 4 }, durable), line(5))];
    expect(brief(accountOf(log(3)))).toEqual(["checksum-mismatch 3..3 lost 3..3 remove"]);
    expect(brief(accountOf(log(2)))).toEqual(["checksum-mismatch 3..3 unknown remove"]);
    const byGap = [concat(lines(1, 2), damaged(3), gap(4, 1, 1, "lost", 3))];
    expect(brief(accountOf(byGap))).toEqual(["checksum-mismatch 3..3 lost 3..3 remove"]);
  });

  test("nothing vouches: unknown. An exact mark before it: a torn write, whose end reached the disk", () => {
    expect(brief(accountOf(middle))).toEqual(["checksum-mismatch 3..3 unknown remove"]);
    expect(brief(accountOf(middle, lagging(2)))).toEqual(["checksum-mismatch 3..3 unknown remove"]);
    expect(brief(accountOf(middle, exact(2)))).toEqual(["torn-tail 3..3 none remove"]);
  });

  test("of a hole of several, only what was acknowledged for certain is named", () => {
    const log = [concat(lines(1, 2), lines(8, 9))];
    expect(brief(accountOf(log, lagging(5)))).toEqual(["sequence-gap 3..7 lost 3..5 none"]);
  });

  test("junk that stands between two neighbours took nothing with it", () => {
    expect(brief(accountOf([concat(line(1), Buffer.from("junk\n"), line(2))]))).toEqual([
      "malformed-line - none remove",
    ]);
  });
});

describe("the end of the log", () => {
  const torn = concat(lines(1, 3), line(4).subarray(0, 50));

  test("an unfinished line nobody was promised is harmless; without a witness it is not known", () => {
    expect(brief(accountOf([torn], exact(3)))).toEqual(["torn-tail - none remove"]);
    expect(brief(accountOf([torn], lagging(3)))).toEqual(["torn-tail - unknown remove"]);
    expect(brief(accountOf([torn]))).toEqual(["torn-tail - unknown remove"]);
  });

  test("an unfinished line that was acknowledged is lost data", () => {
    for (const reach of [exact(4), lagging(4)]) {
      const account = accountOf([torn], reach);
      expect(brief(account)).toEqual(["truncated 4..4 lost 4..4 remove"]);
      expect(account).toMatchObject({ missing: 1, lastSeq: 4, nextSeq: 5, present: 3, counts: { truncated: 1 } });
    }
  });

  test("a log cut clean at a line is noticed by its mark alone", () => {
    const log = [concat(lines(1, 3))];
    expect(brief(accountOf(log))).toEqual([]);
    const account = accountOf(log, lagging(5));
    expect(brief(account)).toEqual(["truncated 4..5 lost 4..5 none"]);
    expect(account.findings[0]).toMatchObject({ offset: log[0]?.length, length: 0, file: "s1" });
    expect(account).toMatchObject({ missing: 2, missingSeqs: [{ from: 4, to: 5 }], nextSeq: 6, lastSeq: 5 });
  });

  test("a whole line that lacks its line break is kept", () => {
    const account = accountOf([concat(lines(1, 2), withoutBreak(line(3)))], exact(3));
    expect(brief(account)).toEqual(["torn-tail 3..3 none terminate"]);
    expect(account).toMatchObject({ present: 3, nextSeq: 4, missing: 0 });
    const sealed = concat(line(1), withoutBreak(SEAL));
    expect(brief(accountOf([sealed, concat(line(2))]))).toEqual(["torn-tail - none terminate"]);
  });

  test("a missing line break before something else is not the end of a file", () => {
    expect(brief(accountOf([concat(withoutBreak(line(1)), SEAL)]))).toEqual(["malformed-line 1..1 none terminate"]);
    expect(brief(accountOf([concat(withoutBreak(line(1)), line(1))]))).toEqual([
      "malformed-line 1..1 none terminate",
      "duplicate 1..1 none remove",
    ]);
    expect(brief(accountOf([concat(withoutBreak(line(1)), Buffer.alloc(5))], exact(1)))).toEqual([
      "malformed-line 1..1 none terminate",
      "torn-tail - none remove",
    ]);
  });

  test("a torn file in the middle of the log, behind which writing went on", () => {
    expect(brief(accountOf([torn, concat(lines(4, 5))], exact(5)))).toEqual(["torn-tail - none remove"]);
    expect(brief(accountOf([torn, concat(lines(5, 6))], exact(6)))).toEqual(["truncated 4..4 lost 4..4 remove"]);
    expect(brief(accountOf([torn, concat(lines(5, 6))]))).toEqual(["torn-tail 4..4 unknown remove"]);
  });

  test("damaged whole lines at the end push the next seq behind all that they may have been", () => {
    const log = [concat(lines(1, 2), damaged(3), damaged(4))];
    expect(accountOf(log).nextSeq).toBe(5);
    expect(accountOf(log, lagging(2)).nextSeq).toBe(5);
    expect(accountOf(log, exact(2)).nextSeq).toBe(3);
    expect(brief(accountOf(log, exact(2)))).toEqual(["torn-tail - none remove", "torn-tail - none remove"]);
    expect(brief(accountOf(log))).toEqual(["checksum-mismatch - unknown remove", "checksum-mismatch - unknown remove"]);
  });
});
