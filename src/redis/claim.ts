// The writer's side of a Redis store. It knows of each log where it ends, and every write says so to the server, which compares
// before it writes: a reply that was lost is asked for again, and whoever lost the lease to another writer is fenced.
import type { AppendedAt, AppendPart, Claim, Splice, StoreIdentity, StoreView } from "../backends/backend.ts";
import { decodeStoreFile, encodeStoreFile } from "../backends/store-file.ts";
import type { Env } from "../env/env.ts";
import { ensureError, isPapyraError, PapyraError } from "../errors.ts";
import { activeIdentityLine } from "../log/lineage.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { activeName } from "../log/segments.ts";
import type { Connection } from "./connection.ts";
import type { Keys } from "./keys.ts";
import { after, closedLayouts, endOf, fresh, type StreamWrite, writeArguments } from "./ends.ts";
import { encodeEnd, encodeLayout, type LogEnd, parseId, type SegmentLayout } from "./layout.ts";
import type { Lease } from "./lease.ts";
import { Compacting, logOf } from "./compacting.ts";
import { settled } from "./claim-reply.ts";
import { look, type LogLook, viewOf } from "./look.ts";
import { Rewrite } from "./rewrite.ts";
import { DISCARD, WRITE } from "./scripts.ts";
import { Staging } from "./staging.ts";
import type { Witness } from "./witness.ts";

/** One log as its writer knows it. */
interface OpenLog {
  segments: SegmentLayout[];
  end: LogEnd;
}

export class RedisClaim implements Claim {
  readonly #env: Env;
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #location: string;
  readonly #lease: Lease;
  readonly #logs = new Map<LogName, OpenLog>();
  readonly #changed: () => void;
  readonly #witness: Witness | undefined;
  readonly #compacting: Compacting;
  #store: string | undefined;
  #failure: Error | undefined;
  #released = false;

  /** `changed`: whoever keeps a layout for reading looks again. */
  constructor(
    env: Env,
    connection: Connection,
    place: {
      readonly keys: Keys;
      readonly location: string;
      readonly lease: Lease;
      readonly witness: Witness | undefined;
      readonly compactUnread: boolean;
      readonly changed: () => void;
    },
  ) {
    this.#env = env;
    this.#connection = connection;
    this.#keys = place.keys;
    this.#location = place.location;
    this.#lease = place.lease;
    this.#changed = place.changed;
    this.#witness = place.witness;
    this.#compacting = new Compacting(connection, place);
  }

