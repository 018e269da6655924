// Compaction: makes retention physical. Takes expired records out of closed segments, and journal records that snapshots
// cover; everything that stays is copied byte for byte, and gap records account for what goes. Beside a writer that goes on.
//
// For each log, in this order, so that a crash between any two steps leaves a whole log, and the next compaction goes on:
// 1. the active segment is sealed if something in it goes: only closed segments are touched;
// 2. gap records are written, durably: from now on the seqs are accounted for, though they are still there;
// 3. segments that follow each other are merged into a new one without the lines that go. The rename that publishes it
//    supersedes all of them at once (log/segments.ts);
// 4. it is read back, and only then are the superseded ones removed. A crash before leaves files that no longer count.
import type { Backend, Segment, StoreView } from "../backends/backend.ts";
import { identityOf } from "../backends/identities.ts";
import { openStoreFor } from "../backends/open.ts";
import { whilePinned } from "../backends/pinned.ts";
import { readSteadily } from "../backends/steady.ts";
import type { Maintenance, Store } from "../backends/store.ts";
import { PapyraError } from "../errors.ts";
import { encodeIdentity, seedOf } from "../log/codec.ts";
import { compactedGaps } from "../log/gaps.ts";
import { identityAt } from "../log/lineage.ts";
import type { LogName } from "../log/record.ts";
import type { RetentionPolicy } from "../log/retention.ts";
import { compactedName, parseFileName } from "../log/segments.ts";
import { quoted } from "../quoted.ts";
import { type LogCompaction, logsConcerned, planCompaction, type SegmentShare } from "./compact-plan.ts";
import { type CompactReport, type CompactedLog, compactReport } from "./compact-report.ts";
import { formGroups, type Group } from "./compact-groups.ts";
import { leftoversIn, notProved } from "./superseded.ts";
import { assertSame, fingerprintOf } from "./plan-file.ts";
import { SegmentMerge } from "./merge-segments.ts";
import { lastSeal } from "./seals.ts";

export type { CompactReport, CompactedLog } from "./compact-report.ts";

