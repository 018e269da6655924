// The published contract suite: what a backend must do so that the store, scan, recovery and the start-up check over it
// keep their promises. It uses node:assert alone and runs under any test runner.
import { appendCases } from "./contract-append.ts";
import { damageCases } from "./contract-damage.ts";
import { limitCases } from "./contract-limits.ts";
import { readCases } from "./contract-read.ts";
import { recoverCases } from "./contract-recover.ts";
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
 * import { test } from "node:test";
 * import { backendContract, type ContractSubject } from "papyra/testing";
 * declare const subject: ContractSubject;
 * for (const { name, run } of backendContract) {
 *   test(name, async (t) => {
 *     const outcome = await run(subject);
 *     if (outcome !== undefined) t.skip(outcome.skipped);
 *   });
 * }
 * ```
 */
export const backendContract: readonly ContractCase[] = [
  ...appendCases,
  ...limitCases,
  ...valueCases,
  ...readCases,
  ...damageCases,
  ...recoverCases,
];
