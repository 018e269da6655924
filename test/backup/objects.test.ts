// A repository in a directory: the contract of places for objects, on the real disk and on the simulated one; the power goes
// and the process dies at every call; real processes race and are killed.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { directoryObjects } from "../../src/backup/directory.ts";
import type { ObjectStore } from "../../src/backup/objects.ts";
import type { Env } from "../../src/env/env.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { impatient } from "../sim-env.ts";
import { bytesOf, listed, namesOf, objectsContract, refusal, type Subject } from "./objects-contract.ts";

const SEEDS = Number(process.env.PAPYRA_SEEDS ?? 6);
const PLACE = "/backups/orders";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "papyra-objects-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function directorySubject(env: Env, path: string): Subject {
  return {
    open: () => directoryObjects(env, path),
    bytesMax: 16 << 20,
    names: /^/,
    async breakHolds() {
      for (const name of await env.fs.list(join(path, "holds"))) await env.fs.remove(join(path, "holds", name));
    },
  };
}

describe("the contract, in a directory", () => {
  for (const [n, { name, run }] of objectsContract.entries())
    test(name, () => run(directorySubject(nodeEnv, join(root, `contract-${n}`))));
});

describe("the contract, on a simulated disk", () => {
  for (const { name, run } of objectsContract)
    test(name, async () => {
      const startMs = Date.now();
      const disk = new SimDisk({ startMs });
      await run(directorySubject(impatient(disk), PLACE));
      expect(disk.openFiles).toBe(0);
      const files = [...disk.tree().keys()];
      expect(files.filter((path) => path.includes(".tmp-") || path.includes("/holds/"))).toEqual([]);
    });
});

const OLD = Buffer.alloc(3000, "old");
const NEW = Buffer.alloc(2000, "new");

/** What may be found under each name: undefined stands for nothing. What is only one thing must be that. */
class Expected {
  readonly may = new Map<string, (Buffer | undefined)[]>();

  /** Does something to an object: before or after it if it fails, after it if it resolves. */
  async change(name: string, after: Buffer | undefined, work: () => Promise<unknown>): Promise<void> {
    const before = this.may.get(name) ?? [undefined];
    this.may.set(name, [...before, after]);
    await work();
    this.may.set(name, [after]);
  }

  async check(store: ObjectStore, what: string): Promise<void> {
    for (const [name, may] of this.may) {
      const found = await store.get(name);
      const fits = may.some((one) => (one === undefined ? found === undefined : found?.equals(one) === true));
      expect(fits, `${what}: ${name} has ${found?.length} bytes (${found?.toString("latin1", 0, 3)})`).toBe(true);
      expect((await store.stat(name))?.bytes, `${what}: ${name}`).toBe(found?.length);
    }
    const allowed = [...this.may].flatMap(([name, may]) => (may.some((one) => one !== undefined) ? [name] : []));
    expect(
      (await namesOf(store)).filter((name) => !allowed.includes(name)),
      what,
    ).toEqual([]);
  }
}

async function scenario(disk: SimDisk, expected: Expected): Promise<void> {
  const store = directoryObjects(disk.env, PLACE);
  await expected.change("segments/a", OLD, () => store.put("segments/a", OLD, { ifAbsent: true }));
  await expected.change("catalog", OLD, () => store.put("catalog", OLD));
  await expected.change("catalog", NEW, () => store.put("catalog", NEW));
  await expected.change("segments/b", NEW, () => store.put("segments/b", NEW, { ifAbsent: true }));
  await store.put("segments/a", NEW, { ifAbsent: true });
  await expected.change("segments/b", undefined, () => store.remove("segments/b"));
}

async function run(disk: SimDisk, plan: (disk: SimDisk) => void): Promise<Expected> {
  plan(disk);
  const expected = new Expected();
  await scenario(disk, expected).catch((error: unknown) => {
    if (!disk.powerCut && !disk.killed) throw error;
  });
  return expected;
}

