// What opening, the start-up check and inspect read does not grow with the history: measured in bytes at the file system, not
// in time. And who takes the word of the seals comes to the same end as who reads everything.
import { describe, expect, test } from "vitest";
import { ActorSystem } from "../src/actors/system.ts";
import type { Backend } from "../src/backends/backend.ts";
import { type CheckedLog, checkLog } from "../src/backends/check.ts";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import { memoryStore } from "../src/index.ts";
import { replaceDurably } from "../src/env/durable.ts";
import { activeName, closedName } from "../src/log/segments.ts";
import { inspect } from "../src/ops/inspect.ts";
import { scan } from "../src/ops/scan.ts";
import { startupCheck } from "../src/ops/startup.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";
import { counting } from "./counting.ts";
import { buildLog, type Step } from "./docs/sealed-log.ts";

const steps = (from: number, to: number): Step[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ seq: from + i }));

interface World {
  readonly disk: SimDisk;
  readonly backend: Backend;
  readonly names: readonly string[];
}

/** A store whose events are these segments; the mark vouches for all of them. */
async function storeOf(
  segments: readonly (readonly Step[])[],
  damage = (files: Buffer[]): Buffer[] => files,
  lie?: Parameters<typeof buildLog>[2],
): Promise<World> {
  const disk = new SimDisk();
  const { fs, random } = disk.env;
  const backend = fileBackend({ path: "/s" }, disk.env);
  const store = await openStore(backend);
  await store.close();
  const files = buildLog(
    { log: "events", store: store.identity.store, lineage: store.identity.lineage },
    segments,
    lie,
  );
  const names = segments.map((own, i) =>
    i === segments.length - 1 ? activeName("events") : closedName("events", own[0]!.seq),
  );
  const put = async (all: readonly Buffer[]): Promise<void> => {
    for (const [i, bytes] of all.entries())
      await replaceDurably(fs, random, `/s/${names[i]}`, (append) => append(bytes));
  };
  await put(files);
  await (await openStore(backend)).close();
  const damaged = damage(files.map((bytes) => Buffer.from(bytes)));
  await put(damaged.filter((bytes, i) => !bytes.equals(files[i]!)).length === 0 ? [] : damaged);
  return { disk, backend, names };
}

/** So many closed segments of so many records, and an active one of ten. */
function history(closed: number, each: number): Step[][] {
  const made = Array.from({ length: closed }, (_, i) => steps(i * each + 1, (i + 1) * each));
  return [...made, steps(closed * each + 1, closed * each + 10)];
}

/** When `buildLog` says that a record was written. */
const timeOf = (seq: number): number => 1_767_225_600_000 + seq * 7;

const auditOf = (n: number) =>
  ({ kind: "event", system_id: "local", actor_address: "local://a", event_type: "Noted", payload: n }) as const;

async function bytesRead({ disk }: World, work: (backend: Backend) => Promise<unknown>): Promise<number> {
  const counted = counting(disk.env, "events");
  await work(fileBackend({ path: "/s" }, counted.env));
  return counted.bytes;
}

/** Each gets the store and how many records a closed segment of it has. */
const WORK: Readonly<Record<string, (backend: Backend, each: number) => Promise<unknown>>> = {
  opening: async (backend) => (await openStore(backend)).close(),
  "the start-up check that trusts seals": (backend) => startupCheck(backend, { trustSeals: true }),
  "inspect, the last ten": (backend) => inspect(backend, { kind: "event", limit: 10 }),
  "inspect, since the active segment began": (backend, each) =>
    inspect(backend, { kind: "event", limit: 100, sinceMs: timeOf(6 * each + 1) }),
  "inspect, until the oldest segment was sealed": (backend, each) =>
    inspect(backend, { kind: "event", limit: 10, untilMs: timeOf(each) }),
};

