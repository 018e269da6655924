// The cache of what was verified at the two ends of the closed segments of a log, so that whoever takes the word of their
// seals need not open each of them anew. One line with a checksum. What it says of a file counts only while that file is the
// very one, and unchanged; the caller looks. Pure.
import { completeLine, parseObject, verifies } from "./codec.ts";
import type { StatedSeal } from "./seal.ts";

/** Of another version, a cache is not believed. */
const VERSION = 1;
const SEED = 0;

/** A closed segment whose identity line and seal were found whole. */
export interface SealedEnds {
  readonly name: string;
  /** Of the file: which it was, and when it was last changed. */
  readonly id: string;
  readonly bytes: number;
  readonly changedMs: number;
  /** Its identity line, which is where its lines begin. */
  readonly identity: string;
  readonly seal: StatedSeal;
}

export function encodeSealedEnds(segments: readonly SealedEnds[]): Buffer {
  // Most segments of a log have the same identity line.
  const identities = [...new Set(segments.map(({ identity }) => identity))];
  const numbered = segments.map((segment) => ({ ...segment, identity: identities.indexOf(segment.identity) }));
  const fields = JSON.stringify({ kind: "sealed-ends", version: VERSION, identities, segments: numbered });
  return Buffer.from(completeLine(SEED, fields.slice(0, -1)));
}

/** Empty when these are other bytes than were written. */
export function decodeSealedEnds(bytes: Buffer): SealedEnds[] {
  if (bytes.at(-1) !== 0x0a || !verifies(SEED, bytes, 0, bytes.length - 1)) return [];
  const { kind, version, identities, segments } = parseObject(bytes) ?? {};
  if (kind !== "sealed-ends" || version !== VERSION) return [];
  return (segments as (Omit<SealedEnds, "identity"> & { readonly identity: number })[]).map((segment) => ({
    ...segment,
    identity: (identities as string[])[segment.identity] as string,
  }));
}
