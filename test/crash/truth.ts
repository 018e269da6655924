// What is true of a random life: what was promised, what a compaction may take out, and what was damaged on purpose.
import { decodeSlots } from "../../src/log/mark.ts";
import { LOG_NAMES, type LogName } from "../../src/log/record.ts";
import { MARK_FILE } from "../../src/log/segments.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import { fork, type Ledger, newLedger, PATH } from "./scenario.ts";

/** A ledger that also knows what a compaction may take out, and what was damaged on purpose. */
export interface Truth extends Ledger {
  /** By log: seqs that may be gone if a gap record says `compacted`. */
  readonly mayGo: Map<LogName, Set<number>>;
  /** By log: seqs whose bytes were damaged. */
  readonly harmed: Map<LogName, Set<number>>;
  /**
   * By log and seq, under a policy that promises less: what a power cut may have taken, and a mark on that disk named as
   * acknowledged. It is there, or accounted for; nothing else ever gets its seq.
   */
  readonly owed: Map<LogName, Map<number, number>>;
  /** By seq in the snapshots: whose state it is, and the journal seq that it covers. */
  readonly snapshots: Map<number, { readonly actor: number; readonly journalSeq: number }>;
}

const setsByLog = () => new Map(LOG_NAMES.map((log) => [log, new Set<number>()]));

const mapsByLog = () => new Map(LOG_NAMES.map((log) => [log, new Map<number, number>()]));

/** As docs/format.md says it of the mark. */
const OLD_MS = 10_000;

/**
 * Before what a power cut took is forgotten: of the promised records, those that the mark that is left names, or all where the
 * mark was on the disk before they were promised. A mark is not believed whose file was changed long after it was made: an older
 * store may have been copied there, and a power cut that keeps the time of a file without its content looks the same.
 */
export async function noteOwed(truth: Truth, disk: SimDisk, mark: "exact" | "lagging" | undefined): Promise<void> {
  const bytes = disk.tree().get(`${PATH}/${MARK_FILE}`);
  const newest = bytes === undefined ? undefined : decodeSlots(bytes)?.newest;
  const changedMs = (await disk.env.fs.stat(`${PATH}/${MARK_FILE}`))?.changedMs ?? 0;
  const known = newest === undefined || changedMs > newest.atMs + OLD_MS ? undefined : newest.logs;
  for (const log of LOG_NAMES) {
    const last = mark === "exact" ? Number.POSITIVE_INFINITY : (known?.[log]?.written ?? 0);
    for (const [seq, n] of truth.acknowledged.get(log) ?? []) if (seq <= last) truth.owed.get(log)?.set(seq, n);
  }
}

export function newTruth(): Truth {
  return { ...newLedger(), mayGo: setsByLog(), harmed: setsByLog(), owed: mapsByLog(), snapshots: new Map() };
}

export function forkTruth(truth: Truth): Truth {
  const copy = (sets: Map<LogName, Set<number>>) => new Map([...sets].map(([log, all]) => [log, new Set(all)]));
  return {
    ...fork(truth),
    mayGo: copy(truth.mayGo),
    harmed: copy(truth.harmed),
    owed: new Map([...truth.owed].map(([log, all]) => [log, new Map(all)])),
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
