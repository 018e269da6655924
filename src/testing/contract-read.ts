// The contract of reading: windows, interleaving, single records. The windows are those of the journal suites of other
// event-sourcing systems: five records, of which the last two were written as one batch.
import assert from "node:assert/strict";
import { scan } from "../ops/scan.ts";
import type { LogRecord } from "../log/record.ts";
import {
  collect,
  type ContractCase,
  contractCase,
  event,
  events,
  payloadsOf,
  refused,
  seqsOf,
  withStore,
} from "./contract-subject.ts";

const WINDOWS: readonly [id: string, options: { from?: number; to?: number }, seqs: readonly number[]][] = [
  ["J01 everything", {}, [1, 2, 3, 4, 5]],
  ["J01 1 to the greatest number", { from: 1, to: Number.MAX_SAFE_INTEGER }, [1, 2, 3, 4, 5]],
  ["J02 from 3", { from: 3 }, [3, 4, 5]],
  ["J03 up to 3", { to: 3 }, [1, 2, 3]],
  ["J05 2 to 3", { from: 2, to: 3 }, [2, 3]],
  ["J06 2 to 5", { from: 2, to: 5 }, [2, 3, 4, 5]],
  ["J07 exactly 2", { from: 2, to: 2 }, [2]],
  ["J08 the two of one batch", { from: 4, to: 5 }, [4, 5]],
  ["J09 nothing wanted", { from: 1, to: 0 }, []],
  ["J10 from behind to", { from: 3, to: 2 }, []],
  ["J10 from behind the end", { from: 6 }, []],
  ["from before the first", { from: -5, to: 1 }, [1]],
];

const windows: readonly ContractCase[] = WINDOWS.map(([id, options, seqs]) =>
  contractCase(`window ${id}`, async (place) => {
    const check = async (store: Parameters<Parameters<typeof withStore>[1]>[0]): Promise<void> => {
      const read = await collect(store.read("journal", options));
      assert.deepEqual(
        read.map((record) => [record.seq, (record as { payload?: unknown }).payload]),
        seqs.map((seq) => [seq, seq]),
      );
      assert.equal(store.lastSeq("journal"), 5, "the last seq is of the log, not of the window");
    };
    await withStore(place.backend(), async (store) => {
      for (const n of [1, 2, 3]) await store.append("journal", [event(n)]);
      await store.append("journal", events(4, 5));
      await check(store);
    });
    await withStore(place.backend(), check);
  }),
);

