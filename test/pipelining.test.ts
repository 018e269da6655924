// Large batches: while the disk is at work on one, the callers of the one before are told. What may go wrong in between must
// not change what anybody was promised. Small batches are told at once, so that their callers join the next one.
import { expect, test } from "vitest";
import type { FileStoreOptions } from "../src/backends/file-options.ts";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import type { Store } from "../src/backends/store.ts";
import type { NewRecord } from "../src/log/record.ts";
import { scan } from "../src/ops/scan.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";

const LARGE = 90 << 10;

const note = (n: number, bytes: number): NewRecord => ({
  kind: "event",
  system_id: "sim",
  actor_address: "sim://a",
  event_type: "Noted",
  payload: { n, text: "x".repeat(bytes) },
});
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;
const backendOn = (disk: SimDisk, options: Partial<FileStoreOptions> = {}) =>
  fileBackend({ path: "/store", ...options }, disk.env);

/** Appends so many records at once. What became of each is told in `heard`, in the order in which it was heard. */
function appendAll(store: Store, count: number, bytes: number, heard: string[]): Promise<void[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) =>
      store.append("events", [note(i + 1, bytes)]).then(
        ({ lastSeq }) => void heard.push(`told ${lastSeq}`),
        (error: unknown) => void heard.push(`${i + 1}: ${String(codeOf(error))}`),
      ),
    ),
  );
}

/** Notes each write and sync of the log beside what callers hear: when it begins, and a good while later. */
function listen(disk: SimDisk, heard: string[]): void {
  disk.pause = async ({ operation, path }) => {
    if (path !== "/store/events.ndjson" || (operation !== "write" && operation !== "sync")) return;
    heard.push(operation);
    for (let i = 0; i < 50; i++) await Promise.resolve();
    heard.push(`${operation} ends`);
  };
}

test("callers of a large batch are told while the disk syncs the next one", async () => {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk));
  const heard: string[] = [];
  listen(disk, heard);
  await appendAll(store, 3, LARGE, heard);
  const write = ["write", "write ends", "sync"];
  const first = [...write, "sync ends"];
  expect(heard).toEqual([...first, ...write, "told 1", "sync ends", ...write, "told 2", "sync ends", "told 3"]);
  await store.close();
});

test("a share of many callers is told at each call, so that the next write does not wait for all of them", async () => {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk));
  const heard: string[] = [];
  listen(disk, heard);
  await appendAll(store, 36, 10 << 10, heard); // 15 fit into a batch
  const told = ["write", "write ends", "sync", "sync ends"].map((step, i, steps) => {
    const from = heard.lastIndexOf(step === "write" ? "sync ends" : (steps[i - 1] as string), heard.lastIndexOf(step));
    return heard.slice(from, heard.lastIndexOf(step)).filter((line) => line.startsWith("told")).length;
  });
  expect(heard.filter((line) => line === "sync")).toHaveLength(3);
  expect(told, "before the last write (one of the batch before), during it, before its sync, in it").toEqual([
    2, 1, 0, 12,
  ]);
  expect(heard.filter((line) => line.startsWith("told"))).toEqual(
    Array.from({ length: 36 }, (_, i) => `told ${i + 1}`),
  );
  await store.close();
});

test("callers of a small batch are told before the next one is written, and join it", async () => {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk));
  const heard: string[] = [];
  listen(disk, heard);
  const first = store.append("events", [note(1, 10)]).then(async () => {
    heard.push("told 1");
    await store.append("events", [note(3, 10)]);
    heard.push("told 3");
  });
  while (!heard.includes("sync")) await Promise.resolve();
  const second = store.append("events", [note(2, 10)]).then(() => void heard.push("told 2"));
  await Promise.all([first, second]);
  const batch = ["write", "write ends", "sync", "sync ends"];
  expect(heard.slice(0, 9)).toEqual([...batch, "told 1", ...batch]);
  expect(store.stats().batches).toBe(2);
  await store.close();
});

test("on a slow disk a batch is as large as what is encoded during a write", async () => {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk));
  await appendAll(store, 4, LARGE, []);
  expect(store.stats().batches).toBe(4);
  disk.pause = ({ operation }) => {
    if (operation === "sync") disk.clock.advance(10);
  };
  await store.append("events", [note(5, 10)]);
  await appendAll(store, 4, LARGE, []);
  expect(store.stats().batches).toBe(6);
  await store.close();
});

