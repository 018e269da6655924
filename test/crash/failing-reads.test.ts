// One call that reads fails, once, while a store is opened and while it is recovered: each of them in turn. The failure says
// what it is, no log is different for it, nobody is kept out afterwards, and the next attempt goes through.
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ActorSystem } from "../../src/actors/system.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import { recover, type RecoverReport } from "../../src/ops/recover.ts";
import { applyRecover, planRecover } from "../../src/ops/recover-plan.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk, type SimOperation } from "../../src/testing/sim-disk.ts";
import { impatient } from "../sim-env.ts";
import { assertKept, contentOf, type Ledger, newLedger, PATH, put } from "./scenario.ts";

const LOOKS: readonly SimOperation[] = ["list", "stat", "open", "read", "lock"];

/** Of the longer works only some of the calls fail in turn, with PAPYRA_EXHAUSTIVE=1 every one; of the others every one in any case. */
const [LONG, LONGEST] = process.env.PAPYRA_EXHAUSTIVE === "1" ? [1, 1] : [3, 8];

const backendOn = (disk: SimDisk) => fileBackend({ path: PATH, segmentBytes: 4096 }, impatient(disk));

/** A store whose journal has closed segments, and its ledger. */
async function rotated(): Promise<{ disk: SimDisk; ledger: Ledger }> {
  const disk = new SimDisk();
  const ledger = newLedger();
  const store = await openStore(backendOn(disk));
  for (let i = 0; i < 3; i++) await put(store, ledger, "journal", 8);
  await put(store, ledger, "events", 2);
  await store.close();
  const { segments } = await backendOn(disk).view();
  expect(segments.filter(({ log, active }) => log === "journal" && !active)).toHaveLength(2);
  return { disk, ledger };
}

/** The same with a damaged record in a closed segment, a damaged seal, a torn tail, and a stray temporary file. */
async function damaged(): Promise<{ disk: SimDisk; ledger: Ledger }> {
  const { disk, ledger } = await rotated();
  const [first, second] = (await backendOn(disk).view()).segments.filter(({ log }) => log === "journal");
  const flip = (at: number) => (bytes: Buffer) => bytes.fill((bytes[at] as number) ^ 1, at, at + 1);
  disk.corrupt(`${PATH}/${first?.name}`, (bytes) => flip(bytes.indexOf('{"seq":2,') + 40)(bytes));
  disk.corrupt(`${PATH}/${second?.name}`, (bytes) => flip(bytes.lastIndexOf('"sha256":"') + 12)(bytes));
  disk.corrupt(`${PATH}/journal.ndjson`, (bytes) => Buffer.concat([bytes, Buffer.from('{"seq":99,"ki')]));
  disk.put(`${PATH}/journal.ndjson.tmp-00000000`, "left behind");
  ledger.acknowledged.get("journal")?.delete(2);
  return { disk, ledger };
}

/** The logs and the file of the store, as bytes by name. */
function logsOn(disk: SimDisk): Map<string, string> {
  const kept = [...disk.tree()].filter(([path]) => /\.ndjson$|papyra\.json$/.test(path));
  return new Map(kept.map(([path, bytes]) => [path, bytes.toString("latin1")]));
}

/** Every file with its content: two disks of which this is equal go the same way from here. */
function stateOf(disk: SimDisk): string {
  const hash = createHash("sha256");
  for (const [path, bytes] of disk.tree()) hash.update(`${path} ${bytes.length}\n`).update(bytes);
  return hash.digest("hex");
}

/** How many reading calls `work` makes, with what it leaves. */
async function undisturbed(base: SimDisk, work: (disk: SimDisk) => Promise<unknown>) {
  const disk = base.afterKill();
  /** What each file ever was on the way. */
  const states = new Set([...logsOn(disk)].map(String));
  disk.pause = ({ operation }) => {
    if (operation === "syncDir") for (const entry of logsOn(disk)) states.add(String(entry));
  };
  await work(disk);
  const looks = disk.trace.filter(({ operation }) => LOOKS.includes(operation));
  expect(looks.length).toBeGreaterThan(30);
  return { looks, states, logs: logsOn(disk) };
}

