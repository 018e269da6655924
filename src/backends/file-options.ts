// The options of a file store: what a user may say, the defaults, and what comes of them.
import { resolve } from "node:path";
import { oneOf, refuseUnknown, text, wholeNumber } from "../options.ts";
import { LIMITS_DEFAULT, resolveLimits, type StoreLimits } from "./limits.ts";

/** Options of a file store. */
export interface FileStoreOptions extends Partial<StoreLimits> {
  /** The directory of the store; made when it is first written. Tools also take the path of a single log file. */
  readonly path: string;
  /**
   * What an acknowledgement means. "fsync" (default): the record is on the disk. "interval": it is with the operating
   * system and on the disk at most `intervalMs` later; a crash of the machine may lose that much, a crash of the process
   * nothing. "os": it is with the operating system; a crash of the machine may lose whatever it had not written yet.
   */
  readonly durability?: "fsync" | "interval" | "os";
  /** The loss window of "interval", in milliseconds. From 1 to 60,000. Default 100. */
  readonly intervalMs?: number;
  /**
   * How the mark is kept that tells lost records from an unfinished write. "lagging" (default): exact as long as the
   * machine stays up; after a power cut the last records before it cannot be vouched for. "exact": one more fdatasync a
   * batch closes that gap.
   */
  readonly mark?: "lagging" | "exact";
}

/** The options, checked and complete. */
export interface ResolvedFileOptions {
  readonly path: string;
  readonly durability: "fsync" | "interval" | "os";
  readonly intervalMs: number;
  readonly mark: "lagging" | "exact";
  readonly limits: StoreLimits;
}

const FILE_DEFAULTS = { durability: "fsync", intervalMs: 100, mark: "lagging" } as const;
const KNOWN = ["path", ...Object.keys(FILE_DEFAULTS), ...Object.keys(LIMITS_DEFAULT)];

/** Rejects with OPTION_INVALID. */
export function resolveFileOptions(options: FileStoreOptions): ResolvedFileOptions {
  refuseUnknown("fileStore", options, KNOWN);
  return Object.freeze({
    path: resolve(text("path", options.path)), // once: a process may change its directory
    durability: oneOf("durability", options.durability, FILE_DEFAULTS.durability, ["fsync", "interval", "os"]),
    intervalMs: wholeNumber("intervalMs", options.intervalMs, FILE_DEFAULTS.intervalMs, 1, 60_000),
    mark: oneOf("mark", options.mark, FILE_DEFAULTS.mark, ["lagging", "exact"]),
    limits: resolveLimits(options),
  });
}
