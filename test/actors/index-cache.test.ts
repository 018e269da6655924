// One actor's journal is read without reading those of the others, and a cache is worth nothing: whatever befalls it, what
// actors find is the same.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { memoryBackend } from "../../src/backends/memory.ts";
import { openStore } from "../../src/backends/open.ts";
import { digestOf } from "../../src/actors/digest.ts";
import { encodeControlLine } from "../../src/log/codec.ts";
import type { NewRecord } from "../../src/log/record.ts";
import { decodeIndexHead } from "../../src/log/segment-index.ts";
import { indexName } from "../../src/log/segments.ts";
import { compact } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { counting } from "../counting.ts";
import { cachesInFiles, happened, recovery, revisionsOf, withJournal, writeRounds } from "./index-helpers.ts";
import { ledgerWith, startSystem } from "./persistent-helpers.ts";
import { settle } from "./world.ts";

const ROUNDS = 6;
const RARE = [1, 2, 3];

async function filesOf(others: number, cached: boolean): Promise<SimDisk> {
  const disk = new SimDisk();
  const backend = fileBackend({ path: "/s" }, disk.env);
  await writeRounds(backend, ROUNDS, others);
  if (cached) await withJournal(backend, (journal) => revisionsOf(journal, "a/rare"));
  return disk;
}

/** Of an actor whose records alone make up the journal. */
function snapshotOf(persistence_id: string, revision: number): NewRecord {
  const payload = { revision };
  const digest = digestOf(payload);
  return { kind: "snapshot", system_id: "sim", persistence_id, revision, journal_seq: revision, digest, payload };
}

describe("one actor among many", () => {
  /** The first line, the seal, two offsets and a bucket of about eight actors; its own record. */
  const SEGMENT_MAX = 512 + 450 + 26 + 900 + 300;

  test("reads a bounded amount for each segment, however much the others wrote", async () => {
    const bytes: number[] = [];
    for (const others of [10, 100, 1000]) {
      const found = await recovery(await filesOf(others, true), "a/rare");
      expect(found).toMatchObject({ revisions: RARE, inMemory: 0, read: 0 });
      expect(found.bytes).toBeLessThan(ROUNDS * SEGMENT_MAX);
      bytes.push(found.bytes);
    }
    expect(bytes[2]).toBeLessThan(2 * (bytes[0] as number));
  });

  test("whose caches are missing, reads the segments once, keeps what it found, and lets go of it", async () => {
    const disk = await filesOf(200, false);
    expect(await recovery(disk, "a/rare")).toMatchObject({ revisions: RARE, inMemory: 0, read: ROUNDS });
    const second = await recovery(disk, "a/rare");
    expect(second).toMatchObject({ revisions: RARE, read: 0 });
    await cachesInFiles(disk, "/s").put(indexName("journal.00000000000000000001.ndjson"), undefined);
    expect(await recovery(disk, "a/rare")).toMatchObject({ revisions: RARE, inMemory: 0, read: 1 });
  });

  test("that never existed is looked for as cheaply", async () => {
    const found = await recovery(await filesOf(300, true), "a/nobody");
    expect(found).toMatchObject({ revisions: [], read: 0 });
    expect(found.bytes).toBeLessThan(ROUNDS * SEGMENT_MAX);
  });

  test("many that are asked for cost at most about twice their caches", async () => {
    const disk = await filesOf(400, true);
    const caches = cachesInFiles(disk, "/s");
    let size = 0;
    for (const name of await caches.names()) size += (await caches.get(name)).length;
    const counted = counting(disk.env, "/index/");
    await withJournal(fileBackend({ path: "/s" }, counted.env), async (journal) => {
      for (let i = 0; i < 400; i++) expect(await revisionsOf(journal, `a/${i}`)).toEqual([1, 2, 3, 4, 5, 6]);
    });
    expect(counted.bytes).toBeLessThan(2.5 * size);
  });
});

test("segments that are closed while a system runs have their caches when it stops", async () => {
  const disk = new SimDisk();
  const backend = fileBackend({ path: "/s", segmentBytes: 4096 }, disk.env);
  const ledger = ledgerWith({ snapshot: { everyEvents: 7 } });
  disk.pause = (call) => (call.path.includes("/index") ? settle() : undefined); // slower than everything else
  const system = await startSystem(backend);
  for (let n = 1; n <= 80; n++) await system.get(ledger, `${n % 5}`).ask("put", { key: "k", value: n });
  await system.stop();
  const names = await cachesInFiles(disk, "/s").names();
  const { segments } = await backend.view();
  const indexed = segments.filter(({ log }) => log === "journal" || log === "snapshots");
  expect(indexed.filter(({ active }) => !active).length).toBeGreaterThan(5);
  expect(names).toEqual(indexed.map(({ name }) => indexName(name)).sort());
  const again = await startSystem(backend);
  expect(await again.get(ledger, "3").ask("revision")).toBe(16);
  expect(again.metrics()).toMatchObject({ segmentsIndexed: 0, indexWritesFailed: 0 });
  await again.stop();
});

