// Backups under crashes: the process is killed and the power goes at every file-system call of creating, pruning and restoring.
// Whatever lists as good verifies to the last line and restores to a state that existed; a target of a restore is absent or
// complete; and the next run goes on where the last one stopped.
import { expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { createBackup } from "../../src/backup/create.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import type { ObjectStore } from "../../src/backup/objects.ts";
import { prune } from "../../src/backup/prune.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { isPapyraError } from "../../src/errors.ts";
import { scan } from "../../src/ops/scan.ts";
import type { SimCall, SimDisk } from "../../src/testing/sim-disk.ts";
import { impatient } from "../sim-env.ts";
import { contents, world, type World, write } from "./world.ts";

const SEEDS = Math.ceil(Number(process.env.PAPYRA_SEEDS ?? 12) / 6);
const ROTATING = { segmentBytes: 4096 } as const;
/** Before one of these nothing is different from what it was before the call ahead of it. */
const ONLY_LOOKS: ReadonlySet<string> = new Set(["read", "stat", "list", "open", "close"]);

interface After {
  readonly disk: SimDisk;
  readonly how: string;
}

/** Every disk that a crash during `work` could leave behind. */
async function crashes(disk: SimDisk, work: () => Promise<unknown>): Promise<After[]> {
  const after: After[] = [];
  disk.pause = (call: SimCall) => {
    if (ONLY_LOOKS.has(call.operation)) return;
    const at = `at call ${call.n} (${call.operation} ${call.path})`;
    after.push({ disk: disk.afterKill(), how: `killed ${at}` });
    for (let seed = 1; seed <= SEEDS; seed++)
      after.push({ disk: disk.afterReboot(seed), how: `power cut ${at}, seed ${seed}` });
  };
  await work();
  disk.pause = undefined;
  return after;
}

function on(disk: SimDisk): { objects: ObjectStore; env: World["env"]; store: Backend; at: (path: string) => Backend } {
  const env = impatient(disk);
  const at = (path: string): Backend => fileBackend({ ...ROTATING, path }, env);
  return { objects: directoryObjects(env, "/backups/repository"), env, store: at("/srv/store"), at };
}

/** Fails unless whatever lists as good is good. Returns how many there are. */
async function assertHonest(objects: ObjectStore, how: string): Promise<number> {
  try {
    const { backups, problems } = await viewRepository(objects);
    const report = await verifyBackups(objects, { level: "replay" });
    expect({ how, problems, bad: report.backups.filter(({ ok }) => !ok) }).toEqual({ how, problems: [], bad: [] });
    return backups.filter(({ good }) => good).length;
  } catch (error) {
    if (isPapyraError(error, "BACKUP_NOT_FOUND")) return 0;
    throw error;
  }
}

test("creating, the first time and again", async () => {
  const { disk, store, objects } = world(ROTATING);
  let states = 0;
  for (const existing of [0, 1]) {
    await write(store, 60);
    for (const { disk: next, how } of await crashes(disk, () => createBackup(store, objects))) {
      const there = on(next);
      expect(await assertHonest(there.objects, how)).toBeGreaterThanOrEqual(existing);
      const again = await createBackup(there.store, there.objects);
      expect({ how, verdict: again.backup.verdict }).toEqual({ how, verdict: "good" });
      await restoreBackup(there.objects, there.env, "/restored");
      expect((await contents(there.at("/restored"))).events).toHaveLength(60 * (existing + 1));
      states += 1;
    }
  }
  expect(states).toBeGreaterThan(100);
});

test("restoring: the target is absent or complete", async () => {
  const { disk, store, objects, env } = world(ROTATING);
  await write(store, 60);
  await createBackup(store, objects);
  const whole = await contents(store);
  let complete = 0;
  for (const { disk: next, how } of await crashes(disk, () => restoreBackup(objects, env, "/restored"))) {
    const there = on(next);
    await assertHonest(there.objects, how);
    if ((await there.env.fs.stat("/restored")) === undefined) {
      await restoreBackup(there.objects, there.env, "/restored"); // nothing that the crash left is in its way
      const left = (await there.env.fs.list("/")).filter((name) => name.startsWith("restored."));
      expect({ how, left }).toEqual({ how, left: [] });
    } else complete += 1;
    const report = await scan(there.at("/restored"));
    expect({ how, verdict: report.verdict, anomalies: report.anomalies }).toMatchObject({ how, anomalies: [] });
    expect(await contents(there.at("/restored"))).toEqual(whole);
  }
  expect(complete).toBeGreaterThan(0);
});

test("pruning: what is left is good, and the next prune ends what this one began", async () => {
  const { disk, store, objects, env } = world(ROTATING);
  for (let i = 0; i < 4; i++) {
    await write(store, 20);
    await createBackup(store, objects);
    disk.clock.advance(86_400_000);
  }
  const keep = { keep: { last: 2 }, graceMs: 0 };
  for (const { disk: next, how } of await crashes(disk, () => prune(objects, keep))) {
    const there = on(next);
    expect(await assertHonest(there.objects, how)).toBeGreaterThanOrEqual(2);
    await prune(there.objects, keep);
    expect(await assertHonest(there.objects, how)).toBe(2);
    const parts = [...next.tree().keys()].filter((path) => path.includes("/segments/")).sort();
    const named = await namedParts(there.objects);
    expect({ how, parts: parts.filter((path) => path.endsWith(".part")) }).toEqual({ how, parts: named });
  }
  expect((await restoreBackup(objects, env, "/restored")).ok).toBe(true);
});

async function namedParts(objects: ObjectStore): Promise<string[]> {
  const { backups } = await viewRepository(objects);
  const named = new Set<string>();
  for (const { manifest } of backups) {
    for (const [log, { segments }] of Object.entries(manifest?.logs ?? {}))
      for (const { parts } of segments)
        for (const { sha256 } of parts) named.add(`/backups/repository/segments/${log}/${sha256}.part`);
  }
  return [...named].sort();
}

/** Without those that give something back: the kernel does so whatever they return. */
const CAN_FAIL = [
  ...(["list", "makeDir", "stat", "open", "create", "rename", "remove"] as const),
  ...(["syncDir", "lock", "imitate", "read", "write", "sync"] as const),
];

test("every call that fails once makes the backup fail, or does not matter; nothing bad lists as good", async () => {
  const calls = async (fault: number): Promise<boolean> => {
    const { disk, store, objects } = world(ROTATING);
    await write(store, 30);
    disk.failAt(fault, "EIO", { operations: CAN_FAIL });
    const error: unknown = await createBackup(store, objects).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    const hit = disk.faultsHit > 0;
    disk.clearFaults();
    expect(disk.openFiles).toBe(0);
    if (error !== undefined) expect(isPapyraError(error)).toBe(true);
    await assertHonest(objects, `EIO at call ${fault}`);
    const again = await createBackup(store, objects); // no lock and no hold is left behind
    expect(again.backup.verdict).toBe("good");
    return hit;
  };
  let n = 1;
  for (; await calls(n); n += 1 + Math.floor(n / 40)); // further on the calls repeat each other
  expect(n).toBeGreaterThan(100);
  for (let hits = 0; hits < 20; n--) if (await calls(n)) hits += 1; // those of letting go
});

test("a backup that looks at any moment of a rotation is good, and so is one after it, or after its writer was killed", async () => {
  const { disk, store, objects } = world(ROTATING);
  await write(store, 25);
  await createBackup(store, objects);
  const states = await crashes(disk, () => write(store, 40));
  let looked = 0;
  const names = /^killed at call \d+ \((rename|syncDir|create)/; // between two of them only bytes change
  for (const { disk: next, how } of states.filter(({ how: what }) => names.test(what))) {
    const there = on(next);
    const first = await createBackup(there.store, there.objects);
    expect({ how, anomalies: first.backup.anomalies }).toEqual({ how, anomalies: [] });
    await assertHonest(there.objects, how);
    await write(there.store, 3);
    await createBackup(there.store, there.objects);
    await assertHonest(there.objects, `${how}, and once more`);
    looked += 1;
  }
  expect(looked).toBeGreaterThan(10);
});
