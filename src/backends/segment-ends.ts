// The two ends of a segment, read without reading what lies between: its identity, and what its seal says of it.
// A seal that does not verify, or does not say what seals say, is none: then the segment is read.
import { encodeIdentity, parseObject, verifies } from "../log/codec.ts";
import { HEAD_BYTES } from "../log/identity.ts";
import type { Run } from "../log/lines.ts";
import type { Identity } from "../log/record.ts";
import { asSeal, type Seal, sealDigest, type StatedSeal } from "../log/seal.ts";
import { parseFileName } from "../log/segments.ts";
import { isSeq } from "../log/seqs.ts";
import type { Backend, Segment } from "./backend.ts";

/** A seal is some four hundred bytes, and seventy more for each that it replaces; one that is longer is not looked for. */
const SEAL_BYTES_MAX = 4096;
const NEWLINE = 0x0a;
/** The two ends of a segment that has no more bytes are most of it. */
const SMALL_BYTES = 8192;

/** What the segments of a store are read by. */
export type SegmentReader = Pick<Backend, "read">;

/** By what a segment is read: a small one is read once and then out of memory, since opening it costs more than its bytes. */
export async function readerOf(backend: SegmentReader, segment: Segment): Promise<SegmentReader> {
  if (segment.bytes === 0 || segment.bytes > SMALL_BYTES) return backend;
  const content = await readPart(backend, segment, 0, segment.bytes);
  return {
    async *read(_segment, from, to) {
      if (to > from) yield content.subarray(from, to);
    },
  };
}

/**
 * The first bytes of a segment: the identity line where it is the one that is `expected`, which nearly all have; else
 * enough to judge what stands there instead.
 */
export async function readHead(
  backend: SegmentReader,
  segment: Segment,
  expected: Identity | undefined,
): Promise<Buffer> {
  if (expected !== undefined) {
    const line = Buffer.from(encodeIdentity(expected));
    const start = await readPart(backend, segment, 0, Math.min(segment.bytes, line.length));
    if (start.equals(line)) return start;
  }
  return readPart(backend, segment, 0, Math.min(segment.bytes, HEAD_BYTES));
}

/**
 * The seal of a closed segment whose every seq from the first to the last is in it; undefined for any other segment. What it
 * says about the lines before it is not checked.
 */
export async function readSeal(
  backend: SegmentReader,
  segment: Segment,
  seed: number,
): Promise<StatedSeal | undefined> {
  const found = await lastSealOf(backend, segment, seed);
  if (found === undefined || !isWhole(found.seal) || found.seal.first_seq !== segment.firstSeq) return undefined;
  return { ...found.seal, digests: [sealDigest(found.line), ...(found.seal.replaces ?? [])] };
}

/**
 * The last seq in a closed segment, by its seal: undefined where that does not verify, or says anything else than the name
 * and the length of the file. Seqs may be missing in it, as compaction leaves them.
 */
export async function sealedUpTo(backend: SegmentReader, segment: Segment, seed: number): Promise<number | undefined> {
  const name = parseFileName(segment.name);
  if (name.type !== "closed") return undefined;
  const { first_seq: first, last_seq: last } = (await lastSealOf(backend, segment, seed))?.seal ?? {};
  if (!isSeq(first) || !isSeq(last)) return undefined;
  const [from, to] = [first, last];
  if (name.lastSeq === undefined) return from === name.firstSeq && to >= from ? to : undefined;
  return name.firstSeq <= from && from <= to && to <= name.lastSeq ? to : undefined;
}

/** The last line of a closed segment, if it is a seal that verifies and stands where it says. */
async function lastSealOf(
  backend: SegmentReader,
  segment: Segment,
  seed: number,
): Promise<{ readonly seal: Partial<Seal>; readonly line: Buffer } | undefined> {
  if (segment.active) return undefined;
  const from = Math.max(0, segment.bytes - SEAL_BYTES_MAX);
  const tail = await readPart(backend, segment, from, segment.bytes);
  if (tail.length < segment.bytes - from || tail.at(-1) !== NEWLINE) return undefined;
  const start = tail.lastIndexOf(NEWLINE, tail.length - 2) + 1;
  if (start === 0 || !verifies(seed, tail, start, tail.length - 1)) return undefined;
  const line = tail.subarray(start);
  const seal = asSeal(parseObject(line) ?? {});
  return seal?.bytes === from + start ? { seal, line } : undefined;
}

/**
 * A segment whose lines begin at `offset`, as its seal tells of it. It is sealed only when all in it is acknowledged, and
 * made durable before the next one begins.
 */
export function runOf({ records: count, first_seq: firstSeq, last_seq: lastSeq }: StatedSeal, offset: number): Run {
  return {
    type: "run",
    offset,
    bytes: Buffer.alloc(0),
    count,
    firstSeq,
    lastSeq,
    durable: lastSeq,
    unterminated: false,
  };
}

/** Whether a seal has all its members, and no seq is missing between its first and its last. */
function isWhole(seal: Partial<Seal>): seal is Seal {
  const { records, first_seq: first, last_seq: last, first_timestamp, last_timestamp, previous, replaces } = seal;
  return (
    isSeq(first) &&
    isSeq(last) &&
    last >= first &&
    records === last - first + 1 &&
    typeof first_timestamp === "number" &&
    typeof last_timestamp === "number" &&
    (previous === null || typeof previous === "string") &&
    (replaces === undefined || (Array.isArray(replaces) && replaces.every((digest) => typeof digest === "string")))
  );
}

async function readPart(backend: SegmentReader, { name, id }: Segment, from: number, to: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of backend.read(name, from, to, id)) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

/** Whether the last line of a segment begins as a seal: a writer that died before it gave the file its closed name left one. */
export async function endsInSeal(backend: SegmentReader, segment: Segment): Promise<boolean> {
  const end = await readPart(backend, segment, Math.max(0, segment.bytes - SEAL_BYTES_MAX), segment.bytes);
  const last = end.subarray(end.lastIndexOf(NEWLINE, end.length - 2) + 1);
  return last.toString("latin1").startsWith('{"kind":"seal",');
}
