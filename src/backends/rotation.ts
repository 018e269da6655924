// Rotation: the active segment of a log that is full or old is sealed, and a new one begins. Between two batches, so that
// nothing is in flight.
import { activeIdentityLine } from "../log/lineage.ts";
import { encodeSeal, sealDigest } from "../log/seal.ts";
import { activeName } from "../log/segments.ts";
import type { LogName } from "../log/record.ts";
import type { AppendedAt, AppendPart, Backend, Claim, StoreIdentity } from "./backend.ts";
import type { LogState } from "./batch.ts";
import { describeSegment } from "./sealing.ts";

export class Rotation {
  readonly #backend: Backend;
  readonly #identity: StoreIdentity;
  readonly #claim: Claim;
  readonly #logs: Readonly<Record<LogName, LogState>>;

  constructor(backend: Backend, identity: StoreIdentity, claim: Claim, logs: Readonly<Record<LogName, LogState>>) {
    this.#backend = backend;
    this.#identity = identity;
    this.#claim = claim;
    this.#logs = logs;
  }

  /** The logs whose active segment has no place for their part. An empty one always has. */
  due(parts: readonly AppendPart[], nowMs: number): LogName[] {
    const { segmentBytes, segmentAgeMs } = this.#backend.limits;
    const full = parts.filter(({ log, bytes }) => {
      const { firstMs, bytes: filled } = this.#logs[log].segment;
      return firstMs !== undefined && (filled + bytes.length > segmentBytes || nowMs - firstMs >= segmentAgeMs);
    });
    return full.map(({ log }) => log);
  }

  /** A batch was written. */
  note(parts: readonly AppendPart[], placed: readonly AppendedAt[]): void {
    parts.forEach(({ log, bytes, firstSeq }, i) => {
      const { segment, timestampMs } = this.#logs[log];
      segment.firstSeq ??= firstSeq;
      segment.firstMs ??= timestampMs;
      segment.bytes = (placed[i] as AppendedAt).offset + bytes.length;
    });
  }

  /**
   * 1. the segment is read back and verified; 2. the seal is appended; 3. the claim closes the segment: made durable, renamed,
   * the directory synced, a new one begun. A crash behind 2 leaves an active segment that ends in a seal: opening closes it.
   * A segment that does not verify any more is closed without a seal: the scan finds what is wrong in it.
   */
  async seal(log: LogName): Promise<void> {
    const state = this.#logs[log];
    const { firstSeq, bytes, previousSeal } = state.segment;
    const identityLine = activeIdentityLine(this.#identity, log);
    const sealed = await describeSegment(identityLine, this.#backend.read(activeName(log), 0, bytes));
    let digest: string | null = null;
    if (sealed?.bytes === bytes && sealed.last_seq === state.acknowledged) {
      const line = Buffer.from(encodeSeal(state.seed, { ...sealed, previous: previousSeal }));
      const { last_seq: lastSeq } = sealed;
      await this.#claim.append([{ log, bytes: line, firstSeq: lastSeq, lastSeq }]);
      digest = sealDigest(line);
    }
    await this.#claim.startSegment(log, identityLine, firstSeq as number, state.acknowledged);
    state.segment = { firstSeq: undefined, firstMs: undefined, bytes: identityLine.length, previousSeal: digest };
  }
}
