// Where the retention of a log ends, found from its newest record backwards: what is read is what stays, not what goes.
import type { Backend, StoreView } from "../backends/backend.ts";
import { type Retention, RetentionMeter } from "../log/retention.ts";
import type { LogName } from "../log/record.ts";
import { linesBackwards } from "./backwards.ts";
import { openSegment } from "./inspect.ts";

/** The seq of the oldest record that stays; everything before it is expired. 0 when nothing is. */
export async function expiredBefore(
  backend: Backend,
  view: StoreView,
  log: LogName,
  retention: Retention,
  nowMs: number,
  signal?: AbortSignal,
): Promise<number> {
  const meter = new RetentionMeter(retention, nowMs);
  const segments = view.segments.filter((segment) => segment.log === log);
  for (const segment of segments.reverse()) {
    const head = await openSegment(backend, view, segment);
    if (head === undefined) continue;
    const live = view.writer !== undefined && segment.active;
    for await (const { fields, length } of linesBackwards(backend, segment, head.from, head.seed, live)) {
      signal?.throwIfAborted();
      if (fields === undefined || fields.kind === "gap") continue;
      const { seq, timestamp } = fields;
      if (typeof seq !== "number" || typeof timestamp !== "number") continue;
      if (!meter.keeps(Math.round(timestamp * 1000), length + 1)) return seq + 1;
    }
  }
  return 0;
}
