// The start-up check: decides, before any actor runs, whether a store is safe to start on. Only "recover" changes it.
import type { Backend } from "../backends/backend.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { quoted } from "../quoted.ts";
import { assertPlaceToKeep } from "./keep-place.ts";
import { recover, type RecoverReport } from "./recover.ts";
import { scan, type ScanReport } from "./scan.ts";

export const STARTUP_MODES = ["ignore", "scan_only", "fail_on_anomaly", "recover"] as const;
/**
 * "ignore": no check. "scan_only": look and report, start anyway. "fail_on_anomaly": refuse when anything is wrong that
 * may matter. "recover": recover first, refuse when something remains.
 */
export type StartupMode = (typeof STARTUP_MODES)[number];

export interface StartupOptions {
  /** Default "fail_on_anomaly". */
  readonly mode?: StartupMode;
  /** Where "recover" keeps what it takes out; without it, damaged bytes are removed. */
  readonly quarantineDir?: string | undefined;
  /**
   * Takes the word of the seals of closed segments: the check then takes no longer as history grows, and does not see what
   * befell a segment after it was sealed. Who reads such a line later finds out. Default false: everything is read.
   */
  readonly trustSeals?: boolean | undefined;
  /** As for a scan. */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface StartupReport {
  /** Whether it is safe to start. */
  readonly ok: boolean;
  readonly mode: StartupMode;
  readonly verdict: string;
  /** Undefined when nothing was looked at, or nothing is there yet. */
  readonly scan: ScanReport | undefined;
  readonly recovery: RecoverReport | undefined;
}

const UNREAD = "sealed segments were taken at their word";

/**
 * Rejects with STORE_NOT_FOUND when there is no store; whoever may make a new one treats that as safe. With OPTION_INVALID for a
 * quarantine in the store.
 */
export async function startupCheck(backend: Backend, options: StartupOptions = {}): Promise<StartupReport> {
  const mode = options.mode ?? "fail_on_anomaly";
  const { trustSeals, threads, signal, onProgress } = options;
  if (mode === "ignore") {
    return { ok: true, mode, verdict: "not checked", scan: undefined, recovery: undefined };
  }
  // Not only once something is damaged: whoever set it is not there then.
  if (options.quarantineDir !== undefined) await assertPlaceToKeep(backend, options.quarantineDir);
  const scanned = await scan(backend, { trustSeals, threads, signal, onProgress });
  const found = trustSeals === true ? { ...scanned, verdict: `${scanned.verdict}; ${UNREAD}` } : scanned;
  const unwritable = whyUnwritable(found);
  if (unwritable !== undefined && mode !== "scan_only") {
    return { ok: false, mode, verdict: `refused: ${unwritable}; ${found.verdict}`, scan: found, recovery: undefined };
  }
  if (found.startable || mode === "scan_only") {
    const harmless = found.ok || !found.startable ? "" : " (harmless: no reason not to start)";
    return { ok: true, mode, verdict: `${found.verdict}${harmless}`, scan: found, recovery: undefined };
  }
  if (mode === "fail_on_anomaly") {
    return { ok: false, mode, verdict: `refused: ${found.verdict}`, scan: found, recovery: undefined };
  }
  const recovery = await recover(backend, {
    mode: options.quarantineDir === undefined ? "repair" : "quarantine",
    quarantineDir: options.quarantineDir,
    signal,
    onProgress,
  });
  return { ok: recovery.ok, mode, verdict: recovery.verdict, scan: found, recovery };
}

/** Lines without checksums are sound for reading; opening them for writing is refused, whatever a scan says. */
function whyUnwritable(found: ScanReport): string | undefined {
  if (found.store !== undefined || found.logs.every((log) => log.unchecked === 0)) return undefined;
  return "the lines have no checksums (written by the Python Papyra or by hand) and Papyra never appends to them";
}

/** The same for a system that may begin with a new store: nothing there is fine. Rejects with STARTUP_REFUSED, RECOVERY_INCOMPLETE, OPTION_INVALID for a file. */
export async function assertStartable(backend: Backend, options: StartupOptions): Promise<StartupReport> {
  let report: StartupReport;
  try {
    const view = await backend.view();
    if (view.segments.some((segment) => segment.log === undefined)) {
      // Before anything looks for damage in it, or even mends it: it is somebody's file, not a store.
      throw new PapyraError("OPTION_INVALID", `${backend.location} is a file; a store is a directory`, {
        hint: "name a directory: it is made when it does not exist",
      });
    }
    report = await startupCheck(backend, options);
  } catch (error) {
    if (!isPapyraError(error, "STORE_NOT_FOUND")) throw error;
    return {
      ok: true,
      mode: options.mode ?? "fail_on_anomaly",
      verdict: "a new store",
      scan: undefined,
      recovery: undefined,
    };
  }
  if (report.ok) return report;
  const at = `--path ${quoted(backend.location)}`;
  throw new PapyraError(
    report.mode === "recover" ? "RECOVERY_INCOMPLETE" : "STARTUP_REFUSED",
    `the store ${backend.location}: ${report.verdict}`,
    {
      hint: `run: papyra persistence scan ${at}, then papyra persistence recover ${at} --mode quarantine --quarantine-dir ./quarantine`,
      details: { report },
    },
  );
}
