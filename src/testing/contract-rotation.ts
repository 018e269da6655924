// The contract of rotation: full and old segments are sealed, what is in them never changes again, and whoever reads finds
// every record wherever it has gone meanwhile.
import assert from "node:assert/strict";
import type { Segment } from "../backends/backend.ts";
import { recover } from "../ops/recover.ts";
import { scan } from "../ops/scan.ts";
import {
  bytesOf,
  collect,
  type ContractCase,
  contractCase,
  type ContractStore,
  event,
  events,
  linesIn,
  payloadsOf,
  withStore,
} from "./contract-subject.ts";

const SEGMENT_BYTES = 4096;
const COUNT = 60;
const place = () => ({ limits: { segmentBytes: SEGMENT_BYTES } });
const numbers = (to: number): number[] => Array.from({ length: to }, (_, i) => i + 1);

async function segmentsOf(store: ContractStore): Promise<readonly Segment[]> {
  return (await store.backend().view()).segments.filter(({ log }) => log === "events");
}

async function closedOf(store: ContractStore): Promise<readonly Segment[]> {
  return (await segmentsOf(store)).filter(({ active }) => !active);
}

/** One record a batch. */
async function fill(store: ContractStore, from: number, to: number): Promise<void> {
  await withStore(store.backend(), async (writer) => {
    for (let n = from; n <= to; n++) await writer.append("events", [event({ n, text: "x".repeat(100) })]);
  });
}

async function numbersIn(store: ContractStore): Promise<unknown[]> {
  const payloads = await withStore(store.backend(), (reader) => payloadsOf(reader, "events"));
  return payloads.map((payload) => (payload as { n: number } | undefined)?.n);
}

async function change(store: ContractStore, name: string, by: (bytes: Buffer) => Buffer): Promise<void> {
  await store.putSegment(name, by(Buffer.from(await store.segmentBytes(name))));
}

const flipAt = (bytes: Buffer, at: number): Buffer => {
  bytes[at]! ^= 1;
  return bytes;
};

/** What may befall a sealed segment, and the numbers that are gone for good. */
const DAMAGES: readonly {
  readonly what: string;
  readonly befall: (store: ContractStore, closed: readonly Segment[]) => Promise<void>;
  readonly gone: (closed: readonly Segment[]) => number[];
}[] = [
  {
    what: "a damaged record",
    befall: (store, [first]) => change(store, first!.name, (bytes) => flipAt(bytes, bytes.indexOf('{"seq":5,') + 40)),
    gone: () => [5],
  },
  {
    what: "a lost record",
    befall: (store, [first]) =>
      change(store, first!.name, (bytes) => Buffer.concat(linesIn(bytes).filter((_, i) => i !== 3))),
    gone: () => [3],
  },
  {
    what: "a damaged seal",
    befall: (store, [, second]) =>
      change(store, second!.name, (bytes) => flipAt(bytes, bytes.lastIndexOf('"sha256"') + 15)),
    gone: () => [],
  },
  {
    what: "a lost seal",
    befall: (store, [, second]) => change(store, second!.name, (bytes) => Buffer.concat(linesIn(bytes).slice(0, -1))),
    gone: () => [],
  },
  {
    what: "a lost segment",
    befall: (store, [, second]) => store.putSegment(second!.name, undefined),
    gone: ([, second, third]) => numbers(third!.firstSeq! - 1).filter((n) => n >= (second!.firstSeq as number)),
  },
  {
    what: "a damaged identity line",
    befall: (store, [first]) => change(store, first!.name, (bytes) => flipAt(bytes, 12)),
    gone: () => [],
  },
];

const damages: readonly ContractCase[] = DAMAGES.flatMap(({ what, befall, gone }) =>
  (["repair", "quarantine"] as const).map((mode) =>
    contractCase(
      `recover (${mode}) mends sealed segments: ${what}`,
      async (store) => {
        await fill(store, 1, COUNT);
        const closed = await closedOf(store);
        assert.ok(closed.length >= 3, `${closed.length} closed segments`);
        await befall(store, closed);
        const found = await scan(store.backend());
        assert.equal(found.ok, false, "the scan finds it");
        const report = await recover(store.backend(), { mode });
        assert.ok(report.after.ok, `${report.after.verdict}: ${JSON.stringify(report.after.anomalies)}`);
        assert.equal((await recover(store.backend(), { mode })).changed, false, "a second run finds nothing");
        const lost = gone(closed);
        const kept = numbers(COUNT).filter((n) => !lost.includes(n));
        assert.deepEqual(
          (await numbersIn(store)).filter((n) => n !== undefined),
          kept,
        );
      },
      { needs: ["damage"], place },
    ),
  ),
);

