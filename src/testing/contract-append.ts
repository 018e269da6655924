// The contract of writing: order, seqs, times, the end of a store, one writer. Limits are in contract-limits.ts.
import assert from "node:assert/strict";
import { openStore } from "../backends/open.ts";
import type { NewRecord } from "../log/record.ts";
import { LOG_NAMES } from "../log/record.ts";
import {
  bytesOf,
  collect,
  type ContractCase,
  contractCase,
  event,
  events,
  linesIn,
  payloadsOf,
  refused,
  withStore,
} from "./contract-subject.ts";

const order: readonly ContractCase[] = [
  contractCase("what is appended is read in the same order, with the same content", async (place) => {
    await withStore(place.backend(), async (store) => {
      const first = await store.append("events", [event("a-1", "local://orders/1")]);
      assert.deepEqual([first.firstSeq, first.lastSeq], [1, 1]);
      const more = await store.append("events", [event("a-2"), event("a-3")]);
      assert.deepEqual([more.firstSeq, more.lastSeq, more.at.length], [2, 3, 2]);
      assert.equal(store.lastSeq("events"), 3);
      const read = await collect(store.read("events"));
      assert.deepEqual(
        read.map((record) => [record.seq, "payload" in record ? record.payload : undefined]),
        [
          [1, "a-1"],
          [2, "a-2"],
          [3, "a-3"],
        ],
      );
      const { kind, system_id, actor_address, event_type } = read[0] as unknown as Record<string, unknown>;
      assert.deepEqual([kind, system_id, actor_address, event_type], ["event", "local", "local://orders/1", "Noted"]);
    });
  }),

  contractCase("each log counts its own seqs from 1, also when they are written together", async (place) => {
    await withStore(place.backend(), async (store) => {
      const rounds = [1, 2, 3].flatMap((n) => LOG_NAMES.map((log) => store.append(log, [event(`${log} ${n}`)])));
      const appended = await Promise.all(rounds);
      assert.deepEqual(
        appended.map((result) => result.lastSeq),
        [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3],
      );
      for (const log of LOG_NAMES) {
        assert.deepEqual(await payloadsOf(store, log), [`${log} 1`, `${log} 2`, `${log} 3`]);
      }
    });
  }),

  contractCase("1,000 appends at once are all acknowledged, and each caller's keep their order", async (place) => {
    await withStore(place.backend(), async (store) => {
      const appended = await Promise.all(
        Array.from({ length: 1000 }, (_, i) =>
          store.append("events", [event({ caller: i % 10, n: Math.floor(i / 10) })]),
        ),
      );
      assert.equal(new Set(appended.map((result) => result.firstSeq)).size, 1000);
      const next = Array.from({ length: 10 }, () => 0);
      let seq = 0;
      for await (const record of store.read("events")) {
        assert.equal(record.seq, ++seq);
        const { caller, n } = (record as { payload: { caller: number; n: number } }).payload;
        assert.equal(n, next[caller]);
        next[caller] = n + 1;
        assert.equal(appended[n * 10 + caller]?.firstSeq, seq, "the acknowledgement names the seq that was stored");
      }
      assert.equal(seq, 1000);
    });
  }),

  contractCase("seqs go on where they were after the store was opened again", async (place) => {
    await withStore(place.backend(), (store) => store.append("journal", events(1, 3)));
    await withStore(place.backend(), async (store) => {
      assert.equal(store.lastSeq("journal"), 3);
      assert.equal(store.lastSeq("events"), 0);
      assert.equal((await store.append("journal", events(4, 4))).firstSeq, 4);
      assert.equal((await store.append("events", events(1, 1))).firstSeq, 1);
      assert.deepEqual(await payloadsOf(store, "journal"), [1, 2, 3, 4]);
    });
  }),

  contractCase("an append of nothing is refused and uses no seq", async (place) => {
    await withStore(place.backend(), async (store) => {
      await refused(store.append("events", []), "OPTION_INVALID");
      assert.equal((await store.append("events", [event(1)])).firstSeq, 1);
    });
  }),
];

/** A wall clock that a case moves, also back. */
const wall = { nowMs: 0 };

const time: readonly ContractCase[] = [
  contractCase(
    "timestamps never decrease, even when the clock jumps back and the store is opened again",
    async (place) => {
      const start = Date.UTC(2026, 0, 1);
      const at = async (nowMs: number): Promise<number> => {
        wall.nowMs = nowMs;
        return withStore(place.backend(), async (store) => (await store.append("events", [event(nowMs)])).timestampMs);
      };
      assert.equal(await at(start + 5000), start + 5000);
      assert.equal(await at(start), start + 5000);
      assert.equal(await at(start + 5001), start + 5001);
      await withStore(place.backend(), async (store) => {
        wall.nowMs = start - 86_400_000;
        await store.append("events", [event("back")]);
        const times = (await collect(store.read("events"))).map((record) => record.timestamp);
        assert.deepEqual(
          times,
          [5, 5, 5.001, 5.001].map((seconds) => Math.round(start + seconds * 1000) / 1000),
        );
      });
    },
    { needs: ["clock"], place: () => ({ nowMs: () => wall.nowMs }) },
  ),
];

