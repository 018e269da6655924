// The last line of a sealed segment: what it holds, proved by a SHA-256 over every byte before the seal, and chained to
// the seal of the segment before it.
import { createHash } from "node:crypto";
import { encodeControlLine, parseObject } from "./codec.ts";
import type { Control, Entry } from "./lines.ts";
import { firstLine, lastLine } from "./run-ends.ts";
import type { SegmentHash } from "./segment-hash.ts";

const NOTHING = Buffer.alloc(0);

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

/** A seal that verified and agrees with the name and the length of its file. */
export interface StatedSeal extends Seal {
  /** Its own digest, and those of the seals that it replaces. */
  readonly digests: readonly string[];
}

/** The seal as a line under `seed`. */
export function encodeSeal(seed: number, seal: Omit<Seal, "kind">): string {
  return encodeControlLine(seed, "seal", { ...seal });
}

/** The seal in a verified control line, or undefined when the line is of another kind. Its members may be anything. */
export function asSeal(fields: Readonly<Record<string, unknown>>): Partial<Seal> | undefined {
  return fields.kind === "seal" ? fields : undefined;
}

/** What the next segment's seal puts in `previous`. */
export function sealDigest(line: string | Uint8Array): string {
  return createHash("sha256").update(line).digest("hex");
}

/**
 * Checks the seals of one log against what stands before them. Fed with every entry, segment by segment; where it gets the
 * hash of a segment, it checks that, too. In a segment with damage, of which it is said already, that its bytes are not
 * those of the seal is no news.
 */
export class SealChain {
  /** The digests that may name the segment before; undefined before the first, whose predecessor may be gone. */
  #before: readonly string[] | undefined;
  #own: readonly string[] | undefined;
  #hash: SegmentHash | undefined;
  /** The segment before is whole and has no seal. */
  #owing = false;
  #sealed = false;
  #saidBehind = false;
  #damaged = false;
  #records = 0;
  #first: Buffer | undefined;
  #last: Buffer | undefined;

  startSegment(hash?: SegmentHash): void {
    this.#owing = this.#records > 0 && !this.#sealed && !this.#damaged;
    this.#before = this.#own;
    this.#own = [];
    this.#hash = hash;
    this.#sealed = false;
    this.#saidBehind = false;
    this.#damaged = false;
    this.#records = 0;
    this.#first = undefined;
    this.#last = undefined;
  }

  /** A segment whose lines cannot be read: what the next seal says of it cannot be judged. */
  skipSegment(): void {
    this.#own = undefined;
    this.#records = 0;
    this.#owing = false;
  }

  /**
   * A segment of which only the seal was read: with its digests and what it names as the one before. Returns whether it
   * follows the segment before; if not, nothing has changed, and the segment is to be read.
   */
  trustSegment(digests: readonly string[], previous: string | null): boolean {
    const before = this.#own;
    const follows = previous === null ? before?.length === 0 : before?.includes(previous);
    if (before !== undefined && follows !== true) return false;
    this.startSegment();
    this.#sealed = true;
    this.#own = digests;
    if (previous === null) this.#owing = false;
    return true;
  }

  /** The digest of this segment's seal, or null while it has none. */
  get digest(): string | null {
    return this.#own?.[0] ?? null;
  }

  /** The same of the segment before, null also where there is none. */
  get previousDigest(): string | null {
    return this.#before?.[0] ?? null;
  }

  /** Whether this segment is sealed. */
  get sealed(): boolean {
    return this.#sealed;
  }

  /** The segment has damage that no entry tells of: that of its identity line. */
  noteDamage(): void {
    this.#damaged = true;
  }

  /**
   * At the end of a segment: whether the one before lacks its seal. What was closed because of damage has none until it is
   * mended; everything else has one.
   */
  get previousUnsealed(): boolean {
    return this.#owing;
  }

  /** What is wrong with a seal, or undefined; about a seal and about what is behind it at most once a segment. */
  add(entry: Entry): string | undefined {
    if (this.#sealed) return this.#behind(entry);
    if (entry.type === "run" || entry.type === "gap") {
      this.#records += entry.type === "run" ? entry.count : 1;
      this.#first ??= Buffer.from(firstLine(entry.bytes));
      this.#last = Buffer.from(lastLine(entry.bytes));
    }
    const seal = entry.type === "control" ? asSeal(entry.fields) : undefined;
    if (seal === undefined || entry.type !== "control") {
      if (entry.type === "damage" || entry.unterminated) this.#damaged = true;
      return undefined;
    }
    this.#sealed = true;
    const replaced: unknown = seal.replaces;
    this.#own = [sealDigest(terminated(entry)), ...(Array.isArray(replaced) ? (replaced as string[]) : [])];
    if (seal.previous === null) this.#owing = false; // so it was known to have none
    const wrong = this.#differences(seal, entry.offset);
    return wrong.length === 0 ? undefined : `the seal is not about what stands before it: ${wrong.join("; ")}`;
  }

  #behind(entry: Entry): string | undefined {
    if (this.#saidBehind || entry.type === "damage") return undefined; // damage is said to be there already
    this.#saidBehind = true;
    return "whole lines stand behind the seal";
  }

  #differences(seal: Partial<Seal>, offset: number): string[] {
    const wrong = this.#damaged ? [] : this.#contradictions(seal, offset);
    const { previous } = seal;
    const before = this.#before;
    const follows = previous === null ? before?.length === 0 : before?.includes(previous as string);
    if (before !== undefined && !follows) wrong.push("it does not follow the seal of the segment before");
    return wrong;
  }

  #contradictions(seal: Partial<Seal>, offset: number): string[] {
    const first = parseObject(this.#first ?? NOTHING);
    const last = parseObject(this.#last ?? NOTHING);
    const found: Partial<Record<keyof Seal, unknown>> = {
      bytes: offset,
      records: this.#records,
      first_seq: first?.seq ?? 0,
      last_seq: last?.seq ?? 0,
      first_timestamp: first?.timestamp ?? 0,
      last_timestamp: last?.timestamp ?? 0,
      ...(this.#hash === undefined ? {} : { sha256: this.#hash.before(offset) }),
    };
    return Object.entries(found)
      .filter(([name, value]) => seal[name as keyof Seal] !== value)
      .map(
        ([name, value]) =>
          `it says ${name} ${JSON.stringify(seal[name as keyof Seal])}, and it is ${JSON.stringify(value)}`,
      );
  }
}

function terminated({ bytes, unterminated }: Control): Buffer {
  return unterminated ? Buffer.concat([bytes, Buffer.from("\n")]) : bytes;
}
