import { afterEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { persistentActor } from "../../src/actors/persistent.ts";
import type { ActorSystem } from "../../src/actors/system.ts";
import type { MemoryBackend } from "../../src/backends/memory.ts";
import { openStore } from "../../src/backends/open.ts";
import { memoryStore } from "../../src/index.ts";
import { recover } from "../../src/ops/recover.ts";
import { damage, ledgerWith, lineStarts, startSystem, stored, tear } from "./persistent-helpers.ts";

const systems: ActorSystem[] = [];
async function started(store: MemoryBackend) {
  const system = await startSystem(store);
  systems.push(system);
  return system;
}
afterEach(async () => {
  for (const system of systems.splice(0)) await system.stop();
});

const ledger = ledgerWith();
const snapping = ledgerWith({ snapshotEvery: 2 });
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

describe("a write that was torn", () => {
  const SIZE = 4;

  /** Revision 1 of a, then a group of four, torn behind `bytes` of the journal. */
  async function tornAt(bytesOf: (starts: readonly number[]) => number): Promise<MemoryBackend> {
    const store = memoryStore();
    const system = await started(store);
    await system.get(ledger, "a").ask("put", { key: "first", value: 10 });
    await system.get(ledger, "b").ask("put", { key: "other", value: 1 });
    await system.get(ledger, "a").ask("putAll", { values: [1, 2, 3, 4] });
    await system.stop();
    await tear(store, "journal", bytesOf(lineStarts(store, "journal")), 2);
    return store;
  }

  const cuts = Array.from({ length: SIZE }, (_, line) => [
    [`before line ${line + 1} of ${SIZE}`, (starts: readonly number[]) => starts[3 + line] as number],
    [`within line ${line + 1} of ${SIZE}`, (starts: readonly number[]) => (starts[3 + line] as number) + 40],
    [`at the end of line ${line + 1} of ${SIZE}`, (starts: readonly number[]) => (starts[4 + line] as number) - 9],
  ]).flat() as [string, (starts: readonly number[]) => number][];

  test.each(cuts)("%s is never half applied, and the next command works", async (_name, bytesOf) => {
    const store = await tornAt(bytesOf);
    const expected = { entries: [{ key: "first", value: 10 }], total: 10 };
    for (let run = 0; run < 2; run++) {
      const system = await started(store);
      expect(await system.get(ledger, "a").ask("state")).toEqual(expected);
      expect(await system.get(ledger, "a").ask("revision")).toBe(1);
      expect(await system.get(ledger, "b").ask("total")).toBe(1);
      await system.stop();
    }
    const system = await started(store);
    await system.get(ledger, "b").ask("put", { key: "other", value: 1 });
    expect(await system.get(ledger, "a").ask("putAll", { values: [5, 6] })).toBe(3);
    expect(await system.get(ledger, "a").ask("put", { key: "last", value: 7 })).toBe(28);
    await system.stop();
    const again = await started(store);
    expect(await again.get(ledger, "a").ask("total")).toBe(28);
    expect(await again.get(ledger, "a").ask("revision")).toBe(4);
    const seqs = (await stored(store, "journal")).map((record) => record.seq);
    expect(new Set(seqs).size).toBe(seqs.length);
  });

  test("only of its last line break is whole", async () => {
    const store = await tornAt((starts) => (starts[7] as number) - 1);
    const system = await started(store);
    expect(await system.get(ledger, "a").ask("total")).toBe(20);
    expect(await system.get(ledger, "a").ask("put", { key: "next", value: 1 })).toBe(21);
    await system.stop();
    await recover(store, { mode: "repair" });
    const again = await started(store);
    expect(await again.get(ledger, "a").ask("total")).toBe(21);
    expect(await again.get(ledger, "a").ask("revision")).toBe(6);
  });
});

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
      details: { persistenceId: "ledger/a", fromRevision: 3, toRevision: 3, seq: 7, file: "journal.ndjson" },
      hint: "run: papyra persistence scan --path memory, then papyra persistence recover --path memory --mode quarantine",
    });
    const { offset } = (error as { details: { offset: number } }).details;
    expect(store.segmentBytes("journal.ndjson").toString("latin1", offset, offset + 8)).toBe('{"seq":7');
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