export interface CompactOptions {
  /** What goes. Default: what the store's own options say. */
  readonly retention?: RetentionPolicy | undefined;
  /** What counts as now for ages, in milliseconds since the epoch. Default: the clock. */
  readonly nowMs?: number | undefined;
  /** The fingerprint of a plan: anything else than what it says is refused with STORE_CHANGED. */
  readonly fingerprint?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the bytes read so far and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** So many bytes must stay free besides what is written. */
const SPARE_BYTES = 1 << 20;

/** What would go, changing nothing. Rejects as {@link compact} does. */
export async function planCompact(backend: Backend, options: CompactOptions = {}): Promise<CompactReport> {
  const { view, ...plan } = await lookAt(backend, options);
  return compactReport(backend, view, { ...plan, done: undefined, by: undefined });
}

/**
 * Compacts a store that nobody has open. Rejects with STORE_LOCKED, LOG_DAMAGED (a log is not whole: nothing of it is
 * touched), STORE_CHANGED, STORAGE_FULL (less is free than one new segment takes), STORE_NOT_FOUND, OPTION_INVALID (no policy at all),
 * STORAGE_FAILED, or the signal's reason; whatever was done by then is whole.
 */
export async function compact(backend: Backend, options: CompactOptions = {}): Promise<CompactReport> {
  await lookAt(backend, options); // before the store is opened, which may begin new segments
  const store = await openStoreFor(backend, "compaction");
  try {
    return await compactStore(store, options);
  } finally {
    await store.close();
  }
}

/** Compacts a store that is open, and may go on being written. Rejects as {@link compact} does. */
export async function compactStore(store: Store, options: CompactOptions = {}): Promise<CompactReport> {
  const { backend } = store;
  const work = async (maintenance: Maintenance): Promise<CompactReport> => {
    const { view, plans, leftovers, fingerprint } = await lookAt(backend, options);
    // Before anything is changed; what happens meanwhile, the backend sees when it replaces segments.
    for (const { log, gone } of plans) await maintenance.assertUnneeded(log, gone);
    for (const name of leftovers) await maintenance.remove([name]);
    const { clock, random } = backend.env;
    const by = `compact ${new Date(clock.nowMs()).toISOString().replace(/[-:]|\.\d+/g, "")}-${random.hex(3)}`;
    const run = new Compaction(backend, maintenance, by, options.signal);
    const done: CompactedLog[] = [];
    for (const plan of plans) done.push(await run.log(plan));
    return compactReport(backend, view, { plans, leftovers, fingerprint, done, by });
  };
  return store.maintain("compaction", (maintenance) => whilePinned(backend, "compaction", () => work(maintenance)));
}

/** What decides about a compaction. */
interface Look {
  readonly view: StoreView;
  readonly plans: readonly LogCompaction[];
  /** Files of an interrupted compaction, which go first. */
  readonly leftovers: readonly string[];
  readonly fingerprint: string;
}

/** Changes nothing. Rejects with STORE_CHANGED where it is not what was planned, and with LOG_DAMAGED. */
async function lookAt(backend: Backend, options: CompactOptions): Promise<Look> {
  const retention = policyOf(backend, options);
  return readSteadily(backend, async (view) => {
    const { proved: leftovers, doubtful } = await leftoversIn(backend, view, logsConcerned(retention));
    if (doubtful[0] !== undefined) throw notProved(backend, doubtful[0]);
    const plans = await plansOf(backend, view, retention, options);
    const fingerprint = fingerprintOfAll(view, plans, leftovers);
    const again = `papyra persistence compact --plan --path ${quoted(backend.location)}`;
    assertSame(options.fingerprint ?? fingerprint, fingerprint, backend.location, again);
    return { view, plans, leftovers, fingerprint };
  });
}

function policyOf(backend: Backend, { retention }: CompactOptions): RetentionPolicy {
  const policy = retention ?? backend.limits.retention;
  if (Object.values(policy).some((bounds) => Object.keys(bounds ?? {}).length > 0)) return policy;
  throw new PapyraError("OPTION_INVALID", "nothing says which records may go: there is no retention", {
    hint: "name one, for example --log events --max-age 30d, or put `retention` into the store's options or papyra.config",
  });
}

async function plansOf(
  backend: Backend,
  view: StoreView,
  retention: RetentionPolicy,
  { nowMs = backend.env.clock.nowMs(), signal, onProgress }: CompactOptions,
): Promise<LogCompaction[]> {
  const logs = logsConcerned(retention);
  const total = view.segments
    .filter(({ log }) => log !== undefined && logs.includes(log))
    .reduce((all, { bytes }) => all + bytes, 0);
  let done = 0;
  const onBytes = (bytes: number): void => onProgress?.((done += bytes), total);
  return planCompaction(backend, view, { retention, nowMs, signal, onProgress: onBytes });
}

/** Of all that decides what a compaction does. */
function fingerprintOfAll(view: StoreView, plans: readonly LogCompaction[], leftovers: readonly string[]): string {
  const logs = plans.map(({ log, gone, compacted, shares }) => {
    return { log, gone, compacted, segments: shares.map(({ segment }) => [segment.name, segment.bytes]) };
  });
  return fingerprintOf({ store: view.identity?.store, lineage: view.identity?.lineage, logs, leftovers });
}

class Compaction {
  readonly #backend: Backend;
  readonly #maintenance: Maintenance;
  readonly #by: string;
  readonly #signal: AbortSignal | undefined;

  constructor(backend: Backend, maintenance: Maintenance, by: string, signal: AbortSignal | undefined) {
    this.#backend = backend;
    this.#maintenance = maintenance;
    this.#by = by;
    this.#signal = signal;
  }

