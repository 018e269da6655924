// The published contract suite: what a backend must do so that the store, scan, recovery and the start-up check over it
// keep their promises. It uses node:assert alone and runs under any test runner.
import { appendCases } from "./contract-append.ts";
import { compactCases } from "./contract-compact.ts";
import { damageCases } from "./contract-damage.ts";
import { limitCases } from "./contract-limits.ts";
import { readCases } from "./contract-read.ts";
import { recoverCases } from "./contract-recover.ts";
import { revertCases } from "./contract-revert.ts";
import { rotationCases } from "./contract-rotation.ts";
import type { ContractCase } from "./contract-subject.ts";
import { valueCases } from "./contract-values.ts";

export type {
  ContractCapability,
  ContractCase,
  ContractOutcome,
  ContractPlace,
  ContractStore,
  ContractSubject,
} from "./contract-subject.ts";

/**
 * Every case of the contract. A case that needs what the subject lacks resolves with the reason why it was skipped.
 *
 * @example
 * ```ts
 * import { memoryStore } from "papyra";
 * import { backendContract, type ContractSubject } from "papyra/testing";
 * const subject: ContractSubject = {
 *   lacks: { damage: "this example leaves it out", clock: "it uses the real one" },
 *   make: async ({ limits }) => {
 *     const store = memoryStore(limits);
 *     return {
 *       backend: () => store,
 *       segmentBytes: async (name) => store.segmentBytes(name),
 *       putSegment: async (name, bytes) => store.putSegment(name, bytes),
 *       quarantined: async () => store.quarantined,
 *       dispose: async () => {},
 *     };
 *   },
 * };
 * let skipped = 0;
 * for (const { run } of backendContract) if ((await run(subject)) !== undefined) skipped += 1; // rejects when broken
 * if (skipped === backendContract.length) throw new Error("nothing was run");
 * ```
 */
export const backendContract: readonly ContractCase[] = [
  ...appendCases,
  ...limitCases,
  ...valueCases,
  ...readCases,
  ...damageCases,
  ...recoverCases,
  ...rotationCases,
  ...compactCases,
  ...revertCases,
];
