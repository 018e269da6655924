// New seals for closed segments whose bytes are no longer those of their seals, or whose seal is gone: the last step of the
// repair of a log. Only what verifies from its first byte to its last is sealed, and a new seal names those that it replaces.
import type { Backend, Segment, Splice, StoreView } from "../backends/backend.ts";
import { describeSegment } from "../backends/sealing.ts";
import { encodeIdentity, parseObject, seedOf, verifies } from "../log/codec.ts";
import { identityAt } from "../log/lineage.ts";
import type { Finding } from "../log/ledger.ts";
import { LineScanner } from "../log/lines.ts";
import type { LogName } from "../log/record.ts";
import { asSeal, encodeSeal, type Seal, sealDigest } from "../log/seal.ts";
import { readBytes } from "./backwards.ts";
import type { RemovedBytes, SegmentPlan } from "./plan.ts";

export interface SealPlan {
  readonly segments: readonly SegmentPlan[];
  /** The seals that go. */
  readonly removed: readonly RemovedBytes[];
}

/** A seal as it stands in a segment. */
export interface StoredSeal {
  readonly offset: number;
  readonly length: number;
  readonly seal: Partial<Seal>;
  /** Its digest, and those that it replaces: any of them may be what the next segment names. */
  readonly digests: readonly string[];
}

/** Longer than any seal, however often its segment was rewritten. */
const SEAL_BYTES_MAX = 1 << 20;

/** Plans the seals of the segments `named`, as the store is now; the order of the log is that in which they must be written. */
export async function planSeals(
  backend: Backend,
  view: StoreView,
  log: LogName,
  named: ReadonlySet<string>,
): Promise<SealPlan> {
  const segments: SegmentPlan[] = [];
  const removed: RemovedBytes[] = [];
  if (view.identity === undefined || named.size === 0) return { segments, removed };
  const { identity } = view;
  const lineOf = ({ firstSeq }: Segment): Buffer => Buffer.from(encodeIdentity(identityAt(identity, log, firstSeq)));
  const sealOf = (segment: Segment): Promise<StoredSeal | undefined> =>
    lastSeal(backend, segment, seedOf(lineOf(segment)));
  const all = view.segments.filter((segment) => segment.log === log);
  const closed = all.filter((segment) => !segment.active);
  const newest = closed.at(-1);
  const active = all.find((segment) => segment.active);
  // It was changed, or its seal is about other bytes, and it goes on to be written: no seal belongs there.
  const astray = active !== undefined && named.has(active.name) ? await allSeals(backend, active, lineOf(active)) : [];
  // Nothing says any more that the segment before has none: then it gets its own.
  const judged = astray.length > 0 && newest !== undefined ? new Set([...named, newest.name]) : named;
  let before: readonly string[] = [];
  for (const [i, segment] of closed.entries()) {
    if (!judged.has(segment.name)) {
      before = digestsOf(await sealOf(segment));
      continue;
    }
    const identityLine = lineOf(segment);
    const old = await allSeals(backend, segment, identityLine);
    // The active one has a seal as well when it was sealed and not closed yet: opening closes it with that.
    const behind = closed[i + 1] ?? (astray.length > 0 ? undefined : active);
    const next = behind === undefined ? undefined : await sealOf(behind);
    const seal = await newSeal(backend, segment, { identityLine, old, next, before });
    before = old.flatMap(digestsOf);
    if (seal === undefined) continue;
    const insert = Buffer.from(encodeSeal(seedOf(identityLine), seal));
    before = [sealDigest(insert), ...(seal.replaces ?? [])];
    segments.push(replacing(segment, old, insert));
    for (const { offset, length } of old) {
      removed.push({ segment: segment.name, finding: replacedSeal(log, segment.name, offset, length) });
    }
  }
  if (active !== undefined && astray.length > 0) {
    segments.push(replacing(active, astray, undefined));
    for (const { offset, length } of astray) {
      removed.push({ segment: active.name, finding: replacedSeal(log, active.name, offset, length) });
    }
  }
  return { segments, removed };
}

