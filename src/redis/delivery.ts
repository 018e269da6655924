// What an entry of a stream is to a consumer. PURE. Every line is verified before it is handed out; one that does not verify is
// handed out as what it is, and nothing is left out but Papyra's own lines: identities and seals.
import { ensureError } from "../errors.ts";
import { decodeRecord, encodeIdentity, seedOf, verifies } from "../log/codec.ts";
import { allIdentities, type Lineages } from "../log/lineage.ts";
import type { LogName, LogRecord } from "../log/record.ts";
import { isSeq } from "../log/seqs.ts";

interface Given {
  /** The id of the entry: what it is acknowledged by. */
  readonly id: string;
  /** How often the server has given it out, to whichever consumer. */
  readonly deliveryCount: number;
  /** It was given out before, so that somebody may have seen it already. */
  readonly redelivered: boolean;
}

/** A record whose line has verified. */
export interface RecordDelivery extends Given {
  readonly type: "record";
  /** Tells a record from all others of its log: what was handled under this seq already is a repetition. */
  readonly seq: number;
  readonly record: LogRecord;
  /** As it is stored, with its line break. */
  readonly line: Buffer;
}

/** A line that does not verify. It stays pending until it is acknowledged, or recovery takes it out. */
export interface DamagedDelivery extends Given {
  readonly type: "damaged";
  readonly reason: string;
  readonly bytes: Buffer;
}

/** An entry that somebody deleted before it was acknowledged. It stays pending until it is acknowledged. */
export interface DeletedDelivery extends Given {
  readonly type: "deleted";
}

/** What a consumer is given: a record, or a finding. */
export type Delivery = RecordDelivery | DamagedDelivery | DeletedDelivery;

/** An entry as the server gives it to a consumer; without bytes when it is pending and not in the stream any more. */
export interface GivenEntry {
  readonly id: string;
  readonly bytes: Buffer | undefined;
  readonly deliveryCount: number;
}

export class EntryReader {
  /** Of the log, and, where a restore has taken its history over, of those before it. */
  readonly #seeds: ReadonlyMap<string, number>;

  constructor(lineages: Lineages, log: LogName) {
    const lines = allIdentities(lineages)
      .filter((identity) => identity.log === log)
      .map(encodeIdentity);
    this.#seeds = new Map(lines.map((line) => [line, seedOf(line)]));
  }

  /** Nothing for an entry without a line, or with none but Papyra's own. Where a recovery put several lines into one, all of them. */
  deliveries({ id, bytes, deliveryCount }: GivenEntry): Delivery[] {
    const given = { id, deliveryCount, redelivered: deliveryCount > 1 };
    if (bytes === undefined) return [{ type: "deleted", ...given, redelivered: true }];
    const lines = linesOf(bytes).map((line) => ({ line, said: this.#read(line) }));
    const reasons = lines.flatMap(({ said }) => (typeof said === "string" ? [said] : []));
    const [reason] = reasons;
    if (reason !== undefined && reasons.length === lines.length) return [{ type: "damaged", ...given, reason, bytes }];
    return lines.flatMap(({ line, said }): Delivery[] => {
      if (said === undefined) return [];
      if (typeof said === "string") return [{ type: "damaged", ...given, reason: said, bytes: line }];
      return [{ type: "record", ...given, seq: said.seq, record: said, line }];
    });
  }

  /** The seq of a record that verifies. */
  seqOf(bytes: Buffer): number | undefined {
    const said = this.#read(bytes);
    return typeof said === "object" ? said.seq : undefined;
  }

  #verifies(line: Buffer): boolean {
    return [...this.#seeds.values()].some((seed) => verifies(seed, line, 0, line.length - 1));
  }

  /** A record, nothing for a line of Papyra's own, or what is wrong with it. */
  #read(line: Buffer): LogRecord | string | undefined {
    if (this.#seeds.has(line.toString())) return undefined;
    if (line.at(-1) !== 0x0a) return "it does not end in a line break";
    if (!this.#verifies(line)) return "it does not verify as a line of this log";
    try {
      const record = decodeRecord(line);
      if (record.seq === undefined) return undefined;
      return isSeq(record.seq) ? record : `it verifies and states seq ${String(record.seq)}, which no record has`;
    } catch (thrown) {
      return ensureError(thrown).message;
    }
  }
}

function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let from = 0; from < bytes.length; ) {
    const to = bytes.indexOf(0x0a, from) + 1 || bytes.length;
    lines.push(bytes.subarray(from, to));
    from = to;
  }
  return lines;
}