describe("what is read", () => {
  /** The identity line, and the part of the end in which the seal is. */
  const SEGMENT_MAX = 200 + 4096;

  test.each(Object.entries(WORK))("%s: does not depend on what closed segments hold", async (_, work) => {
    const small = await bytesRead(await storeOf(history(6, 1500)), (backend) => work(backend, 1500));
    const large = await bytesRead(await storeOf(history(6, 3000)), (backend) => work(backend, 3000));
    expect(large).toBeLessThan(small + 1000);
    expect(small).toBeGreaterThan(0);
  });

  test("opening: a bounded amount for each closed segment", async () => {
    const few = await bytesRead(await storeOf(history(3, 100)), (backend) => WORK.opening!(backend, 100));
    const many = await bytesRead(await storeOf(history(40, 100)), (backend) => WORK.opening!(backend, 100));
    expect(many - few).toBeLessThanOrEqual(37 * SEGMENT_MAX + 200);
  });

  test("whoever sets nothing has segments of 64 MiB at most, so that the active one is no longer either", async () => {
    const backend = memoryStore();
    const store = await openStore(backend);
    const payload = "x".repeat(3 << 20);
    for (let i = 0; i < 23; i++) await store.append("audits", [{ ...auditOf(i), payload }]);
    await store.close();
    const { segments } = await backend.view();
    const sizes = segments.filter(({ log }) => log === "audits").map(({ bytes }) => bytes);
    expect(sizes).toHaveLength(2);
    for (const bytes of sizes) expect(bytes).toBeLessThan((64 << 20) + 1000); // and the seal
    expect((await scan(backend)).ok).toBe(true);
  });

  test("the scan and the start-up check read everything, unless they are told otherwise", async () => {
    const world = await storeOf(history(3, 500));
    const all = world.names.reduce((sum, name) => sum + world.disk.content(`/s/${name}`).length, 0);
    expect(await bytesRead(world, (backend) => scan(backend))).toBeGreaterThanOrEqual(all);
    expect(await bytesRead(world, (backend) => startupCheck(backend))).toBeGreaterThanOrEqual(all);
  });

  test("inspect makes no more calls at the newest records of a hundred segments than at those of two hundred", async () => {
    const counts: number[] = [];
    for (const closed of [100, 200]) {
      const { disk, backend } = await storeOf(history(closed, 2));
      const before = disk.calls;
      const { records } = await inspect(backend, { kind: "event", limit: 5 });
      expect(records.map(({ record }) => record.seq)).toEqual([6, 7, 8, 9, 10].map((seq) => 2 * closed + seq));
      counts.push(disk.calls - before);
    }
    expect(counts[1]).toBe(counts[0]);
    expect(counts[0]).toBeLessThan(80);
  });

  test("inspect goes on to the oldest of many segments where the newest are not enough", async () => {
    const { disk, backend } = await storeOf(history(100, 2));
    const inspected = async (options: Omit<Parameters<typeof inspect>[1], "kind">): Promise<unknown[]> =>
      (await inspect(backend, { kind: "event", ...options })).records.map(({ record }) => record.seq);
    for (const identity of ["recorded", "rebuilt from the segments"]) {
      expect([identity, await inspected({ limit: 1000 })]).toEqual([identity, steps(1, 210).map(({ seq }) => seq)]);
      expect(await inspected({ limit: 210 })).toHaveLength(210);
      expect(await inspected({ limit: 2, untilMs: timeOf(30) })).toEqual([29, 30]);
      expect(await inspected({ limit: 9, sinceMs: timeOf(150), untilMs: timeOf(152) })).toEqual([150, 151, 152]);
      expect(await inspected({ limit: 9, actor: "ä/7" })).toEqual([7]);
      expect(await inspected({ limit: 9, sinceMs: timeOf(208) })).toEqual([208, 209, 210]);
      if (identity === "recorded") await disk.env.fs.remove("/s/papyra.json");
    }
  });

  test("what inspect passes over by its seal is what would not have matched", async () => {
    const { backend } = await storeOf(history(4, 20));
    for (const seq of [1, 19, 20, 21, 40, 41, 80, 81, 90]) {
      const { records } = await inspect(backend, { kind: "event", limit: 3, untilMs: timeOf(seq) });
      expect(records.at(-1)?.record.seq).toBe(seq);
    }
  });
});

async function bothWays(backend: Backend): Promise<{ read: CheckedLog; trusted: CheckedLog }> {
  const view = await backend.view();
  const check = (trustSeals: boolean): Promise<CheckedLog> =>
    checkLog(backend, view, "events", { live: false, findingsMax: 100, trustSeals });
  return { read: await check(false), trusted: await check(true) };
}

