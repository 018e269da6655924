// What the writer does once a write has failed: nothing more is acknowledged, everybody is told what became of theirs, and
// the store works again when it is opened again.
import { expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import type { NewRecord } from "../src/log/record.ts";
import { scan } from "../src/ops/scan.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";

const note = (n: number): NewRecord => ({
  kind: "event",
  system_id: "sim",
  actor_address: "sim://a",
  event_type: "Noted",
  payload: { n },
});
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

for (const [fault, operations] of [
  ["EIO", ["write"]],
  ["ENOSPC", ["write"]],
  ["EIO", ["sync"]],
] as const) {
  test(`after ${fault} on ${operations[0]} nothing more is acknowledged until the store is opened again`, async () => {
    const disk = new SimDisk();
    const backend = fileBackend({ path: "/store" }, disk.env);
    const store = await openStore(backend);
    await store.append("events", [note(1)]);
    disk.failAt(1, fault, { operations });
    const inFlight = store.append("events", [note(2)]).catch(codeOf);
    await Promise.resolve();
    await Promise.resolve();
    const queued = store.append("events", [note(3)]).catch(codeOf);
    expect(await inFlight).toBe("OUTCOME_UNKNOWN");
    expect(["STORE_POISONED", "OUTCOME_UNKNOWN"]).toContain(await queued);
    expect(await store.append("events", [note(4)]).catch(codeOf)).toBe("STORE_POISONED");
    expect(store.offer("events", note(5))).toBe(false);
    expect(store.stats().lostRecords).toBe(1);
    expect(store.stats().failure).toBeDefined();
    expect(await store.flush().catch(codeOf)).toBe("STORE_POISONED");
    await store.close();
    expect(disk.openFiles).toBe(0);

    const again = await openStore(backend);
    const { lastSeq } = await again.append("events", [note(6)]);
    expect(lastSeq).toBeGreaterThan(1);
    const seen: number[] = [];
    for await (const record of again.read("events")) seen.push((record as { payload: { n: number } }).payload.n);
    expect(seen[0]).toBe(1);
    expect(seen.at(-1)).toBe(6);
    await again.close();
    expect((await scan(backend)).startable).toBe(true);
  });
}

test("a full disk: the record comes short, nobody is told that it is stored, and it goes on when there is space", async () => {
  const disk = new SimDisk();
  const backend = fileBackend({ path: "/store" }, disk.env);
  const store = await openStore(backend);
  await store.append("events", [note(1)]);
  disk.freeBytes = 50;
  expect(await store.append("events", [note(2)]).catch(codeOf)).toBe("OUTCOME_UNKNOWN");
  await store.close();
  const torn = disk.content("/store/events.ndjson");
  const found = await scan(backend);
  expect(found.counts).toEqual({ "torn-tail": 1 });
  expect(found.startable).toBe(true);
  disk.freeBytes = Number.POSITIVE_INFINITY;
  const again = await openStore(backend);
  expect((await again.append("events", [note(3)])).lastSeq).toBe(2);
  await again.close();
  // The torn file is as it was, under the name of a closed segment; the new record stands in a file of its own.
  expect(disk.content("/store/events.00000000000000000001.ndjson").equals(torn)).toBe(true);
  expect(disk.content("/store/events.ndjson").toString().split("\n")[1]).toMatch(/^\{"seq":2,/);
});

test("a second writer is refused while the first is alive, and gets in when it was killed", async () => {
  const disk = new SimDisk();
  const backend = fileBackend({ path: "/store" }, disk.env);
  const store = await openStore(backend);
  await store.append("events", [note(1)]);
  const refused = openStore(backend).catch((error: unknown) => error as Error);
  for (let i = 0; i < 1000; i++) {
    disk.clock.advance(20);
    await Promise.resolve();
  }
  expect(codeOf(await refused)).toBe("STORE_LOCKED");
  expect(((await refused) as Error).message).toContain("pid");
  const survivor = disk.kill();
  const next = await openStore(fileBackend({ path: "/store" }, survivor.env));
  expect((await next.append("events", [note(2)])).lastSeq).toBe(2);
  await next.close();
});
