// The cache of what was verified at the ends of closed segments: opening makes fewer calls by it, and finds whatever it would
// find without it. Deleted, stale, damaged or of another store, it costs one reading of those ends.
import { describe, expect, test } from "vitest";
import { checkLog, type CheckedLog } from "../src/backends/check.ts";
import { fileBackend } from "../src/backends/files.ts";
import { KnownEnds } from "../src/backends/known-ends.ts";
import { openStore } from "../src/backends/open.ts";
import { replaceDurably, truncateDurably } from "../src/env/durable.ts";
import type { Identity } from "../src/log/record.ts";
import { decodeSealedEnds } from "../src/log/sealed-ends.ts";
import { activeName, closedName } from "../src/log/segments.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";
import { buildLog, type Step } from "./docs/sealed-log.ts";

const CACHE = "/s/index/events.seals";
const CLOSED = 12;
const steps = (from: number, to: number, letter = "x"): Step[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ seq: from + i, payload: letter.repeat(4000) }));

/** A store whose events are so many closed segments of three records each, and an active one of one. */
class World {
  disk = new SimDisk();
  readonly names: string[] = [];
  identity: Identity = { log: "events", store: "none", lineage: "none" };

  static async of(closed = CLOSED): Promise<World> {
    const world = new World();
    const store = await openStore(world.backend());
    await store.close();
    const { store: name, lineage } = store.identity;
    world.identity = { log: "events", store: name, lineage };
    const files = world.log("x", closed);
    for (const [i, bytes] of files.entries()) {
      world.names.push(i === closed ? activeName("events") : closedName("events", 3 * i + 1));
      await world.replace(i, bytes);
    }
    world.disk.clock.advance(60_000);
    return world;
  }

  /** The files of such a log; the records in the fifth are made of `letter`. */
  log(letter: string, closed = CLOSED): Buffer[] {
    const segments = Array.from({ length: closed }, (_, i) => steps(3 * i + 1, 3 * i + 3, i === 4 ? letter : "x"));
    return buildLog(this.identity, [...segments, steps(3 * closed + 1, 3 * closed + 1)]);
  }

  backend = (): ReturnType<typeof fileBackend> => fileBackend({ path: "/s" }, this.disk.env);

  path(segment: number): string {
    return `/s/${this.names[segment]}`;
  }

  content(segment: number): Buffer {
    return Buffer.from(this.disk.content(this.path(segment)));
  }

  replace(segment: number, bytes: Uint8Array): Promise<void> {
    const { fs, random } = this.disk.env;
    return replaceDurably(fs, random, this.path(segment), (append) => append(bytes));
  }

  async write(path: string, bytes: Uint8Array, at = 0): Promise<void> {
    const file = await this.disk.env.fs.open(path, "update");
    await file.write(bytes, at);
    await file.close();
  }

  /** Opens and closes the store; which closed segments were opened for that, and how many calls there were at any of them. */
  async open(): Promise<{ opened: string[]; calls: number }> {
    const from = this.disk.calls;
    await (await openStore(this.backend())).close();
    const closed = new Set(this.names.slice(0, -1).map((name) => `/s/${name}`));
    const calls = this.disk.trace.slice(from).filter(({ path }) => closed.has(path));
    const opened = calls.filter(({ operation }) => operation === "open").map(({ path }) => path);
    return { opened: [...new Set(opened)], calls: calls.length };
  }

  /** What is found by the cache, and what without it. */
  async bothWays(): Promise<{ known: CheckedLog; read: CheckedLog }> {
    const backend = this.backend();
    const view = await backend.view();
    const known = await KnownEnds.of(backend, "events", view.segments);
    expect(known).toBeDefined();
    const options = { live: false, findingsMax: 100, trustSeals: true };
    return {
      known: await checkLog(backend, view, "events", { ...options, known }),
      read: await checkLog(backend, view, "events", options),
    };
  }
}

const flipped = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 1;
  return copy;
};

