// Every verified record of a log, for who goes through all of it and judges damage by what is absent.
import type { Backend, StoreView } from "../backends/backend.ts";
import { checkLog } from "../backends/check.ts";
import type { Location } from "../backends/locate.ts";
import { decodeRecord } from "../log/codec.ts";
import { linesOf } from "../log/lines.ts";
import type { LogName, LogRecord } from "../log/record.ts";

export interface PassOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the bytes read so far and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Visits the records in the order in which they stand. */
export async function passOver(
  backend: Backend,
  view: StoreView,
  log: LogName,
  options: PassOptions,
  visit: (record: LogRecord, at: Location) => void,
): Promise<void> {
  const total = view.segments.filter((segment) => segment.log === log).reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  await checkLog(backend, view, log, {
    live: view.writer !== undefined,
    findingsMax: 1,
    signal: options.signal,
    onProgress: (bytes) => options.onProgress?.((done += bytes), total),
    onEntry: (entry, segment) => {
      if (entry.type !== "run") return;
      let { offset } = entry;
      for (const line of linesOf(entry)) {
        visit(decodeRecord(line), { segment: segment.name, id: segment.id, offset, length: line.length });
        offset += line.length + 1;
      }
    },
  });
}
