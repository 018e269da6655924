// The contract of damage: it is data. A scan says what is wrong and where, opening destroys nothing and goes on behind it.
// Recovery is in contract-recover.ts.
import assert from "node:assert/strict";
import type { AnomalyKind, SeqRange } from "../log/anomaly.ts";
import { scan, type ScanReport } from "../ops/scan.ts";
import {
  collect,
  type ContractCase,
  contractCase,
  type ContractStore,
  event,
  events,
  linesIn,
  refused,
  seqsOf,
  withStore,
} from "./contract-subject.ts";

export const SEGMENT = "journal.ndjson";
export const LAST = 6;

export interface DamageCase {
  readonly what: string;
  /** The new bytes, made of the old lines: 0 is the identity line, the others are at the index of their seq. */
  readonly damage: (lines: readonly Buffer[]) => readonly Uint8Array[];
  readonly kind: AnomalyKind;
  /** The lines that stand before the finding, and the seqs it concerns. */
  readonly behind: readonly number[];
  readonly seqs?: SeqRange;
  /** The seqs that are gone; empty when recovery loses nothing. */
  readonly gone: readonly number[];
}

/** Byte 40 of these lines is a digit of the whole seconds, however long the fraction is: what is flipped there still parses. */
function flipped(line: Buffer, at: number): Buffer {
  const copy = Buffer.from(line);
  copy[at]! ^= 1;
  return copy;
}

const without = (lines: readonly Buffer[], seq: number): Buffer[] => lines.filter((_, i) => i !== seq);
const instead = (lines: readonly Buffer[], seq: number, ...bytes: Uint8Array[]): Uint8Array[] =>
  lines.flatMap((line, i) => (i === seq ? bytes : [line]));
const one = (seq: number): SeqRange => ({ from: seq, to: seq });

export const DAMAGES: readonly DamageCase[] = [
  {
    what: "a flipped bit",
    damage: (lines) => instead(lines, 3, flipped(lines[3]!, 40)),
    kind: "checksum-mismatch",
    behind: [0, 1, 2],
    seqs: one(3),
    gone: [3],
  },
  {
    what: "a line that is no record",
    damage: (lines) => instead(lines, 3, Buffer.from("something else\n")),
    kind: "malformed-line",
    behind: [0, 1, 2],
    seqs: one(3),
    gone: [3],
  },
  {
    what: "a line that is gone",
    damage: (lines) => without(lines, 3),
    kind: "sequence-gap",
    behind: [0, 1, 2],
    seqs: one(3),
    gone: [3],
  },
  {
    what: "the first line gone",
    damage: (lines) => without(lines, 1),
    kind: "sequence-gap",
    behind: [0],
    seqs: one(1),
    gone: [1],
  },
  {
    what: "a line that stands there twice",
    damage: (lines) => instead(lines, 3, lines[3]!, lines[3]!),
    kind: "duplicate",
    behind: [0, 1, 2, 3],
    seqs: one(3),
    gone: [],
  },
  {
    what: "two lines in the wrong order",
    damage: (lines) => without(instead(lines, 4, lines[4]!, lines[3]!) as Buffer[], 3),
    kind: "out-of-order",
    behind: [0, 1, 2, 4],
    seqs: one(3),
    gone: [],
  },
  {
    what: "a lost line break",
    damage: (lines) => instead(lines, 3, lines[3]!.subarray(0, -1)),
    kind: "malformed-line",
    behind: [0, 1, 2, 3],
    seqs: one(3),
    gone: [],
  },
  {
    what: "a damaged identity line",
    damage: (lines) => instead(lines, 0, flipped(lines[0]!, 5)),
    kind: "malformed-line",
    behind: [],
    gone: [],
  },
  {
    what: "a lost identity line",
    damage: (lines) => without(lines, 0),
    kind: "malformed-line",
    behind: [],
    gone: [],
  },
  {
    what: "a log cut at a line",
    damage: (lines) => lines.slice(0, 5),
    kind: "truncated",
    behind: [0, 1, 2, 3, 4],
    seqs: { from: 5, to: 6 },
    gone: [5, 6],
  },
  {
    what: "a log cut inside a line",
    damage: (lines) => instead(lines, 6, lines[6]!.subarray(0, 50)),
    kind: "truncated",
    behind: [0, 1, 2, 3, 4, 5],
    seqs: one(6),
    gone: [6],
  },
  {
    what: "the rest of an unfinished write",
    damage: (lines) => [...lines, Buffer.from('{"seq":7,"kind":"eve')],
    kind: "torn-tail",
    behind: [0, 1, 2, 3, 4, 5, 6],
    gone: [],
  },
  {
    what: "zeros behind the end",
    damage: (lines) => [...lines, Buffer.alloc(700)],
    kind: "torn-tail",
    behind: [0, 1, 2, 3, 4, 5, 6],
    gone: [],
  },
];

