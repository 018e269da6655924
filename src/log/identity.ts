// Which log do the bytes of a segment belong to? The first line says so; when it is damaged, the store's own identity
// says so instead, and the lines prove which of the two is right.
import { decodeIdentity, encodeIdentity, LINE_START, parseObject, seedOf, SUFFIX_START, verifies } from "./codec.ts";
import type { Identity, LogName } from "./record.ts";
import { nextAnchor, wholeUntil } from "./salvage.ts";

/** How many bytes of a segment are enough to judge its identity, unless its lines are very long. */
export const HEAD_BYTES: number = 256 << 10;
/** Longer first lines are not searched for a flipped bit. */
const IDENTITY_BYTES_MAX = 1024;
/** How many lines are tried under each candidate. */
const SAMPLE_LINES = 64;
/** How many bytes are summed in search of a line that is glued to others. */
const GLUED_WORK_MAX = 8 << 20;

export type Head =
  /** The identity is whole and the expected one (or nothing else was expected). */
  | { readonly type: "ok"; readonly line: Buffer }
  /** The first `bytes` bytes should be `line`: the lines behind them verify under it. */
  | { readonly type: "damaged"; readonly line: Buffer; readonly bytes: number }
  /** A whole identity of something else, and the lines are its own. */
  | { readonly type: "foreign"; readonly identity: Identity }
  /** No identity and no checksums: written by the Python Papyra or by hand. */
  | { readonly type: "unchecked" }
  | { readonly type: "unknown-version"; readonly version: unknown }
  /** There are checksums but nothing to check them with. */
  | { readonly type: "unreadable" };

/**
 * Judges the head of a segment of `log`.
 * `expected` is the identity the store has on record; `others` are further identities that may explain the lines (the
 * same store by its other logs).
 */
export function judgeHead(
  head: Buffer,
  log: LogName | undefined,
  expected: Identity | undefined,
  others: Iterable<Identity>,
): Head {
  const eol = head.indexOf(0x0a);
  const line = head.subarray(0, eol + 1);
  const wanted = expected === undefined ? undefined : Buffer.from(encodeIdentity(expected));
  if (wanted !== undefined && line.equals(wanted)) return { type: "ok", line: Buffer.from(line) };
  const own = eol < 0 ? undefined : decodeIdentity(line);
  const anchor = head.indexOf(LINE_START);
  const bytes = anchor >= 0 && (eol < 0 || anchor <= eol) ? anchor : eol < 0 ? head.length : eol + 1;
  const samples = sampleLines(head, bytes);
  const explains = (candidate: Buffer): boolean =>
    samples.some((sample) => verifies(seedOf(candidate), head, ...sample));

  const ownIdentity = own !== undefined && "log" in own ? own : undefined;

  if (wanted !== undefined && (explains(wanted) || gluedLine(head, samples, seedOf(wanted)))) {
    return { type: "damaged", line: wanted, bytes };
  }
  if (ownIdentity !== undefined && (ownIdentity.log === log || log === undefined) && wanted === undefined) {
    if (tellNothing(head, samples) || explains(line)) {
      return { type: "ok", line: Buffer.from(line) };
    }
  }
  const wrongLog = ownIdentity !== undefined && log !== undefined && ownIdentity.log !== log && wanted === undefined;
  if (ownIdentity !== undefined && ((wrongLog && tellNothing(head, samples)) || explains(line))) {
    return { type: "foreign", identity: ownIdentity };
  }
  // The store's other logs may explain the lines; so may the very identity that the first line means, spelt as we spell it.
  for (const other of ownIdentity === undefined ? others : [ownIdentity, ...others]) {
    const candidate = Buffer.from(encodeIdentity(other));
    if (explains(candidate)) {
      const ours = wanted === undefined && (other.log === log || log === undefined);
      return ours ? { type: "damaged", line: candidate, bytes } : { type: "foreign", identity: other };
    }
  }
  const mended = oneBitOff(head.subarray(0, bytes), explains);
  if (mended !== undefined) {
    // The store says who it is, and it is somebody else.
    if (wanted !== undefined || (log !== undefined && mended.identity.log !== log)) {
      return { type: "foreign", identity: mended.identity };
    }
    return { type: "damaged", line: mended.line, bytes };
  }
  if (own !== undefined && "unknownVersion" in own) return { type: "unknown-version", version: own.unknownVersion };
  const checked = head.includes(SUFFIX_START);
  if (!checked && wanted === undefined && ownIdentity === undefined) return { type: "unchecked" };
  if (!checked && wanted !== undefined)
    return { type: "damaged", line: wanted, bytes: looksLikeData(head) ? 0 : bytes };
  // Not one line verifies: rather than every line, the identity is wrong. To take the lines for damaged would destroy them.
  return { type: "unreadable" };
}

