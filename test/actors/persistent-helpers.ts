// What the tests of persistent actors share: a definition with all sorts of commands, stores that can be torn and damaged,
// and a system over a store.
import { ActorSystem } from "../../src/actors/system.ts";
import { persistentActor } from "../../src/actors/persistent.ts";
import type { MemoryBackend } from "../../src/backends/memory.ts";
import { memoryStore } from "../../src/index.ts";
import type { JournalRecord, LogName, SnapshotRecord } from "../../src/log/record.ts";
import { openStore } from "../../src/backends/open.ts";

export interface Entries {
  readonly entries: readonly { readonly key: string; readonly value: number }[];
  readonly total: number;
}

/** A ledger of numbered entries; `snapshotEvery` 0 means never. */
export function ledgerWith(options: { snapshotEvery?: number; historyGaps?: "stop" | "accept" } = {}) {
  return persistentActor(
    {
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
      ...(options.snapshotEvery ? { snapshotEvery: options.snapshotEvery } : {}),
      ...(options.historyGaps ? { historyGaps: options.historyGaps } : {}),
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

export async function startSystem(store: MemoryBackend = memoryStore()): Promise<ActorSystem> {
  const system = new ActorSystem({ store });
  await system.start();
  return system;
}

/** All records of a log, as they are stored. */
export async function stored<R = JournalRecord | SnapshotRecord>(
  backend: MemoryBackend,
  log: LogName = "journal",
): Promise<R[]> {
  const store = await openStore(backend);
  const records: R[] = [];
  for await (const record of store.read(log, { tolerateMissing: true })) records.push(record as R);
  await store.close();
  return records;
}

/** The journal's active segment cut to its first `bytes`, as after a torn write: nobody vouches for what is gone. */
export async function tear(backend: MemoryBackend, log: LogName, bytes: number, ackedSeq: number): Promise<void> {
  const claim = await backend.claim("test");
  const view = await claim.view();
  const last: Record<string, number> = {};
  for (const name of ["events", "journal", "audits", "dead_letters", "snapshots"] as const) {
    last[name] = view.reach(name)?.seq ?? 0;
  }
  last[log] = ackedSeq;
  backend.putSegment(`${log}.ndjson`, Buffer.from(backend.segmentBytes(`${log}.ndjson`).subarray(0, bytes)));
  await claim.vouch(last as Record<LogName, number>);
  await claim.release();
}

/** Changes one byte in the payload of the line with this seq. */
export function damage(backend: MemoryBackend, log: LogName, seq: number): { offset: number } {
  for (const name of [`${log}.ndjson`, ...closedNames(backend, log)]) {
    const bytes = Buffer.from(backend.segmentBytes(name));
    const offset = bytes.indexOf(`{"seq":${seq},`);
    if (offset < 0) continue;
    const end = bytes.indexOf("\n", offset);
    bytes[end - 25] = (bytes[end - 25] as number) ^ 1;
    backend.putSegment(name, bytes);
    return { offset };
  }
  throw new Error(`no line of seq ${seq}`);
}

function closedNames(_backend: MemoryBackend, _log: LogName): string[] {
  return [];
}
