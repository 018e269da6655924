import { afterEach, describe, expect, test } from "vitest";
import { persistentActor } from "../../src/actors/persistent.ts";
import type { ActorSystem } from "../../src/actors/system.ts";
import type { MemoryBackend } from "../../src/backends/memory.ts";
import { memoryStore } from "../../src/index.ts";
import { recover } from "../../src/ops/recover.ts";
import { ledgerWith, lineStarts, startSystem, stored, tear } from "./persistent-helpers.ts";

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

describe("a write whose outcome is unknown", () => {
  function failing(store: MemoryBackend, when: () => boolean, after: boolean): MemoryBackend {
    return {
      ...store,
      get quarantined() {
        return store.quarantined;
      },
      claim: async (purpose) => {
        const claim = await store.claim(purpose);
        const write = claim.append.bind(claim);
        const append: typeof write = async (parts) => {
          const fails = parts.some((part) => part.log === "journal") && when();
          if (fails && !after) throw new Error("the disk is gone");
          const placed = await write(parts);
          if (fails) throw new Error("the disk is gone");
          return placed;
        };
        return Object.assign(claim, { append });
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