describe("events that the definition cannot apply", () => {
  test("stop that actor alone, before it takes any message, and name the place", async () => {
    const store = await twoActors();
    const renamed = persistentActor(
      {
        type: "ledger",
        initial: () => ({ total: 0 }),
        events: { added: (state, e: { value: number }) => ({ total: state.total + e.value }) },
      },
      { total: (state, _, ctx) => ctx.reply(state.total) },
    );
    const system = await started(store);
    const asked = [1, 2, 3].map(() => system.get(renamed, "a").ask("total"));
    for (const each of await Promise.allSettled(asked)) {
      expect(each).toMatchObject({
        status: "rejected",
        reason: { code: "EVENT_UNKNOWN", details: { seq: 1, file: "journal.ndjson", eventType: "put" } },
      });
    }
    expect(await system.get(renamed, "new").ask("total")).toBe(0);
    await system.stop();
    const mended = persistentActor(
      {
        type: "ledger",
        version: 2,
        initial: () => ({ total: 0 }),
        events: { added: (state, e: { value: number }) => ({ total: state.total + e.value }) },
        upcast: (type, payload) => ({ type: type === "put" ? "added" : type, payload }),
      },
      {
        total: (state, _, ctx) => ctx.reply(state.total),
        add: (_state, c: { value: number }, ctx) => ctx.persist("added", c).reply((after) => after.total),
      },
    );
    const again = await started(store);
    expect(await again.get(mended, "a").ask("add", { value: 5 })).toBe(15);
    expect((await stored(store, "journal")).at(-1)).toMatchObject({ event_type: "added", version: 2, revision: 5 });
    await again.stop();
    // The older release does not guess what the newer one meant.
    await expect((await started(store)).get(ledger, "a").ask("total")).rejects.toMatchObject({ code: "EVENT_UNKNOWN" });
  });
});