/** Six records in the journal and two events; the lines of the journal. */
export async function written(place: ContractStore): Promise<Buffer[]> {
  await withStore(place.backend(), async (store) => {
    for (const batch of [events(1, 1), events(2, 3), events(4, 4), events(5, 6)]) await store.append("journal", batch);
    await store.append("events", events(1, 2));
  });
  return linesIn(Buffer.from(await place.segmentBytes(SEGMENT)));
}

export async function damaged(
  place: ContractStore,
  { damage }: DamageCase,
): Promise<{ lines: Buffer[]; before: Buffer }> {
  const lines = await written(place);
  const before = Buffer.concat(damage(lines));
  await place.putSegment(SEGMENT, before);
  return { lines, before };
}

/** Every seq is present, accounted for, or missing. */
export function assertSum(report: ScanReport): void {
  for (const { log, lastSeq, records, accounted, missing } of report.logs) {
    const { compacted, quarantined, lost } = accounted;
    assert.equal(records + compacted + quarantined + lost + missing, lastSeq, `the sum of ${log}`);
  }
}

const scans: readonly ContractCase[] = DAMAGES.map((row) =>
  contractCase(
    `scan finds ${row.what}: ${row.kind}`,
    async (place) => {
      const { lines, before } = await damaged(place, row);
      const report = await scan(place.backend());
      assert.equal(report.ok, false);
      assert.deepEqual(report.counts, { [row.kind]: 1 });
      const [anomaly] = report.anomalies;
      assert.ok(anomaly !== undefined);
      assert.deepEqual([anomaly.log, anomaly.file, anomaly.seqs], ["journal", SEGMENT, row.seqs]);
      const offset = row.behind.reduce((sum, line) => sum + lines[line]!.length, 0);
      assert.equal(anomaly.offset, offset - (row.what === "a lost line break" ? 1 : 0));
      assert.equal(anomaly.acknowledged, row.gone.length > 0 ? "lost" : "none");
      assert.deepEqual(anomaly.lostSeqs, row.gone.length > 0 ? row.seqs : undefined);
      assert.equal(report.startable, row.kind === "torn-tail");
      assertSum(report);
      assert.equal(report.logs.find((log) => log.log === "journal")?.records, LAST - row.gone.length);
      assert.ok(Buffer.from(await place.segmentBytes(SEGMENT)).equals(before), "the scan changed nothing");
    },
    { needs: ["damage"] },
  ),
);

const opens: readonly ContractCase[] = DAMAGES.map((row) =>
  contractCase(
    `opening behind ${row.what} destroys nothing and uses new seqs`,
    async (place) => {
      const { before } = await damaged(place, row);
      await withStore(place.backend(), async (store) => {
        assert.equal((await store.append("journal", [event("new")])).firstSeq, LAST + 1);
        assert.equal((await store.append("events", [event("new")])).firstSeq, 3);
        const misplaced = row.kind === "out-of-order" || row.kind === "duplicate";
        if (row.gone.length > 0 || misplaced) await refused(collect(store.read("journal")), "LOG_DAMAGED");
        else assert.deepEqual(await seqsOf(store.read("journal")), [1, 2, 3, 4, 5, 6, 7]);
        if (!misplaced) assert.deepEqual(await seqsOf(store.read("journal", { from: LAST + 1 })), [LAST + 1]);
      });
      const view = await place.backend().view();
      const all = await Promise.all(
        view.segments.filter(({ log }) => log === "journal").map(({ name }) => place.segmentBytes(name)),
      );
      assert.ok(
        all.some((bytes) => Buffer.from(bytes).subarray(0, before.length).equals(before)),
        "the damaged bytes are all still there",
      );
      const after = await scan(place.backend());
      assertSum(after);
      assert.equal(after.logs.find((log) => log.log === "journal")?.lastSeq, LAST + 1);
    },
    { needs: ["damage"] },
  ),
);

export const damageCases: readonly ContractCase[] = [...scans, ...opens];