describe("opening", () => {
  test("opens no closed segment that an opening before it has verified, and looks at each once", async () => {
    const world = await World.of();
    expect((await world.open()).opened).toHaveLength(CLOSED);
    expect(await world.open()).toEqual({ opened: [], calls: CLOSED });
    const { known, read } = await world.bothWays();
    expect(known).toEqual(read);
    expect(known.account).toMatchObject({ present: 3 * CLOSED + 1, missing: 0, findings: [] });
  });

  test("goes on where the log ends, by the cache as well as without it", async () => {
    const world = await World.of();
    await world.open();
    const store = await openStore(world.backend());
    const record = { kind: "event", system_id: "s", actor_address: "s://a", event_type: "Noted", payload: {} } as const;
    expect((await store.append("events", [record])).firstSeq).toBe(3 * CLOSED + 2);
    await store.close();
  });

  test("keeps no cache of few segments", async () => {
    const world = await World.of(3);
    await world.open();
    expect(await world.disk.env.fs.stat("/s/index")).toBeUndefined();
  });

  test("makes the cache anew only when many segments are not in it", async () => {
    const world = await World.of();
    await world.open();
    const before = world.disk.content(CACHE);
    for (const segment of [2, 5]) await world.replace(segment, world.content(segment)); // other files, the same bytes
    world.disk.clock.advance(60_000);
    expect((await world.open()).opened).toEqual([world.path(2), world.path(5)]);
    expect(world.disk.content(CACHE)).toEqual(before);
    for (let segment = 0; segment < CLOSED; segment++) await world.replace(segment, world.content(segment));
    world.disk.clock.advance(60_000);
    expect((await world.open()).opened).toHaveLength(CLOSED);
    expect((await world.open()).opened).toEqual([]);
  });

  test.each(["create", "write"] as const)(
    "goes on without the cache where there is no room for it, after everything else (%s)",
    async (operation) => {
      const callsOf = ({ disk }: World, from: number): string[] =>
        disk.trace.slice(from).flatMap((call) => (call.operation === operation ? [call.path] : []));
      const [other, world] = [await World.of(), await World.of()];
      const from = other.disk.calls;
      await (await openStore(other.backend())).close();
      const at = callsOf(other, from).indexOf(CACHE);
      expect(at).toBeGreaterThan(callsOf(other, from).findIndex((path) => path.includes("/papyra.mark")));
      world.disk.failAt(at + 1, "ENOSPC", { operations: [operation] });
      await world.open();
      expect(world.disk.faultsHit).toBe(1);
      expect(await world.disk.env.fs.stat(CACHE)).toBeUndefined();
      expect((await world.open()).opened).toHaveLength(CLOSED);
      expect((await world.open()).opened).toEqual([]);
    },
  );
});

describe("a cache that is not what was written", () => {
  test("is not believed, whatever byte of it is another one and wherever it ends, and is made anew", async () => {
    const world = await World.of();
    await world.open();
    const whole = Buffer.from(world.disk.content(CACHE));
    expect(decodeSealedEnds(whole)).toHaveLength(CLOSED);
    for (let at = 0; at < whole.length; at++) {
      expect([at, decodeSealedEnds(flipped(whole, at))]).toEqual([at, []]);
      expect([at, decodeSealedEnds(whole.subarray(0, at))]).toEqual([at, []]);
    }
    expect(decodeSealedEnds(Buffer.concat([whole, whole]))).toEqual([]);
    await world.write(CACHE, flipped(whole, 400));
    expect((await world.open()).opened).toHaveLength(CLOSED);
    expect((await world.open()).opened).toEqual([]);
    await world.disk.env.fs.remove(CACHE);
    expect((await world.open()).opened).toHaveLength(CLOSED);
    expect((await world.open()).opened).toEqual([]);
  });

  test("is not believed when it is of another store, whose files are others", async () => {
    const [world, other] = [await World.of(), await World.of()];
    other.disk.clock.advance(1000);
    for (const each of [world, other]) await each.open();
    await world.write(CACHE, other.disk.content(CACHE));
    await world.replace(4, flipped(world.content(4), 20));
    const { known, read } = await world.bothWays();
    expect(read.account.findings).not.toEqual([]);
    expect(known.account).toEqual(read.account);
  });
});

