// One instant of a store: every log up to a seq, cut behind a whole line. Beside a writer the backend says how far each log was
// acknowledged at one moment (the mark, a script); in its own process the store does. Reads the ends of logs only.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { identityOf } from "../backends/identities.ts";
import { encodeIdentity, seedOf } from "../log/codec.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { activeName } from "../log/segments.ts";
import { linesBackwards } from "../ops/backwards.ts";

/** Up to which seq each log counts; undefined: all of it. */
export type Instant = Readonly<Partial<Record<LogName, number>>>;

/** A log up to a seq. */
export interface CutLog {
  /** Segments of which all counts. */
  readonly whole: readonly Segment[];
  /** Where the last line that has a number ends in the last of these: a seal may follow. */
  readonly wholeEnd: number;
  /** The one in which the cut lies, and how many of its bytes count. */
  readonly cut: { readonly segment: Segment; readonly bytes: number } | undefined;
  /** The one behind it, of which nothing counts. */
  readonly next: Segment | undefined;
}

/**
 * The log up to `last`. In its last segment, what is left of an unfinished write goes, too: it was promised to nobody, and
 * where it was, the mark still says so.
 */
export async function cutLog(
  backend: Backend,
  view: StoreView,
  log: LogName,
  last: number | undefined,
): Promise<CutLog> {
  const all = view.segments.filter((segment) => segment.log === log);
  for (let i = all.length - 1; i >= 0; i--) {
    const segment = all[i] as Segment;
    const identity = identityOf(view, log, segment);
    if (identity === undefined) break;
    const line = encodeIdentity(identity);
    const head = Math.min(Buffer.byteLength(line), segment.bytes);
    const found = await endOf(backend, segment, head, seedOf(line), last);
    if (found.end === head && i > 0 && last !== undefined) continue; // nothing of it counts, or nothing is in it
    const before = all.slice(0, i);
    // One that compaction has left nothing in stands for seqs all the same: where these are behind the cut, it is, too.
    const empty = found.end === head && last !== undefined && (segment.firstSeq ?? 0) > last;
    if (empty) return { whole: before, wholeEnd: 0, cut: undefined, next: segment };
    const next = all[i + 1];
    if (!segment.active && !found.behind)
      return { whole: [...before, segment], wholeEnd: found.end, cut: undefined, next };
    return { whole: before, wholeEnd: 0, cut: { segment, bytes: found.end }, next };
  }
  return { whole: all, wholeEnd: 0, cut: undefined, next: undefined };
}

/** Where the last whole line ends that counts, and whether whole lines stand behind it that do not. */
async function endOf(
  backend: Backend,
  segment: Segment,
  head: number,
  seed: number,
  last: number | undefined,
): Promise<{ readonly end: number; readonly behind: boolean }> {
  let behind = false;
  for await (const line of linesBackwards(backend, segment, head, seed, true)) {
    const seq = line.fields?.seq;
    if (typeof seq !== "number") continue;
    if (last === undefined || seq <= last)
      return { end: Math.min(segment.bytes, line.offset + line.length + 1), behind };
    behind = true;
  }
  return { end: head, behind };
}

/** The view of a store in which nothing stands behind the instant, and each log ends in an active segment. */
export async function viewAt(backend: Backend, view: StoreView, instant: Instant): Promise<StoreView> {
  const segments: Segment[] = [];
  for (const log of LOG_NAMES) {
    const { whole, wholeEnd, cut, next } = await cutLog(backend, view, log, instant[log]);
    const last = whole.at(-1);
    if (cut !== undefined) segments.push(...whole, asActive(cut.segment, log, cut.bytes));
    else if (next !== undefined) segments.push(...whole, asActive(next, log, identityBytes(view, log, next)));
    // Between the closing of a segment and the beginning of the next one none is active: it is the one that was closed.
    else if (last !== undefined && wholeEnd > 0) segments.push(...whole.slice(0, -1), asActive(last, log, wholeEnd));
    else segments.push(...whole);
  }
  return {
    ...view,
    writer: undefined,
    segments,
    superseded: [],
    findings: view.findings.filter(({ kind }) => kind === "missing-segment"),
    reach: (log) => (instant[log] === undefined ? view.reach(log) : { seq: instant[log], exact: true }),
    acknowledged: undefined,
  };
}

/** What was closed since the instant was the active segment then. */
function asActive(segment: Segment, log: LogName, bytes: number): Segment {
  return { ...segment, name: activeName(log), active: true, firstSeq: undefined, bytes };
}

function identityBytes(view: StoreView, log: LogName, segment: Segment): number {
  const identity = identityOf(view, log, segment);
  return identity === undefined ? segment.bytes : Math.min(segment.bytes, Buffer.byteLength(encodeIdentity(identity)));
}
