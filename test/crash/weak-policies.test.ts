// A power cut under a policy that does not wait for the disk may take acknowledged records along. That is its price; but no
// report may say that nothing is lost where the mark knows that more had been acknowledged than is there.
import { describe, expect, test } from "vitest";
import type { FileStoreOptions } from "../../src/backends/file-options.ts";
import { openStore } from "../../src/backends/open.ts";
import { createBackup } from "../../src/backup/create.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import type { Store } from "../../src/backends/store.ts";
import { MARK_LAGS } from "../../src/log/anomaly.ts";
import { decodeMark } from "../../src/log/mark.ts";
import type { GapRecord, NewRecord } from "../../src/log/record.ts";
import { account } from "../../src/ops/account.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { startupCheck } from "../../src/ops/startup.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { impatient } from "../sim-env.ts";
import { backendOn, newLedger, PATH, put } from "./scenario.ts";

const OPTIONS = { durability: "os", mark: "exact" } as const;
const NOT_VOUCHED = "nothing outside the logs vouches for their ends";

const NOTED: NewRecord = {
  kind: "event",
  system_id: "sim",
  actor_address: "sim://a",
  event_type: "Noted",
  payload: {},
};

/** Five acknowledged events, of which three are on the disk. */
async function five(options: Partial<FileStoreOptions> = OPTIONS) {
  const disk = new SimDisk();
  const first = await openStore(backendOn(disk, options));
  for (let n = 1; n <= 3; n++) await put(first, newLedger(), "events", 1);
  await first.close();
  const store = await openStore(backendOn(disk, options));
  for (let n = 4; n <= 5; n++) await put(store, newLedger(), "events", 1);
  return { disk, store };
}

/** The power takes what is behind `left`. */
async function cutDisk(
  left: (bytes: Buffer) => number,
  options: Partial<FileStoreOptions> = OPTIONS,
): Promise<SimDisk> {
  const survivor = (await five(options)).disk.reboot(1, "keep");
  survivor.corrupt(`${PATH}/events.ndjson`, (bytes) => bytes.subarray(0, left(bytes)));
  return survivor;
}

const atLine =
  (seq: number) =>
  (bytes: Buffer): number =>
    bytes.indexOf(`{"seq":${seq},`);

async function gapsOf(store: Store): Promise<GapRecord[]> {
  const gaps: GapRecord[] = [];
  for await (const record of store.read("events")) if (record.kind === "gap") gaps.push(record);
  return gaps;
}

test("cut clean behind what was durable: what was acknowledged and is gone is named, and is no reason not to start", async () => {
  const found = await scan(backendOn(await cutDisk(atLine(4)), OPTIONS));
  expect(found).toMatchObject({ ok: false, startable: true });
  expect(found.logs[0]).toMatchObject({ log: "events", records: 3, lastSeq: 5, missing: 2, endVouched: false });
  expect(found.anomalies).toMatchObject([
    { kind: "truncated", acknowledged: "lost", lostSeqs: { from: 4, to: 5 }, allowed: true, length: 0 },
  ]);
  expect(found.verdict).toContain("a power cut took acknowledged records, as the store's durability policy allows");
  expect(found.verdict).toContain("events seq 4-5");
  expect(found.verdict).toContain(NOT_VOUCHED);
});

test.each(["lagging", "exact"] as const)(
  "mark %s: what a power cut took is accounted for by opening, and its seqs never come again",
  async (mark) => {
    const options = { ...OPTIONS, mark };
    const disk = await cutDisk(atLine(4), options);
    expect(await startupCheck(backendOn(disk, options))).toMatchObject({ ok: true });
    const store = await openStore(backendOn(disk, options));
    expect(await store.append("events", [NOTED])).toMatchObject({ firstSeq: 7 });
    expect(await gapsOf(store)).toMatchObject([
      { seq: 6, from: 4, to: 5, reason: "lost", by: expect.stringMatching(/^opening: .* policy/) },
    ]);
    await store.close();
    const sum = (await account(backendOn(disk, options), { log: "events" })).logs[0];
    expect(sum).toMatchObject({ lastSeq: 7, present: 5, lost: 2, missing: 0, endVouched: true });
    expect(sum?.absent).toMatchObject([{ from: 4, to: 5, reason: "lost" }]);
    expect(await scan(backendOn(disk, options))).toMatchObject({ ok: true });
  },
);

