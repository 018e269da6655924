// What the backend contract suite needs of the store that it is run on, and the small things its cases share.
import assert from "node:assert/strict";
import type { Backend } from "../backends/backend.ts";
import type { StoreLimits } from "../backends/limits.ts";
import { openStore } from "../backends/open.ts";
import type { Store } from "../backends/store.ts";
import { type ErrorCode, isPapyraError, type PapyraError } from "../errors.ts";
import type { LogName, LogRecord, NewRecord } from "../log/record.ts";

/** What some backends cannot offer to a test. */
export type ContractCapability = "damage" | "clock" | "claim";

/** How a case wants its store. */
export interface ContractPlace {
  readonly limits?: Partial<StoreLimits>;
  /** The wall clock that the store must use; only asked for when the subject does not lack "clock". */
  readonly nowMs?: () => number;
}

/** One empty place for a store. */
export interface ContractStore {
  /** A new backend over the same data, as another process would make it. */
  backend(): Backend;
  /** The bytes of a segment as they are stored. */
  segmentBytes(name: string): Promise<Buffer>;
  /** Puts other bytes in place of a segment, behind the backend's back; undefined removes it. */
  putSegment(name: string, bytes: Uint8Array | undefined): Promise<void>;
  /** Everything that recovery has kept, by name. */
  quarantined(): Promise<ReadonlyMap<string, Buffer>>;
  dispose(): Promise<void>;
}

/** A kind of backend under test: makes empty places, each independent of the others. */
export interface ContractSubject {
  /** What the subject lacks, each with the reason; the cases that need it are skipped and say so. */
  readonly lacks?: Readonly<Partial<Record<ContractCapability, string>>>;
  make(place: ContractPlace): Promise<ContractStore>;
}

/** Why a case was not run, or undefined when it was. */
export type ContractOutcome = { readonly skipped: string } | undefined;

/** One case of the suite. It rejects with an AssertionError when the backend breaks the contract. */
export interface ContractCase {
  readonly name: string;
  readonly run: (subject: ContractSubject) => Promise<ContractOutcome>;
}

/** A case over one fresh place, which is disposed of whatever happens. */
export function contractCase(
  name: string,
  body: (place: ContractStore) => Promise<void>,
  more: {
    readonly needs?: readonly ContractCapability[];
    /** Made anew for each run. */
    readonly place?: () => ContractPlace;
  } = {},
): ContractCase {
  return {
    name,
    async run(subject) {
      const { lacks } = subject;
      const missing = more.needs?.find((capability) => lacks?.[capability] !== undefined);
      if (missing !== undefined) return { skipped: `needs "${missing}": ${String(lacks?.[missing])}` };
      const place = await subject.make(more.place?.() ?? {});
      try {
        await body(place);
      } finally {
        await place.dispose();
      }
      return undefined;
    },
  };
}

/** An event that says which one it is. */
export function event(payload: unknown, actor: string = "local://a"): NewRecord {
  return { kind: "event", system_id: "local", actor_address: actor, event_type: "Noted", payload };
}

/** Events with the payloads `from` to `to`. */
export function events(from: number, to: number): NewRecord[] {
  return Array.from({ length: to - from + 1 }, (_, i) => event(from + i));
}

/** Opens, does, closes. */
export async function withStore<T>(backend: Backend, use: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(backend);
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The seqs that a reading yields. */
/** A chunk is valid until the next is asked for, or the reading ends: so they are copied. */
export async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

export async function seqsOf(records: AsyncIterable<LogRecord>): Promise<number[]> {
  return (await collect(records)).map((record) => record.seq);
}

/** The payloads of a log, in order. */
export async function payloadsOf(store: Store, log: LogName): Promise<unknown[]> {
  return (await collect(store.read(log))).map((record) => ("payload" in record ? record.payload : undefined));
}

/** The PapyraError that a promise must reject with. */
export async function refused(promise: Promise<unknown>, code: ErrorCode): Promise<PapyraError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isPapyraError(error, code)) assert.fail(`expected ${code}, got ${String(error)}`);
  return error;
}

/** The lines of a segment, line breaks included. */
export function linesIn(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0x0a, start) + 1 || bytes.length;
    lines.push(bytes.subarray(start, end));
    start = end;
  }
  return lines;
}
