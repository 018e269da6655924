// Opening a store for writing: finds where each log ends and goes on behind it. Sealed segments are not read: whoever reads
// their lines verifies them. Destroys nothing: a log that ends in the
// leftover of an unfinished write is left as it is, under a closed name, and writing goes on in a new segment.
import { basename } from "node:path";
import { isPapyraError, PapyraError } from "../errors.ts";
import { encodeIdentity, seedOf } from "../log/codec.ts";
import { quoted } from "../quoted.ts";
import { normalise, subtract } from "../log/ranges.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { LOG_NAMES, type LogName, type NewRecord } from "../log/record.ts";
import { SEQ_MAX, SEQ_ROOM } from "../log/seqs.ts";
import type { Backend, Claim, StoreIdentity, StoreView } from "./backend.ts";
import type { LogState } from "./batch.ts";
import { type CheckedLog, checkLog } from "./check.ts";
import { identityOf } from "./identities.ts";
import { KnownEnds } from "./known-ends.ts";
import { noSeqsLeft } from "./refusals.ts";
import type { Store } from "./store.ts";
import { StoreWriter } from "./store-writer.ts";

/**
 * Opens a store as its one writer; makes it when nothing is there.
 * Rejects with STORE_LOCKED, STORE_UNCHECKED (a log without checksums is never appended to), STORE_DAMAGED (where writing
 * would go on cannot be told), FORMAT_UNKNOWN, STORAGE_FAILED, STORAGE_FULL.
 *
 * @example
 * ```ts
 * import { memoryStore, openStore } from "papyra";
 * const store = await openStore(memoryStore());
 * const { lastSeq } = await store.append("audits", [
 *   { kind: "event", system_id: "local", actor_address: "local://a", event_type: "Noted", payload: {} },
 * ]);
 * await store.close();
 * if (lastSeq !== 1) throw new Error("the first record has seq 1");
 * ```
 */
export function openStore(backend: Backend): Promise<Store> {
  return openStoreFor(backend, "writing");
}

/** The same, for who is told to others as something else than a writer. */
export async function openStoreFor(backend: Backend, purpose: string): Promise<Store> {
  const claim = await backend.claim(purpose);
  try {
    const { identity, view } = await identify(backend, claim);
    const logs = {} as Record<LogName, LogState>;
    const lacking: { readonly log: LogName; readonly gaps: readonly NewRecord[] }[] = [];
    const ends: KnownEnds[] = [];
    for (const log of LOG_NAMES) {
      const { state, gaps, known } = await resumeLog(backend, claim, view, log);
      logs[log] = state;
      if (known !== undefined) ends.push(known);
      if (gaps.length > 0) lacking.push({ log, gaps });
    }
    const store = new StoreWriter(backend, identity, claim, logs);
    // Before the mark moves: from then on nobody could tell that a hole was never promised, nor what a power cut was allowed to take.
    // Cut short in between, the mark says what it said, and the next opening does the same; what was written by then accounts for it.
    for (const { log, gaps } of lacking) await store.append(log, gaps);
    await claim.vouch(
      Object.fromEntries(LOG_NAMES.map((log) => [log, logs[log].acknowledged])) as Record<LogName, number>,
    );
    for (const known of ends) await known.keep(); // at last: where space is short, everything else has a better use for it
    return store;
  } catch (error) {
    await claim.release().catch(() => undefined); // what failed first is what counts
    throw error;
  }
}

/** Who the store is, from its own record or its logs; a new one gets a name that no other has. */
async function identify(backend: Backend, claim: Claim): Promise<{ identity: StoreIdentity; view: StoreView }> {
  let view: StoreView | undefined;
  try {
    view = await claim.view();
  } catch (error) {
    if (!isPapyraError(error, "STORE_NOT_FOUND")) throw error;
  }
  if (view !== undefined) await assertWritable(backend, view);
  const { random, clock } = backend.env;
  const identity = view?.identity ?? {
    store: `${
      basename(backend.location)
        .replace(/[^A-Za-z0-9_-]+/g, "-")
        .slice(0, 40) || "store"
    }-${random.hex(4)}`,
    lineage: `b${random.hex(4)}`,
    parent: null,
    createdMs: clock.nowMs(),
  };
  await claim.create(identity);
  // Where everything was there, nothing has changed: a store of many segments is looked at once.
  return { identity, view: view !== undefined && isWhole(view) ? view : await claim.view() };
}

/** Whether a store has everything that is made with it. */
function isWhole({ identityRecorded, segments }: StoreView): boolean {
  return (
    identityRecorded && LOG_NAMES.every((log) => segments.some((segment) => segment.active && segment.log === log))
  );
}

