// Compaction of journals and snapshots: which snapshots count, what they cover, and what the disk must have room for.
import { expect, test } from "vitest";
import { digestOf } from "../src/actors/digest.ts";
import type { Backend } from "../src/backends/backend.ts";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import type { Store } from "../src/backends/store.ts";
import type { OpenFile } from "../src/env/env.ts";
import { memoryStore } from "../src/index.ts";
import type { NewRecord } from "../src/log/record.ts";
import { compact, compactStore } from "../src/ops/compact.ts";
import { recover } from "../src/ops/recover.ts";
import { scan } from "../src/ops/scan.ts";
import { SimDisk } from "../src/testing/index.ts";

const decided = (persistence_id: string, revision: number, group?: readonly [number, number]): NewRecord => ({
  kind: "journal",
  system_id: "local",
  persistence_id,
  revision,
  event_type: "happened",
  version: 1,
  ...(group === undefined ? {} : { group }),
  payload: { revision },
});

const folded = (persistence_id: string, revision: number, journal_seq: number, more: object = {}): NewRecord =>
  ({
    kind: "snapshot",
    system_id: "local",
    persistence_id,
    revision,
    journal_seq,
    digest: digestOf({ revision }),
    payload: { revision },
    ...more,
  }) as NewRecord;

/** Seqs that are left of the journal and the snapshots. */
async function left(backend: Backend): Promise<{ journal: number[]; snapshots: number[] }> {
  const store = await openStore(backend);
  const seqs = async (log: "journal" | "snapshots"): Promise<number[]> => {
    const found: number[] = [];
    for await (const record of store.read(log)) if (record.kind !== "gap") found.push(record.seq);
    return found;
  };
  const result = { journal: await seqs("journal"), snapshots: await seqs("snapshots") };
  await store.close();
  return result;
}

/** Ten events of one actor, these snapshots, and a compaction that takes all it may. */
async function compacted(snapshots: readonly NewRecord[], more: readonly NewRecord[] = []) {
  const backend = memoryStore();
  const store = await openStore(backend);
  for (let revision = 1; revision <= 10; revision++) await store.append("journal", [decided("a/1", revision)]);
  if (more.length > 0) await store.append("journal", more);
  for (const one of snapshots) await store.append("snapshots", [one]);
  await store.close();
  await compact(backend, { retention: { journal: { maxRecords: 0 } } });
  expect(await scan(backend)).toMatchObject({ ok: true });
  return left(backend);
}

const from = (first: number, last = 10): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

test.each<[string, readonly NewRecord[], number[], number[]]>([
  ["without a snapshot nothing goes", [], from(1), []],
  ["one snapshot covers what is behind it", [folded("a/1", 4, 4)], from(5), [1]],
  ["of two that stay the older one counts", [folded("a/1", 4, 4), folded("a/1", 8, 8)], from(5), [1, 2]],
  ["of three the oldest goes", [folded("a/1", 2, 2), folded("a/1", 5, 5), folded("a/1", 8, 8)], from(6), [2, 3]],
  [
    "the newest one says how many stay",
    [folded("a/1", 2, 2), folded("a/1", 5, 5), folded("a/1", 8, 8, { keep: 1 })],
    from(9),
    [3],
  ],
  ["the newest event stays", [folded("a/1", 10, 10, { keep: 1 })], [10], [1]],
  ["a digest that is not that of the state", [folded("a/1", 8, 8, { keep: 1, digest: digestOf(1) })], from(1), [1]],
  ["another revision than the journal has there", [folded("a/1", 7, 8, { keep: 1 })], from(1), [1]],
  ["ahead of its journal", [folded("a/1", 12, 12, { keep: 1 })], from(1), [1]],
  ["of another actor", [folded("b/1", 8, 8, { keep: 1 })], from(1), [1]],
  [
    "a broken one is passed over for an older one, and stays itself",
    [folded("a/1", 3, 3), folded("a/1", 5, 5), folded("a/1", 8, 8, { digest: digestOf(1) })],
    from(4),
    [1, 2, 3],
  ],
])("%s", async (_, snapshots, journal, staying) => {
  expect(await compacted(snapshots)).toEqual({ journal, snapshots: staying });
});

test("a snapshot in the middle of a group covers nothing", async () => {
  const group = [decided("a/1", 11, [1, 2]), decided("a/1", 12, [2, 2])];
  expect((await compacted([folded("a/1", 11, 11, { keep: 1 })], group)).journal).toEqual(from(1, 12));
  expect((await compacted([folded("a/1", 12, 12, { keep: 1 })], group)).journal).toEqual([12]);
});

test("a snapshot that is older than the event it says to have seen covers nothing", async () => {
  const backend = memoryStore();
  const store = await openStore(backend);
  await store.append("snapshots", [folded("a/1", 1, 1, { keep: 1 })]);
  const before = store.stats().appendedRecords;
  await new Promise((resolve) => setTimeout(resolve, 5));
  await store.append("journal", [decided("a/1", 1), decided("a/1", 2)]);
  expect(store.stats().appendedRecords).toBe(before + 2);
  await store.close();
  await compact(backend, { retention: { journal: { maxRecords: 0 } } });
  expect((await left(backend)).journal).toEqual([1, 2]);
});

const event = (n: number): NewRecord => ({
  kind: "event",
  system_id: "local",
  actor_address: "local://a",
  event_type: "Noted",
  payload: { n, text: "x".repeat(200) },
});

async function filled(disk: SimDisk): Promise<void> {
  const store = await openStore(fileBackend({ path: "/data", segmentBytes: 8192 }, disk.env));
  for (let n = 1; n <= 200; n++) await store.append("events", [event(n)]);
  await store.close();
}

