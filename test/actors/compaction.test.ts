// Compaction never changes meaning: random commands with compactions and restarts between them, against a model. The states
// and their digests before and after are equal, replay gives them again, and revisions go on where they were.
import fc from "fast-check";
import { expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { ActorSystem } from "../../src/actors/system.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { memoryStore } from "../../src/index.ts";
import { LOG_NAMES } from "../../src/log/record.ts";
import { account } from "../../src/ops/account.ts";
import { replay } from "../../src/ops/replay.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/index.ts";
import { type Entries, ledgerWith } from "./persistent-helpers.ts";

const actor = fc.constantFrom("a", "b", "c", "d/e");
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("put" as const), actor, value: fc.integer() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("putAll" as const),
      actor,
      values: fc.array(fc.integer(), { minLength: 2, maxLength: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("clear" as const), actor }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("stop" as const), actor }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("compact" as const),
      keep: fc.constantFrom(0, 0, 3, 20),
      beside: fc.boolean(),
    }),
  },
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const BACKENDS: Readonly<Record<string, () => Backend>> = {
  memory: () => memoryStore(),
  "memory, rotating": () => memoryStore({ segmentBytes: 4096 }),
  "files, rotating": () => fileBackend({ path: "/data/persistence", segmentBytes: 4096 }, new SimDisk().env),
};

class Run {
  readonly ledger: ReturnType<typeof ledgerWith>;
  readonly model = new Map<string, { state: Entries; revision: number }>();
  readonly problems: Error[] = [];
  readonly backend: Backend;
  system: ActorSystem;

  constructor(backend: Backend, snapshotEvery: number) {
    this.backend = backend;
    this.ledger = ledgerWith({ snapshot: { everyEvents: snapshotEvery } });
    this.system = this.#newSystem();
  }

  #newSystem(): ActorSystem {
    return new ActorSystem({ store: this.backend, onProblem: (error) => this.problems.push(error) });
  }

  async restart(): Promise<void> {
    await this.system.stop();
    this.system = this.#newSystem();
    await this.system.start();
  }

  async take(each: Step): Promise<void> {
    switch (each.do) {
      case "put":
        await this.#ref(each.actor).ask("put", { key: "k", value: each.value });
        return this.#note(each.actor, [{ key: "k", value: each.value }]);
      case "putAll":
        await this.#ref(each.actor).ask("putAll", { values: each.values });
        return this.#note(
          each.actor,
          each.values.map((value, i) => ({ key: `k${i}`, value })),
        );
      case "clear": {
        await this.#ref(each.actor).ask("clear");
        const { state, revision } = this.#of(each.actor);
        this.model.set(each.actor, { state: { ...state, entries: [] }, revision: revision + 1 });
        return;
      }
      case "stop":
        return this.#ref(each.actor).stop();
      case "restart":
        return this.restart();
      case "compact": {
        const compacted = this.system.compact({ retention: { journal: { maxRecords: each.keep } } });
        if (each.beside) await this.take({ do: "put", actor: "a", value: 7 });
        await compacted;
        return this.verify();
      }
    }
  }

  #ref(id: string) {
    return this.system.get(this.ledger, id);
  }

  #of(id: string): { state: Entries; revision: number } {
    return this.model.get(id) ?? { state: { entries: [], total: 0 }, revision: 0 };
  }

  #note(id: string, entries: Entries["entries"]): void {
    const { state, revision } = this.#of(id);
    const total = entries.reduce((sum, { value }) => sum + value, state.total);
    this.model.set(id, {
      state: { entries: [...state.entries, ...entries], total },
      revision: revision + entries.length,
    });
  }

  async verify(): Promise<void> {
    for (const [id, { state, revision }] of this.model) {
      expect(digestOf(await this.#ref(id).ask("state"))).toBe(digestOf(state));
      expect(await this.#ref(id).ask("revision")).toBe(revision);
    }
    expect(this.problems).toEqual([]);
  }

  /** The same from the store alone. */
  async verifyStored(): Promise<void> {
    await this.restart();
    await this.verify();
    await this.system.stop();
    const report = await scan(this.backend);
    expect(report.anomalies).toEqual([]);
    for (const sum of (await account(this.backend)).logs) {
      expect(LOG_NAMES).toContain(sum.log);
      expect(sum.present + sum.compacted).toBe(sum.lastSeq);
    }
    const replayed = await replay(this.backend, { definitions: [this.ledger], verify: true });
    expect(replayed).toMatchObject({ ok: true });
    const digests = new Map(replayed.actors.map(({ persistenceId, digest }) => [persistenceId, digest]));
    expect(digests.size).toBe(this.model.size);
    for (const [id, { state }] of this.model)
      expect(digests.get(`ledger/${id.replace("/", "%2F")}`)).toBe(digestOf(state));
  }
}

test.each(Object.entries(BACKENDS))("states and digests are the same before and after (%s)", async (_, make) => {
  let compacted = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 60 }),
      fc.constantFrom(1, 2, 5),
      async (steps, every) => {
        const run = new Run(make(), every);
        await run.system.start();
        for (const each of steps) await run.take(each);
        await run.verifyStored();
        const sums = (await account(run.backend)).logs;
        compacted += sums.find(({ log }) => log === "journal")?.compacted ?? 0;
      },
    ),
    { numRuns: Number(process.env.PAPYRA_RUNS ?? 60) },
  );
  expect(compacted, "something was compacted").toBeGreaterThan(0);
});

test("an actor whose snapshots are lost after compaction stops, and never begins anew", async () => {
  const store = memoryStore();
  const ledger = ledgerWith({ snapshot: { everyEvents: 1 } });
  const first = new ActorSystem({ store });
  await first.start();
  for (let value = 1; value <= 5; value++) await first.get(ledger, "a").ask("put", { key: "k", value });
  const report = await first.compact({ retention: { journal: { maxRecords: 0 } } });
  expect(report.logs.find(({ log }) => log === "journal")?.records).toBeGreaterThan(0);
  await first.stop();
  const snapshots = (await store.view()).segments.filter(({ log }) => log === "snapshots");
  for (const { name, active } of snapshots) {
    const bytes = store.segmentBytes(name);
    store.putSegment(name, active ? bytes.subarray(0, bytes.indexOf(0x0a) + 1) : undefined);
  }
  const second = new ActorSystem({ store, startup: "ignore" });
  await second.start();
  await expect(second.get(ledger, "a").ask("total")).rejects.toMatchObject({ code: "HISTORY_DAMAGED" });
  await second.stop();
});
