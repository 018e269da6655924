import { afterEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { persistentActor } from "../../src/actors/persistent.ts";
import type { ActorSystem } from "../../src/actors/system.ts";
import type { MemoryBackend } from "../../src/backends/memory.ts";
import { openStore } from "../../src/backends/open.ts";
import { memoryStore } from "../../src/index.ts";
import { recover } from "../../src/ops/recover.ts";
import { damage, ledgerWith, lineStarts, startSystem, stored } from "./persistent-helpers.ts";

const systems: ActorSystem[] = [];
async function started(store: MemoryBackend): ReturnType<typeof startSystem> {
  const system = await startSystem(store);
  systems.push(system);
  return system;
}
afterEach(async () => {
  for (const system of systems.splice(0)) await system.stop();
});

const ledger = ledgerWith();
const snapping = ledgerWith({ snapshot: { everyEvents: 2 } });
const accepting = ledgerWith({ historyGaps: "accept" });

/** A store where two actors took turns: a has revisions 1 to 4 at seqs 1, 3, 5, 7, b has them at 2, 4, 6, 8. */
async function twoActors(definition = ledger): Promise<MemoryBackend> {
  const store = memoryStore();
  const system = await started(store);
  for (let value = 1; value <= 4; value++) {
    for (const id of ["a", "b"]) await system.get(definition, id).ask("put", { key: id, value });
  }
  await system.stop();
  return store;
}

describe("a damaged journal", () => {
  test("stops the actor that is concerned, and says where and what to do; the others go on", async () => {
    const store = await twoActors();
    const before = (await stored(store, "journal"))[4];
    expect(before).toMatchObject({ persistence_id: "ledger/a", revision: 3, seq: 5 });
    await damage(store, "journal", 5);
    const system = await started(store);
    const error = await system
      .get(ledger, "a")
      .ask("total")
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    expect(error).toMatchObject({
      code: "HISTORY_DAMAGED",
      details: { persistenceId: "ledger/a", fromRevision: 3, toRevision: 3, seq: 7 },
      hint: "run: papyra persistence scan --path memory, then papyra persistence recover --path memory --mode quarantine",
    });
    const { file, offset } = (error as { details: { file: string; offset: number } }).details;
    expect(store.segmentBytes(file).toString("latin1", offset, offset + 8)).toBe('{"seq":7');
    expect(await system.get(ledger, "b").ask("put", { key: "b", value: 5 })).toBe(15);
    expect(await system.get(ledger, "c").ask("put", { key: "c", value: 5 })).toBe(5);
    await expect(system.get(ledger, "a").ask("total")).rejects.toMatchObject({ code: "HISTORY_DAMAGED" });
    expect(system.state).toBe("running");
  });

  test("stops the actor also after recovery, until the operator accepts the hole", async () => {
    const store = await twoActors();
    await damage(store, "journal", 5);
    const unaccounted = await started(store);
    await expect(unaccounted.get(accepting, "a").ask("total")).rejects.toMatchObject({ code: "HISTORY_DAMAGED" });
    await unaccounted.stop();
    await recover(store, { mode: "repair" });
    const strict = await started(store);
    await expect(strict.get(ledger, "a").ask("total")).rejects.toMatchObject({
      code: "HISTORY_DAMAGED",
      message: expect.stringContaining("recovery found them lost"),
      hint: expect.stringContaining('historyGaps: "accept"'),
    });
    await strict.stop();
    for (const expected of [1 + 2 + 4 + 100, 1 + 2 + 4 + 200]) {
      const system = await started(store);
      expect(await system.get(accepting, "a").ask("put", { key: "a", value: 100 })).toBe(expected);
      expect(system.metrics().revisionsAccepted).toBe(1);
      expect(system.problems).toEqual([
        expect.objectContaining({
          code: "HISTORY_DAMAGED",
          message: "ledger/a goes on without 1 lost event(s), as its `historyGaps` accepts",
        }),
      ]);
      await system.stop();
    }
    expect((await stored(store, "journal")).filter((each) => each.persistence_id === "ledger/a").at(-1)).toMatchObject({
      revision: 6,
    });
  });

  test("does not concern an actor whose snapshot covers the hole", async () => {
    const store = await twoActors(snapping);
    await damage(store, "journal", 5);
    for (const step of ["damaged", "recovered"]) {
      const system = await started(store);
      expect(await system.get(snapping, "a").ask("total"), step).toBe(10);
      await system.stop();
      await recover(store, { mode: "repair" });
    }
    const system = await started(store);
    await expect(system.get(ledger, "a").ask("total")).resolves.toBe(10); // any definition uses what is there
  });

  test("does not make a snapshot good that is of another history", async () => {
    const store = await twoActors();
    const writer = await openStore(store);
    const [example] = await stored(store, "journal");
    const payload = { entries: [], total: 1000 }; // of a future that was left: there the sixth record was the third of a
    await writer.append("snapshots", [
      {
        kind: "snapshot",
        system_id: (example as { system_id: string }).system_id,
        persistence_id: "ledger/a",
        revision: 3,
        journal_seq: 6,
        digest: digestOf(payload),
        payload,
      },
    ]);
    await writer.close();
    await damage(store, "journal", 6);
    const system = await started(store);
    expect(await system.get(ledger, "a").ask("total")).toBe(10);
    expect(system.metrics()).toMatchObject({ snapshotsIgnored: 1 });
  });

  test("of which a snapshot has seen more than is left stops the actor", async () => {
    const store = memoryStore();
    const first = await started(store);
    const ref = first.get(snapping, "a");
    for (let value = 1; value <= 4; value++) await ref.ask("put", { key: "a", value });
    await ref.stop();
    await first.get(snapping, "b").ask("put", { key: "b", value: 1 });
    await first.stop();
    // The newest snapshot, of revision 4, is gone bad in a way that only its digest shows; so is its event.
    expect((await stored(store, "snapshots")).map((record) => record.revision)).toEqual([2, 4]);
    await damage(store, "journal", 4);
    const other = persistentActor(
      { type: "ledger", initial: () => ({ total: 0 }), events: { put: (state) => state }, stateVersion: 2 },
      { total: (state, _, ctx) => ctx.reply(state.total) },
    );
    const system = await started(store);
    await expect(system.get(other, "a").ask("total")).rejects.toMatchObject({
      code: "HISTORY_DAMAGED",
      message: expect.stringContaining("revision 4 to 4"),
    });
    await system.stop();
    expect(await (await started(store)).get(snapping, "a").ask("total")).toBe(10);
  });

  test("is noticed when it happens while the system runs", async () => {
    const store = await twoActors();
    const system = await started(store);
    expect(await system.get(ledger, "b").ask("total")).toBe(10);
    await damage(store, "journal", 3);
    await expect(system.get(ledger, "a").ask("total")).rejects.toMatchObject({ code: "HISTORY_DAMAGED" });
    await system.get(ledger, "b").stop();
    expect(await system.get(ledger, "b").ask("put", { key: "b", value: 1 })).toBe(11);
    await system.get(ledger, "b").stop();
    expect(await system.get(ledger, "b").ask("total")).toBe(11);
  });

  test("with a record out of its place, or doubled, is read as recovery would leave it", async () => {
    const store = await twoActors();
    const starts = lineStarts(store, "journal");
    const bytes = Buffer.from(store.segmentBytes("journal.ndjson"));
    const line = (i: number) => bytes.subarray(starts[i], starts[i + 1]);
    const order = [0, 1, 2, 4, 5, 3, 6, 7, 7, 8, 2];
    store.putSegment("journal.ndjson", Buffer.concat(order.map(line)));
    for (let run = 0; run < 2; run++) {
      const system = await started(store);
      expect(await system.get(ledger, "a").ask("total")).toBe(10);
      expect(await system.get(ledger, "b").ask("total")).toBe(10);
      await system.stop();
      await recover(store, { mode: "repair" });
    }
  });
});

describe("two histories in one journal", () => {
  test.each([
    ["a revision twice", [1, 2, 2]],
    ["a revision left out", [1, 3]],
    ["two writers one after the other", [1, 2, 1, 2]],
  ])("%s stops the actor", async (_name, revisions) => {
    const store = memoryStore();
    const opened = await openStore(store);
    for (const revision of revisions) {
      await opened.append("journal", [
        {
          kind: "journal",
          system_id: "local",
          persistence_id: "ledger/a",
          revision,
          event_type: "put",
          version: 1,
          payload: { key: "x", value: 1 },
        },
      ]);
    }
    await opened.close();
    const system = await started(store);
    await expect(system.get(ledger, "a").ask("total")).rejects.toMatchObject({ code: "HISTORY_DAMAGED" });
  });
});
