// What the exploration demands of reports, by the ledger of what was promised.
import assert from "node:assert/strict";
import { LOG_NAMES, type LogName } from "../../src/log/record.ts";
import { account } from "../../src/ops/account.ts";
import type { ScanReport } from "../../src/ops/scan.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import type { Truth } from "./random-scenario.ts";
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

/** A policy that promises less: what is gone must not have been called whole. */
export function forgetLosses(truth: Truth, content: Map<LogName, Map<number, number>>, found: ScanReport): void {
  for (const log of LOG_NAMES) {
    const promised = truth.acknowledged.get(log) as Map<number, number>;
    for (const [seq, n] of promised) {
      if (content.get(log)?.get(seq) === n) continue;
      promised.delete(seq);
      if (truth.mayGo.get(log)?.has(seq) === true || truth.harmed.get(log)?.has(seq) === true) continue;
      const accused = found.anomalies.filter((one) => one.log === log);
      const cleared = accused.length > 0 && accused.every((one) => one.acknowledged === "none");
      assert.ok(!cleared, `${log} seq ${seq} is lost, and the scan says that nothing is: ${JSON.stringify(accused)}`);
    }
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