describe("a power cut while the cache is written", () => {
  test("at each of its calls leaves a store that opens as it would without it", async () => {
    const dry = await World.of();
    const from = dry.disk.calls;
    await (await openStore(dry.backend())).close();
    const calls = dry.disk.trace.slice(from).map(({ path }) => path);
    const [first, last] = [calls.findIndex((path) => path === "/s/index"), calls.lastIndexOf(CACHE)];
    expect(last - first).toBeGreaterThan(3);
    for (let at = first; at <= last + 1; at++) {
      for (const survival of ["keep", "drop", "mixed"] as const) {
        const world = await World.of();
        world.disk.cutPowerAt(at + 1);
        await world.open().catch(() => undefined);
        expect(world.disk.powerCut).toBe(true);
        world.disk = world.disk.reboot(at, survival);
        world.disk.clock.advance(60_000);
        await world.replace(4, flipped(world.content(4), 20));
        const { known, read } = await world.bothWays();
        expect(read.account.findings).toHaveLength(1);
        expect(known.account).toEqual(read.account);
        await world.open();
        await world.open();
      }
    }
  });
});

describe("a segment that is another one since", () => {
  const DAMAGE: Readonly<Record<string, (world: World) => Promise<unknown>>> = {
    "is gone": (world) => world.disk.env.fs.remove(world.path(4)),
    "the last closed one is gone": (world) => world.disk.env.fs.remove(world.path(CLOSED - 1)),
    "has the bytes of another": (world) => world.replace(4, world.content(5)),
    "is another one that verifies, which the next one does not follow": (world) => world.replace(4, world.log("y")[4]!),
    "is of another store": (world) =>
      world.replace(4, buildLog({ log: "events", store: "other", lineage: "b9" }, [steps(13, 15), []])[0]!),
    "is replaced by a file that is damaged": (world) => world.replace(4, flipped(world.content(4), 20)),
    "lost its seal": (world) => truncateDurably(world.disk.env.fs, world.path(4), world.content(4).length - 500),
    "is longer": (world) => world.write(world.path(4), Buffer.alloc(100), world.content(4).length),
    "has another byte in its identity line": (world) => world.write(world.path(4), Buffer.from("~"), 20),
    "has another byte in its seal": (world) =>
      world.write(world.path(4), Buffer.from("~"), world.content(4).length - 50),
  };

  test.each(Object.entries(DAMAGE))("%s: is found as it is without the cache", async (_, damage) => {
    const world = await World.of();
    await world.open();
    await damage(world);
    const { known, read } = await world.bothWays();
    expect(read.account.findings).not.toEqual([]);
    expect(known.account).toEqual(read.account);
    expect(known.tail).toEqual(read.tail);
  });

  test.each(["is replaced by a file that is damaged", "is longer"])(
    "%s, and the clock went back: the time of change says nothing, and it is found all the same",
    async (damage) => {
      const world = await World.of();
      await world.open();
      const { changedMs } = (await world.disk.env.fs.stat(world.path(4)))!;
      world.disk.clock.set(changedMs);
      await DAMAGE[damage]!(world);
      expect((await world.disk.env.fs.stat(world.path(4)))!.changedMs).toBe(changedMs);
      world.disk.clock.advance(60_000);
      const { known, read } = await world.bothWays();
      expect(read.account.findings).not.toEqual([]);
      expect(known.account).toEqual(read.account);
    },
  );

  test("an opening that refuses without the cache refuses by it", async () => {
    const world = await World.of();
    await world.open();
    await DAMAGE["is of another store"]!(world);
    await expect(openStore(world.backend())).rejects.toMatchObject({ code: "STORE_DAMAGED" });
  });

  test("a store that says it is another one is not believed by what was verified before", async () => {
    const world = await World.of();
    await world.open();
    const backend = world.backend();
    const view = await backend.view();
    const other = { ...view, identity: { ...view.identity!, lineage: "b9" } };
    const known = await KnownEnds.of(backend, "events", view.segments);
    const found = await checkLog(backend, other, "events", { live: false, findingsMax: 100, trustSeals: true, known });
    expect(found.account.findings[0]).toMatchObject({ kind: "foreign-line", file: world.names[0] });
  });

  test("a file that was changed a moment ago is not remembered: another change may leave it the same time", async () => {
    const world = await World.of();
    for (let segment = 0; segment < CLOSED; segment++) await world.replace(segment, world.content(segment));
    await world.open();
    await world.write(world.path(4), Buffer.from("~"), world.content(4).length - 50); // at the same moment
    world.disk.clock.advance(60_000);
    const { known, read } = await world.bothWays();
    expect(read.account.findings).not.toEqual([]);
    expect(known.account).toEqual(read.account);
  });
});