/** The disk after the n-th of these calls has failed. */
async function failing(base: SimDisk, n: number, what: string, work: (disk: SimDisk) => Promise<unknown>) {
  const disk = base.afterKill();
  disk.failAt(n, "EIO", { operations: LOOKS });
  const error: unknown = await work(disk).catch((thrown: unknown) => thrown);
  expect(disk.faultsHit, what).toBe(1);
  expect(error, what).toMatchObject({ name: "PapyraError", code: "STORAGE_FAILED", details: { errno: "EIO" } });
  expect(disk.openFiles, `${what}: every file is closed`).toBe(0);
  return disk;
}

async function assertHeldByNobody(disk: SimDisk, what: string): Promise<void> {
  const lock = await disk.env.fs.lock(`${PATH}/papyra.lock`, "exclusive");
  expect(lock, `${what}: nobody holds the store`).toBeDefined();
  await lock?.release();
}

describe("EIO at each read while a store is opened", () => {
  test("is STORAGE_FAILED, changes no log and keeps nobody out", async () => {
    const { disk: base, ledger } = await rotated();
    const open = async (disk: SimDisk) => openStore(backendOn(disk));
    const { looks } = await undisturbed(base, async (disk) => (await open(disk)).close());
    // The last of them is made by closing.
    for (let n = 1; n < looks.length; n++) {
      const what = `${n}: ${looks[n - 1]?.operation} ${looks[n - 1]?.path}`;
      const disk = await failing(base, n, what, open);
      expect(logsOn(disk), what).toEqual(logsOn(base));
      expect([...disk.tree().keys()].filter((path) => path.includes(".tmp-"))).toEqual([]);
      await assertHeldByNobody(disk, what);
      const store = await open(disk);
      assertKept(await contentOf(store), ledger, what);
      await put(store, newLedger(), "journal", 1);
      await store.close();
    }
  });

  test("and at each call that writes keeps nobody out either", async () => {
    const { disk: base } = await rotated();
    const open = async (disk: SimDisk) => openStore(backendOn(disk));
    const whole = base.afterKill();
    const { calls } = await open(whole).then(() => whole);
    for (let n = 1; n <= calls; n++) {
      const what = `${n}: ${whole.trace[n - 1]?.operation} ${whole.trace[n - 1]?.path}`;
      const disk = base.afterKill();
      disk.failAt(n, "EIO");
      await expect(open(disk), what).rejects.toMatchObject({ code: "STORAGE_FAILED" });
      expect([logsOn(disk), disk.openFiles], what).toEqual([logsOn(base), 0]);
      await assertHeldByNobody(disk, what);
    }
  });

  test("lets the same system start at the second try", async () => {
    const { disk: base } = await rotated();
    const { looks } = await undisturbed(base, async (disk) => {
      const system = new ActorSystem({ store: backendOn(disk) });
      await system.start();
      await system.stop();
    });
    for (let n = 1; n < looks.length; n++) {
      const what = `${n}: ${looks[n - 1]?.operation} ${looks[n - 1]?.path}`;
      let system: ActorSystem | undefined;
      const disk = await failing(base, n, what, async (on) => {
        system = new ActorSystem({ store: backendOn(on) });
        await system.start();
      });
      expect(logsOn(disk), what).toEqual(logsOn(base));
      await assertHeldByNobody(disk, what);
      await system?.start();
      expect(system?.startupReport, what).toMatchObject({ ok: true, scan: { anomalies: [] } });
      expect(await system?.stop(), what).toMatchObject({ ok: true });
    }
  });

  test("of a disk that goes on failing says what failed first, and keeps nobody out when it is mended", async () => {
    const { disk: base } = await rotated();
    const open = async (disk: SimDisk) => openStore(backendOn(disk));
    const { looks } = await undisturbed(base, async (disk) => (await open(disk)).close());
    for (let n = 1; n < looks.length; n++) {
      const what = `${n}: ${looks[n - 1]?.operation} ${looks[n - 1]?.path}`;
      const disk = base.afterKill();
      disk.failAt(n, "EIO", { operations: LOOKS, sticky: true });
      const error: unknown = await open(disk).catch((thrown: unknown) => thrown);
      expect(error, what).toMatchObject({ code: "STORAGE_FAILED" });
      const first = disk.trace.filter(({ operation }) => LOOKS.includes(operation))[n - 1];
      expect(String(error), what).toContain(first?.path);
      disk.clearFaults();
      await assertHeldByNobody(disk, what);
      expect(logsOn(disk), what).toEqual(logsOn(base));
    }
  });
});