test("recovery accounts for them as well, and opening has nothing to add", async () => {
  const disk = await cutDisk(atLine(4));
  const report = await recover(backendOn(disk, OPTIONS), { mode: "repair" });
  expect(report.gaps).toEqual([{ log: "events", from: 4, to: 5, reason: "lost" }]);
  expect(report).toMatchObject({ ok: true, after: { ok: true } });
  expect(await recover(backendOn(disk, OPTIONS), { mode: "repair" })).toMatchObject({ changed: false });
  const store = await openStore(backendOn(disk, OPTIONS));
  expect(await gapsOf(store)).toHaveLength(1);
});

test("of what is lost, only what was not durable is allowed to be: the rest is a reason not to start", async () => {
  const disk = await cutDisk(atLine(3)); // the third was flushed
  const found = await scan(backendOn(disk, OPTIONS));
  expect(found).toMatchObject({
    startable: false,
    anomalies: [{ acknowledged: "lost", lostSeqs: { from: 3, to: 5 } }],
  });
  expect(found.verdict).toContain("acknowledged records are damaged or missing: events seq 3-5");
  expect(await startupCheck(backendOn(disk, OPTIONS))).toMatchObject({ ok: false });
});

test("in front of a torn line, too, they are named, and somebody has to look at what is left", async () => {
  const disk = await cutDisk((bytes) => bytes.indexOf('{"seq":4,') + 20);
  const found = await scan(backendOn(disk, OPTIONS));
  expect(found).toMatchObject({ startable: false, anomalies: [{ kind: "truncated", lostSeqs: { from: 4, to: 5 } }] });
  const store = await openStore(backendOn(disk, OPTIONS)); // who opens it all the same
  expect(await store.append("events", [NOTED])).toMatchObject({ firstSeq: 7 });
  expect(await gapsOf(store)).toMatchObject([{ from: 4, to: 5, reason: "lost" }]);
});

test.each(["drop", "keep"] as const)(
  "the opening that accounts for them is cut at each call (%s): never twice, never otherwise",
  async (survive) => {
    let cuts = 0;
    const first = await cutDisk(atLine(4));
    const survivors: SimDisk[] = [];
    first.pause = ({ operation }) => {
      if (["write", "sync", "rename", "syncDir"].includes(operation))
        survivors.push(first.afterReboot(1, survive), first.afterKill());
    };
    await openStore(backendOn(first, OPTIONS));
    first.pause = undefined;
    for (const disk of survivors) {
      cuts += 1;
      const store = await openStore(backendOn(disk, OPTIONS));
      const { firstSeq } = await store.append("events", [NOTED]);
      expect(firstSeq).toBeGreaterThan(6);
      const told = (await gapsOf(store)).map(({ from, to }) => [from, to]);
      expect(new Set(told.map(String))).toEqual(new Set(["4,5"]));
      await store.close();
      expect((await account(backendOn(disk, OPTIONS), { log: "events" })).logs[0]).toMatchObject({
        lost: 2,
        missing: 0,
      });
    }
    expect(cuts).toBeGreaterThan(10);
  },
);

test("a backup that is made before it is opened says what is missing, also one that only adds to the one before", async () => {
  const { disk, store } = await five();
  const objects = (at: SimDisk) => directoryObjects(impatient(at), "/data/backups");
  const before = await createBackup(
    backendOn(disk, OPTIONS),
    objects(disk),
    {},
    { instant: () => Promise.resolve({ events: 3 }) },
  );
  expect(before.backup).toMatchObject({ verdict: "good", logs: { events: { last_seq: 3 } } });
  expect(store.lastSeq("events")).toBe(5);
  const survivor = disk.reboot(1, "keep");
  survivor.corrupt(`${PATH}/events.ndjson`, (bytes) => bytes.subarray(0, atLine(4)(bytes)));
  const { backup } = await createBackup(backendOn(survivor, OPTIONS), objects(survivor));
  expect(backup).toMatchObject({ verdict: "damaged", anomalies: [expect.stringContaining("seq 4 to 5")] });
});

test("a killed process has lost nothing, and neither has one that closed before the power went", async () => {
  for (const survivor of [
    (disk: SimDisk) => disk.kill(),
    async (disk: SimDisk, store: Store) => {
      await store.close();
      return disk.reboot(1, "drop");
    },
  ]) {
    const { disk, store } = await five();
    const again = await openStore(backendOn(await survivor(disk, store), OPTIONS));
    expect(await gapsOf(again)).toEqual([]);
    expect(await again.append("events", [NOTED])).toMatchObject({ firstSeq: 6 });
  }
});

