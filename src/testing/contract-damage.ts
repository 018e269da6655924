// The contract of damage: it is data. A scan says what is wrong and where, opening destroys nothing and goes on behind
// it, recovery keeps every healthy line and accounts for the rest.
import assert from "node:assert/strict";
import type { AnomalyKind, SeqRange } from "../log/anomaly.ts";
import { type RecoverMode, recover } from "../ops/recover.ts";
import { scan, type ScanReport } from "../ops/scan.ts";
import { assertStartable, startupCheck } from "../ops/startup.ts";
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

const SEGMENT = "journal.ndjson";
const LAST = 6;

interface DamageCase {
  readonly what: string;
  /** The new bytes, made of the old lines: 0 is the identity line, the others are at the index of their seq. */
  damage(lines: readonly Buffer[]): readonly Uint8Array[];
  readonly kind: AnomalyKind;
  /** The lines that stand before the finding, and the seqs it concerns. */
  readonly behind: readonly number[];
  readonly seqs?: SeqRange;
  /** The seqs that are gone; empty when recovery loses nothing. */
  readonly gone: readonly number[];
}

function flipped(line: Buffer, at: number): Buffer {
  const copy = Buffer.from(line);
  copy[at]! ^= 1;
  return copy;
}

const without = (lines: readonly Buffer[], seq: number): Buffer[] => lines.filter((_, i) => i !== seq);
const instead = (lines: readonly Buffer[], seq: number, ...bytes: Uint8Array[]): Uint8Array[] =>
  lines.flatMap((line, i) => (i === seq ? bytes : [line]));
const one = (seq: number): SeqRange => ({ from: seq, to: seq });