test("it asks for free space before it writes, and goes on when there is some", async () => {
  const disk = new SimDisk();
  await filled(disk);
  const backend = fileBackend({ path: "/data", segmentBytes: 8192 }, disk.env);
  disk.freeBytes = 900_000;
  await expect(compact(backend, { retention: { events: { maxRecords: 20 } } })).rejects.toMatchObject({
    code: "STORAGE_FULL",
  });
  expect((await scan(backend)).ok).toBe(true);
  disk.freeBytes = 2_000_000;
  expect((await compact(backend, { retention: { events: { maxRecords: 20 } } })).changed).toBe(true);
  expect((await scan(backend)).ok).toBe(true);
});

test("a new segment that does not read back costs nothing: what it was made of is still there", async () => {
  const disk = new SimDisk();
  await filled(disk);
  const { fs } = disk.env;
  /** A disk that changes a byte of what is read from new segments. */
  const lying = (path: string, file: OpenFile): OpenFile => ({
    ...file,
    read: async (into, position) => {
      const count = await file.read(into, position);
      if (/-\d{20}\.g1\.ndjson$/.test(path) && position <= 150 && position + count > 150) into[150 - position]! ^= 1;
      return count;
    },
  });
  const env = {
    ...disk.env,
    fs: {
      ...fs,
      open: async (path: string, mode: "read" | "update" | "create") => lying(path, await fs.open(path, mode)),
    },
  };
  const before = new Set(await fs.list("/data"));
  const backend = fileBackend({ path: "/data", segmentBytes: 8192 }, env);
  await expect(compact(backend, { retention: { events: { maxRecords: 20 } } })).rejects.toMatchObject({
    code: "STORAGE_FAILED",
  });
  const after = new Set(await fs.list("/data"));
  expect([...before].filter((name) => !after.has(name))).toEqual([]);
});

test("under a policy that does not sync, the gap record is on the disk before anything goes", async () => {
  const disk = new SimDisk();
  const store = await openStore(fileBackend({ path: "/data", segmentBytes: 8192, durability: "os" }, disk.env));
  for (let n = 1; n <= 200; n++) await store.append("events", [event(n)]);
  await compactStore(store, { retention: { events: { maxRecords: 20 } } });
  const survivor = disk.reboot(1, "drop");
  const found = await scan(fileBackend({ path: "/data" }, survivor.env));
  expect(found.anomalies).toEqual([]);
  expect(found.logs.find(({ log }) => log === "events")?.missing).toBe(0);
});

/** Twelve events, ten of which a compaction takes out; in front of them stand `torn` segments of which recovery left nothing. */
async function behindEmptySegments(torn: number, before: number): Promise<{ disk: SimDisk; backend: Backend }> {
  const disk = new SimDisk();
  const backend = fileBackend({ path: "/s" }, disk.env);
  let n = 0;
  const add = (store: Store) => store.append("events", [event((n += 1))]);
  const first = await openStore(backend);
  for (let i = 0; i < before; i++) await add(first);
  if (before > 0) await first.maintain("seal", (work) => work.seal("events"));
  await first.close();
  for (let i = 0; i < torn; i++) {
    disk.corrupt("/s/events.ndjson", (bytes) => Buffer.concat([bytes, Buffer.from('{"seq":')]));
    await (await openStore(backend)).close(); // writing goes on in a new segment
  }
  await recover(backend, { mode: "repair" });
  const store = await openStore(backend);
  while (n < 12) await add(store);
  await store.maintain("seal", (work) => work.seal("events"));
  await store.close();
  return { disk, backend };
}

test.each([
  [1, 0],
  [2, 0],
  [1, 4],
])("%i empty segments where the next one begins as well, behind %i events: they go with it", async (torn, before) => {
  const { disk, backend } = await behindEmptySegments(torn, before);
  expect(await scan(backend)).toMatchObject({ ok: true });
  const { segments } = await backend.view();
  expect(segments.filter(({ firstSeq }) => firstSeq === before + 1)).toHaveLength(torn + 1);
  const retention = { events: { maxRecords: 2 } };
  await compact(backend, { retention });
  const found = await scan(backend);
  expect(found, JSON.stringify(found.anomalies)).toMatchObject({ ok: true });
  const store = await openStore(backend);
  await store.append("events", [event(13)]);
  await store.close();
  expect(await compact(backend, { retention })).toMatchObject({ ok: true, changed: true });
  expect([...disk.tree().keys()].filter((path) => path.startsWith("/s/events."))).toHaveLength(2);
});

test("a snapshot whose event was destroyed stays as long as others do, and covers nothing", async () => {
  const disk = new SimDisk();
  const backend = fileBackend({ path: "/s" }, disk.env);
  const store = await openStore(backend);
  for (let revision = 1; revision <= 10; revision++) await store.append("journal", [decided("a/1", revision)]);
  for (const revision of [4, 8]) await store.append("snapshots", [folded("a/1", revision, revision)]);
  await store.close();
  disk.corrupt("/s/journal.ndjson", (bytes) =>
    bytes.fill(0, bytes.indexOf('{"seq":4,'), bytes.indexOf('{"seq":4,') + 8),
  );
  await recover(backend, { mode: "repair" });
  const retention = { journal: { maxRecords: 0 } };
  await compact(backend, { retention });
  expect(await left(backend)).toEqual({ journal: [1, 2, 3, 5, 6, 7, 8, 9, 10], snapshots: [1, 2] });
  const later = await openStore(backend);
  await later.append("snapshots", [folded("a/1", 10, 10)]);
  await later.close();
  await compact(backend, { retention });
  expect(await left(backend)).toEqual({ journal: [9, 10], snapshots: [2, 3] });
});
