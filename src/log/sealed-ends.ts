// The cache of what was verified at the two ends of the closed segments of a log, so that whoever takes the word of their
// seals need not open each of them anew. One line. What it says of a file counts only while that file is the very one, and
// unchanged; the caller looks. Pure.
import { decodeCacheLine, encodeCacheLine } from "./cache-line.ts";
import type { StatedSeal } from "./seal.ts";

/** Of another version, a cache is not believed. */
const VERSION = 1;
const KIND = "sealed-ends";

/** A file, and when it was last changed. */
export interface FileState {
  readonly name: string;
  /** Which file it was. */
  readonly id: string;
  readonly bytes: number;
  readonly changedMs: number;
}

/** A closed segment whose identity line and seal were found whole. */
export interface SealedEnds extends FileState {
  /** Its identity line, which is where its lines begin. */
  readonly identity: string;
  readonly seal: StatedSeal;
}

export function encodeSealedEnds(segments: readonly SealedEnds[]): Buffer {
  // Most segments of a log have the same identity line.
  const identities = [...new Set(segments.map(({ identity }) => identity))];
  const numbered = segments.map((segment) => ({ ...segment, identity: identities.indexOf(segment.identity) }));
  return encodeCacheLine(KIND, VERSION, { identities, segments: numbered });
}

/** Empty when these are other bytes than were written. */
export function decodeSealedEnds(bytes: Buffer): SealedEnds[] {
  const { identities, segments = [] } = decodeCacheLine(KIND, VERSION, bytes) ?? {};
  return (segments as (Omit<SealedEnds, "identity"> & { readonly identity: number })[]).map((segment) => ({
    ...segment,
    identity: (identities as string[])[segment.identity] as string,
  }));
}
