// The last line of a sealed segment: what it holds, proved by a SHA-256 over every byte before the seal, and chained to
// the seal of the segment before it.
import { createHash } from "node:crypto";
import { encodeControlLine } from "./codec.ts";
import type { Entry } from "./lines.ts";

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
  /** The digests of the seals that this segment had before it was rewritten: what later seals name is found here. */
  readonly replaces?: readonly string[];
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

/**
 * Checks the seals of one log against what stands before them, without hashing: each line has its own checksum, so that
 * counts, places and the chain tell everything that is not forged. Fed with every entry, segment by segment.
 */
export class SealChain {
  /** The digests that may name the segment before; undefined before the first, whose predecessor may be gone. */
  #before: readonly string[] | undefined;
  #own: readonly string[] | undefined;
  #sealed = false;
  #records = 0;
  #firstSeq = 0;
  #lastSeq = 0;

  startSegment(): void {
    this.#before = this.#own;
    this.#own = [];
    this.#sealed = false;
    this.#records = 0;
    this.#firstSeq = 0;
    this.#lastSeq = 0;
  }

  /** What is wrong with a seal, or undefined. */
  add(entry: Entry): string | undefined {
    if (this.#sealed) return "bytes stand behind the seal";
    if (entry.type === "run") this.#count(entry.count, entry.firstSeq, entry.lastSeq);
    if (entry.type === "gap") this.#count(1, entry.record.seq, entry.record.seq);
    const seal = entry.type === "control" ? asSeal(entry.fields) : undefined;
    if (seal === undefined || entry.type !== "control") return undefined;
    this.#sealed = true;
    this.#own = [
      sealDigest(entry.unterminated ? Buffer.concat([entry.bytes, Buffer.from("\n")]) : entry.bytes),
      ...(seal.replaces ?? []),
    ];
    if (seal.bytes !== entry.offset) return `the seal is about ${seal.bytes} bytes, and stands behind ${entry.offset}`;
    if (seal.records !== this.#records || seal.first_seq !== this.#firstSeq || seal.last_seq !== this.#lastSeq) {
      return `the seal is about ${seal.records} records of seq ${seal.first_seq} to ${seal.last_seq}, not those that stand before it`;
    }
    if (this.#before === undefined) return undefined;
    const follows = seal.previous === null ? this.#before.length === 0 : this.#before.includes(seal.previous);
    return follows ? undefined : "the seal does not follow that of the segment before";
  }

  #count(records: number, firstSeq: number, lastSeq: number): void {
    if (this.#records === 0) this.#firstSeq = firstSeq;
    this.#records += records;
    this.#lastSeq = lastSeq;
  }
}