async function callsOfScenario(): Promise<number> {
  const disk = new SimDisk();
  await scenario(disk, new Expected());
  return disk.calls;
}

test("the power goes at every call: an object is whole or not there, and what was put stays", async () => {
  const calls = await callsOfScenario();
  expect(calls).toBeGreaterThan(40);
  for (let n = 1; n <= calls + 1; n++) {
    const disk = new SimDisk();
    const expected = await run(disk, (one) => one.cutPowerAt(n));
    for (let seed = 1; seed <= SEEDS; seed++) {
      const after = disk.reboot(seed, seed === 1 ? "drop" : "mixed");
      await expected.check(directoryObjects(after.env, PLACE), `cut at call ${n}, seed ${seed}`);
    }
  }
});

test("the process dies at every call: the same, and what others then build on is durable", async () => {
  const calls = await callsOfScenario();
  for (let n = 1; n <= calls + 1; n++) {
    const killed = new SimDisk();
    const expected = await run(killed, (one) => one.killAt(n));
    const disk = killed.kill();
    const store = directoryObjects(disk.env, PLACE);
    await expected.check(store, `killed at call ${n}`);
    // Whoever goes on relies on what it finds, and puts the rest, also where it was there already.
    for (const name of ["segments/a", "segments/b"]) {
      const found = await store.stat(name);
      if (found !== undefined) expected.may.set(name, [await store.get(name)]);
    }
    await expected.change("segments/a", (await store.get("segments/a")) ?? NEW, () =>
      store.put("segments/a", NEW, { ifAbsent: true }),
    );
    await expected.change("catalog", NEW, () => store.put("catalog", NEW));
    await expected.check(directoryObjects(disk.reboot(n, "drop").env, PLACE), `killed at call ${n}, then a power cut`);
  }
});

test("what somebody is told to be there is durable, also when another one has put it just now", async () => {
  const disk = new SimDisk();
  const store = directoryObjects(disk.env, PLACE);
  const other = directoryObjects(disk.env, PLACE);
  await other.put("segments/a", NEW);
  for (const name of ["segments/b", "segments/c"]) {
    disk.clock.advance(10);
    disk.failAt(1, "EIO", { operations: ["syncDir"] }); // it has its name, and that is not synced
    await refusal(other.put(name, NEW), "STORAGE_FAILED");
    expect((await store.stat(name))?.bytes).toBe(NEW.length);
    const after = directoryObjects(disk.afterReboot(1, "drop").env, PLACE);
    expect((await after.stat(name))?.bytes, name).toBe(NEW.length);
  }
  // What has been there for long costs no sync each time.
  disk.clock.advance(10);
  await store.put("segments/d", NEW);
  await store.stat("segments/d");
  const from = disk.calls;
  await store.stat("segments/a");
  expect(disk.trace.slice(from).map(({ operation }) => operation)).toEqual(["stat"]);
});

test("every call fails once: it is said, nothing is half there, nothing is left open or locked", async () => {
  const calls = await callsOfScenario();
  for (const fault of ["EIO", "ENOSPC"] as const) {
    for (let n = 1; n <= calls; n++) {
      const disk = new SimDisk();
      disk.failAt(n, fault);
      const expected = new Expected();
      const error: unknown = await scenario(disk, expected).catch((thrown: unknown) => thrown);
      const what = `${fault} at call ${n} (${JSON.stringify(disk.trace[n - 1])})`;
      if (error !== undefined)
        expect(["STORAGE_FAILED", "STORAGE_FULL"], what).toContain((error as { code?: string }).code);
      expect(disk.openFiles, what).toBe(0);
      if (disk.trace[n - 1]?.operation === "release") continue; // a real lock ends also when closing fails
      const store = directoryObjects(impatient(disk), PLACE);
      await expected.check(store, what);
      await store.put("later", NEW, { ifAbsent: true });
      await (await store.hold("exclusive", "prune")).release();
      disk.failAt(1 + (n % 20), fault, { operations: ["stat", "list", "open", "write", "close", "remove", "lock"] });
      await store.hold("exclusive", "prune").then(
        (hold) => hold.release(),
        () => undefined,
      );
      disk.clearFaults();
      await (await directoryObjects(impatient(disk), PLACE).hold("exclusive", "prune")).release();
    }
  }
});

