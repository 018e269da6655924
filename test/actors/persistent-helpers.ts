// What the tests of persistent actors share: a definition with all sorts of commands, systems over a memory store, and
// stores that are torn and damaged byte by byte.
import { persistentActor, type SnapshotOptions } from "../../src/actors/persistent.ts";
import { ActorSystem } from "../../src/actors/system.ts";
import type { Backend } from "../../src/backends/backend.ts";
import type { MemoryBackend } from "../../src/backends/memory.ts";
import { LOG_NAMES, type JournalRecord, type LogName, type SnapshotRecord } from "../../src/log/record.ts";

export interface Entries {
  readonly entries: readonly { readonly key: string; readonly value: number }[];
  readonly total: number;
}

export interface LedgerOptions {
  /** Default: never. */
  readonly snapshot?: SnapshotOptions<Entries>;
  readonly historyGaps?: "stop" | "accept";
}

/** A ledger of entries. */
export function ledgerWith(options: LedgerOptions = {}) {
  return persistentActor(
    {
      ...options,
      type: "ledger",
      initial: (): Entries => ({ entries: [], total: 0 }),
      events: {
        put: (state, e: { key: string; value: number }) => ({
          entries: [...state.entries, e],
          total: state.total + e.value,
        }),
        cleared: (state) => ({ ...state, entries: [] }),
        broken: (_state, _e: { why: string }): Entries => {
          throw new Error("this event cannot be folded");
        },
      },
    },
    {
      put: (_state, c: { key: string; value: number }, ctx) => ctx.persist("put", c).reply((after) => after.total),
      putAll: (_state, c: { values: readonly number[] }, ctx) =>
        ctx
          .persistAll(c.values.map((value, i) => ["put", { key: `k${i}`, value }]))
          .reply((after) => after.entries.length),
      clear: (_state, _, ctx) => ctx.persist("cleared").reply((after) => after.total),
      break: (_state, _, ctx) => ctx.persist("put", { key: "x", value: 1 }).and("broken", { why: "test" }).noReply(),
      fail: () => {
        throw new Error("the handler failed");
      },
      total: (state, _, ctx) => ctx.reply(state.total),
      state: (state, _, ctx) => ctx.reply(state),
      revision: (_state, _, ctx) => ctx.reply(ctx.revision),
    },
  );
}

/** A started system that collects its problems. */
export async function startSystem(store: Backend): Promise<ActorSystem & { readonly problems: Error[] }> {
  const problems: Error[] = [];
  const system = new ActorSystem({ store, startup: "ignore", onProblem: (error) => problems.push(error) });
  await system.start();
  return Object.assign(system, { problems });
}

/** All lines of a log that parse, as they are stored. */
export async function stored(backend: Backend, log: "journal"): Promise<JournalRecord[]>;
export async function stored(backend: Backend, log: "snapshots"): Promise<SnapshotRecord[]>;
export async function stored(backend: Backend, log: LogName): Promise<unknown[]>;
export async function stored(backend: Backend, log: LogName): Promise<unknown[]> {
  const records: unknown[] = [];
  for (const segment of (await backend.view()).segments.filter((each) => each.log === log)) {
    const parts: Buffer[] = [];
    for await (const chunk of backend.read(segment.name, 0, segment.bytes)) parts.push(Buffer.from(chunk));
    const lines = Buffer.concat(parts).toString("utf8").split("\n").slice(1, -1);
    records.push(...lines.flatMap(parsed));
  }
  return records;
}

function parsed(line: string): unknown[] {
  try {
    return [JSON.parse(line)];
  } catch {
    return []; // torn
  }
}

/** Where the lines of a log's active segment begin, the identity line first, and where the last one ends. */
export function lineStarts(backend: MemoryBackend, log: LogName): number[] {
  const bytes = backend.segmentBytes(`${log}.ndjson`);
  const starts = [0];
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) starts.push(at + 1);
  return starts;
}

/** Cuts the active segment of a log to `bytes`, as a torn write leaves it: nobody was promised what stood behind. */
export async function tear(backend: MemoryBackend, log: LogName, bytes: number, promisedSeq: number): Promise<void> {
  const claim = await backend.claim("test");
  const seqs = {} as Record<LogName, number>;
  for (const name of LOG_NAMES) seqs[name] = name === log ? promisedSeq : await lastSeqOf(backend, name);
  backend.putSegment(`${log}.ndjson`, Buffer.from(backend.segmentBytes(`${log}.ndjson`).subarray(0, bytes)));
  await claim.vouch(seqs);
  await claim.release();
}

/** The last seq of a log whose lines are whole. */
export async function lastSeqOf(backend: Backend, log: LogName): Promise<number> {
  return Math.max(0, ...((await stored(backend, log)) as { seq: number }[]).map((record) => record.seq));
}

/** Empties a log but for its identity line, as if somebody had deleted it and made it anew. */
export async function empty(backend: MemoryBackend, log: LogName): Promise<void> {
  for (const { name } of (await backend.view()).segments.filter((each) => each.log === log)) {
    const bytes = backend.segmentBytes(name);
    backend.putSegment(name, Buffer.from(bytes.subarray(0, bytes.indexOf(10) + 1)));
  }
}

/** Changes one bit in the payload of the line with this seq. */
export async function damage(backend: MemoryBackend, log: LogName, seq: number): Promise<void> {
  for (const segment of (await backend.view()).segments.filter((each) => each.log === log)) {
    const bytes = Buffer.from(backend.segmentBytes(segment.name));
    const start = bytes.indexOf(`{"seq":${seq},`);
    if (start < 0) continue;
    const at = bytes.indexOf('"payload"', start) + 3;
    bytes[at] = (bytes[at] as number) ^ 1;
    backend.putSegment(segment.name, bytes);
    return;
  }
  throw new Error(`no line of seq ${seq} in ${log}`);
}
