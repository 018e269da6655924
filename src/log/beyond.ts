// Lines that verify and cannot be of this history: a segment that begins in an older lineage, and goes on behind the seq at which the
// next one left it, is of a future that was left. Its own line says that it is whole, so only the seq tells. Pure.
import { type Damage, type Entry, type Gap, linesOf, type Run } from "./lines.ts";

/** What was read of a segment whose lineage ends at `last`: what stands behind that is foreign. */
export function* upToItsEnd(entries: Iterable<Entry>, last: number): Generator<Entry, void, undefined> {
  for (const entry of entries) {
    if (entry.type === "gap" && entry.record.seq > last) yield foreign(entry, entry.offset, last);
    else if (entry.type !== "run" || entry.lastSeq <= last) yield entry;
    else {
      const count = Math.max(0, last - entry.firstSeq + 1);
      const bytes = entry.bytes.subarray(0, lengthOf(entry, count));
      if (count > 0) yield { ...entry, bytes, count, lastSeq: last, unterminated: false };
      yield foreign(entry, entry.offset + bytes.length, last);
    }
  }
}

/** Of so many first lines. */
function lengthOf(run: Run, count: number): number {
  let length = 0;
  let left = count;
  for (const line of linesOf(run)) {
    if (left-- === 0) break;
    length += line.length + 1;
  }
  return length;
}

function foreign({ offset: start, bytes, ...entry }: Run | Gap, offset: number, last: number): Damage {
  const count = entry.type === "gap" ? 1 : entry.lastSeq - Math.max(last, entry.firstSeq - 1);
  const detail = `${count} ${count === 1 ? "line" : "lines"} of a future that was left: its lineage goes up to seq ${last}, and the next one on from there`;
  return {
    type: "damage",
    offset,
    length: start + bytes.length - offset,
    lines: entry.unterminated ? count - 1 : count,
    kind: "foreign-line",
    detail,
  };
}
