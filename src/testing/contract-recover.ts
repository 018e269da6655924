// The contract of recovery and of the start-up check: every healthy line stays byte for byte, the rest is accounted for and
// kept, a second run does nothing.
import assert from "node:assert/strict";
import { type RecoverMode, recover } from "../ops/recover.ts";
import { scan } from "../ops/scan.ts";
import { assertStartable, startupCheck } from "../ops/startup.ts";
import { assertSum, type DamageCase, damaged, DAMAGES, LAST, SEGMENT, written } from "./contract-damage.ts";
import {
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
  assert.equal(dir !== undefined, kept.size > 0, "what the report says was kept is there");
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

export const recoverCases: readonly ContractCase[] = [...recoveries, ...others];
