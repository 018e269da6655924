// Reads one log of a store from its first byte to its last through the pure scanner and ledger. Scan, recovery, the
// start-up check and opening all begin here, so that they can never disagree. Changes nothing; memory stays flat.
import type { Backend, Segment, StoreView } from "./backend.ts";
import { PapyraError } from "../errors.ts";
import { decodeRecord, encodeIdentity } from "../log/codec.ts";
import { upToItsEnd } from "../log/beyond.ts";
import { LogLedger, type LogAccount } from "../log/ledger.ts";
import { type Entry, LineScanner } from "../log/lines.ts";
import type { Identity, LogName, LogRecord } from "../log/record.ts";
import { firstLine, lastLine } from "../log/run-ends.ts";
import { SealChain, type StatedSeal } from "../log/seal.ts";
import { SegmentHash } from "../log/segment-hash.ts";
import { activeName } from "../log/segments.ts";
import { type JudgedSegment, judgeSegment } from "./judge-segment.ts";
import type { KnownEnds } from "./known-ends.ts";
import type { LookAhead, WholeSegment } from "./look-ahead.ts";
import { identityOf, lastSeqOf, siblingsOf } from "./identities.ts";
import { endsInSeal, readerOf, readHead, readSeal, runOf, type SegmentReader } from "./segment-ends.ts";

export interface CheckOptions {
  /** A living writer may be appending: bytes behind the last whole line of the active segment are in flight. */
  readonly live: boolean;
  /** How many findings are kept in full; all are counted. */
  readonly findingsMax: number;
  /**
   * Takes the word of the seals: of a closed segment whose seal verifies, follows the one before, and says that every seq
   * from its first to its last is in it, only the head and the seal are read. `onEntry` sees nothing of it.
   */
  readonly trustSeals?: boolean;
  /** Of those, the ones whose ends need not be read again. */
  readonly known?: KnownEnds | undefined;
  /** What is known of closed segments beforehand: of one that is whole only the ends are read. `onEntry` sees nothing of it. */
  readonly ahead?: LookAhead | undefined;
  /** Also compares the SHA-256 of sealed segments; each line has a checksum of its own anyway. */
  readonly hashSealed?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes read since the last call. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
  /** Sees every entry; its bytes are valid during the call only. */
  readonly onEntry?: ((entry: Entry, segment: Segment) => void) | undefined;
}

/** What reading a log found. */
export interface CheckedLog {
  readonly log: LogName | undefined;
  readonly segments: readonly Segment[];
  readonly bytes: number;
  readonly account: LogAccount;
  /** Seqs and times of the first and the last record that verified, or that a trusted seal names. */
  readonly first: Stamp | undefined;
  readonly last: Stamp | undefined;
  /** Whether the log has checksums at all. */
  readonly checked: boolean;
  /** The end of the active segment, for who wants to go on writing; undefined when there is no active segment. */
  readonly tail: LogTail | undefined;
}

/** Which record it is, and when it was written, in epoch seconds. */
export type Stamp = Pick<LogRecord, "seq" | "timestamp">;

/** The active segment as it was found. */
export interface LogTail {
  readonly bytes: number;
  /** Ends in a whole verified line, and not in a seal. */
  readonly clean: boolean;
  readonly firstSeq: number | undefined;
  /** When its first record was written; undefined while it has none. */
  readonly firstMs: number | undefined;
  /** The digest of its own seal, and of that of the segment before. */
  readonly seal: string | null;
  readonly previousSeal: string | null;
}

export async function checkLog(
  backend: Backend,
  view: StoreView,
  log: LogName | undefined,
  options: CheckOptions,
): Promise<CheckedLog> {
  const check = new LogCheck(backend, view, log, options);
  const segments = view.segments.filter((segment) => segment.log === log);
  for (const segment of segments) await check.segment(segment);
  const checked = check.finish(segments);
  // The gap record that accounts for a hole may stand in any segment behind it, also in one that was not read.
  const untold = checked.account.missingSeqs.some(({ from }) => from < check.trustedSeq);
  return untold ? checkLog(backend, view, log, { ...options, trustSeals: false, onProgress: undefined }) : checked;
}

