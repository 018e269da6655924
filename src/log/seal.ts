// The last line of a sealed segment: what it holds, proved by a SHA-256 over every byte before the seal, and chained to
// the seal of the segment before it.
import { createHash } from "node:crypto";
import { encodeControlLine } from "./codec.ts";

export interface Seal {
  readonly kind: "seal";
  readonly records: number;
  readonly first_seq: number;
  readonly last_seq: number;
  readonly first_timestamp: number;
  readonly last_timestamp: number;
  /** How many bytes stand before the seal. */
  readonly bytes: number;
  /** SHA-256 of those bytes, in hex. */
  readonly sha256: string;
  /** SHA-256 of the whole seal line of the previous segment, line break included; null for the first. */
  readonly previous: string | null;
}

/** The seal as a line under `seed`. */
export function encodeSeal(seed: number, seal: Omit<Seal, "kind">): string {
  return encodeControlLine(seed, "seal", { ...seal });
}

/** The seal in a verified control line, or undefined when the line is another kind of control line. */
export function asSeal(fields: Readonly<Record<string, unknown>>): Seal | undefined {
  return fields.kind === "seal" && typeof fields.sha256 === "string" && typeof fields.bytes === "number"
    ? (fields as unknown as Seal)
    : undefined;
}

/** What the next segment's seal puts in `previous`. */
export function sealDigest(line: string | Uint8Array): string {
  return createHash("sha256").update(line).digest("hex");
}
