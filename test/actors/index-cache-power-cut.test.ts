// The power goes while the caches of indexes are written: they are never synced, and nothing depends on them.
import { describe, expect, test } from "vitest";
import { Journal } from "../../src/actors/journal.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { cachesInFiles, happened, revisionsOf, withJournal } from "./index-helpers.ts";

/** Stores what is acknowledged while segments are closed and their caches written; then it is cut short. */
describe("a power cut while caches are written", () => {
  async function run(disk: SimDisk, arm: (calls: number) => void): Promise<Map<string, number>> {
    const acknowledged = new Map<string, number>();
    const store = await openStore(fileBackend({ path: "/data/s", segmentBytes: 4096 }, disk.env));
    const journal = new Journal(store);
    await revisionsOf(journal, "a/0");
    arm(disk.calls);
    try {
      for (let revision = 1; revision <= 11; revision++) {
        for (const id of ["a/0", "a/1", "a/2"]) {
          await journal.append([happened(id, revision)]);
          acknowledged.set(id, revision);
        }
      }
      await journal.close();
    } catch {
      // cut
    }
    await store.close().catch(() => undefined);
    return acknowledged;
  }

  test("leaves every acknowledged event, with and without the caches that survived", async () => {
    const whole = new SimDisk();
    let before = 0;
    await run(whole, (calls) => (before = calls));
    const made = whole.trace.slice(before);
    const calls = made.flatMap(({ path }, i) => (path.includes("/index") ? [i + 1] : []));
    expect(calls.length).toBeGreaterThan(8);
    let believed = 0;
    for (const n of calls) {
      const disk = new SimDisk();
      const acknowledged = await run(disk, () => disk.cutPowerAt(n));
      for (const seed of [0, 1, 2]) {
        const survivor = disk.reboot(seed, seed === 0 ? "keep" : "mixed");
        const backend = fileBackend({ path: "/data/s", segmentBytes: 4096 }, survivor.env);
        const caches = cachesInFiles(survivor, "/data/s");
        const { segments } = await backend.view();
        const closed = segments.filter(({ log, active }) => log === "journal" && !active).length;
        for (const without of [false, true]) {
          if (without) for (const name of await caches.names()) await caches.put(name, undefined);
          await withJournal(backend, async (journal) => {
            for (const [id, revision] of acknowledged) {
              const found = await revisionsOf(journal, id);
              expect(found.slice(0, revision)).toEqual(Array.from({ length: revision }, (_, i) => i + 1));
            }
            if (journal.counters.segmentsIndexed < closed) believed += without ? Number.NaN : 1;
          });
        }
        expect((await scan(backend)).anomalies.filter(({ kind }) => kind === "unexpected-file")).toEqual([]);
      }
    }
    expect(believed).toBeGreaterThan(0);
  });
});