/** The state of one run over a log. */
class LogCheck {
  readonly #backend: Backend;
  readonly #view: StoreView;
  readonly #log: LogName | undefined;
  readonly #options: CheckOptions;
  readonly #ledger: LogLedger;
  readonly #seals = new SealChain();
  #first: Buffer | Stamp | undefined;
  #last: Buffer | Stamp | undefined;
  /** The last seq of a segment that was not read. */
  trustedSeq = 0;
  #bytes = 0;
  #previous: Segment | undefined;
  #checked = true;
  #tail: CheckedLog["tail"];

  constructor(backend: Backend, view: StoreView, log: LogName | undefined, options: CheckOptions) {
    this.#backend = backend;
    this.#view = view;
    this.#log = log;
    this.#options = options;
    this.#ledger = new LogLedger(log, options.findingsMax);
  }

  async segment(segment: Segment): Promise<void> {
    this.#options.signal?.throwIfAborted();
    this.#ledger.startSegment(segment.name, segment.firstSeq);
    this.#bytes += segment.bytes;
    if (!this.#trustKnown(segment)) await this.#read(segment);
    this.#ledger.endSegment(segment.bytes);
    this.#previous = segment;
  }

  /** Takes the word of a seal that was verified before, or returns false. */
  #trustKnown(segment: Segment): boolean {
    if (this.#options.trustSeals !== true || this.#options.known === undefined) return false;
    const identity = identityOf(this.#view, this.#log, segment);
    const line = identity === undefined ? "" : encodeIdentity(identity);
    const seal = this.#options.known.sealOf(segment, line);
    return seal !== undefined && this.#trust(segment, Buffer.byteLength(line), seal);
  }

  async #read(segment: Segment): Promise<void> {
    const source = await readerOf(this.#backend, segment);
    const expected = identityOf(this.#view, this.#log, segment);
    const head = await readHead(source, segment, expected);
    const judged = judgeSegment(head, segment, this.#log, expected, siblingsOf(this.#view));
    if (!judged.checked) this.#checked = false;
    if (judged.finding !== undefined) {
      const { kind, length, detail, repair } = judged.finding;
      this.#ledger.report(kind, { offset: 0, length, detail }, repair);
    }
    let { clean } = judged;
    let firstSeq: number | undefined;
    let firstMs: number | undefined;
    if (judged.from === undefined) this.#seals.skipSegment();
    else if (!(await this.#trustSealOf(source, segment, judged, expected))) {
      const sealed = this.#options.hashSealed === true && (!segment.active || (await endsInSeal(source, segment)));
      const hash = sealed ? new SegmentHash() : undefined;
      hash?.begin(head.subarray(0, judged.from));
      hash?.end(judged.from);
      this.#seals.startSegment(hash);
      if (!judged.clean) this.#seals.noteDamage();
      for await (const entry of this.#entries(source, segment, judged.from, judged.seed, hash)) {
        if (entry.type === "run") firstSeq ??= entry.firstSeq;
        if (entry.type === "gap") firstSeq ??= entry.record.seq;
        if (segment.active && (entry.type === "run" || entry.type === "gap"))
          firstMs ??= timeOf(firstLine(entry.bytes));
        clean = this.#take(entry, segment) && clean;
      }
      this.#reportUnsealed();
      if (this.#seals.sealed) clean = false; // nothing stands behind a seal: writing goes on in a new segment
    }
    if (segment.active) {
      const { digest: seal, previousDigest: previousSeal } = this.#seals;
      this.#tail = { bytes: segment.bytes, clean, firstSeq, firstMs, seal, previousSeal };
    }
  }

  /** Takes the word of the segment's seal, or returns false. */
  async #trustSealOf(
    source: SegmentReader,
    segment: Segment,
    { from, seed, clean }: JudgedSegment,
    identity: Identity | undefined,
  ): Promise<boolean> {
    if (seed === undefined || from === undefined || !clean) return false;
    const whole = segment.active ? undefined : await this.#options.ahead?.of(segment.id);
    if (this.#options.trustSeals !== true && whole === undefined) return false;
    this.#options.signal?.throwIfAborted();
    const seal = await readSeal(source, segment, seed);
    if (seal === undefined || !this.#trust(segment, from, seal, whole)) return false;
    if (identity !== undefined) this.#options.known?.add(segment, encodeIdentity(identity), seal);
    return true;
  }

  /** The same of a seal that is there: it must fit to what stands before the segment. */
  #trust(segment: Segment, from: number, seal: StatedSeal, whole?: WholeSegment): boolean {
    if (whole !== undefined && whole.digest !== seal.digests[0]) return false; // it is another one by now
    if (seal.first_seq <= this.#ledger.maxSeq) return false;
    if (seal.last_seq > lastSeqOf(this.#view, this.#log, segment)) return false;
    if (!this.#seals.trustSegment(seal.digests, seal.previous)) return false;
    this.#reportUnsealed();
    // Nobody has read what is only trusted: the seal is taken for what its lines would state.
    this.#ledger.add({ ...runOf(seal, from), ...(whole === undefined ? {} : { durable: whole.durable }) });
    this.#first ??= { seq: seal.first_seq, timestamp: seal.first_timestamp };
    this.#last = { seq: seal.last_seq, timestamp: seal.last_timestamp };
    if (whole === undefined) this.trustedSeq = seal.last_seq;
    this.#options.onProgress?.(segment.bytes - from);
    return true;
  }

  #reportUnsealed(): void {
    if (!this.#seals.previousUnsealed || this.#previous === undefined) return;
    const { name: file, bytes: offset } = this.#previous;
    const detail = "the segment is closed, and its seal is missing";
    this.#ledger.report("checksum-mismatch", { file, offset, length: 0, detail }, { type: "none" });
  }

  finish(segments: readonly Segment[]): CheckedLog {
    this.#checkActive(segments);
    const reach = this.#log === undefined ? undefined : this.#view.reach(this.#log);
    return {
      log: this.#log,
      segments,
      bytes: this.#bytes,
      account: this.#ledger.finish(reach),
      first: stampOf(this.#first),
      last: stampOf(this.#last),
      checked: this.#checked,
      tail: this.#tail,
    };
  }

  /** Valid until the next is asked for. */
  async *#entries(
    source: SegmentReader,
    segment: Segment,
    from: number,
    seed: number | undefined,
    hash: SegmentHash | undefined,
  ): AsyncGenerator<Entry> {
    const scanner = new LineScanner(seed, from);
    const end = lastSeqOf(this.#view, this.#log, segment);
    let position = from;
    for await (const chunk of source.read(segment.name, from, segment.bytes, segment.id)) {
      this.#options.signal?.throwIfAborted();
      hash?.begin(chunk);
      yield* upToItsEnd(scanner.push(chunk), end);
      hash?.end(scanner.pendingOffset);
      position += chunk.length;
      this.#options.onProgress?.(chunk.length);
    }
    if (position < segment.bytes) {
      throw new PapyraError("STORAGE_FAILED", `${segment.name} became shorter while it was read`, {
        hint: "is something else changing the store?",
      });
    }
    if (!this.#options.live || !segment.active) yield* upToItsEnd(scanner.end(), end);
  }

  /** Every log has a file that is appended to; only beside a writer it may be in the making. */
  #checkActive(segments: readonly Segment[]): void {
    const identity = identityOf(this.#view, this.#log);
    if (identity === undefined || this.#options.live) return;
    if (segments.length === 0 || segments.some((segment) => segment.active)) return;
    const at = { file: activeName(identity.log), offset: 0, length: 0, detail: "the active file is missing" };
    this.#ledger.report("missing-segment", at, { type: "identity", line: Buffer.from(encodeIdentity(identity)) });
  }

  /** Whether the segment still ends in a whole verified line after this entry. */
  #take(entry: Entry, segment: Segment): boolean {
    this.#ledger.add(entry);
    const wrong = this.#seals.add(entry);
    if (wrong !== undefined) {
      const length = entry.type === "damage" ? entry.length : entry.bytes.length;
      this.#ledger.report("checksum-mismatch", { offset: entry.offset, length, detail: wrong }, { type: "none" });
    }
    this.#options.onEntry?.(entry, segment);
    if (entry.type === "damage") return false;
    if (entry.type === "run" || entry.type === "gap") {
      this.#first ??= Buffer.from(firstLine(entry.bytes));
      this.#last = Buffer.from(lastLine(entry.bytes));
    }
    return !("unterminated" in entry && entry.unterminated);
  }
}

function stampOf(found: Buffer | Stamp | undefined): Stamp | undefined {
  return Buffer.isBuffer(found) ? decodeRecord(found) : found;
}

function timeOf(line: Buffer): number {
  return Math.round(decodeRecord(line).timestamp * 1000);
}
