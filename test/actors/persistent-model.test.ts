// Random commands over several actors, with restarts, stops, torn writes and lost snapshots in between, against a model
// that is a map of plain objects. What was acknowledged is there, nothing else is, and every replay gives the same digest.
import fc from "fast-check";
import { expect, test } from "vitest";
import { digestOf } from "../../src/actors/digest.ts";
import { FoldState } from "../../src/actors/fold.ts";
import { NOTHING_ABSENT } from "../../src/actors/history.ts";
import { persistentActor } from "../../src/actors/persistent.ts";
import { ActorSystem } from "../../src/actors/system.ts";
import { memoryStore } from "../../src/index.ts";
import { empty, lastSeqOf, lineStarts, stored, tear } from "./persistent-helpers.ts";

type Bag = Readonly<Record<string, unknown>>;

function bagWith(snapshotEvery: number | undefined) {
  return persistentActor(
    {
      type: "bag",
      initial: (): Bag => ({}),
      events: {
        set: (state, e: { key: string; value: unknown }) => ({ ...state, [e.key]: e.value }),
        removed: (state, e: { key: string }) =>
          Object.fromEntries(Object.entries(state).filter(([key]) => key !== e.key)),
        grown: (state, e: { by: number }) => ({ ...state, size: Number(state.size ?? 0) + e.by }),
      },
      ...(snapshotEvery === undefined ? {} : { snapshot: { everyEvents: snapshotEvery } }),
    },
    {
      set: (_state, c: { key: string; value: unknown }, ctx) => ctx.persist("set", c).reply((after) => after),
      replace: async (_state, c: { from: string; key: string; value: unknown }, ctx) => {
        await Promise.resolve();
        return ctx
          .persist("removed", { key: c.from })
          .and("set", { key: c.key, value: c.value })
          .and("grown", { by: 1 })
          .reply((after) => after);
      },
      refuse: (_state, _, ctx) => ctx.persist("grown", { by: 1 }).and("set", { key: "x", value: undefined }).noReply(),
      fail: (_state, _, ctx) =>
        ctx.persist("grown", { by: Number.MAX_VALUE }).and("grown", { by: Number.MAX_VALUE }).noReply(),
      read: (state, _, ctx) => ctx.reply(state),
    },
  );
}

const key = fc.oneof(
  fc.constantFrom("a", "b", "__proto__", "toString", "\u2028", "\ud800"),
  fc.string({ maxLength: 3 }),
);
const value = fc.oneof(
  fc.integer(),
  fc.string(),
  fc.constant(null),
  fc.array(fc.boolean(), { maxLength: 3 }),
  fc.dictionary(key, fc.integer(), { maxKeys: 2 }),
);
const actor = fc.constantFrom("1", "2/x", "ü", "__proto__");
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("set" as const), actor, key, value }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("replace" as const), actor, from: key, key, value }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("refuse" as const), actor }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("fail" as const), actor }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("stop" as const), actor }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("forget" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("tear" as const), actor, cut: fc.nat(1000) }) },
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const plain = <T>(json: T): T => JSON.parse(JSON.stringify(json)) as T;

/** A system over a store, and what it must hold. */
class Run {
  readonly store = memoryStore();
  readonly model = new Map<string, Bag>();
  readonly revisions = new Map<string, number>();
  readonly bag: ReturnType<typeof bagWith>;
  #system = new ActorSystem({ store: this.store });

  constructor(snapshotEvery: number | undefined) {
    this.bag = bagWith(snapshotEvery);
  }

  async start(): Promise<void> {
    this.#system = new ActorSystem({ store: this.store });
    await this.#system.start();
  }

  async stop(): Promise<void> {
    await this.#system.stop();
  }

  ref(id: string) {
    return this.#system.get(this.bag, id);
  }

