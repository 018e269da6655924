// A recovery that is looked at before it happens: rehearsed on a copy in the mind, printed, and carried out later exactly so,
// with the same id and time in its gap records; or refused, because the store is not what it was.
import { createHash } from "node:crypto";
import type { Backend, StoreView } from "../backends/backend.ts";
import { Rehearsal, type RehearsedChange } from "../backends/rehearsal.ts";
import { quoted } from "../quoted.ts";
import { assertSame, fingerprintOf } from "./plan-file.ts";
import { recover, type RecoverOptions, type RecoverReport } from "./recover.ts";
import { newRun } from "./recover-report.ts";

export interface RecoverPlan {
  /** What the recovery would say. */
  readonly report: RecoverReport;
  readonly run: { readonly id: string; readonly nowMs: number };
  readonly fingerprint: string;
}

/** Changes nothing. Rejects with STORE_LOCKED beside a writer, and as {@link recover} does. */
export async function planRecover(
  backend: Backend,
  options: RecoverOptions,
  look: () => Promise<StoreView> = () => backend.view(),
): Promise<RecoverPlan> {
  const run = options.run ?? newRun(backend);
  const rehearsal = new Rehearsal(backend, look);
  const report = await recover(rehearsal, { ...options, run });
  const view = await look();
  const segments = view.segments.map(({ name, bytes }) => [name, bytes]);
  const { anomalies, anomalyCount } = report.before;
  const changes = rehearsal.changes.map(printOf);
  const { store, lineage } = view.identity ?? {};
  const fingerprint = fingerprintOf({ store, lineage, segments, anomalies, anomalyCount, changes });
  const verdict = report.changed ? `planned: ${report.verdict.replace(/^recovered: /, "")}` : report.verdict;
  return { report: { ...report, verdict }, run, fingerprint };
}

function printOf({ verb, file, splices }: RehearsedChange): unknown {
  const inserted = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
  return [verb, file, splices?.map(({ offset, remove, insert }) => [offset, remove, inserted(insert)])];
}

/** Does what was planned. Rejects with STORE_CHANGED when that would be something else by now, and as {@link recover} does. */
export async function applyRecover(
  backend: Backend,
  options: RecoverOptions & Pick<RecoverPlan, "run" | "fingerprint">,
): Promise<RecoverReport> {
  const again = `papyra persistence recover --plan --path ${quoted(backend.location)}`;
  const confirm = async (look?: () => Promise<StoreView>): Promise<void> => {
    const { fingerprint } = await planRecover(backend, options, look);
    assertSame(options.fingerprint, fingerprint, backend.location, again);
  };
  await confirm(); // who is refused now has not taken the store from anybody
  return recover(backend, options, (claim) => confirm(() => claim.view()));
}
