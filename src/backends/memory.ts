// The memory store: what the contract means, without a disk. For tests and for trying things out; nothing survives the
// process. The data belongs to the backend object, so that closing and opening it again finds what was there.
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { activeIdentityLine } from "../log/lineage.ts";
import type { Reach } from "../log/ledger.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import {
  activeName,
  closedName,
  indexName,
  orderSegments,
  parseFileName,
  supersededSegments,
} from "../log/segments.ts";
import { refuseUnknown } from "../options.ts";
import type { AppendedAt, AppendPart, Backend, Claim, Segment, Splice, StoreIdentity, StoreView } from "./backend.ts";
import { Growing } from "./growing.ts";
import { LIMITS_DEFAULT, resolveLimits, type StoreLimits } from "./limits.ts";

/** Options of a memory store: its bounds. */
export type MemoryStoreOptions = Partial<StoreLimits>;

/** A memory backend, with its segments open to tests that want to damage them. */
export interface MemoryBackend extends Backend {
  readonly kind: "memory";
  /** The bytes of a segment, as they are: changing them changes the store. */
  segmentBytes(name: string): Buffer;
  /** Puts other bytes in place of a segment, or removes it. */
  putSegment(name: string, bytes: Uint8Array | undefined): void;
  /** What recovery kept, by directory and name. */
  readonly quarantined: ReadonlyMap<string, Buffer>;
  /** The caches, by name: worth nothing, and free to be changed. */
  readonly caches: Map<string, Buffer>;
}

const CHUNK_BYTES = 1 << 20;

export function memoryBackend(options: MemoryStoreOptions, env: Env): MemoryBackend {
  refuseUnknown("memoryStore", options, Object.keys(LIMITS_DEFAULT));
  const store = new MemoryStore(env);
  return {
    kind: "memory",
    location: "memory",
    durability: "memory: nothing survives the process",
    limits: resolveLimits(options),
    env,
    segmentBytes: (name) => store.bytesOf(name),
    putSegment: (name, bytes) => store.put(name, bytes),
    quarantined: store.quarantined,
    caches: store.caches,
    readCache: async (name, use) => {
      const cache = store.caches.get(name);
      return cache && use(async (from, to) => cache.subarray(from, to));
    },
    writeCache: async (name, bytes) => void store.caches.set(name, Buffer.from(bytes)),
    view: async () => store.view(false),
    async *read(segment, from, to, id) {
      const bytes = store.bytesOf(segment, id);
      const end = Math.min(to, bytes.length);
      for (let at = from; at < end; at += CHUNK_BYTES) yield bytes.subarray(at, Math.min(end, at + CHUNK_BYTES));
    },
    quarantine: async (directory, files) => {
      for (const [name, content] of files) {
        const kept = new Growing();
        for await (const bytes of content) kept.append(bytes);
        store.quarantined.set(`${directory}/${name}`, Buffer.from(kept.view()));
      }
    },
    async *readKept(directory, file) {
      const kept = store.quarantined.get(`${directory}/${file}`);
      if (kept === undefined) throw new PapyraError("STORE_NOT_FOUND", `nothing is kept at ${directory}/${file}`);
      yield kept;
    },
    freeBytes: async () => Number.POSITIVE_INFINITY,
    claim: async (purpose) => store.claim(purpose),
  };
}

class MemoryStore {
  readonly #env: Env;
  readonly quarantined = new Map<string, Buffer>();
  readonly caches = new Map<string, Buffer>();
  readonly #logs = new Map<string, Growing>();
  readonly #last = new Map<LogName, number>();
  #identity: StoreIdentity | undefined;
  #writer: { pid: number; host: string; sinceMs: number; purpose: string } | undefined;

  constructor(env: Env) {
    this.#env = env;
  }

