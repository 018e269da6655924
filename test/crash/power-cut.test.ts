// The power goes at every file-system call of a scenario; the process is killed at every call; recovery itself is cut at
// each of its calls. For every seed the promises must hold. Names of failures hold what is needed to run one again.
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
  scenario,
  Survivors,
  toldTo,
} from "./scenario.ts";

const SEEDS = Number(process.env.PAPYRA_SEEDS ?? 12);

/** Runs `work` until the disk stops it; how many calls it made, and what it was told. */
async function run(
  disk: SimDisk,
  work: (disk: SimDisk, ledger: Ledger) => Promise<void>,
  ledger = newLedger(),
): Promise<Ledger> {
  try {
    await work(disk, ledger);
  } catch (error) {
    if (!disk.powerCut && !disk.killed) throw error;
  }
  return ledger;
}

async function callsOf(work: (disk: SimDisk, ledger: Ledger) => Promise<void>): Promise<number> {
  const disk = new SimDisk();
  await run(disk, work);
  return disk.calls;
}

for (const store of [{}, { mark: "exact" }] as const) {
  test(`a power cut at every call loses nothing that was acknowledged ${JSON.stringify(store)}`, async () => {
    const work = (disk: SimDisk, ledger: Ledger) => scenario(disk, ledger, store);
    const calls = await callsOf(work);
    expect(calls).toBeGreaterThan(100);
    const survivors = new Survivors();
    for (let n = 1; n <= calls + 1; n++) {
      const disk = new SimDisk();
      disk.cutPowerAt(n);
      const ledger = await run(disk, work);
      for (const { survivor, seed } of survivors.of(disk, toldTo(ledger), SEEDS))
        await assertSurvives(survivor, fork(ledger), `cut at call ${n}, seed ${seed}`, { kept: false, store });
    }
    console.log(`power cuts at ${calls} calls: ${survivors.counts}`);
  });
}

for (const durability of ["fsync", "interval", "os"] as const) {
  test(`a kill at every call loses nothing and needs nobody's help to start again (${durability})`, async () => {
    const work = (disk: SimDisk, ledger: Ledger) => scenario(disk, ledger, { durability });
    const calls = await callsOf(work);
    for (let n = 1; n <= calls + 1; n++) {
      const disk = new SimDisk();
      disk.killAt(n);
      const ledger = await run(disk, work);
      await assertSurvives(disk.kill(), ledger, `killed at call ${n}`, { kept: true, store: { durability } });
    }
  });
}

test("what a killed process left unsynced is made durable before anything builds on it", async () => {
  const calls = await callsOf((disk, ledger) => scenario(disk, ledger));
  for (let n = 1; n <= calls; n++) {
    const killed = new SimDisk();
    killed.killAt(n);
    const ledger = await run(killed, (disk, l) => scenario(disk, l));
    const disk = killed.kill();
    const store = await openStore(backendOn(disk));
    for (const log of ["events", "journal"] as const) {
      // What the new process reads, it may act upon: it counts as acknowledged from here on.
      for await (const record of store.read(log)) {
        if (record.kind !== "gap")
          ledger.acknowledged.get(log)?.set(record.seq, (record as { payload: { n: number } }).payload.n);
      }
    }
    await put(store, ledger, "events", 2);
    await assertSurvives(disk.reboot(n, "drop"), ledger, `killed at call ${n}, then a power cut`, { kept: false });
  }
});

test("every torn write: a write comes short and the process is killed", async () => {
  const calls = await callsOf((disk, ledger) => scenario(disk, ledger));
  let fired = 0;
  for (let n = 1; n <= calls; n++) {
    for (const bytes of [1, 40, 200]) {
      const disk = new SimDisk();
      disk.shortWriteAt(n, bytes);
      let writes = 0;
      disk.pause = (call) => {
        if (call.operation === "write" && ++writes === n) disk.killAt(1);
      };
      const ledger = await run(disk, (d, l) => scenario(d, l));
      if (!disk.killed) continue;
      fired += 1;
      await assertSurvives(disk.kill(), ledger, `write ${n} came short after ${bytes} bytes`, { kept: true });
    }
  }
  expect(fired).toBeGreaterThan(30);
});

/** A store with damage in three places, ready to be recovered. */
async function damagedStore(): Promise<{ disk: SimDisk; ledger: Ledger }> {
  const disk = new SimDisk();
  const ledger = newLedger();
  await scenario(disk, ledger);
  const store = await openStore(backendOn(disk));
  await put(store, ledger, "events", 3);
  await store.close();
  disk.corrupt(`${PATH}/events.ndjson`, (bytes) => {
    const second = bytes.indexOf('{"seq":2,');
    bytes[second + 60] = (bytes[second + 60] as number) ^ 1;
    return Buffer.concat([bytes, Buffer.from('{"seq":99,"ki')]);
  });
  disk.corrupt(`${PATH}/journal.ndjson`, (bytes) => {
    bytes[10] = (bytes[10] as number) ^ 1; // the identity line
    return bytes;
  });
  ledger.acknowledged.get("events")?.delete(2);
  return { disk, ledger };
}

