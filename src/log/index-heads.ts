// The cache of the first lines of the caches of a log (segment-index.ts), so that what all its closed segments hold is known
// by one reading. One line. What it says of a segment counts only while its file is the very one, and unchanged; the caller
// looks. Of the cache that the first line is of nothing is believed by it: each part of that verifies under its first line. Pure.
import { decodeCacheLine, encodeCacheLine } from "./cache-line.ts";
import type { FileState } from "./sealed-ends.ts";
import { INDEX_VERSION, type ReadHead } from "./segment-index.ts";

const KIND = "index-heads";

/** A closed segment, and the first line of the cache that was found to speak of it. */
export interface IndexedSegment extends FileState {
  readonly read: ReadHead;
}

export function encodeIndexHeads(segments: readonly IndexedSegment[]): Buffer {
  return encodeCacheLine(KIND, INDEX_VERSION, { segments });
}

/** Empty when these are other bytes than were written. */
export function decodeIndexHeads(bytes: Buffer): IndexedSegment[] {
  return (decodeCacheLine(KIND, INDEX_VERSION, bytes)?.segments ?? []) as IndexedSegment[];
}