describe("snapshots", () => {
  async function history(count: number, definition = snapping): Promise<MemoryBackend> {
    const store = memoryStore();
    const system = await started(store);
    for (let value = 1; value <= count; value++) await system.get(definition, "a").ask("put", { key: "a", value });
    await system.stop();
    return store;
  }

  test("are taken every so many events, also when one command has several", async () => {
    const store = await history(5);
    const snapshots = await stored(store, "snapshots");
    expect(snapshots.map(({ revision, journal_seq }) => [revision, journal_seq])).toEqual([
      [2, 2],
      [4, 4],
    ]);
    for (const { digest, payload } of snapshots) expect(digest).toBe(digestOf(payload));
    const system = await started(store);
    await system.get(snapping, "a").ask("putAll", { values: [1, 1, 1, 1, 1] });
    await system.stop();
    expect((await stored(store, "snapshots")).at(-1)).toMatchObject({ revision: 10, journal_seq: 10 });
  });

  test("change nothing but how much is read: with all, some, none, broken ones", async () => {
    const store = await history(9);
    const all = Buffer.from(store.segmentBytes("snapshots.ndjson"));
    const states = new Set<string>();
    const read = async () => {
      const system = await started(store);
      states.add(digestOf(await system.get(snapping, "a").ask("state")));
      expect(await system.get(snapping, "a").ask("revision")).toBe(9);
      await system.stop();
    };
    await read();
    for (const seq of [4, 3, 2, 1]) {
      await damage(store, "snapshots", seq);
      await read();
    }
    store.putSegment("snapshots.ndjson", all.subarray(0, all.indexOf(10) + 1));
    await read();
    expect(states.size).toBe(1);
  });

  test("that are broken inside fall back to an older one, which is reported", async () => {
    const store = await history(5);
    const opened = await openStore(store);
    const [first] = await stored(store, "snapshots");
    const { payload, digest } = first as { payload: object; digest: string };
    const forged = {
      kind: "snapshot" as const,
      system_id: "local",
      persistence_id: "ledger/a",
      journal_seq: 5,
      revision: 5,
    };
    await opened.append("snapshots", [{ ...forged, digest, payload: { ...payload, total: 1000 } }]);
    await opened.close();
    const system = await started(store);
    expect(await system.get(snapping, "a").ask("total")).toBe(15);
    expect(system.problems.map((error) => error.message)).toEqual([
      expect.stringContaining("the snapshot of ledger/a at revision 5 is not used: its digest does not match"),
    ]);
  });

  test("that are ahead of their journal are ignored, now and when the journal has caught up", async () => {
    const store = await history(4);
    const short = (await lineStarts(store, "journal"))[3] as number;
    await tear(store, "journal", short, 2); // a copy whose journal was taken before its snapshots
    const system = await started(store);
    const ref = system.get(snapping, "a");
    expect(await ref.ask("total")).toBe(3);
    expect(system.problems.map((error) => error.message)).toEqual([expect.stringContaining("ahead of its journal")]);
    for (const value of [100, 100, 100]) await ref.ask("put", { key: "new", value });
    await system.stop();
    const again = await started(store);
    expect(await again.get(snapping, "a").ask("total")).toBe(303);
    expect(await again.get(snapping, "a").ask("revision")).toBe(5);
  });

  test("of another state version are not used, unless they can be upcasted", async () => {
    const store = await history(4);
    const make = (upcastState?: (old: unknown, from: number) => { sum: number }) =>
      persistentActor(
        {
          type: "ledger",
          stateVersion: 2,
          initial: () => ({ sum: 0 }),
          events: { put: (state, e: { value: number }) => ({ sum: state.sum + e.value }) },
          ...(upcastState && { upcastState }),
        },
        { sum: (state, _, ctx) => ctx.reply(state.sum) },
      );
    const plain = await started(store);
    expect(await plain.get(make(), "a").ask("sum")).toBe(10);
    await plain.stop();
    const upcasting = await started(store);
    const upcast = (old: unknown) => ({ sum: (old as { total: number }).total + 1000 });
    expect(await upcasting.get(make(upcast), "a").ask("sum")).toBe(1010);
  });

  test("that cannot be stored are counted and harm nobody", async () => {
    const store = memoryStore({ lineBytesMax: 1024 });
    const system = await started(store);
    const ref = system.get(snapping, "a");
    for (let value = 1; value <= 40; value++) await ref.ask("put", { key: "a".repeat(20), value });
    expect(await ref.ask("revision")).toBe(40);
    expect((system as unknown as { problems: Error[] }).problems.length).toBeGreaterThan(0);
    await system.stop();
    expect(await (await started(store)).get(snapping, "a").ask("revision")).toBe(40);
  });
});

describe("a write whose outcome is unknown", () => {
  function failing(store: MemoryBackend, when: () => boolean, after: boolean): MemoryBackend {
    return {
      ...store,
      get quarantined() {
        return store.quarantined;
      },
      claim: async (purpose) => {
        const claim = await store.claim(purpose);
        return {
          ...claim,
          append: async (parts) => {
            const fails = parts.some((part) => part.log === "journal") && when();
            if (fails && !after) throw new Error("the disk is gone");
            const placed = await claim.append(parts);
            if (fails) throw new Error("the disk is gone");
            return placed;
          },
        };
      },
    };
  }

  test.each([
    ["nothing was written", false, 3],
    ["all was written", true, 4],
  ])("stops the actor; the next start counts what is stored: %s", async (_name, after, total) => {
    const store = memoryStore();
    let fails = false;
    const system = await startSystem(failing(store, () => fails, after));
    const ref = system.get(ledger, "a");
    expect(await ref.ask("put", { key: "a", value: 3 })).toBe(3);
    fails = true;
    await expect(ref.ask("put", { key: "a", value: 1 })).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    // The actor looks again; what nobody was promised does not count as long as nobody knows.
    expect(await ref.ask("total")).toBe(3);
    await expect(ref.ask("put", { key: "a", value: 1 })).rejects.toMatchObject({ code: "STORE_POISONED" });
    await system.stop();
    const again = await started(store);
    expect(await again.get(ledger, "a").ask("total")).toBe(total);
    expect(await again.get(ledger, "a").ask("put", { key: "a", value: 1 })).toBe(total + 1);
  });
});
