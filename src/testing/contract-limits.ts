// The contract of bounds: the longest line, the fullest queue, and what becomes of who has to wait.
import assert from "node:assert/strict";
import { type ContractCase, contractCase, event, payloadsOf, refused, seqsOf, withStore } from "./contract-subject.ts";

const LINE_BYTES_MAX = 4096;

export const limitCases: readonly ContractCase[] = [
  contractCase(
    "a record that just fits is stored; one byte more is refused, writes nothing and uses no seq",
    async (place) => {
      await withStore(place.backend(), async (store) => {
        const tooLarge = await refused(store.append("events", [event("x".repeat(LINE_BYTES_MAX))]), "RECORD_TOO_LARGE");
        const longest = LINE_BYTES_MAX - (Number(tooLarge.details.bytes) - LINE_BYTES_MAX);
        await refused(store.append("events", [event("x".repeat(longest + 1))]), "RECORD_TOO_LARGE");
        await refused(store.append("events", [event(1), event("x".repeat(longest + 1))]), "RECORD_TOO_LARGE");
        assert.equal(store.lastSeq("events"), 0);
        const fitting = await store.append("events", [event("x".repeat(longest))]);
        assert.equal(fitting.firstSeq, 1);
        assert.ok((fitting.at[0]?.length ?? 0) + 1 <= LINE_BYTES_MAX, "no line is longer than the limit");
        const wide = await store.append("events", [event("\u20ac".repeat(Math.floor(longest / 3)))]);
        assert.equal(wide.firstSeq, 2);
        assert.deepEqual(await payloadsOf(store, "events"), [
          "x".repeat(longest),
          "\u20ac".repeat(Math.floor(longest / 3)),
        ]);
      });
    },
    { place: () => ({ limits: { lineBytesMax: LINE_BYTES_MAX } }) },
  ),

  contractCase(
    "more than the queue may ever hold is refused at once",
    async (place) => {
      await withStore(place.backend(), async (store) => {
        const many = Array.from({ length: 100 }, () => event("x".repeat(1000)));
        await refused(store.append("events", many), "RECORD_TOO_LARGE");
        assert.equal((await store.append("events", [event(1)])).firstSeq, 1);
      });
    },
    { place: () => ({ limits: { queueBytesMax: 64 << 10 } }) },
  ),

  contractCase(
    "a full queue makes an append wait, without losing its place in the order",
    async (place) => {
      await withStore(place.backend(), async (store) => {
        let most = 0;
        const appended: Promise<unknown>[] = [];
        const append = (payload: unknown): Promise<unknown> => {
          const done = store.append("events", [event(payload)]);
          appended.push(done);
          most = Math.max(most, store.stats().queuedRecords);
          return done;
        };
        const first = append(0);
        for (let n = 1; n <= 20; n++) void append(n);
        // Whoever is acknowledged and asks again does not overtake what has been waiting since before.
        const again = first.then(() => append("again"));
        await again;
        await Promise.all(appended);
        assert.ok(most <= 4, `${most} records were queued; the queue holds 4`);
        assert.deepEqual(await payloadsOf(store, "events"), [...Array.from({ length: 21 }, (_, n) => n), "again"]);
      });
    },
    { place: () => ({ limits: { queueRecordsMax: 4 } }) },
  ),

  contractCase(
    "a best-effort record is given up when the queue is full, and counted",
    async (place) => {
      await withStore(place.backend(), async (store) => {
        const taken = [1, 2, 3, 4, 5].map((n) => store.offer("events", event(n)));
        assert.deepEqual(taken, [true, true, true, false, false]);
        assert.equal(store.offer("events", event(Number.NaN)), false, "what cannot be stored is given up as well");
        assert.equal(store.stats().lostRecords, 3);
        await store.flush();
        assert.equal(store.offer("events", event(6)), true);
        await store.flush();
        assert.deepEqual(await payloadsOf(store, "events"), [1, 2, 3, 6]);
        assert.deepEqual(await seqsOf(store.read("events")), [1, 2, 3, 4]);
      });
    },
    { place: () => ({ limits: { queueRecordsMax: 3 } }) },
  ),

  contractCase(
    "an append that waits can be given up; it is not stored and the next one goes on",
    async (place) => {
      await withStore(place.backend(), async (store) => {
        const before = store.append("events", [event("before")]);
        const stop = new AbortController();
        const waiting = store.append("events", [event("given up")], { signal: stop.signal });
        const after = store.append("events", [event("after")]);
        const reason = new Error("the caller has left");
        stop.abort(reason);
        await assert.rejects(waiting, (error) => error === reason);
        await Promise.all([before, after]);
        await assert.rejects(store.append("events", [event("never")], { signal: stop.signal }), (e) => e === reason);
        assert.deepEqual(await payloadsOf(store, "events"), ["before", "after"]);
        assert.deepEqual(await seqsOf(store.read("events")), [1, 2]);
      });
    },
    { place: () => ({ limits: { queueRecordsMax: 1 } }) },
  ),
];