  async log(plan: LogCompaction): Promise<CompactedLog> {
    const { log, gone, compacted } = plan;
    const result = {
      log,
      segmentsBefore: plan.shares.length,
      segmentsAfter: plan.shares.length,
      gaps: 0,
      writtenBytes: 0,
    };
    if (gone.length === 0) return result;
    this.#signal?.throwIfAborted();
    if (plan.shares.some(({ segment, gone: lines }) => segment.active && lines > 0)) await this.#maintenance.seal(log);
    const gaps = compactedGaps(compacted, this.#by, this.#backend.limits.lineBytesMax);
    await this.#maintenance.account(log, gaps, gone);
    result.gaps = gaps.length;
    const closed = await this.#closedNow(plan);
    const { segmentBytes } = this.#backend.limits;
    const { identity } = await this.#backend.view();
    const lineageOf = ({ firstSeq }: Segment): string | undefined =>
      identity === undefined ? undefined : identityAt(identity, log, firstSeq).lineage;
    const sameLineage = (a: Segment, b: Segment): boolean => lineageOf(a) === lineageOf(b);
    for (const group of formGroups(closed, segmentBytes, sameLineage)) {
      this.#signal?.throwIfAborted();
      result.writtenBytes += await this.#merge(log, group, plan);
    }
    result.segmentsAfter = (await this.#segments(log)).length;
    return result;
  }

  /** The closed segments as they are now, each with what the plan says of it; what was sealed meanwhile has grown. */
  async #closedNow({ log, shares }: LogCompaction): Promise<SegmentShare[]> {
    const backend = this.#backend;
    const view = await backend.view();
    const byId = new Map(shares.map((share) => [share.segment.id, share]));
    const now: SegmentShare[] = [];
    for (const segment of view.segments) {
      const share = byId.get(segment.id);
      if (share === undefined || segment.active || segment.log !== log) continue;
      const seal = share.segment.active ? await lastSeal(backend, segment, seedIn(view, segment)) : undefined;
      const { last_seq: lastSeq = share.lastSeq } = seal?.seal ?? {};
      now.push({ ...share, segment, bytes: segment.bytes, lastSeq, sealed: share.sealed || seal !== undefined });
    }
    return now;
  }

  async #segments(log: LogName): Promise<readonly Segment[]> {
    return (await this.#backend.view()).segments.filter((segment) => segment.log === log);
  }

  /** Steps 3 and 4 for one group. Returns how many bytes were written. */
  async #merge(log: LogName, group: Group, { gone }: LogCompaction): Promise<number> {
    const backend = this.#backend;
    const inputs = group.shares.map(({ segment }) => segment);
    await this.#assertSpace(group.keptBytes);
    const view = await backend.view();
    const closed = view.segments.filter((segment) => segment.log === log && !segment.active);
    const at = closed.findIndex(({ id }) => id === inputs[0]?.id);
    const before = closed[at - 1];
    const merge = new SegmentMerge(backend, view, { log, inputs, before, gone });
    const name = nameOf(log, group);
    await this.#maintenance.publish(name, merge.content(this.#signal));
    const made = (await this.#segments(log)).find((segment) => segment.name === name);
    if (made === undefined) throw new PapyraError("STORAGE_FAILED", `${name} is not there although it was written`);
    await merge.verify(made);
    await this.#maintenance.remove(inputs.map((segment) => segment.name));
    // At the beginning of the log nobody follows an empty segment.
    if (merge.records === 0 && before === undefined) await this.#maintenance.remove([name]);
    return made.bytes;
  }

  async #assertSpace(bytes: number): Promise<void> {
    const free = await this.#backend.freeBytes();
    const needed = bytes + SPARE_BYTES;
    if (free >= needed) return;
    throw new PapyraError(
      "STORAGE_FULL",
      `compaction needs ${needed} free bytes for a new segment, and there are ${free}`,
      {
        hint: "free some space, then run it again: it goes on where it stopped. A smaller segmentBytes needs less at once",
        details: { needed, free },
      },
    );
  }
}

function seedIn(view: StoreView, segment: Segment): number {
  const identity = identityOf(view, segment.log, segment);
  if (identity === undefined) throw new PapyraError("INTERNAL", "a store without an identity was to be compacted");
  return seedOf(encodeIdentity(identity));
}

function nameOf(log: LogName, group: Group): string {
  const parsed = group.shares.map(({ segment }) => parseFileName(segment.name));
  const generations = parsed.map((name) => (name.type === "closed" ? name.generation : 0));
  return compactedName(log, group.firstSeq, group.lastSeq, Math.max(...generations) + 1);
}