const others: readonly ContractCase[] = [
  contractCase("J11 a log that was never written reads as empty", async (place) => {
    await withStore(place.backend(), async (store) => {
      await store.append("journal", events(1, 2));
      assert.deepEqual(await seqsOf(store.read("snapshots")), []);
      assert.equal(store.lastSeq("snapshots"), 0);
      assert.deepEqual(store.missing("snapshots"), []);
    });
  }),

  contractCase("J04 a reader may stop early, and others go on", async (place) => {
    await withStore(place.backend(), async (store) => {
      await store.append("events", events(1, 5));
      const seen: number[] = [];
      for await (const record of store.read("events")) {
        seen.push(record.seq);
        if (seen.length === 3) break;
      }
      assert.deepEqual(seen, [1, 2, 3]);
      await store.append("events", events(6, 6));
      assert.deepEqual(await seqsOf(store.read("events", { from: 4 })), [4, 5, 6]);
    });
  }),

  contractCase(
    "reading beside appends sees what was acknowledged before, each record once and in order",
    async (place) => {
      await withStore(place.backend(), async (store) => {
        const total = 200;
        const writer = (async () => {
          for (let n = 1; n <= total; n++) await store.append("events", [event(n)]);
        })();
        for (let round = 0; round < 20; round++) {
          const acknowledged = store.lastSeq("events");
          const seqs = await seqsOf(store.read("events"));
          assert.ok(seqs.length >= acknowledged, `${seqs.length} read, ${acknowledged} were acknowledged before`);
          assert.deepEqual(
            seqs,
            Array.from(seqs, (_, i) => i + 1),
          );
        }
        await writer;
        assert.equal((await seqsOf(store.read("events"))).length, total);
      });
    },
  ),

  contractCase("two readers at once do not disturb each other", async (place) => {
    await withStore(place.backend(), async (store) => {
      await store.append("events", events(1, 50));
      const readers = Array.from({ length: 4 }, () => store.read("events")[Symbol.asyncIterator]());
      for (let n = 1; n <= 50; n++) {
        for (const reader of readers) {
          const next = await reader.next();
          assert.ok(next.done !== true);
          assert.equal(next.value.seq, n);
        }
      }
      for (const reader of readers) assert.equal((await reader.next()).done, true);
    });
  }),

  contractCase("readAt gives the records at the places that append and read named", async (place) => {
    await withStore(place.backend(), async (store) => {
      const { at } = await store.append("journal", [event("\u{1f680}"), event("b"), event("c".repeat(300_000))]);
      const more = await store.append("journal", [event("d")]);
      const places = [at[0], at[2], more.at[0]].map((location) => location!);
      const byAppend = await collect(store.readAt("journal", places));
      assert.deepEqual(
        byAppend.map((record) => record.seq),
        [1, 3, 4],
      );
      const read = await collect(store.read("journal"));
      assert.deepEqual(
        read.map((record) => record.at),
        [...at, ...more.at],
      );
      const bare = (record: LogRecord): unknown => ({ ...record, at: undefined });
      const byRead = await collect(
        store.readAt(
          "journal",
          read.map((record) => record.at),
        ),
      );
      assert.deepEqual(byRead.map(bare), read.map(bare));
      assert.deepEqual(await collect(store.readAt("journal", [])), []);
    });
  }),

  contractCase(
    "readAt verifies: a line that changed is LOG_DAMAGED, its neighbours are still given",
    async (place) => {
      await withStore(place.backend(), async (store) => {
        const { at } = await store.append("journal", events(1, 3));
        const [first, second, third] = at.map((location) => location);
        const bytes = Buffer.from(await place.segmentBytes(second!.segment));
        bytes[second!.offset + 40]! ^= 1;
        await place.putSegment(second!.segment, bytes);
        await refused(collect(store.readAt("journal", [second!])), "LOG_DAMAGED");
        assert.equal((await collect(store.readAt("journal", [first!, third!]))).length, 2);
        const wrongPlace = { ...first!, offset: first!.offset + 1 };
        await refused(collect(store.readAt("journal", [wrongPlace])), "LOG_DAMAGED");
      });
    },
    { needs: ["damage"] },
  ),

  contractCase(
    "damage that comes while the store is open is not passed over in silence",
    async (place) => {
      await withStore(place.backend(), async (store) => {
        const { at } = await store.append("journal", events(1, 5));
        const segment = at[0]!.segment;
        const whole = Buffer.from(await place.segmentBytes(segment));
        const flipped = Buffer.from(whole);
        flipped[at[2]!.offset + 40]! ^= 1;
        await place.putSegment(segment, flipped);
        await refused(collect(store.read("journal")), "LOG_DAMAGED");
        assert.deepEqual(await seqsOf(store.read("journal", { from: 4 })), [4, 5]);
        assert.deepEqual(await seqsOf(store.read("journal", { to: 2 })), [1, 2]);
        await place.putSegment(segment, whole.subarray(0, at[4]!.offset));
        await refused(collect(store.read("journal")), "LOG_DAMAGED");
        await place.putSegment(segment, whole);
        assert.deepEqual(await payloadsOf(store, "journal"), [1, 2, 3, 4, 5]);
      });
    },
    { needs: ["damage"] },
  ),

  contractCase("a scan beside the living writer finds nothing wrong and changes nothing", async (place) => {
    await withStore(place.backend(), async (store) => {
      const writer = (async () => {
        for (let n = 1; n <= 100; n++) await store.append("events", [event("x".repeat(n * 10))]);
      })();
      for (let round = 0; round < 10; round++) {
        const report = await scan(place.backend());
        assert.ok(report.ok, report.verdict);
        assert.ok(report.writer !== undefined, "the report names the writer");
      }
      await writer;
      assert.equal((await scan(place.backend())).logs.find((log) => log.log === "events")?.records, 100);
    });
  }),
];

export const readCases: readonly ContractCase[] = [...windows, ...others];
