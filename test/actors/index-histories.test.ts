// Random histories of actors in a store that rotates and is compacted, while somebody deletes, damages and exchanges the caches
// of its segments: states, digests and revisions are those of a model that knows of no caches.
import fc from "fast-check";
import { expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { ActorSystem } from "../../src/actors/system.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { memoryBackend } from "../../src/backends/memory.ts";
import { LOG_NAMES } from "../../src/log/record.ts";
import { endsName, headsName, indexName } from "../../src/log/segments.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { type Caches, cachesInFiles, cachesInMemory } from "./index-helpers.ts";
import { type Entries, ledgerWith } from "./persistent-helpers.ts";

const ROTATING = { segmentBytes: 4096 };
const IDS = Array.from({ length: 12 }, (_, i) => `n${i}`);

interface World {
  readonly backend: Backend;
  readonly caches: Caches;
  /** Time passes in which no file is changed: what is found out about one may be remembered. */
  readonly rest: () => void;
}

const WORLDS: Readonly<Record<string, () => World>> = {
  memory: () => {
    const backend = memoryBackend(ROTATING, new SimDisk().env);
    return { backend, caches: cachesInMemory(backend), rest: () => undefined };
  },
  "files on the simulated disk": () => {
    const disk = new SimDisk();
    const backend = fileBackend({ path: "/s", ...ROTATING }, disk.env);
    return { backend, caches: cachesInFiles(disk, "/s"), rest: () => disk.clock.advance(60_000) };
  },
};

const number = fc.nat({ max: 1_000_000 });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("put" as const), id: number, times: fc.integer({ min: 1, max: 12 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("stop" as const), id: number }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("compact" as const), keep: fc.constantFrom(0, 5, 40) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("harm" as const),
      which: number,
      how: fc.constantFrom("delete", "flip", "cut", "exchange", "old", "empty"),
      at: number,
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

class Run {
  readonly ledger: ReturnType<typeof ledgerWith>;
  readonly model = new Map<string, { state: Entries; revision: number }>();
  readonly problems: Error[] = [];
  readonly #world: World;
  /** Caches of earlier times, by name. */
  readonly #old = new Map<string, Buffer>();
  system: ActorSystem;

  constructor(world: World, everyEvents: number) {
    this.#world = world;
    this.ledger = ledgerWith(everyEvents > 0 ? { snapshot: { everyEvents } } : {});
    this.system = this.#newSystem();
  }

  #newSystem(): ActorSystem {
    return new ActorSystem({ store: this.#world.backend, onProblem: (error) => this.problems.push(error) });
  }

  async restart(): Promise<void> {
    await this.system.stop();
    this.#world.rest();
    this.system = this.#newSystem();
    await this.system.start();
  }

  async take(each: Step): Promise<void> {
    switch (each.do) {
      case "put": {
        for (let n = 0; n < each.times; n++) await this.#put(IDS[(each.id + n * 5) % IDS.length]!, each.id + n);
        return;
      }
      case "stop":
        return this.system.get(this.ledger, IDS[each.id % IDS.length]!).stop();
      case "restart":
        return this.restart();
      case "compact":
        await this.system.compact({ retention: { journal: { maxRecords: each.keep } } });
        return;
      case "harm":
        return this.#harm(each);
    }
  }

  async #put(id: string, value: number): Promise<void> {
    const entry = { key: "k", value };
    await this.system.get(this.ledger, id).ask("put", entry);
    const { state, revision } = this.model.get(id) ?? { state: { entries: [], total: 0 }, revision: 0 };
    const next = { entries: [...state.entries, entry], total: state.total + value };
    this.model.set(id, { state: next, revision: revision + 1 });
  }

  async #harm({ which, how, at }: Extract<Step, { do: "harm" }>): Promise<void> {
    const { caches } = this.#world;
    const names = await caches.names();
    if (names.length === 0) return;
    const name = names[which % names.length]!;
    const bytes = Buffer.from(await caches.get(name));
    this.#old.set(name, this.#old.get(name) ?? Buffer.from(bytes));
    if (how === "delete") await caches.put(name, undefined);
    if (how === "empty") await caches.put(name, Buffer.alloc(0));
    if (how === "cut") await caches.put(name, bytes.subarray(0, at % (bytes.length + 1)));
    if (how === "exchange") await caches.put(name, Buffer.from(await caches.get(names[at % names.length]!)));
    const old = [...this.#old.values()];
    if (how === "old") await caches.put(name, old[at % old.length]!);
    if (how !== "flip" || bytes.length === 0) return;
    bytes[at % bytes.length]! ^= 1 << (which % 8);
    await caches.put(name, bytes);
  }

  async verify(): Promise<void> {
    for (const [id, { state, revision }] of this.model) {
      expect(digestOf(await this.system.get(this.ledger, id).ask("state")), id).toBe(digestOf(state));
      expect(await this.system.get(this.ledger, id).ask("revision"), id).toBe(revision);
    }
    expect(this.problems).toEqual([]);
  }
}

test.each(Object.entries(WORLDS))("states are the same whatever befalls the caches (%s)", async (_, make) => {
  const seen = { harmed: 0, indexed: 0, recoveries: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 60 }),
      fc.constantFrom(0, 3, 7),
      async (steps, everyEvents) => {
        const world = make();
        const run = new Run(world, everyEvents);
        await run.system.start();
        for (const each of steps) await run.take(each);
        await run.restart();
        await run.verify();
        const { segmentsIndexed, recoveries } = run.system.metrics();
        seen.harmed += steps.filter((each) => each.do === "harm").length;
        seen.indexed += segmentsIndexed;
        seen.recoveries += recoveries;
        await run.system.stop();
        const ofSegments = (await world.backend.view()).segments.map(({ name }) => indexName(name));
        const known = [...ofSegments, ...LOG_NAMES.flatMap((log) => [endsName(log), headsName(log)])];
        expect((await world.caches.names()).filter((name) => !known.includes(name))).toEqual([]);
        expect(await scan(world.backend)).toMatchObject({ ok: true, anomalies: [] });
      },
    ),
    { numRuns: Number(process.env.PAPYRA_RUNS ?? 20) },
  );
  // Of random histories nothing more is certain than that some caches are harmed and not believed.
  expect(seen.indexed, "some caches were not believed").toBeGreaterThan(0);
  expect(seen.harmed).toBeGreaterThan(0);
});
