// What a compaction says, or would do.
import type { Backend, StoreView } from "../backends/backend.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { countOf } from "../log/ranges.ts";
import type { LogName } from "../log/record.ts";
import type { LogCompaction } from "./compact-plan.ts";

/** What was done to one log. */
export interface CompactedLog {
  readonly log: LogName;
  readonly segmentsBefore: number;
  readonly segmentsAfter: number;
  /** Gap records that were written. */
  readonly gaps: number;
  readonly writtenBytes: number;
}

/** One segment, and what goes of it. */
export interface CompactedSegment {
  readonly file: string;
  readonly lines: number;
  readonly goneLines: number;
  readonly bytes: number;
  readonly goneBytes: number;
}

/** What goes of one log. */
export interface CompactLogReport {
  readonly log: LogName;
  /** Records that go, and the seqs of all lines that go; at most 1,000 ranges, `rangeCount` counts all. */
  readonly records: number;
  readonly seqs: readonly SeqRange[];
  readonly rangeCount: number;
  readonly lines: number;
  readonly bytesBefore: number;
  /** Without the gap records and seals that are written. */
  readonly goneBytes: number;
  /** Those in which something goes; at most 1,000. */
  readonly segments: readonly CompactedSegment[];
  /** Undefined in a plan. */
  readonly done: Omit<CompactedLog, "log"> | undefined;
}

export interface CompactReport {
  /** Always: what cannot be done is an error. */
  readonly ok: true;
  readonly verdict: string;
  readonly path: string;
  readonly store: string | undefined;
  readonly lineage: string | undefined;
  /** What the gap records name; undefined in a plan. */
  readonly id: string | undefined;
  readonly changed: boolean;
  readonly logs: readonly CompactLogReport[];
  /** Files of an interrupted compaction that were removed, or would be. */
  readonly leftovers: readonly string[];
  /** Of everything that decided about it. */
  readonly fingerprint: string;
}

const LISTED_MAX = 1000;
const number = new Intl.NumberFormat("en-US");

export function compactReport(
  backend: Backend,
  view: StoreView,
  of: {
    readonly plans: readonly LogCompaction[];
    readonly fingerprint: string;
    readonly done: readonly CompactedLog[] | undefined;
    readonly by: string | undefined;
    readonly leftovers: readonly string[];
  },
): CompactReport {
  const { plans, fingerprint, done, by, leftovers } = of;
  const logs = plans.map((plan) =>
    logReport(
      plan,
      done?.find(({ log }) => log === plan.log),
    ),
  );
  const records = logs.reduce((sum, log) => sum + log.records, 0);
  const bytes = logs.reduce((sum, log) => sum + log.goneBytes, 0);
  const nothing = records === 0 && leftovers.length === 0;
  const goes = done === undefined ? "would go" : "went";
  const also = leftovers.length === 0 ? "" : `; ${leftovers.length} files of an interrupted compaction ${goes} as well`;
  return {
    ok: true,
    verdict: nothing
      ? "nothing to compact: no record is expired that may go"
      : `${number.format(records)} records ${goes}, ${number.format(bytes)} bytes; every seq stays accounted for${also}`,
    path: backend.location,
    store: view.identity?.store,
    lineage: view.identity?.lineage,
    id: nothing ? undefined : by,
    changed: done !== undefined && !nothing,
    logs,
    leftovers,
    fingerprint,
  };
}

function logReport(plan: LogCompaction, done: CompactedLog | undefined): CompactLogReport {
  const { log, records, gone, bytes, goneBytes, shares } = plan;
  const { segmentsBefore = 0, segmentsAfter = 0, gaps = 0, writtenBytes = 0 } = done ?? {};
  return {
    log,
    records,
    seqs: gone.slice(0, LISTED_MAX),
    rangeCount: gone.length,
    lines: countOf(gone),
    bytesBefore: bytes,
    goneBytes,
    segments: shares
      .filter((share) => share.gone > 0 && records > 0)
      .slice(0, LISTED_MAX)
      .map((share) => ({
        file: share.segment.name,
        lines: share.lines,
        goneLines: share.gone,
        bytes: share.bytes,
        goneBytes: share.goneBytes,
      })),
    done: done === undefined ? undefined : { segmentsBefore, segmentsAfter, gaps, writtenBytes },
  };
}
