// Where a log ends, before and after a write. PURE.
import type { LogName } from "../log/record.ts";
import { activeName, closedName } from "../log/segments.ts";
import type { Argument } from "./connection.ts";
import { idText, type LogEnd, parseId, place, type SegmentLayout } from "./layout.ts";
import type { LogLook } from "./look.ts";

/** What one write asks of one stream. */
export interface StreamWrite {
  readonly log: LogName;
  /** The last id that the stream must have. */
  readonly expected: string;
  /** The id of the first line. */
  readonly next: string;
  readonly bytes: Uint8Array;
  readonly seq: number;
  /** The length of the active segment behind it. */
  readonly reaches: number;
}

export function fresh(number: number, name: string): SegmentLayout {
  return { number, name, bytes: 0, runs: [{ ms: number, off: 0, at: 0 }] };
}

/** The last id that a write gives, and the one behind it. */
export function after({ next, bytes }: StreamWrite): Pick<LogEnd, "last" | "next"> {
  const { ms, off } = parseId(next);
  const lastLine = bytes.subarray(0, -1).lastIndexOf(0x0a) + 1;
  return { last: idText({ ms, off: off + lastLine }), next: idText({ ms, off: off + bytes.length }) };
}

/** The end of a log that goes on where the stream ends, whatever stands there. */
export function endOf(seen: LogLook, active: SegmentLayout, seq: number): LogEnd {
  const { end, last, length } = seen;
  if (end?.last === last && end.length === length && end.bytes === active.bytes) return { ...end, seq };
  const { ms, off } = parseId(last);
  const run = active.runs.at(-1);
  const dense = run?.ms === ms ? run.off + (active.bytes - run.at) : 0;
  const next = { ms, off: Math.max(dense, off + 1) };
  if (run === undefined || next.off !== dense) place({ ...active, runs: active.runs }, { id: next, bytes: 0 });
  return { seq, last, bytes: active.bytes, length, next: idText(next) };
}

/** The end of a log whose active segment was taken away: whatever comes next comes behind everything that ever was. */
export function endWithout(seen: LogLook, newest: SegmentLayout | undefined, length: number): LogEnd {
  const { ms, off } = parseId(seen.last);
  const next = idText({ ms, off: off + 1 });
  return { seq: seen.end?.seq ?? 0, last: seen.last, bytes: newest?.bytes ?? 0, length, next };
}

/** The segments of a log once its active one is closed, under a name that no other has. */
export function closedLayouts(seen: LogLook, log: LogName, closedSeq: number): SegmentLayout[] {
  const names = new Set([...seen.superseded, ...seen.segments].map(({ name }) => name));
  let generation = 0;
  while (names.has(closedName(log, closedSeq, generation))) generation += 1;
  return seen.segments.map((segment) => ({
    ...segment,
    name: segment.name === activeName(log) ? closedName(log, closedSeq, generation) : segment.name,
    runs: [...segment.runs],
  }));
}

/** As the script takes it. */
export function writeArguments({ log, expected, next, bytes, seq, reaches }: StreamWrite): Argument[] {
  const { ms, off } = parseId(next);
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return [log, expected, String(ms), String(off), raw, String(seq), String(reaches)];
}