async function assertWritable(backend: Backend, view: StoreView): Promise<void> {
  const lone = view.segments.find((segment) => segment.log === undefined);
  if (lone !== undefined) {
    throw new PapyraError("OPTION_INVALID", `${backend.location} is a file; a store is a directory`, {
      hint: "name the directory",
    });
  }
  for (const finding of view.findings) {
    if (finding.kind === "missing-segment" && finding.log !== undefined && view.reach(finding.log) === undefined) {
      throw mustRecover(backend, `the log ${finding.log} is missing and nothing says how far it reached`);
    }
  }
  if (view.identity === undefined && view.segments.length > 0) {
    throw new PapyraError(
      "STORE_UNCHECKED",
      `${backend.location} holds logs without checksums, written by the Python Papyra or by hand`,
      {
        hint: "Papyra reads them and never appends to them: give the store another path, and keep these files as they are",
        details: { files: view.segments.map((segment) => segment.name) },
      },
    );
  }
}

/** Of seqs of an unfinished write in front of others of it that reached the disk whole. */
const UNFINISHED = "opening: an unfinished write, never acknowledged";
/** Of seqs that were acknowledged under a policy that does not wait for the disk: they are not given away a second time. */
const POWER_CUT =
  "opening: acknowledged and not on the disk yet when the machine went down, as the durability policy allows";

/** A log where writing goes on, and what accounts for its seqs before that which are not there and need not be. */
interface Resumed {
  readonly state: LogState;
  readonly gaps: readonly NewRecord[];
  readonly known: KnownEnds | undefined;
}

async function resumeLog(backend: Backend, claim: Claim, view: StoreView, log: LogName): Promise<Resumed> {
  const known = await KnownEnds.of(backend, log, view.segments);
  const checked = await checkLog(backend, view, log, { live: false, findingsMax: 1000, trustSeals: true, known });
  const blocking = checked.account.findings.find(
    (finding) => finding.kind === "unreadable" || finding.kind === "foreign-line",
  );
  if (blocking !== undefined) throw mustRecover(backend, `${blocking.file}: ${blocking.detail}`);
  if (!checked.checked) throw mustRecover(backend, `the log ${log} has no identity and no checksums`);
  const { seed, line } = seedFor(view, log);
  const { tail } = checked;
  // `nextSeq` may lie further on than the last seq that is known: what may have been acknowledged is never used again.
  const { lastSeq, nextSeq, missingSeqs, unpromisedSeqs, allowedSeqs, absentSeqs } = checked.account;
  if (nextSeq > SEQ_MAX - SEQ_ROOM) throw noSeqsLeft(backend.location, log, nextSeq - 1);
  const clean = tail?.clean === true;
  if (clean) await claim.resume(log, tail.bytes, lastSeq);
  else await claim.startSegment(log, line, tail?.firstSeq ?? nextSeq, lastSeq);
  const skipped = nextSeq > lastSeq + 1 ? [{ from: lastSeq + 1, to: nextSeq - 1 }] : [];
  const state: LogState = {
    seq: nextSeq - 1,
    acknowledged: lastSeq,
    timestampMs: lastTimestampMs(checked),
    seed,
    segment: clean
      ? { firstSeq: tail.firstSeq, firstMs: tail.firstMs, bytes: tail.bytes, previousSeal: tail.previousSeal }
      : { firstSeq: undefined, firstMs: undefined, bytes: line.length, previousSeal: tail?.seal ?? null },
    missing: [...subtract(missingSeqs, normalise([...unpromisedSeqs, ...allowedSeqs])), ...skipped],
    absent: normalise([...absentSeqs, ...skipped]),
  };
  const gapsBy = (by: string, seqs: readonly SeqRange[]) =>
    seqs.map((range) => ({ kind: "gap", ...range, reason: "lost", by }) as const);
  return { state, gaps: [...gapsBy(UNFINISHED, unpromisedSeqs), ...gapsBy(POWER_CUT, allowedSeqs)], known };
}

/** The starting value of a log's checksums in a store, and the identity line itself. */
function seedFor(view: StoreView, log: LogName): { seed: number; line: Buffer } {
  const identity = identityOf(view, log);
  if (identity === undefined) throw new PapyraError("INTERNAL", "a store without an identity was opened");
  const line = Buffer.from(encodeIdentity(identity));
  return { seed: seedOf(line), line };
}

function lastTimestampMs(checked: CheckedLog): number {
  return Math.round((checked.last?.timestamp ?? 0) * 1000);
}

function mustRecover(backend: Backend, why: string): PapyraError {
  return new PapyraError("STORE_DAMAGED", `the store ${backend.location} cannot be written: ${why}`, {
    hint: `run: papyra persistence scan --path ${quoted(backend.location)}, then papyra persistence recover --path ${quoted(backend.location)} --mode quarantine`,
  });
}