  /** Compares with what the witness knows; from now on it is told now and then. */
  async begin(): Promise<void> {
    if (this.#witness === undefined) return;
    const { identityBytes, logs } = await look(this.#connection, this.#keys);
    const identity = identityBytes === undefined ? undefined : decodeStoreFile(identityBytes, this.#location);
    const reached = Object.fromEntries(LOG_NAMES.map((log) => [log, logs[log].end?.seq ?? 0]));
    await this.#witness.check(identity?.store, reached, this.#location);
    this.#store = identity?.store;
    this.#lease.onRenewed = () => this.#note();
  }

  /** Only what was acknowledged: the witness never leads. */
  async #note(): Promise<void> {
    if (this.#witness === undefined || this.#store === undefined || this.#logs.size < LOG_NAMES.length) return;
    const reached = Object.fromEntries([...this.#logs].map(([log, { end }]) => [log, end.seq]));
    await this.#witness.note(this.#store, reached);
  }

  async view(): Promise<StoreView> {
    const seen = await look(this.#connection, this.#keys);
    return viewOf(this.#connection, this.#keys, seen, { location: this.#location, claimed: true });
  }

  async create(identity: StoreIdentity): Promise<void> {
    this.#assertUsable();
    const seen = await look(this.#connection, this.#keys);
    const writes: StreamWrite[] = [];
    const fields: string[] = ["identity", encodeStoreFile(identity).toString()];
    for (const log of LOG_NAMES) {
      const { segments, last, end } = seen.logs[log];
      if (segments.some(({ name }) => name === activeName(log))) continue;
      const bytes = activeIdentityLine(identity, log);
      const number = this.#newNumber(last);
      fields.push(log, encodeLayout([...segments, fresh(number, activeName(log))]));
      writes.push({ log, expected: last, next: `${number}-0`, bytes, seq: end?.seq ?? 0, reaches: bytes.length });
    }
    await this.#write(writes, fields);
    this.#store = identity.store;
    this.#changed();
  }

  async resume(log: LogName, bytes: number, lastSeq: number): Promise<void> {
    this.#assertUsable();
    const seen = await this.#look(log);
    const segments = seen.segments.map((segment) => ({ ...segment, runs: [...segment.runs] }));
    const active = segments.at(-1);
    if (active?.bytes !== bytes) {
      throw new PapyraError(
        "STORAGE_FAILED",
        `${this.#keys.stream(log)} has ${active?.bytes ?? 0} bytes in its last segment, not the ${bytes} that were verified`,
        { hint: "is something else writing to the stream?" },
      );
    }
    const end = endOf(seen, active, Math.max(lastSeq, seen.end?.seq ?? 0));
    await this.#write([], [log, encodeLayout(segments), `${log}:end`, encodeEnd(end)]);
    this.#logs.set(log, { segments, end });
    this.#changed();
  }

  startSegment(log: LogName, identityLine: Uint8Array, closedSeq: number, lastSeq: number): Promise<void> {
    this.#assertUsable();
    return this.#compacting.inTurn(() => this.#startSegment(log, identityLine, closedSeq, lastSeq));
  }

  async #startSegment(log: LogName, identityLine: Uint8Array, closedSeq: number, lastSeq: number): Promise<void> {
    const seen = await this.#look(log);
    const closed = closedLayouts(seen, log, closedSeq);
    const number = this.#newNumber(seen.last);
    const segments = [...closed, fresh(number, activeName(log))];
    const write: StreamWrite = {
      log,
      expected: seen.last,
      next: `${number}-0`,
      bytes: identityLine,
      seq: Math.max(lastSeq, seen.end?.seq ?? 0),
      reaches: identityLine.length,
    };
    try {
      await this.#write([write], [log, encodeLayout(segments)]);
    } catch (error) {
      throw this.#poison(error);
    }
    const { last, next } = after(write);
    const end = { seq: lastSeq, last, next, bytes: identityLine.length, length: seen.length + 1 };
    this.#logs.set(log, { segments, end });
    this.#changed();
  }

  async append(parts: readonly AppendPart[]): Promise<AppendedAt[]> {
    this.#assertUsable();
    const writes = parts.map(({ log, bytes, lastSeq }): StreamWrite => {
      const { end } = this.#open(log);
      return { log, expected: end.last, next: end.next, bytes, seq: lastSeq, reaches: end.bytes + bytes.length };
    });
    try {
      await this.#write(writes, []);
    } catch (error) {
      throw this.#poison(error);
    }
    return writes.map((write) => {
      const open = this.#open(write.log);
      const offset = open.end.bytes;
      const active = open.segments.at(-1) as SegmentLayout;
      open.end = { ...open.end, ...after(write), seq: write.seq, bytes: write.reaches };
      return { segment: active.name, id: String(active.number), offset };
    });
  }

  durableSeq(log: LogName): number {
    return this.#open(log).end.seq;
  }

  /** What the server does with its own disk is its policy; nothing is held back here. */
  async sync(): Promise<void> {
    this.#assertUsable();
  }

  async rewrite(segment: string, splices: readonly Splice[]): Promise<void> {
    this.#assertUsable();
    const seen = await look(this.#connection, this.#keys);
    const log = logOf(segment);
    if (seen.logs[log].segments.some(({ name }) => name === segment)) {
      const staging = new Staging(this.#connection, this.#keys, this.#lease.token, log);
      await new Rewrite(this.#connection, this.#keys, staging, log, seen.logs[log]).run(segment, splices);
    } else {
      await this.#makeSegment(log, segment, seen.logs[log], Buffer.concat(splices.map(({ insert }) => insert)));
    }
    this.#changed();
  }

  /** The active segment is gone with all its entries: what is put into it is all that it has. */
  async #makeSegment(log: LogName, name: string, seen: LogLook, bytes: Buffer): Promise<void> {
    const number = this.#newNumber(seen.last);
    const segments = [...seen.segments, fresh(number, name)];
    const { last: expected, end } = seen;
    const write = { log, expected, next: `${number}-0`, bytes, seq: end?.seq ?? 0, reaches: bytes.length };
    await this.#write([write], [log, encodeLayout(segments)]);
  }

  assertUnneeded(log: LogName, gone: readonly SeqRange[]): Promise<void> {
    return this.#compacting.assertUnneeded(log, gone);
  }

  publish(segment: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    this.#assertUsable();
    return this.#compacting.publish(segment, content);
  }

  remove(segments: readonly string[]): Promise<void> {
    this.#assertUsable();
    return this.#compacting.remove(segments);
  }

  async vouch(lastSeqs: Readonly<Partial<Record<LogName, number>>>): Promise<void> {
    this.#assertUsable();
    const { logs } = await look(this.#connection, this.#keys);
    const fields: string[] = [];
    for (const log of LOG_NAMES) {
      const seq = lastSeqs[log];
      const active = logs[log].segments.at(-1);
      const { end: noted } = logs[log];
      if (seq !== undefined && active === undefined && noted !== undefined)
        fields.push(`${log}:end`, encodeEnd({ ...noted, seq }));
      if (seq === undefined || active === undefined) continue;
      const end = endOf(logs[log], active, seq);
      fields.push(log, encodeLayout(logs[log].segments), `${log}:end`, encodeEnd(end));
      const open = this.#logs.get(log);
      if (open !== undefined) open.end = end;
    }
    await this.#write([], fields);
    await this.#note();
  }

  async tidy(): Promise<readonly string[]> {
    this.#assertUsable();
    const staged = LOG_NAMES.map((log) => this.#keys.staging(log));
    const reply = await this.#connection.script(
      DISCARD,
      [this.#keys.meta, this.#keys.writer, ...staged],
      [this.#lease.token],
    );
    return settled(reply, this.#location).map(String);
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    try {
      if (!isPapyraError(this.#failure ?? this.#lease.lost, "STORE_FENCED")) await this.#note();
    } finally {
      await this.#lease.release();
    }
  }

  async #look(log: LogName): Promise<LogLook> {
    return (await look(this.#connection, this.#keys)).logs[log];
  }

  /** Segments are numbered by the time at which they began, so that ids tell times as far as they can. */
  #newNumber(last: string): number {
    return Math.max(this.#env.clock.nowMs(), parseId(last).ms + 1);
  }

  async #write(writes: readonly StreamWrite[], fields: readonly string[]): Promise<void> {
    const streams = writes.map(({ log }) => this.#keys.stream(log));
    const parts = writes.flatMap(writeArguments);
    const { token, value, leaseMs } = this.#lease;
    const args = [token, value, String(leaseMs), String(fields.length / 2), ...fields, ...parts];
    const keys = [this.#keys.meta, this.#keys.writer, ...streams];
    settled(await this.#connection.script(WRITE, keys, args), this.#location);
  }

  #open(log: LogName): OpenLog {
    const open = this.#logs.get(log);
    if (open === undefined) throw new PapyraError("INTERNAL", `the log ${log} was appended to before it was resumed`);
    return open;
  }

  #poison(error: unknown): Error {
    this.#failure ??= ensureError(error);
    return this.#failure;
  }

  #assertUsable(): void {
    if (this.#released) throw new PapyraError("STORE_CLOSED", `the claim on ${this.#location} has ended`);
    const failure = this.#failure ?? this.#lease.lost;
    if (failure === undefined) return;
    throw new PapyraError("STORE_POISONED", `the writer of ${this.#location} has failed: ${failure.message}`, {
      cause: failure,
      hint: "mend the cause, then open the store again; run papyra persistence scan to see what is there",
    });
  }
}
