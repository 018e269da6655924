// Stores that were restored, twice, and live on: what is lost, damaged, foreign, compacted or cached in them.
import { afterEach, expect, test } from "vitest";
import type { LogName } from "../../src/log/record.ts";
import { cutLog } from "../../src/backup/instant.ts";
import { compact } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { revert } from "../../src/ops/revert.ts";
import { scan } from "../../src/ops/scan.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import { type Disk, Lineages, real, simulated, type Told } from "./lineages-world.ts";

const disks: Disk[] = [];
afterEach(() => {
  for (const disk of disks.splice(0)) disk.end();
});
function on(make: () => Disk): Lineages {
  const disk = make();
  disks.push(disk);
  return new Lineages(disk);
}

/** Three lineages on a simulated disk are made once; each test gets the disk as it was then. */
let made: Promise<{ readonly disk: SimDisk; readonly told: Told }> | undefined;
async function three(): Promise<Lineages> {
  made ??= (async () => {
    const disk = simulated();
    const { told } = await new Lineages(disk).three();
    return { disk: disk.disk, told };
  })();
  const { disk, told } = await made;
  return Object.assign(
    on(() => simulated(disk.afterKill())),
    { told },
  );
}
const PLACES: readonly [string, () => Promise<Lineages>][] = [
  ["a simulated disk", three],
  ["a real disk", () => on(real).three()],
];
const ALL = { retention: { journal: { maxRecords: 0 } } };
const LOGS: readonly LogName[] = ["events", "journal", "snapshots"];

/** Every segment with its first line and its numbered lines. */
function stored(lives: Lineages, name: string): unknown[] {
  return LOGS.flatMap((log) =>
    lives.segments(name, log).map((file) => [file, lives.identity(name, file), lives.lines(name, file)]),
  );
}

test.each(PLACES)("papyra.json is lost on %s: who the store is comes back from its segments", async (_, make) => {
  const lives = await make();
  const before = (await lives.at("third").view()).identity;
  expect(before?.ancestors?.map(({ until }) => until.journal)).toEqual([30, 48]);
  const lines = stored(lives, "third");
  lives.disk.drop(lives.path("third", "papyra.json"));
  expect((await lives.at("third").view()).identity).toEqual({ ...before, createdMs: 0 });
  expect(stored(lives, "third")).toEqual(lines);
  await lives.assertWhole("third");
  await lives.work("third", 5);
  await lives.assertWhole("third");
  expect((await lives.at("third").view()).identity?.ancestors).toEqual(before?.ancestors);
});

test("papyra.json is lost where compaction has left nothing of the lineage in between", async () => {
  const lives = on(() => simulated());
  await lives.work("first", 12, 0);
  await lives.goOn("first", "second");
  await lives.work("second", 0, 20);
  await lives.goOn("second", "third");
  await lives.work("third", 0, 20);
  await compact(lives.at("third"), { retention: { events: { maxRecords: 0 } } });
  await compact(lives.at("third"), { retention: { events: { maxRecords: 0 } } });
  const [, between] = (await lives.at("third").view()).identity?.ancestors ?? [];
  const left = LOGS.flatMap((log) => lives.segments("third", log).map((file) => lives.identity("third", file).lineage));
  expect(left).not.toContain(between?.lineage);
  lives.disk.drop(lives.path("third", "papyra.json"));
  await lives.assertWhole("third");
  await lives.work("third", 5);
  await lives.assertWhole("third");
});

/** The segment of the second lineage in which the third left it, and its last seq there. */
const LEFT = "journal.00000000000000000045.ndjson";

/** All lines of a log by their seqs, of a store in which none stands twice. */
function linesOf(lives: Lineages, name: string, log: LogName, but: string = ""): string[] {
  const files = lives.segments(name, log).filter((file) => file !== but);
  return files.flatMap((file) => lives.lines(name, file)).sort();
}

