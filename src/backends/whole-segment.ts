// Is a closed segment whole, from its first byte to its seal? Says yes only where there is nothing more to say of it: whatever
// is wrong or merely unusual with one is for who reads it entry by entry (check.ts). So it may be asked anywhere, also in another thread.
import type { Fs } from "../env/env.ts";
import { isPapyraError } from "../errors.ts";
import { seedOf } from "../log/codec.ts";
import { type Entry, LineScanner } from "../log/lines.ts";
import { SealChain } from "../log/seal.ts";
import { SegmentHash } from "../log/segment-hash.ts";
import type { OpenSegment } from "./backend.ts";
import type { WholeSegment } from "./look-ahead.ts";
import { openSegment } from "./segment-files.ts";

/** Which segment, and what it should be. Plain data. */
export interface WholeQuestion {
  readonly directory: string;
  readonly name: string;
  readonly id: string;
  readonly bytes: number;
  readonly firstSeq: number;
  /** The line that it should begin with. */
  readonly identity: string;
}

/** Undefined if the segment is not whole, is not there, or cannot be read. */
export async function lookForWhole(fs: Fs, question: WholeQuestion): Promise<WholeSegment | undefined> {
  try {
    const open = await openSegment(fs, question.directory, question.name, question.id);
    try {
      return await readWhole(open, question);
    } finally {
      await open.close();
    }
  } catch (error) {
    if (!isPapyraError(error)) throw error;
    return undefined; // whoever reads it then meets the same, and says so
  }
}

async function readWhole(open: OpenSegment, question: WholeQuestion): Promise<WholeSegment | undefined> {
  const identity = Buffer.from(question.identity);
  if (question.bytes <= identity.length) return undefined;
  const lines = new WholeLines(question.firstSeq);
  const scanner = new LineScanner(seedOf(identity), identity.length);
  let position = 0;
  for await (const chunk of open.read(0, identity.length)) {
    if (!identity.subarray(position, position + chunk.length).equals(chunk)) return undefined;
    position += chunk.length;
    lines.hash.begin(chunk);
    lines.hash.end(position);
  }
  if (position < identity.length) return undefined;
  for await (const chunk of open.read(identity.length, question.bytes)) {
    lines.hash.begin(chunk);
    for (const entry of scanner.push(chunk)) if (!lines.take(entry)) return undefined;
    lines.hash.end(scanner.pendingOffset);
    position += chunk.length;
  }
  return position === question.bytes && scanner.pendingBytes === 0 ? lines.end() : undefined;
}

/** The lines of one segment, one run after the other. */
class WholeLines {
  readonly hash: SegmentHash = new SegmentHash();
  readonly #seals = new SealChain();
  #nextSeq: number;
  #durable = 0;

  constructor(firstSeq: number) {
    this.#nextSeq = firstSeq;
    this.#seals.startSegment(this.hash);
  }

  /** Whether everything is as it should be so far. */
  take(entry: Entry): boolean {
    if (this.#seals.add(entry) !== undefined) return false;
    if (entry.type === "control") return this.#seals.sealed && !entry.unterminated;
    if (entry.type !== "run" || entry.unterminated || entry.firstSeq !== this.#nextSeq) return false;
    this.#nextSeq = entry.lastSeq + 1;
    this.#durable = Math.max(this.#durable, entry.durable);
    return true;
  }

  end(): WholeSegment | undefined {
    const { sealed, digest } = this.#seals;
    return sealed && digest !== null ? { digest, durable: this.#durable } : undefined;
  }
}