test("recovery is cut at each of its calls and simply goes on the next time", async () => {
  const { disk: whole } = await damagedStore();
  const before = whole.calls;
  await recover(backendOn(whole), { mode: "quarantine", quarantineDir: "/data/quarantine" });
  const calls = whole.calls - before;
  const survivors = new Survivors();
  for (let n = 1; n <= calls; n++) {
    const { disk, ledger } = await damagedStore();
    disk.cutPowerAt(n);
    await recover(backendOn(disk), { mode: "quarantine", quarantineDir: "/data/quarantine" }).then(
      () => undefined,
      (error: unknown) => expect(error).toBeInstanceOf(PowerCut),
    );
    for (const { survivor, seed } of survivors.of(disk, [], SEEDS)) {
      const report = await recover(backendOn(survivor), { mode: "quarantine", quarantineDir: "/data/quarantine" });
      expect(report.ok, `cut at call ${n} of recovery, seed ${seed}: ${report.verdict}`).toBe(true);
      const store = await openStore(backendOn(survivor));
      for (const [log, all] of ledger.acknowledged) {
        const present = new Map<number, number>();
        for await (const record of store.read(log)) {
          if (record.kind !== "gap") present.set(record.seq, (record as { payload: { n: number } }).payload.n);
        }
        for (const [seq, value] of all)
          expect(present.get(seq), `cut at call ${n}, seed ${seed}: ${log} seq ${seq}`).toBe(value);
      }
      await store.close();
    }
  }
  console.log(`cuts of recovery at ${calls} calls: ${survivors.counts}`);
});

test("a failing call poisons the writer: nothing is acknowledged that is not there", async () => {
  const calls = await callsOf((disk, ledger) => scenario(disk, ledger));
  for (const fault of ["EIO", "ENOSPC", "EMFILE", "EROFS"] as const) {
    for (let n = 1; n <= calls; n++) {
      const disk = new SimDisk();
      disk.failAt(n, fault);
      const ledger = newLedger();
      await scenario(disk, ledger).catch((error: unknown) => {
        const { code } = error as { code?: string };
        expect(
          ["STORAGE_FAILED", "STORAGE_FULL", "OUTCOME_UNKNOWN", "STORE_POISONED"],
          `${fault} at call ${n}: ${String(error)}`,
        ).toContain(code);
      });
      expect(disk.faultsHit).toBe(1);
      await assertSurvives(disk.kill(), ledger, `${fault} at call ${n}`, { kept: true });
    }
  }
});

test("a sync that fails and then succeeds acknowledges nothing", async () => {
  let hit = 0;
  for (let n = 1; ; n++) {
    const disk = new SimDisk();
    const ledger = newLedger();
    disk.forgetAtSync(n);
    await scenario(disk, ledger).catch(() => undefined);
    if (disk.faultsHit === 0) break;
    hit += 1;
    // Only what was acknowledged must be there: the forgotten bytes are gone after a power cut.
    const survivor = disk.reboot(n, "drop");
    const store = await openStore(backendOn(survivor));
    assertKept(await contentOf(store), ledger, `sync ${n} failed once`);
    await store.close();
  }
  expect(hit).toBeGreaterThan(10);
});

test("nothing is acknowledged while its sync is still under way", async () => {
  const slow = (disk: SimDisk): SimDisk => {
    disk.pause = async (call) => {
      if (call.operation === "sync") for (let i = 0; i < 60; i++) await Promise.resolve();
    };
    return disk;
  };
  const calls = await callsOf((disk, ledger) => scenario(slow(disk), ledger));
  for (let n = 1; n <= calls; n++) {
    const disk = slow(new SimDisk());
    disk.cutPowerAt(n);
    const ledger = await run(disk, (d, l) => scenario(d, l));
    const store = await openStore(backendOn(disk.reboot(n, "drop")));
    assertKept(await contentOf(store), ledger, `slow syncs, cut at call ${n}`);
    await store.close();
  }
});

test("a write that comes short is gone on with", async () => {
  const calls = await callsOf((disk, ledger) => scenario(disk, ledger));
  for (let n = 1; n <= calls; n++) {
    for (const bytes of [1, 40, 200]) {
      const disk = new SimDisk();
      disk.shortWriteAt(n, bytes);
      const ledger = newLedger();
      await scenario(disk, ledger);
      if (disk.faultsHit === 0) return;
      const store = await openStore(backendOn(disk.reboot(n, "drop")));
      assertKept(await contentOf(store), ledger, `write ${n} came short after ${bytes} bytes`);
      await store.close();
    }
  }
});

test("after a kill, a log that is cut clean at a line is known to lack acknowledged records, and which", async () => {
  const calls = await callsOf((disk, ledger) => scenario(disk, ledger));
  let cuts = 0;
  for (let n = 1; n <= calls + 1; n++) {
    const disk = new SimDisk();
    disk.killAt(n);
    const ledger = await run(disk, (d, l) => scenario(d, l));
    const last = Math.max(0, ...(ledger.acknowledged.get("events") as Map<number, number>).keys());
    if (last === 0) continue;
    const killed = disk.kill();
    killed.corrupt(`${PATH}/events.ndjson`, (bytes) => bytes.subarray(0, bytes.indexOf(`{"seq":${last},`)));
    const found = await scan(backendOn(killed));
    const truncated = found.anomalies.find((anomaly) => anomaly.kind === "truncated");
    expect(
      truncated,
      `killed at call ${n}: the cut in front of seq ${last} was not noticed: ${found.verdict}`,
    ).toBeDefined();
    expect(truncated?.acknowledged).toBe("lost");
    expect(truncated?.lostSeqs?.from).toBe(last);
    cuts += 1;
  }
  expect(cuts).toBeGreaterThan(50);
});
