// Persistent actors over a store that rotates: their histories lie in many segments, and some of them are sealed between
// the writing of an event and its reading. The index of places must follow without being made again.
import { expect, test } from "vitest";
import { Journal } from "../../src/actors/journal.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { memoryBackend } from "../../src/backends/memory.ts";
import { openStore } from "../../src/backends/open.ts";
import { inspect } from "../../src/ops/inspect.ts";
import { replay } from "../../src/ops/replay.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { ledgerWith, startSystem } from "./persistent-helpers.ts";

const ROTATING = { segmentBytes: 4096 };
const BACKENDS: Readonly<Record<string, () => Backend>> = {
  memory: () => memoryBackend(ROTATING, new SimDisk().env),
  "files on the simulated disk": () => fileBackend({ path: "/s", ...ROTATING }, new SimDisk().env),
};
const ACTORS = ["a", "b", "c"] as const;

test.each(Object.entries(BACKENDS))(
  "%s: states are the same across segments, restarts and replays",
  async (_, make) => {
    const backend = make();
    const ledger = ledgerWith({ snapshot: { everyEvents: 17 } });
    const totals = new Map<string, number>();
    for (let round = 0; round < 3; round++) {
      const system = await startSystem(backend);
      for (let n = 1; n <= 60; n++) {
        const id = ACTORS[n % ACTORS.length] as string;
        const total = (totals.get(id) ?? 0) + n;
        expect(await system.get(ledger, id).ask("put", { key: `k${n}`, value: n })).toBe(total);
        totals.set(id, total);
        if (n % 11 === 0) await system.get(ledger, id).stop(); // comes back from what was sealed meanwhile
      }
      for (const [id, total] of totals) expect(await system.get(ledger, id).ask("total")).toBe(total);
      expect(system.problems).toEqual([]);
      await system.stop();
    }
    const { segments } = await backend.view();
    for (const log of ["journal", "snapshots"]) {
      expect(segments.filter((segment) => segment.log === log).length, log).toBeGreaterThan(2);
    }
    expect(await scan(backend)).toMatchObject({ ok: true, anomalies: [] });
    const report = await replay(backend, { definitions: [ledger], verify: true });
    expect(report.ok, report.verdict).toBe(true);
    const newest = await inspect(backend, { kind: "journal", limit: 100 });
    expect(newest.records.length).toBe(100); // more than one segment holds
  },
);

test.each(Object.entries(BACKENDS))("%s: an index outlives the sealing of what it points into", async (_, make) => {
  const store = await openStore(make());
  const journal = new Journal(store);
  const event = (revision: number) => ({
    kind: "journal" as const,
    system_id: "s",
    persistence_id: "ledger/a",
    revision,
    event_type: "put",
    version: 1,
    payload: { text: "x".repeat(200), revision },
  });
  const generations = new Set<number>();
  for (let revision = 1; revision <= 60; revision++) {
    await journal.append([event(revision)]);
    const read: number[] = [];
    await journal.withIndexes(async (indexes) => {
      read.length = 0;
      generations.add(indexes.generation);
      await journal.readEvents(indexes, "ledger/a", 0, (record) => void read.push(record.revision));
    });
    expect(read).toEqual(Array.from({ length: revision }, (_each, i) => i + 1));
  }
  expect([...generations], "the index was made once").toEqual([1]);
  await store.close();
});