const rotations: readonly ContractCase[] = [
  contractCase(
    "a full segment is sealed, and never changes again",
    async (store) => {
      await fill(store, 1, COUNT / 2);
      const before = await closedOf(store);
      assert.ok(before.length >= 1);
      const bytes = await Promise.all(before.map(({ name }) => store.segmentBytes(name)));
      await fill(store, COUNT / 2 + 1, COUNT);
      const after = await segmentsOf(store);
      assert.ok(after.length > before.length + 1);
      for (const [i, { name }] of before.entries()) {
        assert.equal(after[i]?.name, name);
        assert.ok(Buffer.from(await store.segmentBytes(name)).equals(bytes[i] as Buffer), `${name} changed`);
      }
      for (const { name, active, firstSeq, bytes: length } of after) {
        assert.ok(length <= SEGMENT_BYTES + 400, `${name} has ${length} bytes`);
        const lines = linesIn(Buffer.from(await store.segmentBytes(name)));
        assert.equal(String(lines.at(-1)).startsWith('{"kind":"seal"'), !active, `${name} is sealed when it is closed`);
        if (!active) assert.ok(String(lines[1]).startsWith(`{"seq":${firstSeq},`));
      }
      assert.deepEqual(await numbersIn(store), numbers(COUNT));
      const report = await scan(store.backend());
      assert.ok(report.ok, report.verdict);
    },
    { place },
  ),

  contractCase(
    "a batch that is longer than a segment stays whole",
    async (store) => {
      await withStore(store.backend(), async (writer) => {
        await writer.append("events", events(1, 3));
        await writer.append("events", events(4, COUNT));
        await writer.append("events", events(COUNT + 1, COUNT + 2));
        assert.equal((await collect(writer.read("events"))).length, COUNT + 2);
      });
      assert.deepEqual(
        (await closedOf(store)).map(({ firstSeq }) => firstSeq),
        [1, 4],
      );
      assert.ok((await scan(store.backend())).ok);
    },
    { place },
  ),

  contractCase(
    "records are found where they were put, whatever was sealed since",
    async (store) => {
      await withStore(store.backend(), async (writer) => {
        const { at: first } = await writer.append("events", events(1, 2));
        const view = await writer.backend.view();
        const old = view.segments.find(({ log }) => log === "events")!;
        for (let n = 3; n <= COUNT; n++) await writer.append("events", [event("x".repeat(100))]);
        assert.ok((await closedOf(store)).length >= 2);
        const found = await collect(writer.readAt("events", first));
        assert.deepEqual(
          found.map(({ seq }) => seq),
          [1, 2],
        );
        const bytes = await bytesOf(writer.backend.read(old.name, 0, old.bytes, old.id));
        assert.equal(linesIn(bytes).length, 3, "a view goes on speaking of what it has seen");
      });
    },
    { place },
  ),

  contractCase(
    "who reads beside a writer that seals sees nothing wrong, and at least what was acknowledged before",
    async (store) => {
      await withStore(store.backend(), async (writer) => {
        let acknowledged = 0;
        let writing = true;
        const written = (async () => {
          for (let n = 1; n <= 4 * COUNT; n++) {
            await writer.append("events", [event("x".repeat(150))]);
            acknowledged = n;
          }
          writing = false;
        })();
        while (writing) {
          const before = acknowledged;
          const report = await scan(store.backend());
          assert.deepEqual(report.anomalies, []);
          const log = report.logs.find(({ log: name }) => name === "events");
          assert.ok((log?.records ?? 0) >= before, `${log?.records} of ${before} records were seen`);
          assert.ok((await collect(writer.read("events"))).length >= before);
        }
        await written;
      });
    },
    { place },
  ),

  contractCase(
    "a segment that does not verify any more is closed without a seal, and recovery mends it",
    async (store) => {
      await withStore(store.backend(), async (writer) => {
        const { at } = await writer.append("events", events(1, 3));
        await change(store, at[1]!.segment, (bytes) => flipAt(bytes, at[1]!.offset + 40));
        for (let n = 4; n <= COUNT; n++) await writer.append("events", [event("x".repeat(100))]);
      });
      const [first, second] = await closedOf(store);
      const sealed = async ({ name }: Segment) => String(await store.segmentBytes(name)).includes('{"kind":"seal"');
      assert.deepEqual([await sealed(first!), await sealed(second!)], [false, true]);
      const found = await scan(store.backend());
      assert.deepEqual(found.counts, { "checksum-mismatch": 1 });
      const report = await recover(store.backend(), { mode: "quarantine" });
      assert.ok(report.after.ok, report.after.verdict);
    },
    { needs: ["damage"], place },
  ),

  contractCase("without a limit a log is one segment", async (store) => {
    await fill(store, 1, COUNT);
    assert.equal((await segmentsOf(store)).length, 1);
  }),
];

let wall = 0;

const byAge: readonly ContractCase[] = [
  contractCase(
    "an old segment is sealed before the next record, also when the store was closed meanwhile",
    async (store) => {
      wall = 1_767_225_600_000;
      await withStore(store.backend(), async (writer) => {
        await writer.append("events", events(1, 1));
        wall += 59_000;
        await writer.append("events", events(2, 2));
        wall += 1000;
        await writer.append("events", events(3, 3));
      });
      assert.deepEqual(
        (await closedOf(store)).map(({ firstSeq }) => firstSeq),
        [1],
      );
      wall += 60_000;
      await withStore(store.backend(), (writer) => writer.append("events", events(4, 4)));
      assert.deepEqual(
        (await closedOf(store)).map(({ firstSeq }) => firstSeq),
        [1, 3],
      );
      assert.ok((await scan(store.backend())).ok);
    },
    { needs: ["clock"], place: () => ({ limits: { segmentAgeMs: 60_000 }, nowMs: () => wall }) },
  ),
];

export const rotationCases: readonly ContractCase[] = [...rotations, ...byAge, ...damages];
