// Rotation under faults: the power goes, the process is killed and a call fails at every file-system call of a run that
// seals segment after segment, and at every call of a recovery that mends sealed segments.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { PowerCut, SimDisk } from "../../src/testing/sim-disk.ts";
import {
  assertKept,
  assertSurvives,
  backendOn,
  contentOf,
  fork,
  type Ledger,
  newLedger,
  PATH,
  put,
  Survivors,
  toldTo,
} from "./scenario.ts";

/** There are more calls here than in power-cut.test.ts, and each state costs more. */
const SEEDS = Math.ceil(Number(process.env.PAPYRA_SEEDS ?? 12) / 4);
const ROTATING = { segmentBytes: 4096 } as const;

/** Two runs of a store; both of its busy logs are sealed several times, once in the same batch. */
async function rotating(disk: SimDisk, ledger: Ledger): Promise<void> {
  const backend = backendOn(disk, ROTATING);
  const first = await openStore(backend);
  await put(first, ledger, "journal", 12);
  await Promise.all([put(first, ledger, "journal", 9), put(first, ledger, "events", 14)]);
  await Promise.all([put(first, ledger, "journal", 12), put(first, ledger, "events", 14)]);
  await first.close();
  const second = await openStore(backend);
  await Promise.all([put(second, ledger, "journal", 14), put(second, ledger, "events", 12)]);
  await second.close();
}

async function run(disk: SimDisk): Promise<Ledger> {
  const ledger = newLedger();
  try {
    await rotating(disk, ledger);
  } catch (error) {
    if (!disk.powerCut && !disk.killed) throw error;
  }
  return ledger;
}

async function callsOf(): Promise<number> {
  const disk = new SimDisk();
  await run(disk);
  const { calls } = disk;
  const { segments } = await backendOn(disk).view();
  expect(segments.filter(({ log, active }) => log === "journal" && !active).length).toBeGreaterThanOrEqual(3);
  expect(segments.filter(({ log, active }) => log === "events" && !active).length).toBeGreaterThanOrEqual(2);
  expect(await scan(backendOn(disk))).toMatchObject({ ok: true });
  return calls;
}

/** A segment gets its closed name when its seal is on the disk, and not before. */
function assertSealed(disk: SimDisk, what: string): void {
  for (const [path, bytes] of disk.tree()) {
    if (!/\.\d{20}\.ndjson$/.test(path)) continue;
    const last = bytes.subarray(bytes.lastIndexOf(0x0a, bytes.length - 2) + 1).toString();
    expect(last.startsWith('{"kind":"seal"') && last.endsWith('"}\n'), `${what}: ${path} ends in its seal`).toBe(true);
  }
}

test("a power cut at every call of a rotating store loses nothing that was acknowledged", async () => {
  const calls = await callsOf();
  const survivors = new Survivors();
  for (let n = 1; n <= calls + 1; n++) {
    const disk = new SimDisk();
    disk.cutPowerAt(n);
    const ledger = await run(disk);
    for (const { survivor, seed } of survivors.of(disk, toldTo(ledger), SEEDS)) {
      assertSealed(survivor, `cut at call ${n}, seed ${seed}`);
      await assertSurvives(survivor, fork(ledger), `cut at call ${n}, seed ${seed}`, { kept: false, store: ROTATING });
    }
  }
  console.log(`power cuts at ${calls} calls while rotating: ${survivors.counts}`);
});

test.each(["fsync", "interval", "os"] as const)(
  "a rotating store that is killed at any call starts again by itself (%s)",
  async (durability) => {
    const calls = await callsOf();
    for (let n = 1; n <= calls + 1; n++) {
      const disk = new SimDisk();
      disk.killAt(n);
      const ledger = await run(disk);
      const store = { ...ROTATING, durability };
      await assertSurvives(disk.kill(), ledger, `killed at call ${n}`, { kept: true, store });
    }
  },
);

test.each(["EIO", "ENOSPC"] as const)(
  "%s at any call of a rotating store: nothing acknowledged is lost",
  async (fault) => {
    const calls = await callsOf();
    for (let n = 1; n <= calls; n++) {
      const disk = new SimDisk();
      disk.failAt(n, fault);
      const ledger = newLedger();
      await rotating(disk, ledger).catch((error: unknown) => {
        const { code } = error as { code?: string };
        expect(
          ["STORAGE_FAILED", "STORAGE_FULL", "OUTCOME_UNKNOWN", "STORE_POISONED"],
          `call ${n}: ${String(error)}`,
        ).toContain(code);
      });
      expect(disk.faultsHit).toBe(1);
      await assertSurvives(disk.kill(), ledger, `${fault} at call ${n}`, { kept: true, store: ROTATING });
    }
  },
);

/** The journal has a damaged record in its first sealed segment, a damaged seal in its second, a cut record in its third. */
async function damagedStore(): Promise<{ disk: SimDisk; ledger: Ledger }> {
  const disk = new SimDisk();
  const ledger = await run(disk);
  const { segments } = await backendOn(disk).view();
  const [first, second, third] = segments.filter(({ log, active }) => log === "journal" && !active);
  disk.corrupt(`${PATH}/${first?.name}`, (bytes) => {
    const at = bytes.indexOf('{"seq":2,') + 40;
    bytes[at] = (bytes[at] as number) ^ 1;
    return bytes;
  });
  disk.corrupt(`${PATH}/${second?.name}`, (bytes) => {
    const at = bytes.lastIndexOf('"sha256":"') + 12;
    bytes[at] = (bytes[at] as number) ^ 1;
    return bytes;
  });
  const from = third?.firstSeq as number;
  disk.corrupt(`${PATH}/${third?.name}`, (bytes) => {
    const start = bytes.indexOf(`{"seq":${from + 1},`);
    const end = bytes.indexOf(0x0a, start) + 1;
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
  });
  ledger.acknowledged.get("journal")?.delete(2);
  ledger.acknowledged.get("journal")?.delete(from + 1);
  return { disk, ledger };
}

const QUARANTINE = { mode: "quarantine", quarantineDir: "/data/quarantine" } as const;

test("the recovery of sealed segments is cut at each of its calls, and goes on the next time", async () => {
  const { disk: whole } = await damagedStore();
  const before = whole.calls;
  const report = await recover(backendOn(whole), QUARANTINE);
  expect(report).toMatchObject({ ok: true, after: { ok: true } });
  expect(report.actions.filter(({ what }) => what === "sealed anew").length).toBeGreaterThanOrEqual(3);
  const calls = whole.calls - before;
  const survivors = new Survivors();
  for (let n = 1; n <= calls; n++) {
    const { disk, ledger } = await damagedStore();
    disk.cutPowerAt(n);
    await recover(backendOn(disk), QUARANTINE).then(
      () => undefined,
      (error: unknown) => expect(error).toBeInstanceOf(PowerCut),
    );
    for (const { survivor, seed } of survivors.of(disk, [], SEEDS)) {
      const next = await recover(backendOn(survivor), QUARANTINE);
      expect(next.after.ok, `cut at call ${n} of recovery, seed ${seed}: ${next.verdict}`).toBe(true);
      expect((await recover(backendOn(survivor), QUARANTINE)).changed).toBe(false);
      const store = await openStore(backendOn(survivor));
      assertKept(await contentOf(store), ledger, `cut at call ${n} of recovery, seed ${seed}`);
      await store.close();
    }
  }
  console.log(`cuts of the recovery of sealed segments at ${calls} calls: ${survivors.counts}`);
});