  async take(each: Step): Promise<void> {
    switch (each.do) {
      case "set":
        return this.#committed(each.actor, { ...this.#stateOf(each.actor), [each.key]: plain(each.value) }, 1, () =>
          this.ref(each.actor).ask("set", each),
        );
      case "replace": {
        const { [each.from]: _gone, ...rest } = this.#stateOf(each.actor);
        const set = { ...rest, [each.key]: plain(each.value) };
        const after = { ...set, size: Number(set.size ?? 0) + 1 };
        if (!Number.isNaN(after.size)) {
          return this.#committed(each.actor, after, 3, () => this.ref(each.actor).ask("replace", each));
        }
        return expect(this.ref(each.actor).ask("replace", each)).rejects.toMatchObject({ code: "ACTOR_FAILED" });
      }
      case "refuse":
        return expect(this.ref(each.actor).ask("refuse")).rejects.toMatchObject({ code: "RECORD_INVALID" });
      case "fail":
        return expect(this.ref(each.actor).ask("fail")).rejects.toMatchObject({ code: "ACTOR_FAILED" });
      case "stop":
        return this.ref(each.actor).stop();
      case "tear":
        return this.#tear(each.actor, each.cut);
      case "restart":
      case "forget":
        await this.stop();
        if (each.do === "forget") await empty(this.store, "snapshots");
        await this.start();
    }
  }

  #stateOf(id: string): Bag {
    return this.model.get(id) ?? {};
  }

  async #committed(id: string, after: Bag, events: number, asked: () => Promise<Bag>): Promise<void> {
    expect(await asked()).toEqual(after);
    this.model.set(id, after);
    this.revisions.set(id, (this.revisions.get(id) ?? 0) + events);
  }

  /** A group of three is written, of which less than all gets to the disk: the power fails, and nobody was told. */
  async #tear(id: string, cut: number): Promise<void> {
    await this.stop();
    const promised = await lastSeqOf(this.store, "journal");
    await this.start();
    const begin = lineStarts(this.store, "journal").at(-1) as number;
    await this.ref(id)
      .ask("replace", { from: "nothing", key: "torn", value: 1 })
      .catch(() => undefined);
    await this.stop();
    const written = this.store.segmentBytes("journal.ndjson").length - begin;
    if (written > 0) {
      await tear(this.store, "journal", begin + Math.floor(((written - 1) * cut) / 1000), promised);
      await empty(this.store, "snapshots"); // one may have been taken of what is gone
    }
    await this.start();
  }

  async checkLive(): Promise<void> {
    await this.stop();
    await this.start();
    for (const [id, state] of this.model) {
      const live = await this.ref(id).ask("read");
      expect(live).toEqual(state);
      expect(digestOf(live)).toBe(digestOf(state));
    }
    await this.stop();
  }

  /** A replay without any system or snapshot comes to the same digests. */
  async checkReplay(): Promise<void> {
    const folds = new Map<string, FoldState>();
    const records = (await stored(this.store, "journal")).sort((a, b) => a.seq - b.seq);
    for (const record of records) {
      const id = record.persistence_id;
      if (!folds.has(id)) folds.set(id, new FoldState(this.bag, id, { absences: NOTHING_ABSENT }));
      folds.get(id)?.push(record);
    }
    for (const [id, state] of this.model) {
      const folded = folds.get(`bag/${encodeURIComponent(id)}`) as FoldState;
      folded.end();
      expect(folded.revision).toBe(this.revisions.get(id));
      expect(folded.digest()).toBe(digestOf(state));
    }
  }
}

test("whatever happens, a state is what the acknowledged commands made of it", { timeout: 120_000 }, async () => {
  const steps = fc.array(step, { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(steps, fc.constantFrom(undefined, 1, 2, 5), async (taken, snapshotEvery) => {
      const run = new Run(snapshotEvery);
      await run.start();
      for (const each of taken) await run.take(each);
      await run.checkLive();
      await run.checkReplay();
    }),
    { seed: 20_260_101, numRuns: 150 },
  );
});
