// From facts to a verdict: what is bad, what is worth a note, and what a disk is said to give.
import { describe, expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import type { Clock } from "../src/env/env.ts";
import { scan } from "../src/ops/scan.ts";
import { latencyOf } from "../src/ops/latency.ts";
import { ClockWatch } from "../src/ops/selftest-clock.ts";
import { durabilityOf, volumeFacts } from "../src/ops/selftest-durability.ts";
import { judgeSelftest, type SelftestFacts } from "../src/ops/selftest-report.ts";
import { compareTail, eventOf, tailTruth } from "../src/ops/selftest-store.ts";
import { EXT4, machine } from "./selftest-world.ts";

const syncOf = (ms: number) => latencyOf([ms]);

/** Facts of a disk on which all is well; a test changes what it is about. */
const GOOD: SelftestFacts = {
  volume: volumeFacts(EXT4, 1e12),
  sync: syncOf(2),
  throughput: { writers: 64, records: 100, batches: 2, recordsPerSecond: 5000, ack: syncOf(3) },
  directory: { sync: syncOf(2), failure: undefined, renameReplaces: true },
  writes: { writes: 4, bytes: 100, short: 0, readBack: true, limit: undefined },
  lock: { excludesSameProcess: true, excludesOtherProcess: true, freeAfterKillMs: 1 },
  clock: {
    samples: 9,
    elapsedMs: 60_000,
    wallStepMs: 1,
    monotonicStepMs: 0.001,
    wallBackMs: 0,
    monotonicBackMs: 0,
    driftMs: 1,
  },
  crash: {
    rounds: 9,
    stores: 2,
    acknowledged: 99,
    lost: 0,
    changed: 0,
    tornTails: 1,
    sealedSegments: 3,
    recoveries: 3,
    unsound: [],
  },
  tails: { cuts: 500, wrongCount: 0, wrong: [] },
};
const judged = (part: { [K in keyof SelftestFacts]?: Partial<SelftestFacts[K]> }) => {
  const merged = Object.fromEntries(
    Object.entries(GOOD).map(([key, facts]) => [key, { ...facts, ...part[key as keyof SelftestFacts] }]),
  ) as unknown as SelftestFacts;
  return judgeSelftest("/disk", merged);
};

describe("the verdict", () => {
  test("good facts are good", () => {
    expect(judged({}).ok).toBe(true);
    expect(judged({}).findings.map(({ verdict }) => verdict)).toEqual(Array(6).fill("good"));
  });

  test.each<[name: string, facts: Parameters<typeof judged>[0]]>([
    ["crashes", { crash: { lost: 1 } }],
    ["crashes", { crash: { changed: 1 } }],
    ["crashes", { crash: { unsound: ["seq 3 was acknowledged twice"] } }],
    ["crashes", { crash: { acknowledged: 0 } }],
    ["cut tails", { tails: { wrongCount: 1, wrong: ["cut at byte 7"] } }],
    ["cut tails", { tails: { cuts: 0 } }],
    ["lock", { lock: { excludesSameProcess: false } }],
    ["lock", { lock: { excludesOtherProcess: false } }],
    ["lock", { lock: { freeAfterKillMs: undefined } }],
    ["directory", { directory: { sync: undefined, failure: "EINVAL" } }],
    ["directory", { directory: { renameReplaces: false } }],
    ["writes", { writes: { readBack: false } }],
    ["writes", { writes: { limit: { limitBytes: 2 ** 44, asked: 65_536, taken: 65_536, honest: false } } }],
    ["clock", { clock: { monotonicBackMs: 1 } }],
  ])("bad: %s %j", (name, facts) => {
    const report = judged(facts);
    expect(report.ok).toBe(false);
    expect(report.findings.filter(({ verdict }) => verdict === "bad").map((found) => found.name)).toEqual([name]);
    expect(report.verdict).toContain(name);
  });

  test.each<[name: string, facts: Parameters<typeof judged>[0]]>([
    ["clock", { clock: { wallBackMs: 3_600_000 } }],
    ["clock", { clock: { driftMs: -70 } }],
    ["writes", { writes: { short: 2 } }],
  ])("worth a note: %s %j", (name, facts) => {
    const report = judged(facts);
    expect(report.ok).toBe(true);
    expect(report.findings.filter(({ verdict }) => verdict === "note").map((found) => found.name)).toEqual([name]);
  });

  test("p50 and p99 are those of the nearest rank", () => {
    const samples = Array.from({ length: 200 }, (_, i) => 200 - i);
    expect(latencyOf(samples)).toEqual({ count: 200, p50Ms: 100, p99Ms: 198, maxMs: 200 });
    expect(latencyOf([])).toEqual({ count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 });
  });
});

describe("what the disk gives", () => {
  test.each<[type: number, syncMs: number, survives: string, name: string]>([
    [EXT4, 2, "disk", "ext2/3/4"],
    [EXT4, 0.02, "unproven", "ext2/3/4"],
    [0x01021994, 2, "process", "tmpfs"],
    [0x6969, 2, "server", "nfs"],
    [0xff534d42 | 0, 2, "server", "cifs"], // a signed number
    [0x1234, 2, "disk", "unknown (0x1234)"],
  ])("%d, %d ms: %s", (type, ms, survives, name) => {
    const volume = volumeFacts(type, 1);
    expect(volume.name).toBe(name);
    expect(durabilityOf(volume, syncOf(ms)).survives).toBe(survives);
  });

  test("a median speaks, not the slowest: one slow sync does not make a fast one honest", () => {
    expect(durabilityOf(volumeFacts(EXT4, 1), latencyOf([0.01, 0.01, 30])).survives).toBe("unproven");
    expect(durabilityOf(volumeFacts(EXT4, 1), latencyOf([0.01, 0.01, 30])).text[0]).toContain("0.010 ms");
  });
});

test("clocks that go back, and how far; the smallest steps; the drift", () => {
  const wall = [1000, 1010, 1011, 400, 500, 500];
  const monotonic = [0, 1, 2, 1.5, 10, 10.5];
  let [w, m] = [0, 0];
  const clock: Clock = {
    nowMs: () => wall[w++] as number,
    monotonicMs: () => monotonic[m++] as number,
    after: () => () => undefined,
  };
  const watch = new ClockWatch(clock);
  for (let i = 0; i < 4; i++) watch.sample();
  expect(watch.facts()).toEqual({
    samples: 6,
    elapsedMs: 10.5,
    wallStepMs: 1,
    monotonicStepMs: 0.5,
    wallBackMs: 611,
    monotonicBackMs: 0.5,
    driftMs: -510.5,
  });
});

test("the truth about cut tails, and a scan that differs from it", async () => {
  const ends = [100, 200, 300];
  expect(tailTruth(ends, 300, true)).toEqual({ records: 3, ok: true, lost: 0 });
  expect(tailTruth(ends, 299, true)).toEqual({ records: 3, ok: false, lost: 0 });
  expect(tailTruth(ends, 298, true)).toEqual({ records: 2, ok: false, lost: 1 });
  expect(tailTruth(ends, 200, true)).toEqual({ records: 2, ok: false, lost: 1 });
  expect(tailTruth(ends, 200, false)).toEqual({ records: 2, ok: true, lost: 0 });
  expect(tailTruth(ends, 150, false)).toEqual({ records: 1, ok: false, lost: 0 });
  const { env } = await machine();
  const backend = fileBackend({ path: "/disk/store" }, env);
  const store = await openStore(backend);
  await store.append("events", [eventOf(1)]);
  await store.close();
  const report = await scan(backend);
  const truth = { records: 1, ok: true, lost: 0 };
  expect(compareTail(report, truth)).toBeUndefined();
  for (const wrong of [{ records: 2 }, { ok: false }, { lost: 1 }])
    expect(compareTail(report, { ...truth, ...wrong })).toContain("must say");
});