test("whatever fails, and wherever: who was told has it, and who has it and was not told is not told otherwise", async () => {
  const calls = async (): Promise<number> => {
    const disk = new SimDisk();
    const store = await openStore(backendOn(disk));
    const before = disk.calls;
    await appendAll(store, 3, LARGE, []);
    return disk.calls - before;
  };
  const count = await calls();
  const outcomes = new Set<string>();
  for (let n = 1; n <= count; n++) {
    const disk = new SimDisk();
    const store = await openStore(backendOn(disk));
    disk.failAt(n, "EIO");
    const heard: string[] = [];
    await appendAll(store, 3, LARGE, heard);
    expect(disk.faultsHit, `call ${n}`).toBe(1);
    const told = heard.filter((line) => line.startsWith("told")).length;
    expect(heard.toSorted(), `call ${n}`).toEqual(
      [
        ...["told 1", "told 2", "told 3"].slice(0, told),
        `${told + 1}: OUTCOME_UNKNOWN`,
        ...[2, 3].filter((i) => i > told + 1).map((i) => `${i}: STORE_POISONED`),
      ].toSorted(),
    );
    outcomes.add(String(told));
    expect(store.lastSeq("events"), `call ${n}`).toBe(told);
    await store.close();
    expect(disk.openFiles).toBe(0);
    const again = await openStore(backendOn(disk.reboot(n, "drop")));
    expect(again.lastSeq("events"), `call ${n}`).toBeGreaterThanOrEqual(told);
    await again.close();
  }
  expect([...outcomes].toSorted()).toEqual(["0", "1", "2"]);
});

test("a flush, a seal and a close in between wait for what was appended before, and end", async () => {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk));
  const heard: string[] = [];
  const appended = appendAll(store, 4, LARGE, heard);
  const flushed = store.flush().then(() => void heard.push("flushed"));
  await Promise.all([appended, flushed]);
  expect(heard).toEqual(["told 1", "told 2", "told 3", "told 4", "flushed"]);

  const more = appendAll(store, 30, LARGE, heard);
  while (heard.length < 5 + 3) await Promise.resolve();
  await store.maintain("seal", (work) => work.seal("events"));
  expect(heard.length, "it comes between two batches").toBeLessThan(5 + 30);
  await more;
  const last = appendAll(store, 3, LARGE, heard);
  await store.close();
  await last;
  expect(heard.filter((line) => line.startsWith("told"))).toHaveLength(37);
  const { ok, logs } = await scan(backendOn(disk));
  expect(ok).toBe(true);
  expect(logs.find(({ log }) => log === "events")?.records).toBe(37);
});

test("a segment that is sealed between two large batches is sealed with all of its records", async () => {
  const disk = new SimDisk();
  const options = { segmentBytes: 100 << 10 };
  const store = await openStore(backendOn(disk, options));
  await appendAll(store, 6, LARGE, []);
  await store.close();
  const { ok, logs, anomalies } = await scan(backendOn(disk, options));
  expect(anomalies).toEqual([]);
  expect(ok).toBe(true);
  expect(logs.find(({ log }) => log === "events")).toMatchObject({ records: 6, segments: 6 });
});

test("a flush that fails between two large batches takes nothing from the one that is written", async () => {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk, { durability: "interval" }));
  const heard: string[] = [];
  const others: Promise<unknown>[] = [];
  disk.failAt(1, "EIO", { operations: ["sync"] });
  disk.pause = ({ operation }) => {
    if (operation !== "write" || others.length > 0) return;
    others.push(
      store.flush().catch((error: unknown) => void heard.push(`flush: ${String(codeOf(error))}`)),
      appendAll(store, 3, LARGE, heard),
    );
  };
  await appendAll(store, 1, LARGE, heard);
  await Promise.all(others);
  expect(heard.toSorted()).toEqual([
    "2: STORE_POISONED",
    "3: STORE_POISONED",
    "flush: STORE_POISONED",
    "told 1",
    "told 2",
  ]);
  expect(store.lastSeq("events")).toBe(2);
  await store.close();
});