  bytesOf(segment: string, id?: string): Buffer {
    const named = this.#logs.get(segment);
    const log =
      id === undefined || named?.id === id ? named : [...this.#logs.values()].find((other) => other.id === id);
    if (log === undefined) throw new PapyraError("STORE_NOT_FOUND", `there is no segment ${segment}`);
    return log.view();
  }

  view(claimed: boolean): StoreView {
    const identity = this.#identity;
    if (identity === undefined) throw new PapyraError("STORE_NOT_FOUND", "the memory store was never opened");
    const names = [...this.#logs.keys()];
    const segments = LOG_NAMES.flatMap((log) => orderSegments(names, log).map((name) => this.#segment(log, name)));
    return {
      identity,
      identityRecorded: true,
      writer: claimed ? undefined : this.#writer,
      segments,
      superseded: LOG_NAMES.flatMap((log) =>
        [...supersededSegments(names, log)].map(([name, by]) => ({ ...this.#segment(log, name), by })),
      ),
      findings: LOG_NAMES.filter((log) => !segments.some((segment) => segment.log === log)).map((log) => ({
        kind: "missing-segment" as const,
        file: activeName(log),
        log,
        detail: `the log ${log} has no segment`,
      })),
      reach: (log): Reach | undefined =>
        claimed || this.#writer === undefined ? { seq: this.#last.get(log) ?? 0, exact: true } : undefined,
      acknowledged: this.#writer === undefined ? undefined : Object.fromEntries(this.#last),
    };
  }

  #segment(log: LogName, name: string): Segment {
    const parsed = parseFileName(name);
    return {
      name,
      log,
      bytes: this.bytesOf(name).length,
      active: parsed.type === "active",
      firstSeq: parsed.type === "closed" ? parsed.firstSeq : undefined,
      id: (this.#logs.get(name) as Growing).id,
    };
  }

  claim(purpose: string): Claim {
    if (this.#writer !== undefined) {
      throw new PapyraError("STORE_LOCKED", `the memory store is held (${this.#writer.purpose})`, {
        hint: "close it first",
      });
    }
    const { pid, name: host } = this.#env.host;
    this.#writer = { pid, host, sinceMs: this.#env.clock.nowMs(), purpose };
    return new MemoryClaim(this);
  }

  /** The claim has ended. */
  free(): void {
    this.#writer = undefined;
  }

  create(identity: StoreIdentity): void {
    this.#identity = identity;
    for (const log of LOG_NAMES) {
      if (!this.#logs.has(activeName(log))) this.put(activeName(log), activeIdentityLine(identity, log));
    }
  }

  startSegment(log: LogName, identityLine: Uint8Array, closedSeq: number): void {
    const old = this.#logs.get(activeName(log));
    let generation = 0;
    while (this.#logs.has(closedName(log, closedSeq, generation))) generation += 1;
    if (old !== undefined) this.#logs.set(closedName(log, closedSeq, generation), old);
    this.#logs.delete(activeName(log));
    this.put(activeName(log), identityLine);
  }

  append(part: AppendPart): AppendedAt {
    const segment = activeName(part.log);
    const log = this.#logs.get(segment) as Growing;
    const offset = log.length;
    log.append(part.bytes);
    this.#last.set(part.log, part.lastSeq);
    return { segment, id: log.id, offset };
  }

  lastSeq(log: LogName): number {
    return this.#last.get(log) ?? 0;
  }

  setLastSeq(log: LogName, lastSeq: number): void {
    this.#last.set(log, lastSeq);
  }

  rewrite(segment: string, splices: readonly Splice[]): void {
    const old = this.#logs.get(segment)?.view() ?? Buffer.alloc(0);
    const parts: Uint8Array[] = [];
    let position = 0;
    for (const splice of splices) {
      parts.push(old.subarray(position, splice.offset), splice.insert);
      position = splice.offset + splice.remove;
    }
    this.put(segment, Buffer.concat([...parts, old.subarray(position)]));
  }

  put(name: string, bytes: Uint8Array | undefined): void {
    if (bytes === undefined) {
      this.#logs.delete(name);
      this.caches.delete(indexName(name));
      return;
    }
    const log = new Growing(this.#logs.get(name)?.id);
    log.append(bytes);
    this.#logs.set(name, log);
  }
}

/** The writer's side: what it promises is the store's business; that it ends is its own. */
class MemoryClaim implements Claim {
  readonly #store: MemoryStore;
  #open = true;

  constructor(store: MemoryStore) {
    this.#store = store;
  }

  async view(): Promise<StoreView> {
    return this.#store.view(true);
  }

  async create(identity: StoreIdentity): Promise<void> {
    this.#usable().create(identity);
  }

  async append(parts: readonly AppendPart[]): Promise<AppendedAt[]> {
    const store = this.#usable();
    return parts.map((part) => store.append(part));
  }

  durableSeq(log: LogName): number {
    return this.#store.lastSeq(log);
  }

  async sync(): Promise<void> {
    this.#usable();
  }

  async resume(log: LogName, _bytes: number, lastSeq: number): Promise<void> {
    this.#usable().setLastSeq(log, lastSeq);
  }

  async startSegment(log: LogName, identityLine: Uint8Array, closedSeq: number, lastSeq: number): Promise<void> {
    const store = this.#usable();
    store.startSegment(log, identityLine, closedSeq);
    store.setLastSeq(log, lastSeq);
  }

  async rewrite(segment: string, splices: readonly Splice[]): Promise<void> {
    this.#usable().rewrite(segment, splices);
  }

  async publish(segment: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const store = this.#usable();
    const parts: Uint8Array[] = [];
    for await (const bytes of content) parts.push(Uint8Array.from(bytes));
    store.put(segment, Buffer.concat(parts));
  }

  async remove(segments: readonly string[]): Promise<void> {
    const store = this.#usable();
    for (const segment of segments) store.put(segment, undefined);
  }

  async vouch(lastSeqs: Readonly<Partial<Record<LogName, number>>>): Promise<void> {
    const store = this.#usable();
    for (const log of LOG_NAMES) store.setLastSeq(log, lastSeqs[log] ?? store.lastSeq(log));
  }

  async tidy(): Promise<readonly string[]> {
    return [];
  }

  async release(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#store.free();
  }

  #usable(): MemoryStore {
    if (!this.#open) throw new PapyraError("STORE_CLOSED", "the claim on the memory store has ended");
    return this.#store;
  }
}
