import { afterEach, describe, expect, test } from "vitest";
import { buildIndexes } from "../../src/actors/index-pass.ts";
import { Journal, type NewJournalRecord } from "../../src/actors/journal.ts";
import { RecordIndex } from "../../src/actors/record-index.ts";
import { SegmentCaches } from "../../src/actors/segment-caches.ts";
import type { ActorSystem } from "../../src/actors/system.ts";
import type { MemoryBackend } from "../../src/backends/memory.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { memoryStore } from "../../src/index.ts";
import { encodeFields, encodeIdentity, encodeLine, seedOf } from "../../src/log/codec.ts";
import type { JournalRecord } from "../../src/log/record.ts";
import { damage, ledgerWith, startSystem } from "./persistent-helpers.ts";

const open: (Store | ActorSystem)[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await ("close" in each ? each.close() : each.stop());
});
async function opened(backend: MemoryBackend): Promise<Store> {
  const store = await openStore(backend);
  open.push(store);
  return store;
}

function event(persistence_id: string, revision: number): NewJournalRecord {
  return {
    kind: "journal",
    system_id: "local",
    persistence_id,
    revision,
    event_type: "put",
    version: 1,
    payload: { key: "k", value: revision },
  };
}

const cachesOf = (backend: MemoryBackend) => new SegmentCaches(backend, { segmentsIndexed: 0, indexWritesFailed: 0 });

/** The revisions of one actor's records, as a journal reads them. */
async function read(journal: Journal, id: string, afterSeq = 0): Promise<number[]> {
  const revisions: number[] = [];
  await journal.withIndexes(async (indexes) => {
    revisions.length = 0;
    await journal.readEvents(indexes, id, afterSeq, (record) => void revisions.push(record.revision));
  });
  return revisions;
}

describe("the index of a log", () => {
  test("knows each actor's records in the order of their seqs, also when they came in another", () => {
    const index = new RecordIndex();
    const add = (persistenceId: string, seq: number) =>
      index.add({
        persistenceId,
        seq,
        revision: seq,
        journalSeq: seq,
        segment: `s${seq % 3}`,
        id: `${seq % 3}`,
        offset: seq,
        length: 1,
      });
    for (let seq = 1; seq <= 3000; seq++) add(`account/${seq % 7}`, seq);
    const recordsOf = (id: string, after: number) => [...(index.recordsOf(id, after)?.list ?? [])];
    const seqs = (after: number) => recordsOf("account/3", after).map((record) => record.seq);
    expect(seqs(2980)).toEqual([2985, 2992, 2999]);
    expect(index.recordsOf("account/3", 0)).toMatchObject({ firstSeq: 3, lastSeq: 2999, list: { length: 429 } });
    expect(recordsOf("account/3", 0)[0]).toEqual({
      persistenceId: "account/3",
      seq: 3,
      revision: 3,
      journalSeq: 3,
      segment: "s0",
      id: "0",
      offset: 3,
      length: 1,
    });
    expect(index.recordsOf("__proto__", 0)).toBeUndefined();
    add("account/3", 4000);
    add("account/3", 3500);
    expect(seqs(2990)).toEqual([2992, 2999, 3500, 4000]);
    expect(index.size).toBe(3002);
  });

  test("does not depend on how a line was written, as long as it verifies", async () => {
    const backend = memoryStore();
    const first = await openStore(backend);
    const identity = { log: "journal" as const, store: first.identity.store, lineage: first.identity.lineage };
    await first.close();
    const seed = seedOf(encodeIdentity(identity));
    const lines = [
      {
        payload: { persistence_id: "ledger/other" },
        persistence_id: "ledger/a",
        revision: 1,
        event_type: "put",
        version: 1,
      },
      {
        system_id: 'a","persistence_id":"ledger/x',
        persistence_id: "ledger/a",
        revision: 2,
        event_type: "put",
        version: 1,
      },
      { system_id: "local", persistence_id: "ledger/ü", revision: 1, event_type: "put", version: 1, payload: 1 },
      { system_id: "local", persistence_id: 'ledger/"', revision: 1, event_type: "put", version: 1, payload: 1 },
      {
        system_id: "local",
        persistence_id: "ledger/a",
        revision: 3,
        event_type: "put",
        version: 1,
        payload: "x".repeat(9000),
      },
    ].map((fields, i) => encodeLine(seed, i + 1, undefined, "journal", 1000, encodeFields(fields)));
    const other = encodeLine(seed, 6, undefined, "future", 1000, ',"persistence_id":"ledger/a","revision":4');
    backend.putSegment("journal.ndjson", Buffer.from(encodeIdentity(identity) + lines.join("") + other));
    const store = await opened(backend);
    const { index, absences } = (await buildIndexes(store, cachesOf(backend))).journal;
    expect(index.size).toBe(5);
    expect([...(await index.recordsOf("ledger/a", 0))].map(({ seq, revision }) => [seq, revision])).toEqual([
      [1, 1],
      [2, 2],
      [5, 3],
    ]);
    expect(absences).toEqual({ missing: [], lost: [], compacted: [] });
    for (const id of ['ledger/"', "ledger/a", "ledger/ü"]) {
      const locations = [...(await index.recordsOf(id, 0))];
      expect(locations.length).toBeGreaterThan(0);
      for await (const record of store.readAt("journal", locations)) {
        expect((record as JournalRecord).persistence_id).toBe(id);
      }
    }
  });

  test("knows which seqs are absent, and why", async () => {
    const backend = memoryStore();
    const writer = await openStore(backend);
    await writer.append(
      "journal",
      Array.from({ length: 6 }, (_, i) => event("ledger/a", i + 1)),
    );
    await writer.append("journal", [{ kind: "gap", from: 2, to: 2, reason: "lost", by: "test" }]);
    await writer.append("journal", [{ kind: "gap", from: 3, to: 4, reason: "compacted", by: "test" }]);
    await writer.append("journal", [event("ledger/a", 9)]);
    await writer.close();
    for (const seq of [2, 3, 5, 9]) await damage(backend, "journal", seq);
    const { absences } = (await buildIndexes(await opened(backend), cachesOf(backend))).journal;
    expect(absences).toEqual({
      missing: [
        { from: 5, to: 5 },
        { from: 9, to: 9 },
      ],
      lost: [{ from: 2, to: 2 }],
      compacted: [{ from: 3, to: 3 }],
    });
  });
});