describe("who takes the word of the seals", () => {
  const SEGMENTS = [steps(1, 3), steps(4, 6), steps(7, 8), steps(9, 9)];
  const flip = (files: Buffer[], file: number, at: number): Buffer[] => {
    files[file]![at]! ^= 1;
    return files;
  };

  test("comes to the same account of a healthy log", async () => {
    const { backend } = await storeOf(SEGMENTS);
    const { read, trusted } = await bothWays(backend);
    expect(trusted).toEqual({ ...read, first: expect.objectContaining({ seq: 1 }) as unknown });
    expect(trusted.first?.timestamp).toBe(read.first?.timestamp);
  });

  test("goes on at the same seq and time when the active segment is empty", async () => {
    const { backend } = await storeOf([...SEGMENTS.slice(0, 3), []]);
    const { read, trusted } = await bothWays(backend);
    expect(trusted.last).toEqual({ seq: 8, timestamp: read.last?.timestamp });
    expect(trusted.account).toEqual(read.account);
    expect(trusted.tail).toEqual(read.tail);
  });

  test.each([1, 2])(
    "finds where to go on, whatever byte of segment %i is flipped; a seal that is wrong is not believed",
    async (file) => {
      const whole = await storeOf(SEGMENTS);
      const bytes = whole.disk.content(`/s/${whole.names[file]}`);
      const seal = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1;
      const body = bytes.indexOf(0x0a) + 1;
      for (let at = 0; at < bytes.length; at++) {
        const { backend, disk, names } = whole;
        const flipped = Buffer.from(bytes);
        flipped[at]! ^= 1;
        await replaceDurably(disk.env.fs, disk.env.random, `/s/${names[file]}`, (append) => append(flipped));
        const { read, trusted } = await bothWays(backend);
        const end = ({ account, last, tail }: CheckedLog): unknown => [
          account.lastSeq,
          account.nextSeq,
          last?.seq,
          tail,
        ];
        expect([at, end(trusted)]).toEqual([at, end(read)]);
        if (at < body || at >= seal - 1) expect([at, trusted.account]).toEqual([at, read.account]);
        else expect(trusted.account.findings).toEqual([]);
      }
    },
    60_000,
  );

  test("a segment that is gone, cut or swapped is found without reading the others", async () => {
    for (const damage of [
      (files: Buffer[]) => files.with(1, files[1]!.subarray(0, -1)),
      (files: Buffer[]) => files.with(1, files[1]!.subarray(0, files[1]!.lastIndexOf(0x0a, -2) + 1)),
      (files: Buffer[]) => files.with(1, Buffer.concat([files[1]!.subarray(0, 200), files[1]!.subarray(201)])),
      (files: Buffer[]) => files.with(1, files[2]!),
      (files: Buffer[]) => files.with(2, files[1]!),
      (files: Buffer[]) => files.with(1, Buffer.concat([files[1]!, Buffer.alloc(100)])),
    ]) {
      const { backend } = await storeOf(SEGMENTS, damage);
      const { read, trusted } = await bothWays(backend);
      expect(read.account.findings).not.toEqual([]);
      expect(trusted.account).toEqual(read.account);
    }
    const { disk, backend, names } = await storeOf(SEGMENTS);
    await disk.env.fs.remove(`/s/${names[1]}`);
    const { read, trusted } = await bothWays(backend);
    expect(read.account.missingSeqs).toEqual([{ from: 4, to: 6 }]);
    expect(trusted.account).toEqual(read.account);
  });

  test("believes a gap record that stands in a segment it did not read", async () => {
    const { backend } = await storeOf([
      steps(1, 3),
      [{ seq: 7, gap: [4, 6] }, { seq: 8 }],
      steps(9, 10),
      steps(11, 11),
    ]);
    const { read, trusted } = await bothWays(backend);
    expect(read.account).toMatchObject({ missing: 0, quarantined: 3 });
    expect(trusted.account).toEqual(read.account);
  });

  test("reads a segment that lacks seqs in its middle", async () => {
    const { backend } = await storeOf([steps(1, 3), [{ seq: 4 }, { seq: 7, gap: [5, 6] }], steps(8, 9), steps(10, 10)]);
    const { read, trusted } = await bothWays(backend);
    expect(read.account).toMatchObject({ present: 8, quarantined: 2 });
    expect(trusted.account).toEqual(read.account);
  });

  test("does not believe a seal that does not follow the one before", async () => {
    const lie = "0".repeat(64);
    for (const previous of [lie, null]) {
      const world = await storeOf(SEGMENTS, undefined, (seal, i) => (i === 1 ? { ...seal, previous } : seal));
      const { read, trusted } = await bothWays(world.backend);
      expect(read.account.findings).toHaveLength(1);
      expect(trusted.account).toEqual(read.account);
    }
  });

  test("does not see what befell a line after it was sealed; who reads it does, and so does every scan", async () => {
    const { backend } = await storeOf(SEGMENTS, (files) => flip(files, 1, files[1]!.indexOf('{"seq":5,') + 40));
    expect(await startupCheck(backend)).toMatchObject({ ok: false });
    const trusting = await startupCheck(backend, { trustSeals: true });
    expect(trusting.ok).toBe(true);
    expect(trusting.verdict).toContain("sealed segments were taken at their word");
    expect(await scan(backend)).toMatchObject({ anomalyCount: 1 });
    const store = await openStore(backend);
    const reading = store.read("events", { from: 5 })[Symbol.asyncIterator]();
    await expect(reading.next()).rejects.toMatchObject({ code: "LOG_DAMAGED" });
    await store.close();
  });

  test("a system starts by the word of the seals only when it is told to", async () => {
    const { backend } = await storeOf(SEGMENTS, (files) => flip(files, 1, files[1]!.indexOf('{"seq":5,') + 40));
    await expect(new ActorSystem({ store: backend }).start()).rejects.toMatchObject({ code: "STARTUP_REFUSED" });
    const system = new ActorSystem({ store: backend, trustSeals: true });
    await system.start();
    expect(system.startupReport?.ok).toBe(true);
    await system.stop();
    expect(() => new ActorSystem({ store: backend, trustSeals: "yes" as unknown as boolean })).toThrow("trustSeals");
  });
});
