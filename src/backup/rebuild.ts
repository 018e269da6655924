// Builds a store out of a view of another one: closed segments byte for byte, the last one cut at the instant and sealed, and
// behind them the empty active segments of a new lineage. Over the verbs of the target's backend, whatever that is.
import type { Backend, Claim, Segment, StoreIdentity, StoreView } from "../backends/backend.ts";
import { identityOf } from "../backends/identities.ts";
import { describeSegment } from "../backends/sealing.ts";
import { PapyraError } from "../errors.ts";
import { encodeIdentity, seedOf } from "../log/codec.ts";
import { LineScanner } from "../log/lines.ts";
import type { Ancestor } from "../log/lineage.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { encodeSeal } from "../log/seal.ts";
import { closedName } from "../log/segments.ts";
import { lastSeal } from "../ops/seals.ts";
import { type CutLog, cutLog, type Instant } from "./instant.ts";

/** One log as it will be. */
export interface RebuiltLog {
  readonly log: LogName;
  readonly whole: readonly Segment[];
  /** The last segment and the seq of its first line; undefined when it holds none. */
  readonly cut: { readonly segment: Segment; readonly bytes: number; readonly firstSeq: number } | undefined;
  readonly lastSeq: number;
}

/** What `rebuild` will do; changes nothing. */
export async function planRebuild(source: Backend, instant: Instant): Promise<RebuiltLog[]> {
  const view = await source.view();
  const logs: RebuiltLog[] = [];
  for (const log of LOG_NAMES) {
    const { whole, cut } = await endSealed(source, view, log, await cutLog(source, view, log, instant[log]));
    const firstSeq = cut === undefined ? undefined : await firstSeqOf(source, view, log, cut.segment);
    const kept = cut !== undefined && firstSeq !== undefined && firstSeq <= (instant[log] ?? firstSeq);
    const lastSeq = instant[log] ?? view.reach(log)?.seq ?? 0;
    logs.push({ log, whole, cut: kept ? { ...cut, firstSeq } : undefined, lastSeq });
  }
  return logs;
}

/**
 * A segment that was closed because of an unfinished write has no seal, and the seal behind it says so. Where nothing behind it is
 * taken over, nobody says it any more: then it ends as one that was cut, in a seal of its own, and the next lineage begins behind that.
 */
async function endSealed(
  source: Backend,
  view: StoreView,
  log: LogName,
  { whole, wholeEnd, cut }: CutLog,
): Promise<Pick<CutLog, "whole" | "cut">> {
  const last = whole.at(-1);
  const identity = last === undefined ? undefined : identityOf(view, log, last);
  if (last === undefined || identity === undefined || cut !== undefined || wholeEnd === 0) return { whole, cut };
  if ((await lastSeal(source, last, seedOf(encodeIdentity(identity)))) !== undefined) return { whole, cut };
  return { whole: whole.slice(0, -1), cut: { segment: last, bytes: wholeEnd } };
}

/** The identity of what is built: a new lineage that goes on from that of the source. */
export function newIdentity(
  { identity }: StoreView,
  logs: readonly RebuiltLog[],
  made: { readonly lineage: string; readonly nowMs: number },
): StoreIdentity {
  if (identity === undefined) throw new PapyraError("INTERNAL", "a backup without an identity was to be restored");
  const ends = Object.fromEntries(logs.map(({ log, lastSeq }) => [log, lastSeq])) as Record<LogName, number>;
  const line = [...(identity.ancestors ?? []), { lineage: identity.lineage, until: ends }];
  const ancestors: Ancestor[] = [];
  for (const { lineage, until } of line) {
    const cut = Object.fromEntries(LOG_NAMES.map((log) => [log, Math.min(until[log], ends[log])])) as Ancestor["until"];
    const before = ancestors.at(-1)?.until;
    // One of which nothing is left is no ancestor: no segment would tell of it.
    if (LOG_NAMES.some((log) => cut[log] > (before?.[log] ?? 0))) ancestors.push({ lineage, until: cut });
  }
  const parent = ancestors.at(-1)?.lineage ?? null;
  return {
    store: identity.store,
    lineage: made.lineage,
    parent,
    createdMs: made.nowMs,
    ...(ancestors.length > 0 ? { ancestors } : {}),
  };
}

/** Builds it in an empty place. The claim stays the caller's. */
export async function rebuild(
  source: Backend,
  claim: Claim,
  logs: readonly RebuiltLog[],
  identity: StoreIdentity,
  options: { readonly signal?: AbortSignal | undefined; readonly onBytes?: (bytes: number) => void },
): Promise<void> {
  const view = await source.view();
  const counted = (segment: Segment, to: number) => count(source, segment, to, options);
  for (const { log, whole, cut } of logs) {
    for (const segment of whole) await claim.publish(segment.name, counted(segment, segment.bytes));
    if (cut === undefined) continue;
    const { segment, bytes, firstSeq } = cut;
    const seal = await sealFor(source, view, log, { segment, bytes, before: whole.at(-1) });
    await claim.publish(closedName(log, firstSeq), followed(counted(segment, bytes), seal));
  }
  await claim.create(identity);
  await claim.vouch(Object.fromEntries(logs.map(({ log, lastSeq }) => [log, lastSeq])));
}

async function* count(
  source: Backend,
  segment: Segment,
  to: number,
  { signal, onBytes }: { readonly signal?: AbortSignal | undefined; readonly onBytes?: (bytes: number) => void },
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source.read(segment.name, 0, to, segment.id)) {
    signal?.throwIfAborted();
    onBytes?.(chunk.length);
    yield chunk;
  }
}

async function* followed(chunks: AsyncIterable<Uint8Array>, last: Buffer): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
  yield last;
}

/** The seal of the cut segment, or nothing when it does not verify: then only a scan can say what is wrong with it. */
async function sealFor(
  source: Backend,
  view: StoreView,
  log: LogName,
  of: { readonly segment: Segment; readonly bytes: number; readonly before: Segment | undefined },
): Promise<Buffer> {
  const { segment, bytes, before } = of;
  const identity = identityOf(view, log, segment);
  if (identity === undefined) return Buffer.alloc(0);
  const line = Buffer.from(encodeIdentity(identity));
  const sealed = await describeSegment(line, source.read(segment.name, 0, bytes, segment.id));
  if (sealed === undefined) return Buffer.alloc(0);
  const identityBefore = identityOf(view, log, before) ?? identity;
  const previous =
    before === undefined ? undefined : await lastSeal(source, before, seedOf(encodeIdentity(identityBefore)));
  return Buffer.from(encodeSeal(seedOf(line), { ...sealed, previous: previous?.digests[0] ?? null }));
}

/** What the name of the segment says, or the first line in it that verifies. */
async function firstSeqOf(
  source: Backend,
  view: StoreView,
  log: LogName,
  segment: Segment,
): Promise<number | undefined> {
  if (segment.firstSeq !== undefined) return segment.firstSeq;
  const identity = identityOf(view, log, segment);
  const from = identity === undefined ? 0 : Buffer.byteLength(encodeIdentity(identity));
  if (identity === undefined) return undefined;
  const scanner = new LineScanner(seedOf(encodeIdentity(identity)), from);
  for await (const chunk of source.read(segment.name, from, segment.bytes, segment.id)) {
    for (const entry of scanner.push(chunk)) {
      if (entry.type === "run") return entry.firstSeq;
      if (entry.type === "gap") return entry.record.seq;
    }
  }
  return undefined;
}