test.each([
  ["beside the store's own", LEFT.replace("45", "46")],
  ["over the store's own", LEFT],
])("a segment of a lineage that was left is put back %s: its lines go, and are kept", async (_, file) => {
  const lives = await three();
  const own = linesOf(lives, "third", "journal");
  const stray = lives.disk.read(lives.path("second", LEFT));
  lives.disk.write(lives.path("third", file), stray);
  const { anomalies } = await scan(lives.at("third"));
  expect(anomalies).toContainEqual(expect.objectContaining({ kind: "foreign-line", file, acknowledged: "none" }));
  expect(anomalies.filter(({ kind, file: of }) => kind === "duplicate" && of !== file)).toEqual([]);
  const trusting = await scan(lives.at("third"), { trustSeals: true });
  expect(trusting.anomalies).toContainEqual(expect.objectContaining({ kind: "foreign-line", file }));
  const recovered = await recover(lives.at("third"), { mode: "quarantine" });
  expect(recovered).toMatchObject({ ok: true, gaps: [] });
  expect(linesOf(lives, "third", "journal")).toEqual(own);
  const kept = lives.disk.read(`${recovered.quarantine}/${file}.bytes`).toString();
  const foreign = lives.lines("second", LEFT).filter((line) => !own.includes(line));
  expect(foreign).toHaveLength(10);
  for (const line of foreign) expect(kept).toContain(line);
  await lives.assertWhole("third");
  await lives.work("third", 5);
  await lives.assertWhole("third");
});

test("where it is a whole file, recovery leaves it alone, and says whose it is", async () => {
  const lives = await three();
  await lives.assertWhole("third");
  const active = lives.path("third", "journal.ndjson");
  const own = lives.disk.read(active);
  const others = linesOf(lives, "third", "journal", "journal.ndjson");
  const stray = lives.disk.read(lives.path("second", "journal.ndjson"));
  lives.disk.write(active, stray);
  const { before, ok } = await recover(lives.at("third"), { mode: "quarantine" });
  const { lineage } = lives.identity("second", "journal.ndjson");
  expect(before.anomalies[0]).toMatchObject({
    kind: "foreign-line",
    detail: expect.stringContaining(lineage) as string,
  });
  expect(ok).toBe(false);
  expect(lives.disk.read(active).equals(stray)).toBe(true);
  expect(linesOf(lives, "third", "journal", "journal.ndjson")).toEqual(others);
  lives.disk.write(active, own);
  await lives.assertWhole("third");
});

test("one that was compacted since, and by its name is superseded, is neither read nor removed", async () => {
  const lives = await three();
  await lives.work("third", 30, 0);
  await compact(lives.at("third"), ALL);
  expect(lives.segments("third", "journal")).not.toContain(LEFT);
  const own = linesOf(lives, "third", "journal");
  const stray = lives.disk.read(lives.path("second", LEFT));
  lives.disk.write(lives.path("third", LEFT), stray);
  expect(await scan(lives.at("third"))).toMatchObject({
    anomalies: [{ kind: "unexpected-file", file: LEFT, leftover: "superseded" }],
  });
  await recover(lives.at("third"), { mode: "quarantine" });
  await expect(compact(lives.at("third"), ALL)).rejects.toThrow(LEFT);
  expect(lives.disk.read(lives.path("third", LEFT)).equals(stray)).toBe(true);
  expect(linesOf(lives, "third", "journal", LEFT)).toEqual(own);
  lives.disk.drop(lives.path("third", LEFT));
  await lives.assertWhole("third");
});

test("compaction never joins lineages: what stays is healthy and gives the same states", async () => {
  const lives = await three();
  const { identity } = await lives.at("third").view();
  const ends = identity?.ancestors?.map(({ until }) => until) ?? [];
  const lineages = [...(identity?.ancestors ?? []), { lineage: identity?.lineage }].map(({ lineage }) => lineage);
  for (const maxRecords of [40, 20, 0]) {
    await compact(lives.at("third"), { retention: { journal: { maxRecords }, events: { maxRecords } } });
    for (const log of LOGS) {
      for (const file of lives.segments("third", log)) {
        const seqs = lives.lines("third", file).map((line) => (JSON.parse(line) as { seq: number }).seq);
        const of = new Set(seqs.map((seq) => ends.findIndex((until) => seq <= until[log])));
        expect(of.size, file).toBeLessThanOrEqual(1);
        for (const at of of) expect(lives.identity("third", file).lineage).toBe(lineages.at(at));
      }
    }
    await lives.assertWhole("third");
    await lives.work("third", 4);
  }
  await lives.assertWhole("third");
});

const often = (id: string): string[] => Array.from({ length: 14 }, () => id);

test("a segment that compaction has emptied is not restored to a point before it", async () => {
  const lives = on(() => simulated());
  await lives.tell("first", ["rare"]);
  await lives.goOn("first", "second");
  await lives.tell("second", often("a"));
  await lives.goOn("second", "third");
  await lives.tell("third", often("a"));
  await compact(lives.at("third"), ALL);
  await lives.tell("third", often("rare"));
  await compact(lives.at("third"), ALL);
  const view = await lives.at("third").view();
  const [empty] = view.segments.filter(({ log }) => log === "journal");
  expect(empty?.firstSeq).toBe(2);
  expect(lives.lines("third", empty?.name as string)).toEqual([]);
  expect(await cutLog(lives.at("third"), view, "journal", 1)).toMatchObject({ whole: [], cut: undefined, next: empty });
  expect((await cutLog(lives.at("third"), view, "journal", 30)).whole[0]).toEqual(empty);
  await lives.goOn("third", "fourth");
  await lives.assertWhole("fourth");
});