/** The identity line that differs from this one in a single bit and explains the lines: they prove that it is the one. */
function oneBitOff(
  region: Buffer,
  explains: (candidate: Buffer) => boolean,
): { line: Buffer; identity: Identity } | undefined {
  if (region.length > IDENTITY_BYTES_MAX) return undefined;
  const candidate = Buffer.from(region);
  for (let i = 0; i < candidate.length; i++) {
    for (let bit = 1; bit < 256; bit <<= 1) {
      candidate[i] = (region[i] as number) ^ bit;
      const identity = candidate.at(-1) === 0x0a ? decodeIdentity(candidate) : undefined;
      if (identity !== undefined && "log" in identity && explains(candidate)) return { line: candidate, identity };
    }
    candidate[i] = region[i] as number;
  }
  return undefined;
}

/** In a store that has an identity, a first line that is a plain object is a line of somebody else, not an identity. */
function looksLikeData(head: Buffer): boolean {
  const first = parseObject(head.subarray(0, head.indexOf(0x0a) + 1));
  return first !== undefined && !("papyra" in first) && "kind" in first;
}

function sampleLines(head: Buffer, from: number): [start: number, end: number][] {
  const samples: [number, number][] = [];
  for (let start = from; start < head.length && samples.length < SAMPLE_LINES; ) {
    const eol = head.indexOf(0x0a, start);
    const end = eol < 0 ? head.length : eol; // the last line may be whole but for its line break
    const content = head[end - 1] === 0x0d ? end - 1 : end; // a copy in which each line break became two bytes
    if (content > start) samples.push([start, content]);
    start = end + 1;
  }
  return samples;
}

/** No line is there whole: what there is may be the leftover of an unfinished write, which speaks against nobody. */
function tellNothing(head: Buffer, samples: readonly (readonly [number, number])[]): boolean {
  return samples.every(([start]) => head.indexOf(0x0a, start) < 0);
}

/** Whether a line verifies that lost its line break and stands in one of the samples among other bytes. */
function gluedLine(head: Buffer, samples: readonly (readonly [number, number])[], seed: number): boolean {
  const work = { left: GLUED_WORK_MAX };
  for (const [start, end] of samples) {
    const line = head.subarray(start, end);
    for (let at = nextAnchor(line, 0); at >= 0 && work.left > 0; at = nextAnchor(line, at + 1)) {
      if (wholeUntil(line, at, seed, work) >= 0) return true;
    }
  }
  return false;
}

/** What a segment's beginning says that it is, unless its own lines contradict: then it says nothing. */
export function statedIdentity(head: Buffer): Identity | undefined {
  const eol = head.indexOf(0x0a);
  const line = head.subarray(0, eol + 1);
  const stated = eol < 0 ? undefined : decodeIdentity(line);
  if (stated === undefined || !("log" in stated)) return undefined;
  const samples = sampleLines(head, eol + 1);
  const seed = seedOf(line);
  const explained = samples.some((sample) => verifies(seed, head, ...sample));
  return tellNothing(head, samples) || explained ? stated : undefined;
}
