// Reading from a late seq: what was closed before it is passed over by its seal, and where a name lies, the result is that of
// reading everything.
import { expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { memoryBackend, type MemoryBackend } from "../src/backends/memory.ts";
import { openStore } from "../src/backends/open.ts";
import { readRecords } from "../src/backends/read.ts";
import type { Backend } from "../src/backends/backend.ts";
import { compact } from "../src/ops/compact.ts";
import { closedName } from "../src/log/segments.ts";
import { SimDisk } from "../src/testing/index.ts";
import { counting } from "./counting.ts";

const event = (n: number) =>
  ({
    kind: "event",
    system_id: "s",
    actor_address: "s://a",
    event_type: "Noted",
    payload: { n, text: "x".repeat(200) },
  }) as const;

/** So many segments of so many records. */
async function fill(backend: Backend, segments: number, records: number): Promise<void> {
  const store = await openStore(backend);
  for (let n = 0; n < segments; n++) {
    await store.append(
      "events",
      Array.from({ length: records }, (_, i) => event(n * records + i + 1)),
    );
    await store.maintain("sealing", (maintenance) => maintenance.seal("events"));
  }
  await store.close();
}

async function seqsFrom(backend: Backend, from: number): Promise<number[]> {
  const store = await openStore(backend);
  const seqs: number[] = [];
  for await (const { seq } of store.read("events", { from })) seqs.push(seq);
  await store.close();
  return seqs;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test("of a segment that was closed before it only the two ends are read, compacted or not", async () => {
  const disk = new SimDisk();
  const counted = counting(disk.env, "/events.");
  const backend = fileBackend({ path: "/s", segmentBytes: 64 << 10 }, counted.env);
  await fill(backend, 20, 200);
  const { segments } = await backend.view();
  const size = Math.max(...segments.map(({ bytes }) => bytes));
  const store = await openStore(backend);
  const read = async (from: number): Promise<number> => {
    const before = counted.bytes;
    const seqs: number[] = [];
    for await (const { seq } of store.read("events", { from })) seqs.push(seq);
    expect(seqs).toEqual(range(from, 4000));
    return counted.bytes - before;
  };
  const most = size + 20 * 5000;
  expect(size * 20).toBeGreaterThan(5 * most);
  expect(await read(3990)).toBeLessThan(most);
  expect(await read(1)).toBeGreaterThan(size * 19);
  await store.close();

  // The middle of each segment is damaged: nobody looks at it.
  for (const { name } of segments.slice(0, 10)) disk.corrupt(`/s/${name}`, (bytes) => bytes.fill(0x7e, 9000, 9001));
  expect(await seqsFrom(backend, 3990)).toEqual(range(3990, 4000));
});

test("what compaction has left of a log is passed over, too", async () => {
  const disk = new SimDisk();
  const counted = counting(disk.env, "/events.");
  const backend = fileBackend({ path: "/s" }, counted.env);
  await fill(backend, 4, 400);
  const store = await openStore(backend);
  await store.append("events", [event(1601)]);
  await store.close();
  await compact(backend, { retention: { events: { maxRecords: 1000 } } });
  const { segments } = await backend.view();
  const closed = segments.filter(({ log, active }) => log === "events" && !active);
  expect(closed.some(({ name }) => name.includes(".g1."))).toBe(true);
  const again = await openStore(backend);
  const before = counted.bytes;
  const seqs: number[] = [];
  for await (const { seq } of again.read("events", { from: 1601 })) seqs.push(seq);
  expect(seqs[0]).toBe(1601);
  expect(counted.bytes - before).toBeLessThan(closed.length * 5000 + 2000);
  await again.close();
});

/** What reading from a seq gives, and how it ends. */
async function outcome(backend: Backend, from: number): Promise<{ seqs: number[]; code: string | undefined }> {
  const view = await backend.view();
  const seqs: number[] = [];
  try {
    for await (const { record } of readRecords(backend, view, "events", { from, to: 30, missing: [], absent: [] })) {
      seqs.push(record.seq);
    }
    return { seqs, code: undefined };
  } catch (error) {
    return { seqs, code: (error as { code?: string }).code };
  }
}

/** The closed segments are put under other names, and the last one once more. */
async function renamed(names: readonly (number | undefined)[]): Promise<MemoryBackend> {
  const backend = memoryBackend({}, new SimDisk().env);
  await fill(backend, 3, 10);
  const own = [1, 11, 21].map((seq) => closedName("events", seq));
  const bytes = own.map((name) => Buffer.from(backend.segmentBytes(name)));
  for (const name of own) backend.putSegment(name, undefined);
  names.forEach((seq, i) => seq !== undefined && backend.putSegment(closedName("events", seq), bytes[Math.min(i, 2)]));
  return backend;
}

test("a segment whose name lies is read, and noticed where it was before", async () => {
  const firsts = [undefined, 1, 5, 11, 21, 25];
  const names = firsts.flatMap((a) => firsts.flatMap((b) => firsts.map((c) => [a, b, c])));
  let noticed = 0;
  for (const some of names.flatMap((three) => [three, [...three, 5]])) {
    const named = some.filter((seq) => seq !== undefined);
    if (named.length < 2 || new Set(named).size < named.length) continue;
    const backend = await renamed(some);
    for (const from of [2, 12, 22, 30]) {
      const all = await everything(backend, from);
      expect(await outcome(backend, from), `${some.join()}, from ${from}`).toEqual(all);
      if (all.code !== undefined) noticed += 1;
    }
  }
  expect(noticed).toBeGreaterThan(50);
});

/** The same where no name says anything, so that everything is read. */
async function everything(backend: MemoryBackend, from: number): Promise<{ seqs: number[]; code: string | undefined }> {
  const view = await backend.view();
  const unnamed = view.segments.map((segment) => ({ ...segment, firstSeq: undefined }));
  return outcome({ ...backend, view: async () => ({ ...view, segments: unnamed }) }, from);
}