const RUN = { id: "run-1", nowMs: 1_767_225_600_000 };
const REPAIR = { mode: "repair", run: RUN } as const;
const QUARANTINE = { mode: "quarantine", quarantineDir: "/data/quarantine", run: RUN } as const;

type Work = (disk: SimDisk) => Promise<RecoverReport>;

async function applying(base: SimDisk): Promise<Work> {
  const { run, fingerprint } = await planRecover(backendOn(base.afterKill()), QUARANTINE);
  return (disk) => applyRecover(backendOn(disk), { ...QUARANTINE, run, fingerprint });
}

describe("EIO at each read while a store is recovered", () => {
  test.each([
    ["repair", 1, REPAIR, async (): Promise<Work> => (disk) => recover(backendOn(disk), REPAIR)],
    ["quarantine", LONG, QUARANTINE, async (): Promise<Work> => (disk) => recover(backendOn(disk), QUARANTINE)],
    ["a plan that is applied", LONGEST, QUARANTINE, applying],
  ] as const)("%s: each file is before or after, and the next recovery ends it", async (_, step, options, making) => {
    const { disk: base, ledger } = await damaged();
    const work = await making(base);
    const whole = await undisturbed(base, work);
    const seen = new Set<string>();
    expect([...whole.logs.values()].join("").match(/"kind":"gap"/g)).toHaveLength(1);
    for (let n = 1; n <= whole.looks.length; n += step) {
      const what = `${n}: ${whole.looks[n - 1]?.operation} ${whole.looks[n - 1]?.path}`;
      const disk = await failing(base, n, what, work);
      for (const entry of logsOn(disk)) expect(whole.states.has(String(entry)), `${what}: ${entry[0]}`).toBe(true);
      await assertHeldByNobody(disk, what);
      const state = stateOf(disk);
      if (seen.has(state)) continue;
      seen.add(state);
      // The one that applies a plan refuses what is half done: the store is not as it was.
      const next = await recover(backendOn(disk), options);
      expect(next.after, `${what}: ${next.verdict}`).toMatchObject({ ok: true, anomalies: [] });
      expect(logsOn(disk), what).toEqual(whole.logs);
      const store = await openStore(backendOn(disk));
      assertKept(await contentOf(store), ledger, what);
      await store.close();
    }
    expect(seen.size).toBeGreaterThan(5);
  });

  test("a plan is refused with STORAGE_FAILED, and changes nothing at all", async () => {
    const { disk: base } = await damaged();
    const work = (disk: SimDisk) => planRecover(backendOn(disk), QUARANTINE);
    const { looks } = await undisturbed(base, work);
    for (let n = 1; n <= looks.length; n += LONG) {
      const what = `${n}: ${looks[n - 1]?.operation} ${looks[n - 1]?.path}`;
      const disk = await failing(base, n, what, work);
      expect(disk.mutations, what).toBe(0);
      await assertHeldByNobody(disk, what);
      expect(stateOf(disk), what).toBe(stateOf(base));
    }
  });

  test("a healthy store is never taken for a damaged one", async () => {
    const { disk: base } = await rotated();
    const { looks } = await undisturbed(base, (disk) => scan(backendOn(disk)));
    for (let n = 1; n <= looks.length; n++) {
      const what = `${n}: ${looks[n - 1]?.operation} ${looks[n - 1]?.path}`;
      const disk = await failing(base, n, what, (on) => recover(backendOn(on), REPAIR));
      expect(disk.mutations, what).toBe(0);
    }
  });
});