describe("a journal", () => {
  test("knows what it appends, and reads only what it is asked for", async () => {
    const store = await opened(memoryStore());
    const journal = new Journal(store);
    expect(await read(journal, "ledger/a")).toEqual([]);
    expect(await journal.append([event("ledger/a", 1), event("ledger/a", 2)])).toEqual({ revision: 2, seq: 2 });
    await journal.append([event("ledger/b", 1)]);
    await journal.append([event("ledger/a", 3)]);
    expect(await read(journal, "ledger/a")).toEqual([1, 2, 3]);
    expect(await read(journal, "ledger/a", 2)).toEqual([3]);
    expect(await read(new Journal(store), "ledger/a")).toEqual([1, 2, 3]);
    expect(journal.counters.eventsCommitted).toBe(4);
  });

  test("misses nothing that is appended while its indexes are made", async () => {
    const store = await opened(memoryStore());
    await store.append(
      "journal",
      Array.from({ length: 500 }, (_, i) => event("ledger/a", i + 1)),
    );
    const journal = new Journal(store);
    const reading = read(journal, "ledger/a");
    for (let revision = 1; revision <= 20; revision++) await journal.append([event("ledger/b", revision)]);
    expect(await reading).toHaveLength(500);
    expect(await read(journal, "ledger/b")).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  test("makes its indexes again when segments have changed under it", async () => {
    const backend = memoryStore();
    const store = await opened(backend);
    const journal = new Journal(store);
    await read(journal, "ledger/a");
    for (let revision = 1; revision <= 3; revision++) await journal.append([event("ledger/a", revision)]);
    // As if the active segment had been sealed: its lines stand in another file, others may stand in their place.
    const bytes = Buffer.from(backend.segmentBytes("journal.ndjson"));
    backend.putSegment("journal.00000000000000000001.ndjson", bytes);
    backend.putSegment("journal.ndjson", bytes.subarray(0, bytes.indexOf(10) + 1));
    await journal.append([event("ledger/b", 1)]);
    expect(await read(journal, "ledger/a")).toEqual([1, 2, 3]);
    expect(await read(journal, "ledger/b")).toEqual([1]);
  });

  test("does not take another line of the same length for the one it knew", async () => {
    const clock = { ...nodeEnv.clock, nowMs: () => 1_767_225_600_125 }; // as many digits in each line
    const backend = memoryStore({}, { ...nodeEnv, clock });
    const store = await opened(backend);
    const journal = new Journal(store);
    await read(journal, "ledger/a");
    await journal.append([event("ledger/a", 1)]);
    await journal.append([event("ledger/b", 1)]);
    const bytes = Buffer.from(backend.segmentBytes("journal.ndjson"));
    const start = bytes.indexOf(10) + 1;
    const middle = bytes.indexOf(10, start) + 1;
    expect(middle - start).toBe(bytes.length - middle);
    const swapped = Buffer.concat([bytes.subarray(0, start), bytes.subarray(middle), bytes.subarray(start, middle)]);
    backend.putSegment("journal.ndjson", swapped);
    expect(await read(journal, "ledger/a")).toEqual([1]);
  });

  test("serves many actors that begin together in few passes over the log", async () => {
    const backend = memoryStore();
    let reads = 0;
    const counting: MemoryBackend = {
      ...backend,
      get quarantined() {
        return backend.quarantined;
      },
      read: (segment, from, to) => {
        reads += 1;
        return backend.read(segment, from, to);
      },
    };
    const store = await opened(counting);
    for (let revision = 1; revision <= 10; revision++) {
      await store.append(
        "journal",
        Array.from({ length: 300 }, (_, i) => event(`ledger/${i}`, revision)),
      );
    }
    const journal = new Journal(store);
    await read(journal, "ledger/0");
    reads = 0;
    const all = await Promise.all(Array.from({ length: 300 }, (_, i) => read(journal, `ledger/${i}`)));
    for (const revisions of all) expect(revisions).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(reads).toBeLessThan(60);
  });

  test("keeps the trouble of one actor from the others that are read with it", async () => {
    const backend = memoryStore();
    const store = await opened(backend);
    const journal = new Journal(store);
    await read(journal, "ledger/0");
    for (let revision = 1; revision <= 5; revision++) {
      await journal.append(Array.from({ length: 20 }, (_, i) => event(`ledger/${i}`, revision)));
    }
    await damage(backend, "journal", 48); // revision 3 of ledger/7
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => read(journal, `ledger/${i}`)));
    for (const [i, revisions] of all.entries()) expect(revisions).toEqual(i === 7 ? [1, 2, 4, 5] : [1, 2, 3, 4, 5]);
    const throwing = journal.withIndexes((indexes) =>
      Promise.allSettled([
        journal.readEvents(indexes, "ledger/1", 0, () => {
          throw new Error("this sink is broken");
        }),
        journal.readEvents(indexes, "ledger/2", 0, () => undefined),
      ]),
    );
    expect((await throwing).map((each) => each.status)).toEqual(["rejected", "fulfilled"]);
  });
});

test("a thousand actors write and recover at once, in few batches", async () => {
  const backend = memoryStore();
  const ledger = ledgerWith({ snapshot: { everyEvents: 3 } });
  const system = await startSystem(backend);
  const ids = Array.from({ length: 1000 }, (_, i) => `actor ${i}`);
  await Promise.all(ids.map((id) => system.get(ledger, id).ask("total")));
  const before = system.store?.stats().batches as number;
  await Promise.all(ids.map((id, i) => system.get(ledger, id).ask("put", { key: "x", value: i })));
  expect((system.store?.stats().batches as number) - before).toBeLessThan(20);
  for (let round = 0; round < 4; round++) {
    await Promise.all(ids.map((id, i) => system.get(ledger, id).ask("put", { key: "x", value: i })));
  }
  await system.stop();
  const again = await startSystem(backend);
  open.push(again);
  const totals = await Promise.all(ids.map((id) => again.get(ledger, id).ask("total")));
  expect(totals).toEqual(ids.map((_, i) => 5 * i));
});
