// What recovery is asked for, and what it says it did.
import type { Backend } from "../backends/backend.ts";
import type { Acknowledged, Anomaly } from "../log/anomaly.ts";
import type { LogName } from "../log/record.ts";
import type { ScanReport } from "./scan.ts";

export const RECOVER_MODES = ["ignore", "repair", "quarantine"] as const;
/** "ignore": only look. "repair": remove damaged bytes. "quarantine": first keep them, with the reason. */
export type RecoverMode = (typeof RECOVER_MODES)[number];

export interface RecoverOptions {
  readonly mode: RecoverMode;
  /** Where "quarantine" keeps what it takes out. Default: `quarantine` in the store. */
  readonly quarantineDir?: string | undefined;
  readonly log?: LogName | undefined;
  /** The id and the time of the run, for one that was planned. Default: new ones. */
  readonly run?: { readonly id: string; readonly nowMs: number } | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** One thing that recovery did. */
export interface RecoverAction {
  readonly what:
    | "removed"
    | "moved"
    | "terminated"
    | "identity restored"
    | "sealed anew"
    | "file created"
    | "temporary file removed"
    | "superseded file removed";
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly kind: Anomaly["kind"] | undefined;
  readonly seqs: Anomaly["seqs"];
  readonly acknowledged: Anomaly["acknowledged"];
}

export interface RecoverReport {
  /** Nothing is left that is a reason not to start. */
  readonly ok: boolean;
  readonly verdict: string;
  readonly mode: RecoverMode;
  /** Names this run in gap records and in the quarantine; undefined when nothing was done. */
  readonly id: string | undefined;
  readonly path: string;
  readonly changed: boolean;
  readonly before: ScanReport;
  /** before = after + removed - inserted, in bytes, over the segments that changed. */
  readonly removedBytes: number;
  readonly insertedBytes: number;
  /** The segments that changed, and their lengths. */
  readonly segments: readonly { readonly file: string; readonly bytesBefore: number; readonly bytesAfter: number }[];
  /** Where the removed bytes are kept. */
  readonly quarantine: string | undefined;
  /** At most 1,000; `actionCount` counts all. */
  readonly actions: readonly RecoverAction[];
  readonly actionCount: number;
  readonly gaps: readonly {
    readonly log: LogName;
    readonly from: number;
    readonly to: number;
    readonly reason: string;
  }[];
  readonly after: ScanReport;
}

/** The report of a run that did nothing. */
export function unchanged(backend: Backend, mode: RecoverMode, before: ScanReport): RecoverReport {
  return {
    ok: before.startable,
    verdict: before.ok ? `nothing to recover: ${before.verdict}` : `nothing was changed: ${before.verdict}`,
    mode,
    id: undefined,
    path: backend.location,
    changed: false,
    before,
    removedBytes: 0,
    insertedBytes: 0,
    segments: [],
    quarantine: undefined,
    actions: [],
    actionCount: 0,
    gaps: [],
    after: before,
  };
}

export function createdFile(file: string, acknowledged: Acknowledged): Omit<RecoverAction, "what"> {
  return { file, offset: 0, bytes: 0, kind: "missing-segment", seqs: undefined, acknowledged };
}

export function removedFile(file: string): Omit<RecoverAction, "what"> {
  return { file, offset: 0, bytes: 0, kind: "unexpected-file", seqs: undefined, acknowledged: "none" };
}

/** An id that no other run has. */
export function newRun({ env }: Backend): { readonly id: string; readonly nowMs: number } {
  const nowMs = env.clock.nowMs();
  return { id: `${new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, "")}-${env.random.hex(3)}`, nowMs };
}