/** Undefined when the segment has the seal that it should have, never had one, or cannot be vouched for. */
async function newSeal(
  backend: Backend,
  segment: Segment,
  known: {
    readonly identityLine: Buffer;
    /** All of them, also one that does not stand at the end, where it belongs. */
    readonly old: readonly StoredSeal[];
    readonly next: StoredSeal | undefined;
    readonly before: readonly string[];
  },
): Promise<Omit<Seal, "kind"> | undefined> {
  const { old, next, before } = known;
  // The seal behind says that this segment had none: it was closed as it was, and nobody has vouched for it since.
  if (old.length === 0 && next?.seal.previous === null) return undefined;
  const described = await describeSegment(known.identityLine, readBetween(backend, segment, old));
  if (described === undefined) return undefined;
  const [only] = old;
  if (old.length === 1 && only !== undefined && only.offset + only.length === segment.bytes) {
    const same = Object.entries(described).every(([name, value]) => only.seal[name as keyof Seal] === value);
    const { previous } = only.seal;
    if (same && (previous === null ? before.length === 0 : before.includes(previous as string))) return undefined;
  }
  const lost = old.length === 0 && typeof next?.seal.previous === "string" ? [next.seal.previous] : [];
  const replaces = [...new Set([...old.flatMap(digestsOf), ...lost])];
  if (described.records === 0 && replaces.length === 0) return undefined; // nobody expects a seal where nothing is
  return { ...described, previous: before[0] ?? null, ...(replaces.length === 0 ? {} : { replaces }) };
}

/** The new seal goes to the end, the old ones from wherever they stand. */
function replacing(segment: Segment, old: readonly StoredSeal[], insert: Buffer | undefined): SegmentPlan {
  const splices: Splice[] = old.map(({ offset, length }) => ({ offset, remove: length, insert: Buffer.alloc(0) }));
  const end = insert === undefined ? [] : [{ offset: segment.bytes, remove: 0, insert }];
  return {
    segment: segment.name,
    splices: [...splices, ...end],
    removedBytes: old.reduce((sum, { length }) => sum + length, 0),
    insertedBytes: insert?.length ?? 0,
  };
}

/** The bytes of a segment without its seals. */
async function* readBetween(
  backend: Backend,
  segment: Segment,
  seals: readonly StoredSeal[],
): AsyncGenerator<Uint8Array, void, undefined> {
  let from = 0;
  for (const { offset, length } of [...seals, { offset: segment.bytes, length: 0 }]) {
    if (offset > from) yield* backend.read(segment.name, from, offset, segment.id);
    from = offset + length;
  }
}

async function allSeals(backend: Backend, segment: Segment, identityLine: Buffer): Promise<StoredSeal[]> {
  const scanner = new LineScanner(seedOf(identityLine), identityLine.length);
  const found: StoredSeal[] = [];
  for await (const chunk of backend.read(segment.name, identityLine.length, segment.bytes, segment.id)) {
    for (const entry of scanner.push(chunk)) {
      const seal = entry.type === "control" ? asSeal(entry.fields) : undefined;
      if (seal !== undefined && entry.type === "control") found.push(stored(seal, entry.bytes, entry.offset));
    }
  }
  return found;
}

/** The seal in the last line of a segment, or undefined when it is none. */
export async function lastSeal(backend: Backend, segment: Segment, seed: number): Promise<StoredSeal | undefined> {
  const from = Math.max(0, segment.bytes - SEAL_BYTES_MAX);
  const bytes = await readBytes(backend, segment, from, segment.bytes);
  if (bytes.at(-1) !== 0x0a) return undefined;
  const start = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1;
  if (!verifies(seed, bytes, start, bytes.length - 1)) return undefined;
  const seal = asSeal(parseObject(bytes.subarray(start)) ?? {});
  if (seal === undefined) return undefined;
  return stored(seal, bytes.subarray(start), from + start);
}

function stored(seal: Partial<Seal>, line: Buffer, offset: number): StoredSeal {
  const replaced: unknown = seal.replaces;
  const digests = [sealDigest(line), ...(Array.isArray(replaced) ? (replaced as string[]) : [])];
  return { offset, length: line.length, seal, digests };
}

function digestsOf(seal: StoredSeal | undefined): readonly string[] {
  return seal?.digests ?? [];
}

function replacedSeal(log: LogName, file: string, offset: number, length: number): Finding {
  const detail = "the seal is about other bytes than those that are there now";
  const nothing = { seqs: undefined, lostSeqs: undefined, acknowledged: "none" } as const;
  return { kind: "checksum-mismatch", log, file, offset, length, detail, ...nothing, repair: { type: "remove" } };
}
