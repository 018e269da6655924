// The contract of compaction: exactly the expired records go, every seq stays accounted for, and nobody who reads or writes
// meanwhile notices anything but that.
import assert from "node:assert/strict";
import type { Segment } from "../backends/backend.ts";
import type { Retention } from "../log/retention.ts";
import { account } from "../ops/account.ts";
import { compact, compactStore, planCompact } from "../ops/compact.ts";
import { inspect } from "../ops/inspect.ts";
import { recover } from "../ops/recover.ts";
import { scan } from "../ops/scan.ts";
import {
  collect,
  type ContractCase,
  contractCase,
  type ContractStore,
  event,
  events,
  linesIn,
  refused,
  withStore,
} from "./contract-subject.ts";

const COUNT = 120;
const place = () => ({ limits: { segmentBytes: 4096 } });
const START_MS = 1_767_225_600_000;

/** One record a batch, of which `n` says which it is; `tick` is called behind each. */
async function fill(store: ContractStore, from: number, to: number, tick: () => void = () => undefined): Promise<void> {
  await withStore(store.backend(), async (writer) => {
    for (let n = from; n <= to; n++) {
      await writer.append("events", [event({ n, text: "x".repeat(100) })]);
      tick();
    }
  });
}

/** The numbers in the events that are there. */
async function numbersIn(store: ContractStore): Promise<number[]> {
  return withStore(store.backend(), async (reader) => {
    const records = await collect(reader.read("events"));
    return records.flatMap((record) => (record.kind === "event" ? [(record.payload as { n: number }).n] : []));
  });
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function segmentsOf(store: ContractStore): Promise<readonly Segment[]> {
  return (await store.backend().view()).segments.filter(({ log }) => log === "events");
}

async function bytesOf(store: ContractStore): Promise<Map<string, Buffer>> {
  const bytes = new Map<string, Buffer>();
  for (const { name } of await segmentsOf(store)) bytes.set(name, Buffer.from(await store.segmentBytes(name)));
  return bytes;
}

/** Healthy, and the sum of the events is right. */
async function assertWhole(store: ContractStore, present: number): Promise<void> {
  const report = await scan(store.backend());
  assert.ok(report.ok, `${report.verdict} ${JSON.stringify(report.anomalies)}`);
  const sum = (await account(store.backend())).logs.find(({ log }) => log === "events")!;
  assert.equal(sum.present + sum.compacted + sum.quarantined + sum.lost, sum.lastSeq);
  assert.ok(sum.present >= present, `${sum.present} present`);
}

const bounds: readonly { readonly what: string; readonly retention: Retention; readonly kept: number[] }[] = [
  { what: "by count", retention: { maxRecords: 50 }, kept: range(71, 120) },
  { what: "by age", retention: { maxAgeMs: 30_000 }, kept: range(91, 120) },
  { what: "by bytes", retention: { maxBytes: 4000 }, kept: range(107, 120) },
  {
    what: "by whatever is least",
    retention: { maxRecords: 50, maxAgeMs: 3000, maxBytes: 4000 },
    kept: range(118, 120),
  },
  { what: "nothing, since all is young and little", retention: { maxRecords: 500 }, kept: range(1, 120) },
  { what: "everything", retention: { maxRecords: 0 }, kept: [] },
];

const byBounds = bounds.flatMap(({ what, retention, kept }) =>
  [true, false].map((rotating) => {
    let wall = START_MS;
    const tick = (): void => void (wall += 1000);
    return contractCase(
      `compaction takes out ${what} (${rotating ? "rotating" : "one segment"}), the second one nothing`,
      async (store) => {
        wall = START_MS;
        await fill(store, 1, COUNT, tick);
        const lines = [...(await bytesOf(store)).values()].flatMap(linesIn).map(String);
        const shown = await inspect(store.backend(), { kind: "event", limit: 1000, retention });
        const planned = await planCompact(store.backend(), { retention: { events: retention } });
        const report = await compact(store.backend(), { retention: { events: retention } });
        assert.deepEqual({ ...planned.logs[0], done: undefined }, { ...report.logs[0], done: undefined });
        assert.equal(report.logs[0]?.records, COUNT - kept.length);
        assert.deepEqual(await numbersIn(store), kept);
        const seen = shown.records.map(({ record }) => (record.payload as { n: number }).n);
        assert.deepEqual(seen, kept, "what is expired is not shown even before");
        const left = [...(await bytesOf(store)).values()].flatMap(linesIn).map(String);
        const same = left.filter((line) => lines.includes(line) && line.includes('"kind":"event"'));
        assert.equal(same.length, kept.length, "what stays is copied byte for byte");
        await assertWhole(store, kept.length);
        const before = await bytesOf(store);
        assert.equal((await compact(store.backend(), { retention: { events: retention } })).changed, false);
        const after = await bytesOf(store);
        for (const [name, bytes] of before) assert.ok(after.get(name)?.equals(bytes), `${name} was touched`);
        await fill(store, COUNT + 1, COUNT + 3);
        assert.deepEqual(await numbersIn(store), [...kept, ...range(COUNT + 1, COUNT + 3)], "and it goes on");
        const { logs } = await account(store.backend());
        assert.equal(logs[0]?.lastSeq, COUNT + 3 + (kept.length === COUNT ? 0 : 1), "no seq is used again");
      },
      { needs: ["clock"], place: () => ({ ...(rotating ? place() : {}), nowMs: () => wall }) },
    );
  }),
);

const beside: readonly ContractCase[] = [
  contractCase(
    "compaction beside a writer and readers: nothing that stays is missed, at any moment",
    async (store) => {
      await fill(store, 1, COUNT);
      await withStore(store.backend(), async (writer) => {
        let writing = true;
        let last = COUNT;
        const written = (async () => {
          while (writing || last < COUNT + 40) {
            await writer.append("events", [event({ n: last + 1, text: "y".repeat(100) })]);
            last += 1;
          }
        })();
        for (let keep = 100; keep >= 0; keep -= 20) {
          const least = last; // acknowledged by now
          const compacted = compactStore(writer, { retention: { events: { maxRecords: keep } } });
          await refused(compactStore(writer, { retention: { events: { maxRecords: keep } } }), "STORE_LOCKED");
          const report = await scan(store.backend());
          assert.deepEqual(report.anomalies, []);
          const seen = await collect(writer.read("events"));
          const numbers = seen.flatMap((one) => (one.kind === "event" ? [(one.payload as { n: number }).n] : []));
          // Whatever may have expired while this was read: the newest ones were there before, and stay.
          const stay = range(last - keep + 1, least);
          assert.deepEqual(
            stay.filter((n) => !numbers.includes(n)),
            [],
          );
          assert.deepEqual(
            [...new Set(numbers)].sort((a, b) => a - b),
            numbers,
            "in order, and each once",
          );
          await compacted;
        }
        writing = false;
        await written;
      });
      await assertWhole(store, 1);
    },
    { place },
  ),

  contractCase(
    "gap records that tell of damage outlive compaction",
    async (store) => {
      await fill(store, 1, COUNT);
      const [first] = await segmentsOf(store);
      const bytes = Buffer.from(await store.segmentBytes(first!.name));
      bytes[bytes.indexOf('{"seq":5,') + 40]! ^= 1;
      await store.putSegment(first!.name, bytes);
      await refused(compact(store.backend(), { retention: { events: { maxRecords: 1 } } }), "LOG_DAMAGED");
      assert.ok(Buffer.from(await store.segmentBytes(first!.name)).equals(bytes), "what is damaged is not touched");
      await recover(store.backend(), { mode: "quarantine" });
      await fill(store, COUNT + 1, COUNT + 40);
      for (const keep of [60, 10, 0]) {
        await compact(store.backend(), { retention: { events: { maxRecords: keep } } });
        const sum = (await account(store.backend())).logs.find(({ log }) => log === "events")!;
        assert.equal(sum.quarantined, 1);
        assert.deepEqual(await numbersIn(store), range(COUNT + 40 - keep + 1, COUNT + 40));
        await assertWhole(store, keep);
      }
    },
    { needs: ["damage"], place },
  ),
];

const leftovers: readonly ContractCase[] = [
  contractCase(
    "what an interrupted compaction left behind does not count, and the next one removes it",
    async (store) => {
      await fill(store, 1, COUNT);
      const before = await bytesOf(store);
      const retention = { events: { maxRecords: 10 } };
      await compact(store.backend(), { retention });
      const after = await bytesOf(store);
      const gone = [...before.keys()].filter((name) => !after.has(name));
      for (const name of gone.slice(0, 2)) await store.putSegment(name, before.get(name));
      // Only those that a segment which is there replaces do not count.
      const view = await store.backend().view();
      const left = view.superseded.map(({ name }) => name);
      assert.equal(left.length, 2);
      assert.ok((await scan(store.backend())).startable);
      assert.deepEqual((await numbersIn(store)).slice(-10), range(COUNT - 9, COUNT));
      assert.deepEqual((await compact(store.backend(), { retention })).leftovers, left);
      assert.deepEqual((await store.backend().view()).superseded, []);
    },
    { needs: ["damage"], place },
  ),

  contractCase(
    "a stray file that says by its name to replace others costs not a byte",
    async (store) => {
      await fill(store, 1, COUNT);
      const before = await bytesOf(store);
      const [first] = [...before.keys()];
      const stray = "events.00000000000000000001-00000000000000000100.g7.ndjson";
      await store.putSegment(stray, Buffer.concat([linesIn(before.get(first!) as Buffer)[0] as Buffer]));
      const found = await scan(store.backend());
      assert.equal(found.ok, false, "the scan finds it");
      await refused(compact(store.backend(), { retention: { events: { maxRecords: 10 } } }), "LOG_DAMAGED");
      // Nor does recovery write off what only seems to be replaced.
      await refused(recover(store.backend(), { mode: "quarantine" }), "LOG_DAMAGED");
      for (const [name, bytes] of before) {
        assert.ok(Buffer.from(await store.segmentBytes(name)).equals(bytes), `${name} is as it was`);
      }
      await store.putSegment(stray, undefined);
      assert.deepEqual(await numbersIn(store), range(1, COUNT));
    },
    { needs: ["damage"], place },
  ),

  contractCase(
    "a plan that is refused changes nothing, not even what an interrupted compaction left behind",
    async (store) => {
      await fill(store, 1, COUNT);
      const before = await bytesOf(store);
      await compact(store.backend(), { retention: { events: { maxRecords: 10 } } });
      const after = await bytesOf(store);
      const [first] = [...before.keys()].filter((name) => !after.has(name));
      await store.putSegment(first!, before.get(first!));
      const retention = { events: { maxRecords: 5 } };
      const { fingerprint, leftovers: left } = await planCompact(store.backend(), { retention });
      assert.deepEqual(left, [first]);
      await withStore(store.backend(), (writer) => writer.append("events", events(COUNT + 1, COUNT + 1)));
      const changed = await bytesOf(store);
      await refused(compact(store.backend(), { retention, fingerprint }), "STORE_CHANGED");
      await withStore(store.backend(), async (writer) =>
        refused(compactStore(writer, { retention, fingerprint }), "STORE_CHANGED"),
      );
      assert.deepEqual(await bytesOf(store), changed);
      assert.deepEqual(
        (await store.backend().view()).superseded.map(({ name }) => name),
        [first],
      );
      // The same plan, but for what was left behind, is another one.
      const anew = await planCompact(store.backend(), { retention });
      await store.putSegment(first!, undefined);
      await refused(compact(store.backend(), { retention, fingerprint: anew.fingerprint }), "STORE_CHANGED");
    },
    { needs: ["damage"], place },
  ),

  contractCase("without a policy nothing may go", async (store) => {
    await withStore(store.backend(), (writer) => writer.append("events", events(1, 3)));
    await refused(compact(store.backend()), "OPTION_INVALID");
    await refused(compact(store.backend(), { retention: { events: {} } }), "OPTION_INVALID");
  }),

  contractCase("a plan is carried out on the store as it was, and on no other", async (store) => {
    await withStore(store.backend(), (writer) => writer.append("events", events(1, 9)));
    const retention = { events: { maxRecords: 4 } };
    const { fingerprint } = await planCompact(store.backend(), { retention });
    await withStore(store.backend(), (writer) => writer.append("events", events(10, 10)));
    await refused(compact(store.backend(), { retention, fingerprint }), "STORE_CHANGED");
    const anew = await planCompact(store.backend(), { retention });
    const report = await compact(store.backend(), { retention, fingerprint: anew.fingerprint });
    assert.equal(report.logs[0]?.records, 6);
  }),
];

export const compactCases: readonly ContractCase[] = [...byBounds, ...beside, ...leftovers];