test("what killed processes were writing goes when somebody holds the place alone, and not before it is old", async () => {
  const calls = await callsOfScenario();
  let strays = 0;
  for (let n = 1; n <= calls; n++) {
    const killed = new SimDisk();
    await run(killed, (one) => one.killAt(n));
    const disk = killed.kill();
    const temporary = (): string[] => [...disk.tree().keys()].filter((path) => path.includes(".tmp-"));
    const before = temporary();
    strays += before.length;
    const store = directoryObjects(disk.env, PLACE);
    await (await store.hold("exclusive", "prune")).release();
    expect(temporary()).toEqual(before);
    disk.clock.advance(3_700_000);
    await (await store.hold("shared", "backup")).release();
    expect(temporary()).toEqual(before);
    await (await store.hold("exclusive", "prune")).release();
    expect(temporary()).toEqual([]);
  }
  expect(strays).toBeGreaterThan(5);
});

test("who reads gets the object that it opened, and nothing when it went just then", async () => {
  for (const after of [Buffer.alloc(9000, "longer"), Buffer.alloc(10, "short"), undefined]) {
    for (let n = 1, more = true; more; n++) {
      const disk = new SimDisk();
      const store = directoryObjects(disk.env, PLACE);
      await store.put("catalog", OLD);
      const from = disk.calls;
      disk.pause = async (call) => {
        if (call.n !== from + n) return;
        disk.pause = undefined;
        if (after === undefined) await store.remove("catalog");
        else await store.put("catalog", after);
      };
      const found = await store.get("catalog");
      more = disk.pause === undefined; // else it made fewer calls than that
      expect([OLD, after].some((one) => (one === undefined ? found === undefined : found?.equals(one)))).toBe(true);
      if (!more) expect(n).toBeGreaterThan(4);
    }
  }
});

test("a hold that is given back while others look is in nobody's way", async () => {
  const whole = new SimDisk();
  const trial = directoryObjects(whole.env, PLACE);
  await (await trial.hold("shared", "backup")).release();
  const from = whole.calls;
  await (await trial.hold("shared", "backup")).release();
  for (let n = 1; n <= whole.calls - from; n++) {
    for (const half of [false, true]) {
      const disk = new SimDisk();
      const store = directoryObjects(impatient(disk), PLACE);
      const other = await directoryObjects(impatient(disk), PLACE).hold("shared", "verify");
      const start = disk.calls;
      let releasing: Promise<void> | undefined;
      disk.pause = async (call) => {
        if (call.n !== start + n || releasing !== undefined) return;
        if (half)
          disk.pause = (later) =>
            later.operation === "release" ? new Promise<void>((resolve) => setImmediate(resolve)) : undefined;
        releasing = other.release();
        if (!half) await releasing;
      };
      const hold = await store.hold("shared", "backup");
      await releasing;
      await hold.assertHeld();
      await hold.release();
    }
  }
});

test("what others leave in the directory is no object", async () => {
  const path = join(root, "foreign");
  const store = directoryObjects(nodeEnv, path);
  await store.put("a/b", bytesOf("x"));
  for (const name of ["lost+found", "a/.DS_Store", "a/x y", "a/b.tmp-01234567"]) {
    const file = await nodeEnv.fs.open(join(path, name), "create");
    await file.close();
  }
  await nodeEnv.fs.makeDir(join(path, ".snapshots"));
  expect((await listed(store)).map(({ name }) => name)).toEqual(["a/b"]);
  expect(readdirSync(path)).toContain("lost+found");
  await refusal(store.get("lost+found"), "INTERNAL");
});
