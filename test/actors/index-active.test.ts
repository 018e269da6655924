// When a system stops, it keeps where the records of the active segments stand, so that the next start need not read them for that.
import { expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { memoryBackend } from "../../src/backends/memory.ts";
import { openStore } from "../../src/backends/open.ts";
import type { NewRecord } from "../../src/log/record.ts";
import { activeName, indexName } from "../../src/log/segments.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { happened, recovery, revisionsOf, withJournal, writeRounds } from "./index-helpers.ts";

const NAME = indexName(activeName("journal"));
const LAST = happened("a/7", 2);

async function stopped(): Promise<{ disk: SimDisk; backend: Backend; bytes: number }> {
  const disk = new SimDisk();
  const backend = fileBackend({ path: "/s" }, disk.env);
  await writeRounds(backend, 2, 50, { sealed: false });
  await withJournal(backend, async (journal) => {
    await revisionsOf(journal, "a/rare");
    await journal.close();
  });
  const bytes = (await backend.view()).segments.find(({ log, active }) => log === "journal" && active)!.bytes;
  return { disk, backend, bytes };
}

async function first(disk: SimDisk, id: string): Promise<{ revisions: number[]; bytes: number }> {
  const { revisions, bytes } = await recovery(disk, id);
  return { revisions, bytes };
}

test("an active segment is not read for its index: of one actor its own lines, and the last one", async () => {
  const { disk, bytes } = await stopped();
  expect(bytes).toBeGreaterThan(20_000);
  const found = await first(disk, "a/rare");
  expect(found.revisions).toEqual([1]);
  expect(found.bytes).toBeLessThan(2000);
});

test("an active segment is read when something was appended since, by who was killed", async () => {
  const { disk, backend, bytes } = await stopped();
  const store = await openStore(backend);
  await store.append("journal", [happened("a/rare", 2)]);
  await store.close();
  const found = await first(disk, "a/rare");
  expect(found.revisions).toEqual([1, 2]);
  expect(found.bytes).toBeGreaterThan(bytes);
});

test("an active segment is read when its last line is another one of the same length", async () => {
  const { disk, backend } = await stopped();
  const store = await openStore(backend);
  await store.append("journal", [LAST]);
  await store.close();
  await withJournal(backend, async (journal) => {
    expect(await revisionsOf(journal, "a/7")).toEqual([1, 2, 2]);
    await journal.close();
  });
  // The line is given up, and another one takes its place.
  const path = "/s/journal.ndjson";
  const file = await disk.env.fs.open(path, "update");
  const whole = disk.content(path);
  await file.truncate(whole.lastIndexOf(0x0a, -2) + 1);
  await file.close();
  await disk.env.fs.remove("/s/papyra.mark");
  const again = await openStore(backend);
  await again.append("journal", [{ ...LAST, persistence_id: "a/8" }]);
  await again.close();
  expect(disk.content(path)).toHaveLength(whole.length);
  expect((await first(disk, "a/7")).revisions).toEqual([1, 2]);
  expect((await first(disk, "a/8")).revisions).toEqual([1, 2, 2]);
});

test("an active segment has a cache that any byte may be wrong of, or the end missing", async () => {
  const backend = memoryBackend({}, new SimDisk().env);
  await writeRounds(backend, 2, 17, { sealed: false });
  const expected = [[1], [1, 2], [1, 2]];
  const ids = ["a/rare", "a/7", "a/11"];
  await withJournal(backend, async (journal) => {
    await revisionsOf(journal, "a/rare");
    await journal.close();
  });
  const whole = backend.caches.get(NAME)!;
  expect(whole.length).toBeGreaterThan(500);
  for (let at = 0; at < whole.length; at++) {
    const flipped = Buffer.from(whole);
    flipped[at]! ^= 1 << (at % 8);
    for (const other of [flipped, Buffer.from(whole.subarray(0, at))]) {
      backend.caches.set(NAME, other);
      const found = await withJournal(backend, (journal) => Promise.all(ids.map((id) => revisionsOf(journal, id))));
      expect([at, found]).toEqual([at, expected]);
    }
  }
  expect(backend.caches.get(NAME)).toEqual(whole.subarray(0, -1));
});

test("an active segment goes on growing in memory, until its own cache speaks for all of it", async () => {
  const { backend } = await stopped();
  await withJournal(backend, async (journal, store) => {
    const size = () => journal.withIndexes(async (indexes) => indexes.journal.index.size);
    const expectFound = async (revisions: number[], inMemory: number) => {
      expect(await revisionsOf(journal, "a/rare")).toEqual(revisions);
      expect(await size()).toBe(inMemory);
    };
    await expectFound([1], 0);
    await journal.append([happened("a/rare", 2)]);
    await expectFound([1, 2], 1);
    await store.maintain("test", (maintenance) => maintenance.seal("journal"));
    await journal.append([happened("a/rare", 3)]);
    await journal.settled();
    await expectFound([1, 2, 3], 1);
  });
});

test("an active segment whose cache turned out to be wrong is closed like any other", async () => {
  const backend = memoryBackend({}, new SimDisk().env);
  await writeRounds(backend, 2, 17, { sealed: false });
  await withJournal(backend, async (journal) => {
    await revisionsOf(journal, "a/rare");
    await journal.close();
  });
  const wrong = Buffer.from(backend.caches.get(NAME)!);
  wrong[wrong.length - 20]! ^= 1;
  backend.caches.set(NAME, wrong);
  await withJournal(backend, async (journal, store) => {
    for (let i = 0; i < 17; i++) expect(await revisionsOf(journal, `a/${i}`)).toEqual([1, 2]);
    await store.maintain("test", (maintenance) => maintenance.seal("journal"));
    await journal.append([happened("a/0", 3)]);
    await journal.settled();
    for (let i = 1; i < 17; i++) expect(await revisionsOf(journal, `a/${i}`)).toEqual([1, 2]);
    expect(await revisionsOf(journal, "a/0")).toEqual([1, 2, 3]);
  });
});

test("records that join a segment, which is closed, before an index looks at it, are found once", async () => {
  const backend = memoryBackend({}, new SimDisk().env);
  const view = backend.view.bind(backend);
  let meanwhile: (() => Promise<void>) | undefined;
  backend.view = async (newest) => {
    const due = meanwhile;
    meanwhile = undefined;
    await due?.();
    return view(newest);
  };
  await withJournal(backend, async (journal, store) => {
    await store.append("journal", [happened("a/0", 1), happened("a/1", 1)]);
    meanwhile = async () => {
      await journal.append([happened("a/1", 2)]);
      await store.maintain("test", (maintenance) => maintenance.seal("journal"));
    };
    const expectFound = async (...expected: number[][]) => {
      expect(await Promise.all(["a/0", "a/1"].map((id) => revisionsOf(journal, id)))).toEqual(expected);
    };
    await expectFound([1], [1, 2]);
    await journal.append([happened("a/1", 3)]);
    await journal.settled();
    await expectFound([1], [1, 2, 3]);
    await store.maintain("test", (maintenance) => maintenance.seal("journal"));
    await journal.append([happened("a/0", 2)]);
    await journal.settled();
    await expectFound([1, 2], [1, 2, 3]);
    expect(await journal.withIndexes(async (indexes) => indexes.journal.index.size)).toBe(1);
  });
});

test("snapshots are of the journal seq that they state, wherever it stands; of none if they state none", async () => {
  const backend = memoryBackend({}, new SimDisk().env);
  const snapshot = { kind: "snapshot", system_id: "sim", persistence_id: "a", revision: 3 } as const;
  const digest = "d".repeat(64);
  await withJournal(backend, async (journal, store) => {
    await store.append("snapshots", [{ ...snapshot, journal_seq: 7, digest, payload: 1 }]);
    await store.append("snapshots", [{ ...snapshot, digest, payload: 1, journal_seq: 8 }]);
    await store.append("snapshots", [{ ...snapshot, digest, payload: 1 } as NewRecord]);
    const places = await journal.withIndexes((indexes) => indexes.snapshots.index.recordsOf("a", 0));
    expect([...places].map(({ journalSeq }) => journalSeq)).toEqual([7, 8, 0]);
  });
});