test("segments that compaction replaces or removes take their caches with them", async () => {
  const disk = new SimDisk();
  const backend = fileBackend({ path: "/s" }, disk.env);
  const store = await openStore(backend);
  for (let round = 0; round < 4; round++) {
    const revisions = Array.from({ length: 10 }, (_, i) => 10 * round + i + 1);
    await store.append(
      "journal",
      revisions.map((revision) => happened("a/0", revision)),
    );
    await store.maintain("test", (maintenance) => maintenance.seal("journal"));
  }
  // The journal may go up to the older of the two: a segment and a half. What is left of these joins the next one.
  for (const revision of [15, 40]) await store.append("snapshots", [snapshotOf("a/0", revision)]);
  await store.close();
  await withJournal(backend, (journal) => revisionsOf(journal, "a/0"));
  const caches = cachesInFiles(disk, "/s");
  const closed = async () => {
    const { segments } = await backend.view();
    return segments.filter(({ log, active }) => log === "journal" && !active).map(({ name }) => name);
  };
  const before = await closed();
  expect(before).toHaveLength(4);
  expect(await caches.names()).toEqual(before.map(indexName));

  await compact(backend, { retention: { journal: { maxRecords: 0 } } });
  const after = await closed();
  const kept = before.filter((name) => after.includes(name));
  expect(kept).toEqual(before.slice(-1));
  expect(await caches.names()).toEqual(kept.map(indexName));
});

