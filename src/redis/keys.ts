// The names of all keys of a store.
import { LOG_NAMES, type LogName } from "../log/record.ts";

export interface Keys {
  /** The hash beside the streams: who the store is, who writes, and of each log its layout and its end. */
  readonly meta: string;
  /** The lease of the writer; goes by itself when it is not renewed. */
  readonly writer: string;
  /** What recovery kept. */
  readonly quarantine: string;
  /** Of a frozen copy: who holds it. */
  readonly holder: string;
  stream(log: LogName): string;
  /** A stream in the making, which takes the place of the other in one step. */
  staging(log: LogName): string;
  /** The stream as it was before compaction replaced segments of it, until these are removed. */
  superseded(log: LogName): string;
}

export function keysOf(base: string): Keys {
  return {
    meta: `${base}:meta`,
    writer: `${base}:writer`,
    quarantine: `${base}:quarantine`,
    holder: `${base}:holder`,
    stream: (log) => `${base}:${log}`,
    staging: (log) => `${base}:${log}:rewrite`,
    superseded: (log) => `${base}:${log}:superseded`,
  };
}

/** All that a store may have. */
export function everyKey(keys: Keys): string[] {
  const streams = LOG_NAMES.flatMap((log) => [keys.stream(log), keys.staging(log), keys.superseded(log)]);
  return [keys.meta, keys.writer, keys.quarantine, keys.holder, ...streams];
}
