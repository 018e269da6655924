// What is true of a random life: what was promised, what a compaction may take out, and what was damaged on purpose.
import { LOG_NAMES, type LogName } from "../../src/log/record.ts";
import { fork, type Ledger, newLedger } from "./scenario.ts";

/** A ledger that also knows what a compaction may take out, and what was damaged on purpose. */
export interface Truth extends Ledger {
  /** By log: seqs that may be gone if a gap record says `compacted`. */
  readonly mayGo: Map<LogName, Set<number>>;
  /** By log: seqs whose bytes were damaged. */
  readonly harmed: Map<LogName, Set<number>>;
  /** By seq in the snapshots: whose state it is, and the journal seq that it covers. */
  readonly snapshots: Map<number, { readonly actor: number; readonly journalSeq: number }>;
}

const setsByLog = () => new Map(LOG_NAMES.map((log) => [log, new Set<number>()]));

export function newTruth(): Truth {
  return { ...newLedger(), mayGo: setsByLog(), harmed: setsByLog(), snapshots: new Map() };
}

export function forkTruth(truth: Truth): Truth {
  const copy = (sets: Map<LogName, Set<number>>) => new Map([...sets].map(([log, all]) => [log, new Set(all)]));
  return {
    ...fork(truth),
    mayGo: copy(truth.mayGo),
    harmed: copy(truth.harmed),
    snapshots: new Map(truth.snapshots),
  };
}

/** The ledger without the absent seqs that may be absent. */
export function withoutLosses(truth: Truth, content: Map<LogName, Map<number, number>>): Ledger {
  const rest = fork(truth);
  for (const log of LOG_NAMES) {
    const allowed = [...(truth.mayGo.get(log) ?? []), ...(truth.harmed.get(log) ?? [])];
    for (const seq of allowed) if (content.get(log)?.get(seq) === undefined) rest.acknowledged.get(log)?.delete(seq);
  }
  return rest;
}