describe("a cache is worth nothing", () => {
  const IDS = ["a/rare", "a/0", "a/7", "a/11"];
  const EXPECTED = [RARE, ...[1, 2, 3].map(() => [1, 2, 3, 4, 5, 6])];
  const readAll = (backend: Backend) =>
    withJournal(backend, async (journal) => {
      const found: number[][] = [];
      for (const id of IDS) found.push(await revisionsOf(journal, id));
      return { found, ...journal.counters };
    });

  test("any byte of it may be another one, and it may end anywhere", async () => {
    const backend = memoryBackend({}, new SimDisk().env);
    await writeRounds(backend, ROUNDS, 17);
    await readAll(backend);
    const name = indexName((await backend.view()).segments.filter(({ log }) => log === "journal")[2]!.name);
    const whole = backend.caches.get(name)!;
    expect(whole.length).toBeGreaterThan(500);
    for (let at = 0; at < whole.length; at++) {
      const flipped = Buffer.from(whole);
      flipped[at]! ^= 1 << (at % 8);
      for (const other of [flipped, Buffer.from(whole.subarray(0, at))]) {
        backend.caches.set(name, other);
        const { found, segmentsIndexed } = await readAll(backend);
        expect([at, found]).toEqual([at, EXPECTED]);
        expect(segmentsIndexed).toBeLessThanOrEqual(1);
        if (segmentsIndexed === 1) expect(backend.caches.get(name)).toEqual(whole);
      }
    }
  });

  test("one of an older release is not used, and made again", async () => {
    const backend = memoryBackend({}, new SimDisk().env);
    await writeRounds(backend, ROUNDS, 17);
    await readAll(backend);
    const [name, whole] = [...backend.caches][2]!;
    const fields = JSON.parse(whole.subarray(0, whole.indexOf(0x0a)).toString()) as Record<string, unknown>;
    const { kind, crc, ...rest } = fields;
    expect([kind, crc, rest.version]).toEqual(["index", expect.any(String), 2]);
    const older = Buffer.from(encodeControlLine(0, "index", { ...rest, version: 1 }));
    expect(decodeIndexHead(older)).toBeUndefined();
    backend.caches.set(name, older);
    expect(await readAll(backend)).toMatchObject({ found: EXPECTED, segmentsIndexed: 1 });
    expect(backend.caches.get(name)).toEqual(whole);
  });

  test("it may be that of another segment, of another store, or pieces of two", async () => {
    const backend = memoryBackend({}, new SimDisk().env);
    const foreign = memoryBackend({}, new SimDisk().env);
    for (const [each, others] of [
      [backend, 12],
      [foreign, 13],
    ] as const) {
      await writeRounds(each, ROUNDS, others);
      await readAll(each);
    }
    const mine = [...backend.caches];
    for (const [i, [name]] of mine.entries()) {
      for (const other of [mine[(i + 1) % mine.length]![1], foreign.caches.get(name)!]) {
        backend.caches.set(name, other);
        expect(await readAll(backend)).toMatchObject({ found: EXPECTED, segmentsIndexed: 1 });
      }
    }
    // Pieces of two caches: each verifies, and they do not belong together.
    for (const [i, [name, own]] of mine.entries()) {
      const other = mine[(i + 2) % mine.length]![1];
      const [end, otherEnd] = [own.indexOf(0x0a), other.indexOf(0x0a)];
      backend.caches.set(name, Buffer.concat([own.subarray(0, end), other.subarray(otherEnd)]));
      expect(await readAll(backend)).toMatchObject({ found: EXPECTED, segmentsIndexed: 1 });
    }
  });

  test("it does not speak for a segment that was mended since", async () => {
    const backend = memoryBackend({}, new SimDisk().env);
    await writeRounds(backend, ROUNDS, 12);
    await readAll(backend);
    const { name } = (await backend.view()).segments.filter(({ log }) => log === "journal")[1]!;
    const bytes = Buffer.from(backend.segmentBytes(name));
    bytes[bytes.indexOf('"persistence_id":"a/7"') + 60]! ^= 1;
    backend.putSegment(name, bytes);
    await withJournal(backend, async (journal) => {
      expect(await revisionsOf(journal, "a/7")).toEqual([1, 3, 4, 5, 6]);
      await journal.withIndexes(async ({ journal: { absences } }) => expect(absences.missing).toHaveLength(1));
    });
    expect(await recover(backend, { mode: "quarantine", quarantineDir: "/q" })).toMatchObject({ ok: true });
    await withJournal(backend, async (journal) => {
      expect(await revisionsOf(journal, "a/7")).toEqual([1, 3, 4, 5, 6]);
      expect(await revisionsOf(journal, "a/rare")).toEqual(RARE);
      expect(journal.counters.segmentsIndexed).toBe(1);
      await journal.withIndexes(async ({ journal: { absences } }) =>
        expect([absences.missing, absences.lost.length]).toEqual([[], 1]),
      );
    });
    // The gap record is in a cache, too.
    const store = await openStore(backend);
    await store.maintain("test", (maintenance) => maintenance.seal("journal"));
    await store.close();
    for (const segmentsIndexed of [1, 0]) {
      await withJournal(backend, async (journal) => {
        await journal.withIndexes(async ({ journal: { absences } }) =>
          expect([absences.missing, absences.lost.length]).toEqual([[], 1]),
        );
        expect(journal.counters).toMatchObject({ segmentsIndexed });
      });
    }
  });

  test("one that cannot be written is counted, and its segment stays in memory", async () => {
    const disk = await filesOf(20, false);
    const file = await disk.env.fs.open("/s/index", "create"); // no directory can be made here
    await file.close();
    for (let times = 0; times < 2; times++) {
      await withJournal(fileBackend({ path: "/s" }, disk.env), async (journal) => {
        expect(await revisionsOf(journal, "a/rare")).toEqual(RARE);
        expect(journal.counters).toMatchObject({ segmentsIndexed: ROUNDS, indexWritesFailed: ROUNDS });
        await journal.withIndexes(async (indexes) => expect(indexes.journal.index.size).toBe(20 * ROUNDS + 3));
      });
    }
  });

  test("one that is gone, of a segment that cannot be read for a while, is done without as soon as that can be read", async () => {
    const disk = await filesOf(20, true);
    const caches = cachesInFiles(disk, "/s");
    await withJournal(fileBackend({ path: "/s" }, disk.env), async (journal) => {
      await journal.withIndexes(async () => undefined);
      for (const name of await caches.names()) await caches.put(name, undefined);
      disk.failAt(1, "EIO", { sticky: true, operations: ["read"] });
      for (let times = 0; times < 2; times++)
        await expect(revisionsOf(journal, "a/rare")).rejects.toMatchObject({ code: "STORAGE_FAILED" });
      disk.clearFaults();
      expect(await revisionsOf(journal, "a/rare")).toEqual(RARE);
    });
  });

  test("a store with caches is healthy; a copy of it is a store with caches", async () => {
    const disk = await filesOf(20, true);
    expect(await scan(fileBackend({ path: "/s" }, disk.env))).toMatchObject({ ok: true, anomalies: [] });
    expect(await recover(fileBackend({ path: "/s" }, disk.env), { mode: "repair" })).toMatchObject({ changed: false });
    const { fs } = disk.env;
    const from = cachesInFiles(disk, "/s");
    const to = cachesInFiles(disk, "/t");
    for (const name of await from.names()) await to.put(name, await from.get(name));
    for (const name of (await fs.list("/s")).filter((each) => each !== "index")) {
      await to.put(`../${name}`, disk.content(`/s/${name}`));
    }
    const copy = fileBackend({ path: "/t" }, disk.env);
    expect(await scan(copy)).toMatchObject({ ok: true, anomalies: [] });
    const { found, segmentsIndexed } = await readAll(copy).catch(() => ({ found: [], segmentsIndexed: -1 }));
    expect([found, segmentsIndexed]).toEqual([EXPECTED, 0]);
  });
});