describe("a lagging mark that names no more than is there", () => {
  const LAGGING = { mark: "lagging" } as const;
  /** Three records that were flushed, two more; of the latter neither the lines nor the marks reach the disk. */
  async function cutBehindTheMark(durability: "fsync" | "interval" | "os") {
    const { disk } = await five({ ...LAGGING, durability });
    const survivor = disk.reboot(1, "drop");
    const mark = decodeMark(survivor.content(`${PATH}/papyra.mark`));
    return { found: await scan(backendOn(survivor, { ...LAGGING, durability })), mark };
  }

  test.each(["os", "interval"] as const)(
    "vouches for no end under `%s`: more may have been acknowledged",
    async (durability) => {
      const { found, mark } = await cutBehindTheMark(durability);
      expect(mark?.logs.events).toMatchObject({ written: 3, durable: 3 });
      expect(found).toMatchObject({ ok: true, startable: true });
      expect(found.logs[0]).toMatchObject({ lastSeq: 3, endVouched: false, endWhy: MARK_LAGS });
      expect(found.verdict).toContain(`${NOT_VOUCHED} (the mark lags: the machine went down`);
    },
  );

  test.each(["os", "interval", "fsync"] as const)(
    "vouches for it under `%s` when the close was clean",
    async (durability) => {
      const { disk, store } = await five({ ...LAGGING, durability });
      await store.close();
      const found = await scan(backendOn(disk.reboot(1, "drop"), { ...LAGGING, durability }));
      expect(found).toMatchObject({ ok: true });
      expect(found.logs.map(({ endVouched, endWhy }) => [endVouched, endWhy])).toEqual(
        found.logs.map(() => [true, undefined]),
      );
      expect(found.verdict).toMatch(/accounted for$/);
    },
  );

  test("a close that failed is not clean", async () => {
    const options = { ...LAGGING, durability: "os" } as const;
    const { disk, store } = await five(options);
    disk.failAt(1, "EIO", { operations: ["sync"], sticky: true });
    await expect(store.close()).rejects.toThrow();
    const found = await scan(backendOn(disk.reboot(1, "drop"), options));
    expect(found.logs[0]?.endVouched).toBe(false);
  });

  test("nor is what the next writer acknowledges covered by the clean close of the one before", async () => {
    const options = { ...LAGGING, durability: "os" } as const;
    const { disk, store } = await five(options);
    await store.close();
    await put(await openStore(backendOn(disk, options)), newLedger(), "events", 2);
    const found = await scan(backendOn(disk.reboot(1, "drop"), options));
    expect(found.logs[0]).toMatchObject({ lastSeq: 5, endVouched: false });
  });
});

test("the third is whole and its line break torn behind it: nobody says that nothing is lost", async () => {
  const found = await scan(backendOn(await cutDisk((bytes) => bytes.indexOf('\n{"seq":4,')), OPTIONS));
  expect(found.anomalies).toMatchObject([
    { kind: "torn-tail", seqs: { from: 3, to: 3 }, acknowledged: "none" },
    { kind: "truncated", lostSeqs: { from: 4, to: 5 }, acknowledged: "lost", allowed: true },
  ]);
  expect(found.verdict).toContain(`policy allows: events seq 4-5; ${NOT_VOUCHED}`);
});

test("the same, torn behind it, where no mark names what followed: it is not known whether anything is lost", async () => {
  const options = { durability: "os", mark: "lagging" } as const;
  const survivor = (await five(options)).disk.reboot(1, "drop");
  survivor.corrupt(`${PATH}/events.ndjson`, (bytes) => bytes.subarray(0, -1));
  const found = await scan(backendOn(survivor, options));
  expect(found.anomalies).toMatchObject([{ kind: "torn-tail", seqs: { from: 3, to: 3 }, acknowledged: "none" }]);
  expect(found.verdict).toContain(`no acknowledged record is known to be lost; ${NOT_VOUCHED}`);
});

test("a store that was closed says that nothing is lost", async () => {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk, OPTIONS));
  await put(store, newLedger(), "events", 3);
  await store.close();
  disk.put(`${PATH}/a-stray-file`, "x");
  const found = await scan(backendOn(disk.reboot(1, "drop"), OPTIONS));
  expect(found.logs.every(({ endVouched }) => endVouched)).toBe(true);
  expect(found.verdict).toMatch(/no acknowledged record is lost$/);
});