test("where compaction has taken events out, a time before them is out of range, and not a store without them", async () => {
  const lives = on(() => simulated());
  await lives.tell("first", ["a"], 1);
  const timeMs = lives.disk.env.clock.nowMs();
  await lives.tell("first", [...often("a"), ...often("a")]);
  await compact(lives.at("first"), ALL);
  const gone = { code: "RESTORE_OUT_OF_RANGE", message: expect.stringContaining("journal seq 1 to ") as string };
  await expect(lives.goOn("first", "second", { timeMs })).rejects.toMatchObject(gone);
  await expect(lives.goOn("first", "third", { log: "events", seq: 1 })).rejects.toMatchObject(gone);
  await lives.goOn("first", "fourth");
  await lives.assertWhole("fourth");
});

test("a restore to a record of the journal leaves out snapshots that have seen more", async () => {
  const lives = on(() => simulated()); // on which no time passes
  await lives.tell("first", often("a"));
  await lives.goOn("first", "second", { log: "journal", seq: 13 });
  const seen = lives.lines("second", lives.segments("second", "snapshots")[0] as string);
  expect(seen.map((line) => (JSON.parse(line) as { journal_seq: number }).journal_seq)).toEqual([7]);
  await lives.tell("second", ["b", "a", "a"]);
  await lives.assertWhole("second");
});

test.each(PLACES)("a segment of an older lineage on %s is mended under its own identity", async (_, make) => {
  const lives = await make();
  const [older = "", , between = ""] = lives.segments("third", "events");
  for (const file of [older, between]) {
    const at = lives.path("third", file);
    const damaged = Buffer.from(lives.disk.read(at));
    damaged[damaged.indexOf('"payload"', damaged.length >> 1) + 3]! ^= 1;
    const { lineage } = lives.identity("third", file);
    lives.disk.write(at, damaged);
    const report = await recover(lives.at("third"), { mode: "quarantine" });
    await revert(lives.at("third"), { id: report.id as string });
    expect(lives.disk.read(at).equals(damaged)).toBe(true);
    const again = await recover(lives.at("third"), { mode: "repair" });
    expect(again).toMatchObject({ ok: true, gaps: [{ log: "events", reason: "lost" }], after: { ok: true } });
    expect(again.actions.map(({ what }) => what)).toContain("sealed anew");
    expect(lives.identity("third", file).lineage).toBe(lineage);
    await lives.assertWhole("third");
  }
  const { lineage } = lives.identity("third", "events.ndjson");
  expect([lives.identity("third", older).lineage, lives.identity("third", between).lineage]).not.toContain(lineage);
});

test("with index caches, without them, and with those of another future, states are the same", async () => {
  const lives = await three();
  await lives.assertWhole("third");
  const caches = lives.disk.names(`${lives.disk.root}/third/index`);
  expect(caches.length).toBeGreaterThan(2);
  await lives.assertWhole("third");
  for (const file of caches) lives.disk.drop(lives.path("third", `index/${file}`));
  await lives.assertWhole("third");
  for (const file of lives.disk.names(`${lives.disk.root}/second/index`))
    lives.disk.write(lives.path("third", `index/${file}`), lives.disk.read(lives.path("second", `index/${file}`)));
  await lives.assertWhole("third");
  await lives.work("third", 6);
  await lives.assertWhole("third");
});

test("a snapshot that is ahead of a copied journal is no divergence when the copy goes on", async () => {
  const lives = on(() => simulated());
  await lives.work("first", 19);
  for (const file of lives.disk.names(`${lives.disk.root}/first`))
    lives.disk.write(lives.path("copy", file), lives.disk.read(lives.path("first", file)));
  const { told } = lives;
  await lives.work("first", 3);
  lives.disk.write(lives.path("copy", "snapshots.ndjson"), lives.disk.read(lives.path("first", "snapshots.ndjson")));
  lives.told = told;
  lives.tolerated = ["it is ahead of its journal", "the journal was written anew after it", "tells another history"];
  await lives.work("copy", 11);
  expect(lives.told.slice(0, 22)).not.toEqual(told);
  await lives.assertWhole("copy");
});
