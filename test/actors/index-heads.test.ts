// What all closed segments hold is known by one reading, and of each segment no more is asked than must be: counted call by
// call. And the cache by which that is known is worth nothing, as the others are.
import { describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { type MemoryBackend, memoryBackend } from "../../src/backends/memory.ts";
import { openStore } from "../../src/backends/open.ts";
import { decodeIndexHeads, encodeIndexHeads } from "../../src/log/index-heads.ts";
import { headsName, indexName } from "../../src/log/segments.ts";
import { recover } from "../../src/ops/recover.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { cachesInFiles, happened, revisionsOf, withJournal, writeRounds } from "./index-helpers.ts";
import { settle } from "./world.ts";

const HEADS = headsName("journal");
/** More than a file must be unchanged to be known. */
const LONG_MS = 60_000;

/** Makes what is missing of the caches, and learns which of them speak for their segments. */
async function learn(backend: Backend): Promise<void> {
  await withJournal(backend, (journal) => revisionsOf(journal, "a/rare"));
}

/** The calls that the first recovery of an actor makes, opening the store apart: at each closed segment and its cache, and elsewhere. */
async function callsFor(disk: SimDisk, id: string) {
  const backend = fileBackend({ path: "/s" }, disk.env);
  const names = (await backend.view()).segments.filter(({ log, active }) => log === "journal" && !active);
  return withJournal(backend, async (journal) => {
    const from = disk.calls;
    const revisions = await revisionsOf(journal, id);
    const trace = disk.trace.slice(from);
    const perSegment = names.map(({ name }) =>
      trace
        .filter(({ path }) => path === `/s/${name}` || path === `/s/index/${indexName(name)}`)
        .map((each) => each.operation),
    );
    const elsewhere = trace.length - perSegment.flat().length;
    return { revisions, perSegment, elsewhere, read: journal.counters.segmentsIndexed };
  });
}

describe("the calls of a recovery", () => {
  const LOOK = ["stat"];
  const LOOKUP = ["open", "read", "read", "close"];
  const RECORD = ["open", "stat", "read", "close"];

  test("are five for a closed segment without events of the actor, and four more for one with some", async () => {
    const elsewhere: number[] = [];
    for (const rounds of [4, 40]) {
      const disk = new SimDisk();
      const backend = fileBackend({ path: "/s" }, disk.env);
      await writeRounds(backend, rounds, 30);
      disk.clock.advance(LONG_MS);
      await learn(backend);
      const found = await callsFor(disk, "a/rare");
      expect(found.revisions).toEqual(Array.from({ length: rounds / 2 }, (_, i) => i + 1));
      for (const [i, calls] of found.perSegment.entries())
        expect(calls).toEqual([...LOOK, ...LOOKUP, ...(i % 2 === 0 ? RECORD : [])]);
      expect(found.read).toBe(0);
      elsewhere.push(found.elsewhere);
      expect((await callsFor(disk, "a/nobody")).perSegment).toEqual(found.perSegment.map(() => [...LOOK, ...LOOKUP]));
    }
    expect(elsewhere[1]).toBe(elsewhere[0]);
    expect(elsewhere[0]).toBeLessThanOrEqual(40);
  });

  test("open a segment once, however far the events in it are from each other", async () => {
    const disk = new SimDisk();
    const backend = fileBackend({ path: "/s" }, disk.env);
    const store = await openStore(backend);
    for (let revision = 1; revision <= 5; revision++) {
      const wide = { ...happened("a/other", revision), payload: "x".repeat(600_000) };
      await store.append("journal", [happened("a/rare", revision), wide]);
    }
    await store.maintain("test", (maintenance) => maintenance.seal("journal"));
    await store.close();
    disk.clock.advance(LONG_MS);
    await learn(backend);
    const { revisions, perSegment } = await callsFor(disk, "a/rare");
    expect(revisions).toEqual([1, 2, 3, 4, 5]);
    const reads = Array.from({ length: 5 }, () => "read");
    expect(perSegment).toEqual([[...LOOK, ...LOOKUP, "open", "stat", ...reads, "close"]]);
  });

  test("leave no file open, also where reading ends early", async () => {
    const disk = new SimDisk();
    const backend = fileBackend({ path: "/s" }, disk.env);
    await writeRounds(backend, 6, 10);
    disk.clock.advance(LONG_MS);
    await learn(backend);
    await withJournal(backend, async (journal) => {
      const from = disk.calls;
      const ended = journal.withIndexes((indexes) =>
        journal.readEvents(indexes, "a/3", 0, () => {
          throw new Error("this sink is broken");
        }),
      );
      await expect(ended).rejects.toThrow("broken");
      await revisionsOf(journal, "a/4");
      await settle();
      const count = (operation: string) => disk.trace.slice(from).filter((each) => each.operation === operation).length;
      // There are no caches of the two active segments.
      expect(count("close")).toBe(count("open") - 2);
    });
  });
});

describe("what is known of all caches is worth nothing", () => {
  const ROUNDS = 6;
  const EXPECTED = [
    [1, 2, 3],
    [1, 2, 3, 4, 5, 6],
  ];

  /** A store in memory whose segments were changed long ago. */
  async function world(others: number): Promise<{ backend: Backend; memory: MemoryBackend; heads: Buffer }> {
    const memory = memoryBackend({}, new SimDisk().env);
    const backend: Backend = {
      ...memory,
      async view() {
        const view = await memory.view();
        return { ...view, segments: view.segments.map((segment) => ({ ...segment, changedMs: 0 })) };
      },
    };
    await writeRounds(backend, ROUNDS, others);
    await learn(backend);
    const heads = memory.caches.get(HEADS)!;
    expect(decodeIndexHeads(heads)).toHaveLength(ROUNDS);
    return { backend, memory, heads };
  }

  const readAll = (backend: Backend) =>
    withJournal(backend, async (journal) => {
      const found = [await revisionsOf(journal, "a/rare"), await revisionsOf(journal, "a/7")];
      const inMemory = await journal.withIndexes(async (indexes) => indexes.journal.index.size);
      return { found, inMemory, segmentsIndexed: journal.counters.segmentsIndexed };
    });
  const ALL_WELL = { found: EXPECTED, inMemory: 0, segmentsIndexed: 0 };

  test("any byte of it may be another one, it may end anywhere, or be gone: then it is made again", async () => {
    const { backend, memory, heads } = await world(17);
    for (let at = 0; at < heads.length; at += 23) {
      const flipped = Buffer.from(heads);
      flipped[at]! ^= 1 << (at % 8);
      for (const other of [flipped, Buffer.from(heads.subarray(0, at))]) {
        memory.caches.set(HEADS, other);
        expect([at, await readAll(backend)]).toEqual([at, ALL_WELL]);
        expect(memory.caches.get(HEADS)).toEqual(heads);
      }
    }
    memory.caches.delete(HEADS);
    expect(await readAll(backend)).toEqual(ALL_WELL);
    expect(memory.caches.get(HEADS)).toEqual(heads);
  });

  test("it may be that of another store", async () => {
    const { backend, memory, heads } = await world(12);
    memory.caches.set(HEADS, (await world(13)).heads);
    expect(await readAll(backend)).toEqual(ALL_WELL);
    expect(memory.caches.get(HEADS)).toEqual(heads);
  });

  test("the caches that it speaks of may be gone, those of other segments, or damaged", async () => {
    const { backend, memory, heads } = await world(17);
    const [first, second] = decodeIndexHeads(heads).map(({ name }) => indexName(name)) as [string, string];
    const whole = memory.caches.get(first)!;
    const flipped = Buffer.from(whole);
    for (let at = whole.indexOf(0x0a) + 1; at < whole.length; at++) flipped[at]! ^= 1;
    for (const other of [undefined, memory.caches.get(second)!, flipped, Buffer.alloc(0)]) {
      if (other === undefined) memory.caches.delete(first);
      else memory.caches.set(first, other);
      expect(await readAll(backend)).toEqual({ ...ALL_WELL, segmentsIndexed: 1 });
      expect(memory.caches.get(first)).toEqual(whole);
      expect(await readAll(backend)).toEqual(ALL_WELL);
      expect(memory.caches.get(HEADS)).toEqual(heads);
    }
  });

  test("a cache that was made otherwise than the one it knew costs one reading, and not one at each start", async () => {
    const { backend, memory, heads } = await world(17);
    const known = decodeIndexHeads(heads);
    const otherwise = known.map(({ read, ...file }) => ({ ...file, read: { ...read, seed: (read.seed ^ 1) >>> 0 } }));
    memory.caches.set(HEADS, encodeIndexHeads(otherwise));
    const found = await readAll(backend);
    expect(found.segmentsIndexed).toBe(ROUNDS);
    expect(found.found).toEqual(EXPECTED);
    expect(await readAll(backend)).toEqual(ALL_WELL);
    expect(memory.caches.get(HEADS)).toEqual(heads);
  });

  test("it does not speak for a file that is another one, or was changed", async () => {
    const disk = new SimDisk();
    const backend = fileBackend({ path: "/s" }, disk.env);
    await writeRounds(backend, ROUNDS, 12);
    disk.clock.advance(LONG_MS);
    await learn(backend);
    const caches = cachesInFiles(disk, "/s");
    const [, { name } = { name: "" }] = decodeIndexHeads(await caches.get(HEADS));
    const bytes = Buffer.from(disk.content(`/s/${name}`));
    bytes[bytes.indexOf('"persistence_id":"a/7"') + 60]! ^= 1;
    const file = await disk.env.fs.open(`/s/${name}`, "update");
    await file.write(bytes, 0);
    await file.close();
    expect(await recover(backend, { mode: "quarantine", quarantineDir: "/q" })).toMatchObject({ ok: true });
    disk.clock.advance(LONG_MS);
    for (const segmentsIndexed of [1, 0]) {
      await withJournal(backend, async (journal) => {
        expect(await revisionsOf(journal, "a/7")).toEqual([1, 3, 4, 5, 6]);
        expect(journal.counters.segmentsIndexed).toBe(segmentsIndexed);
      });
    }
    const known = decodeIndexHeads(await caches.get(HEADS));
    expect(known).toHaveLength(ROUNDS);
    const id = (await backend.view()).segments.find((segment) => segment.name === name)?.id;
    expect(known.find((segment) => segment.name === name)?.id).toBe(id);
  });

  test("a file that was changed a moment ago is not remembered", async () => {
    const disk = new SimDisk();
    const backend = fileBackend({ path: "/s" }, disk.env);
    await writeRounds(backend, ROUNDS, 12);
    await learn(backend);
    expect(await cachesInFiles(disk, "/s").names()).not.toContain(HEADS);
  });

  test("one that cannot be written is done without", async () => {
    const disk = new SimDisk();
    const backend = fileBackend({ path: "/s" }, disk.env);
    await writeRounds(backend, ROUNDS, 17);
    await withJournal(backend, (journal) => revisionsOf(journal, "a/rare"));
    disk.clock.advance(LONG_MS);
    await disk.env.fs.makeDir(`/s/index/${HEADS}`);
    for (let start = 0; start < 2; start++) expect(await readAll(backend)).toEqual(ALL_WELL);
  });
});