const DAMAGES: readonly DamageCase[] = [
  {
    what: "a flipped bit",
    damage: (lines) => instead(lines, 3, flipped(lines[3]!, 60)),
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
async function written(place: ContractStore): Promise<Buffer[]> {
  await withStore(place.backend(), async (store) => {
    for (const batch of [events(1, 1), events(2, 3), events(4, 4), events(5, 6)]) await store.append("journal", batch);
    await store.append("events", events(1, 2));
  });
  return linesIn(Buffer.from(await place.segmentBytes(SEGMENT)));
}

async function damaged(place: ContractStore, { damage }: DamageCase): Promise<{ lines: Buffer[]; before: Buffer }> {
  const lines = await written(place);
  const before = Buffer.concat(damage(lines));
  await place.putSegment(SEGMENT, before);
  return { lines, before };
}

/** Every seq is present, accounted for, or missing. */
function assertSum(report: ScanReport): void {
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

/** The bytes of a log, segment after segment, without identity lines. */
async function bodyOf(place: ContractStore): Promise<Buffer[]> {
  const view = await place.backend().view();
  const parts = view.segments.filter(({ log }) => log === "journal").map(({ name }) => place.segmentBytes(name));
  return (await Promise.all(parts)).flatMap((bytes) => linesIn(Buffer.from(bytes)).slice(1));
}

async function checkRecovery(place: ContractStore, row: DamageCase, mode: RecoverMode): Promise<void> {
  const { lines, before } = await damaged(place, row);
  const report = await recover(place.backend(), { mode });
  assert.ok(report.ok && report.changed, report.verdict);
  assert.ok(report.after.ok, report.after.verdict);
  assertSum(report.after);
  const after = Buffer.from(await place.segmentBytes(SEGMENT));
  assert.equal(before.length, after.length + report.removedBytes - report.insertedBytes, "before = after + removed");
  const healthy = lines.slice(1).filter((_, i) => !row.gone.includes(i + 1));
  const body = await bodyOf(place);
  assert.deepEqual(body.slice(0, healthy.length).map(String), healthy.map(String), "healthy lines byte for byte");
  assert.equal(body.length, healthy.length + report.gaps.length);
  const account = report.after.logs.find((log) => log.log === "journal");
  assert.equal(account?.missing, 0);
  const { compacted, quarantined, lost } = account!.accounted;
  assert.equal(compacted + quarantined + lost, row.gone.length);
  assert.deepEqual(
    report.gaps.map(({ from, to }) => ({ from, to })),
    row.gone.length > 0 ? [row.seqs] : [],
  );
  await checkKept(place, before, mode, report.quarantine);
  await checkSecondRun(place, mode);
  await withStore(place.backend(), async (store) => {
    const expected = [1, 2, 3, 4, 5, 6].filter((seq) => !row.gone.includes(seq));
    const gaps = report.gaps.map((_, i) => LAST + 1 + i);
    assert.deepEqual(await seqsOf(store.read("journal")), [...expected, ...gaps]);
    assert.equal((await store.append("journal", [event("new")])).firstSeq, LAST + 1 + gaps.length);
  });
  assert.ok((await scan(place.backend())).ok);
}

interface KeptEntry {
  readonly at: number;
  readonly offset: number;
  readonly length: number;
}

/** What was taken out in the first round is kept, byte for byte, with its place. */
async function checkKept(
  place: ContractStore,
  before: Buffer,
  mode: RecoverMode,
  dir: string | undefined,
): Promise<void> {
  const kept = await place.quarantined();
  if (mode !== "quarantine") {
    assert.equal(kept.size, 0);
    return;
  }
  for (const [name, content] of kept) {
    if (!name.endsWith(`${SEGMENT}.reasons.json`)) continue;
    assert.ok(dir !== undefined && name.includes(dir.slice(-10)), "the report names the quarantine");
    const { entries } = JSON.parse(String(content)) as { entries: KeptEntry[] };
    const bytes = kept.get(name.replace(/reasons\.json$/, "bytes"));
    for (const { at, offset, length } of entries) {
      assert.ok(bytes?.subarray(at, at + length).equals(before.subarray(offset, offset + length)));
    }
  }
}

async function checkSecondRun(place: ContractStore, mode: RecoverMode): Promise<void> {
  const bytesBefore = Buffer.concat(await bodyOf(place));
  const again = await recover(place.backend(), { mode });
  assert.deepEqual([again.ok, again.changed, again.actionCount, again.removedBytes], [true, false, 0, 0]);
  assert.ok(Buffer.concat(await bodyOf(place)).equals(bytesBefore), "a second run changes nothing");
}

const recoveries: readonly ContractCase[] = DAMAGES.flatMap((row) =>
  (["repair", "quarantine"] as const).map((mode) =>
    contractCase(`recover (${mode}) mends ${row.what}`, (place) => checkRecovery(place, row, mode), {
      needs: ["damage"],
    }),
  ),
);

const others: readonly ContractCase[] = [
  contractCase("a healthy store is left alone by scan, recovery and the start-up check", async (place) => {
    await withStore(place.backend(), (store) => store.append("journal", events(1, 3)));
    const report = await scan(place.backend());
    assert.ok(report.ok && report.startable, report.verdict);
    assertSum(report);
    for (const mode of ["ignore", "repair", "quarantine"] as const) {
      const recovered = await recover(place.backend(), { mode });
      assert.deepEqual([recovered.ok, recovered.changed, recovered.id], [true, false, undefined]);
    }
    for (const mode of ["ignore", "scan_only", "fail_on_anomaly", "recover"] as const) {
      assert.equal((await startupCheck(place.backend(), { mode })).ok, true);
    }
    assert.equal((await assertStartable(place.backend(), {})).ok, true);
  }),

  contractCase("a store that does not exist yet may be started, and only that", async (place) => {
    await refused(scan(place.backend()), "STORE_NOT_FOUND");
    await refused(recover(place.backend(), { mode: "repair" }), "STORE_NOT_FOUND");
    await refused(startupCheck(place.backend()), "STORE_NOT_FOUND");
    assert.equal((await assertStartable(place.backend(), {})).verdict, "a new store");
    await refused(place.backend().view(), "STORE_NOT_FOUND");
  }),

  contractCase(
    "the start-up check: ignore, scan_only, fail_on_anomaly, recover",
    async (place) => {
      await damaged(place, DAMAGES[0]!);
      assert.equal((await startupCheck(place.backend(), { mode: "ignore" })).scan, undefined);
      const looked = await startupCheck(place.backend(), { mode: "scan_only" });
      assert.deepEqual([looked.ok, looked.scan?.ok], [true, false]);
      assert.equal((await startupCheck(place.backend())).ok, false);
      const error = await refused(assertStartable(place.backend(), {}), "STARTUP_REFUSED");
      assert.match(String(error.hint), /papyra persistence recover/);
      const recovered = await assertStartable(place.backend(), { mode: "recover" });
      assert.deepEqual([recovered.ok, recovered.recovery?.changed], [true, true]);
      assert.equal((await startupCheck(place.backend())).ok, true);
    },
    { needs: ["damage"] },
  ),

  contractCase(
    "an unfinished write that nobody was promised is no reason not to start",
    async (place) => {
      await damaged(place, DAMAGES.find((row) => row.kind === "torn-tail")!);
      assert.equal((await startupCheck(place.backend())).ok, true);
    },
    { needs: ["damage"] },
  ),

  contractCase(
    "recover (ignore) only looks",
    async (place) => {
      const { before } = await damaged(place, DAMAGES[0]!);
      const report = await recover(place.backend(), { mode: "ignore" });
      assert.deepEqual([report.ok, report.changed, report.after.anomalyCount], [false, false, 1]);
      assert.ok(Buffer.from(await place.segmentBytes(SEGMENT)).equals(before));
    },
    { needs: ["damage"] },
  ),

  contractCase(
    "a log that is gone is found, and accounted for by recovery",
    async (place) => {
      await written(place);
      await place.putSegment(SEGMENT, undefined);
      const report = await scan(place.backend());
      assert.deepEqual([report.ok, report.counts["missing-segment"], report.startable], [false, 1, false]);
      assert.deepEqual(report.anomalies[0]?.lostSeqs, { from: 1, to: LAST });
      const recovered = await recover(place.backend(), { mode: "quarantine" });
      assert.ok(recovered.ok, recovered.verdict);
      assert.deepEqual(recovered.gaps, [{ log: "journal", from: 1, to: LAST, reason: "lost" }]);
      assertSum(recovered.after);
      await checkSecondRun(place, "quarantine");
      await withStore(place.backend(), async (store) => {
        assert.equal((await store.append("journal", [event("new")])).firstSeq, LAST + 2);
      });
    },
    { needs: ["damage"] },
  ),

  contractCase(
    "recovery is refused while the store is being written",
    async (place) => {
      await damaged(place, DAMAGES[0]!);
      await withStore(place.backend(), async () => {
        await refused(recover(place.backend(), { mode: "repair" }), "STORE_LOCKED");
      });
    },
    { needs: ["damage", "claim"] },
  ),

  contractCase(
    "opening again and again behind damage keeps all of it, and one recovery mends it all",
    async (place) => {
      await written(place);
      const tail = Buffer.from('{"seq":9,"kind":"event","pay');
      for (let round = 1; round <= 3; round++) {
        const bytes = Buffer.from(await place.segmentBytes(SEGMENT));
        await place.putSegment(SEGMENT, Buffer.concat([bytes, tail]));
        await withStore(place.backend(), async (store) => {
          assert.equal((await store.append("journal", [event(`round ${round}`)])).firstSeq, LAST + round);
        });
      }
      const report = await scan(place.backend());
      assert.deepEqual(report.counts, { "torn-tail": 3 });
      assert.ok(report.startable);
      const recovered = await recover(place.backend(), { mode: "quarantine" });
      assert.deepEqual([recovered.ok, recovered.removedBytes, recovered.gaps.length], [true, 3 * tail.length, 0]);
      await withStore(place.backend(), async (store) => {
        assert.deepEqual(await seqsOf(store.read("journal")), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
      });
    },
    { needs: ["damage"] },
  ),
];

export const damageCases: readonly ContractCase[] = [...scans, ...opens, ...recoveries, ...others];
