// What a history must be after whatever was done to its writer.
import { expect } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { scan } from "../../src/ops/scan.ts";
import { payloadsOf, withStore } from "../../src/testing/contract-subject.ts";

/** Times that a test can wait for, and that a busy machine can keep. */
export const QUICK: { readonly commandTimeoutMs: number; readonly outcomeTimeoutMs: number } = {
  commandTimeoutMs: 400,
  outcomeTimeoutMs: 20_000,
};
/** For outcomes that are never known. */
export const IMPATIENT: typeof QUICK = { commandTimeoutMs: 400, outcomeTimeoutMs: 800 };

/** The store holds exactly these, in this order, and a scan finds nothing wrong. */
export async function assertExactly(backend: Backend, payloads: readonly unknown[]): Promise<void> {
  const report = await scan(backend);
  expect(report.anomalies).toEqual([]);
  expect(await withStore(backend, (store) => payloadsOf(store, "events"))).toEqual(payloads);
}
