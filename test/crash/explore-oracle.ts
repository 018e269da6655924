// What the exploration demands of reports, by the ledger of what was promised.
import assert from "node:assert/strict";
import type { Anomaly } from "../../src/log/anomaly.ts";
import { LOG_NAMES, type LogName } from "../../src/log/record.ts";
import { account } from "../../src/ops/account.ts";
import type { ScanReport } from "../../src/ops/scan.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import type { Truth } from "./truth.ts";
import { backendOn } from "./scenario.ts";

/** A promised record was damaged: the scan must not say that all is well, nor that nothing was lost. */
export function assertSeen(found: ScanReport, { log, seq }: { readonly log: LogName; readonly seq: number }): void {
  const accused = found.anomalies.filter(
    (one) =>
      one.log === log &&
      (one.acknowledged === "unknown" ||
        (one.lostSeqs !== undefined && one.lostSeqs.from <= seq && seq <= one.lostSeqs.to)),
  );
  assert.ok(accused.length > 0, `${log} seq ${seq} was damaged: ${found.verdict} ${JSON.stringify(found.anomalies)}`);
}

/**
 * A policy that promises less: what is gone must not have been called whole. What is said of other seqs says nothing of this
 * one. What the mark named as acknowledged is named as lost; an end without any other is not vouched for.
 */
export function forgetLosses(truth: Truth, content: Map<LogName, Map<number, number>>, found: ScanReport): void {
  for (const log of LOG_NAMES) {
    const promised = truth.acknowledged.get(log) as Map<number, number>;
    for (const [seq, n] of promised) {
      if (content.get(log)?.get(seq) === n) continue;
      promised.delete(seq);
      if (truth.mayGo.get(log)?.has(seq) === true || truth.harmed.get(log)?.has(seq) === true) continue;
      const about = JSON.stringify([found.verdict, found.anomalies]);
      const accused = found.anomalies.filter((one) => one.log === log && mayConcern(one, seq));
      const cleared = accused.length > 0 && accused.every((one) => one.acknowledged === "none");
      assert.ok(!cleared, `${log} seq ${seq} is lost, and the scan says that nothing is: ${about}`);
      const named = accused.some(({ acknowledged }) => acknowledged === "lost");
      assert.ok(named || truth.owed.get(log)?.has(seq) !== true, `${log} seq ${seq} is known to be lost: ${about}`);
      if (accused.length > 0) continue;
      const vouched = found.logs.find((one) => one.log === log)?.endVouched;
      const { verdict } = found;
      assert.equal(vouched, false, `${log} seq ${seq} is lost, and the end is vouched for: ${about}`);
      assert.ok(
        !/(accounted for|no acknowledged record is lost)$/.test(verdict),
        `${log} seq ${seq} is lost: ${about}`,
      );
    }
  }
}

function mayConcern({ kind, seqs, acknowledged }: Anomaly, seq: number): boolean {
  if (seqs === undefined) return kind === "torn-tail" || acknowledged === "unknown"; // nobody can say which seqs stood there
  return seqs.from <= seq && seq <= seqs.to;
}

/** What is owed is there or accounted for, and nothing else was given its seq. */
export async function assertNeverAgain(
  disk: SimDisk,
  truth: Truth,
  content: Map<LogName, Map<number, number>>,
): Promise<void> {
  const absent = LOG_NAMES.flatMap((log) =>
    [...(truth.owed.get(log) ?? [])].flatMap(([seq, n]) => {
      const there = content.get(log)?.get(seq) ?? truth.acknowledged.get(log)?.get(seq);
      assert.ok(there === undefined || there === n, `${log} seq ${seq} was given away twice: ${n}, then ${there}`);
      return there === undefined ? [{ log, seq }] : [];
    }),
  );
  if (absent.length === 0) return;
  const { logs } = await account(backendOn(disk));
  for (const { log, seq } of absent) {
    const told = logs.find((one) => one.log === log)?.absent.find(({ from, to }) => from <= seq && seq <= to);
    assert.ok(told !== undefined && told.reason !== "missing", `${log} seq ${seq} is gone, and nothing says so`);
  }
}

/** Every promised seq that is absent is accounted for, and for the right reason. */
export async function assertAccounted(
  disk: SimDisk,
  truth: Truth,
  content: Map<LogName, Map<number, number>>,
): Promise<void> {
  const absent = LOG_NAMES.flatMap((log) =>
    [...(truth.mayGo.get(log) ?? []), ...(truth.harmed.get(log) ?? [])]
      .filter((seq) => truth.acknowledged.get(log)?.has(seq) === true && content.get(log)?.has(seq) === false)
      .map((seq) => ({ log, seq, harmed: truth.harmed.get(log)?.has(seq) === true })),
  );
  if (absent.length === 0) return;
  const [only, ...others] = new Set(absent.map(({ log }) => log));
  const { logs } = await account(backendOn(disk), { log: others.length === 0 ? only : undefined });
  for (const { log, seq, harmed } of absent) {
    const reason = logs.find((one) => one.log === log)?.absent.find(({ from, to }) => from <= seq && seq <= to)?.reason;
    const right = harmed ? ["compacted", "quarantined", "lost"] : ["compacted"];
    assert.ok(reason !== undefined && right.includes(reason), `${log} seq ${seq} is gone: ${reason}`);
  }
}