const ends: readonly ContractCase[] = [
  contractCase("flush resolves when everything before it is stored, also while more keeps coming", async (place) => {
    await withStore(place.backend(), async (store) => {
      let writing = true;
      const writers = Array.from({ length: 8 }, async () => {
        for (let n = 0; writing && n < 500; n++) await store.append("audits", [event(n)]);
        return writing;
      });
      await store.append("events", events(1, 3));
      store.offer("events", event(4));
      await store.flush();
      writing = false;
      assert.equal(store.lastSeq("events"), 4);
      const outlived = await Promise.all(writers);
      assert.deepEqual(
        outlived,
        outlived.map(() => false),
        "flush() resolved while appends kept coming",
      );
      await store.flush();
    });
  }),

  contractCase("every flush resolves, at whatever moment it is asked for", async (place) => {
    await withStore(place.backend(), async (store) => {
      for (let turns = 0; turns < 25; turns++) {
        const appended = store.append("events", [event(turns)]);
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        await Promise.all([store.flush(), store.flush(), appended]);
        await store.flush();
      }
    });
  }),

  contractCase("close stores what was accepted; afterwards everything is refused with STORE_CLOSED", async (place) => {
    const store = await openStore(place.backend());
    const accepted = [1, 2, 3].map((n) => store.append("events", [event(n)]));
    const offered = store.offer("events", event(4));
    const closed = store.close();
    await refused(store.append("events", [event(5)]), "STORE_CLOSED");
    assert.equal(store.offer("events", event(6)), false);
    await Promise.all(accepted);
    assert.equal(offered, true);
    await closed;
    await store.close();
    await refused(store.append("events", [event(7)]), "STORE_CLOSED");
    await withStore(place.backend(), async (again) =>
      assert.deepEqual(await payloadsOf(again, "events"), [1, 2, 3, 4]),
    );
  }),

  contractCase(
    "an append that still waits when the store is closed is refused with STORE_CLOSED",
    async (place) => {
      const store = await openStore(place.backend());
      const first = store.append("events", [event(1)]);
      const waiting = refused(store.append("events", [event(2)]), "STORE_CLOSED");
      await store.close();
      await Promise.all([first, waiting]);
      await withStore(place.backend(), async (again) => assert.deepEqual(await payloadsOf(again, "events"), [1]));
    },
    { place: () => ({ limits: { queueRecordsMax: 1 } }) },
  ),

  contractCase(
    "there is one writer: a second is refused with STORE_LOCKED until the first has closed",
    async (place) => {
      const store = await openStore(place.backend());
      await store.append("events", [event(1)]);
      await refused(openStore(place.backend()), "STORE_LOCKED");
      await refused(place.backend().claim("a test"), "STORE_LOCKED");
      await store.append("events", [event(2)]);
      await store.close();
      await withStore(place.backend(), async (again) => assert.equal(again.lastSeq("events"), 2));
    },
    { needs: ["claim"] },
  ),

  contractCase("what is not there is STORE_NOT_FOUND, and asking makes nothing", async (place) => {
    await refused(place.backend().view(), "STORE_NOT_FOUND");
    await refused(place.backend().view(), "STORE_NOT_FOUND");
  }),

  contractCase("a store keeps its name and its identity lines when it is opened again", async (place) => {
    const identity = await withStore(place.backend(), async (store) => store.identity);
    await withStore(place.backend(), async (store) => assert.deepEqual(store.identity, identity));
    const view = await place.backend().view();
    assert.deepEqual(view.identity, identity);
    for (const segment of view.segments) {
      const [line] = linesIn(await bytesOf(place.backend().read(segment.name, 0, segment.bytes)));
      const { store, lineage } = identity;
      assert.deepEqual(JSON.parse(String(line)), { papyra: 1, log: segment.log, store, lineage });
    }
  }),
];

/** A record that no caller with types can make: the store must not trust it. */
function forged(fields: Record<string, unknown>): NewRecord {
  return { ...event(1), ...fields } as unknown as NewRecord;
}

const envelope: readonly ContractCase[] = [
  contractCase("a record cannot bring its own seq, time or checksum, nor a kind that does not exist", async (place) => {
    await withStore(place.backend(), async (store) => {
      const bad = [
        { seq: 7 },
        { timestamp: 0 },
        { durable: 9 },
        { crc: "00000000" },
        { kind: "seal" },
        { kind: 'x","y":"' },
      ];
      for (const fields of bad) {
        await refused(store.append("events", [forged(fields)]), "RECORD_INVALID");
        assert.equal(store.offer("events", forged(fields)), false);
      }
      assert.equal((await store.append("events", [event(1)])).firstSeq, 1);
    });
  }),
];

export const appendCases: readonly ContractCase[] = [...order, ...time, ...ends, ...envelope];
