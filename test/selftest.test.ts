// The self-test finds what lies: each kind of disk, lock and clock that breaks a promise is simulated and must be called bad.
import { describe, expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { storageError } from "../src/env/storage-error.ts";
import { openStore } from "../src/backends/open.ts";
import type { Fs } from "../src/env/env.ts";
import { countAcknowledged, crashMatrix, parseAck } from "../src/ops/selftest-crash.ts";
import { probeDirectory, probeLimit, probeSync, probeWrites } from "../src/ops/selftest-disk.ts";
import { probeLock } from "../src/ops/selftest-lock.ts";
import { eventOf, probeTails } from "../src/ops/selftest-store.ts";
import { selftest } from "../src/ops/selftest.ts";
import { EXT4, machine, starter, volumeOf, withFiles } from "./selftest-world.ts";

const LIMITS = { ms: 1000, count: 3 };

test("an honest machine passes, with real workers and stores that are killed", async () => {
  const { env, volume, start, disk } = await machine();
  const report = await selftest({ env, volume, start }, "/disk", { seconds: 1 });
  expect(report.findings.filter(({ verdict }) => verdict !== "good")).toEqual([]);
  expect(report.ok).toBe(true);
  expect(report.crash).toMatchObject({ lost: 0, changed: 0, unsound: [] });
  expect(report.crash.rounds).toBeGreaterThan(5);
  expect(report.crash.recoveries).toBeGreaterThan(0);
  expect(report.crash.acknowledged).toBeGreaterThan(report.crash.rounds);
  expect(report.tails.cuts).toBeGreaterThan(250);
  expect([...disk.tree().keys()]).toEqual([]);
});

describe("a file system that lies", () => {
  const probe = async (change: (fs: Fs) => Partial<Fs>) => (await machine(change)).env;

  test.each<[what: string, change: (fs: Fs) => Partial<Fs>]>([
    ["does nothing", () => ({ rename: () => Promise.resolve() })],
    [
      "leaves the old name",
      (fs) => ({
        async rename(from, to) {
          await fs.rename(from, to);
          await (await fs.open(from, "create")).close();
        },
      }),
    ],
    ["copies", (fs) => ({ rename: (from, to) => copyOver(fs, from, to) })],
    [
      "refuses to replace, silently",
      (fs) => ({ rename: async (from, to) => ((await fs.stat(to)) ? fs.remove(from) : fs.rename(from, to)) }),
    ],
  ])("a rename that %s", async (_, change) => {
    const env = await probe(change);
    expect((await probeDirectory(env, "/disk", LIMITS)).renameReplaces).toBe(false);
  });

  test("a directory that cannot be synced", async () => {
    const { env, disk } = await machine();
    disk.failAt(1, "EIO", { sticky: true, operations: ["syncDir"] });
    const facts = await probeDirectory(env, "/disk", LIMITS);
    expect(facts).toMatchObject({ sync: undefined, failure: expect.stringContaining("EIO"), renameReplaces: true });
  });

  test("a sync that fails is an error, and no measurement", async () => {
    const { env, disk } = await machine();
    disk.forgetAtSync(2);
    await expect(probeSync(env, "/disk", LIMITS)).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  });

  test("short writes are counted and completed", async () => {
    const { env, disk } = await machine();
    disk.shortWriteAt(2, 1000);
    expect(await probeWrites(env, "/disk", 2)).toMatchObject({ writes: 3, short: 1, readBack: true });
  });

  test.each([
    ["takes what fits", (fits: number) => fits, true],
    ["says it took all", () => 65_536, false],
    ["takes less than fits, and then the rest", (fits: number) => Math.ceil(fits / 2), true],
    ["loses the last byte that fits", (fits: number) => fits - 1, false],
  ])("a write across the largest size of a file %s", async (_, takes, honest) => {
    const LARGEST = 2 ** 44 - 4096;
    let bytes = 0;
    const env = await probe((fs) => ({
      open: async (path, mode) => ({
        ...(await fs.open(path, mode)),
        async write(given: Uint8Array, at: number) {
          if (at >= LARGEST)
            throw storageError("write", path, Object.assign(new Error("too large"), { code: "EFBIG" }));
          const fits = Math.min(given.length, LARGEST - at);
          bytes = Math.max(bytes, at + fits);
          return given.length === 1 ? fits : takes(fits);
        },
        stat: () => Promise.resolve({ bytes, kind: "file" as const, id: "", changedMs: 0 }),
      }),
    }));
    expect(await probeLimit(env, "/disk")).toMatchObject({ limitBytes: LARGEST, asked: 65_536, honest });
  });

  test("writes that arrive changed", async () => {
    const env = await probe((fs) =>
      withFiles(fs, (file) => ({
        write: (bytes, at) => file.write(at > 0 ? Buffer.concat([bytes.subarray(1), Buffer.from("?")]) : bytes, at),
      })),
    );
    expect((await probeWrites(env, "/disk", 2)).readBack).toBe(false);
  });

  test.each([0, 1])(
    "reads of zeros where bytes were written, after %d truncations: the verdicts on cut tails are wrong",
    async (from) => {
      let removed = 0;
      const env = await probe((fs) => ({
        ...withFiles(fs, (file, path) => ({
          async read(into, at) {
            const count = await file.read(into, at);
            if (path.endsWith("events.ndjson") && removed >= from) into.fill(0, Math.max(0, 512 - at), count);
            return count;
          },
        })),
        remove: (path) => {
          if (path.endsWith("events.ndjson")) removed += 1;
          return fs.remove(path);
        },
      }));
      const facts = await probeTails(env, "/disk/store");
      expect(facts.wrongCount).toBeGreaterThan(from === 0 ? 0 : 100);
      expect(facts.wrong[0]).toContain(from === 0 ? "lines are read" : "must say");
    },
  );

  test.each([true, false])(
    "syncs that do nothing (%s): only a power cut shows it, and then every loss counts",
    async (lies) => {
      const { env, disk } = await machine((fs) =>
        lies ? withFiles(fs, () => ({ sync: () => Promise.resolve() })) : {},
      );
      const store = await openStore(fileBackend({ path: "/disk/store" }, env));
      const acknowledged = new Map<number, number>();
      for (let n = 101; n <= 105; n++) acknowledged.set((await store.append("events", [eventOf(n)])).lastSeq, n);
      const after = fileBackend({ path: "/disk/store" }, disk.reboot(3, "drop").env);
      expect((await countAcknowledged(after, acknowledged)).lost).toBe(lies ? 5 : 0);
    },
  );
});

async function copyOver(fs: Fs, from: string, to: string): Promise<void> {
  const source = await fs.open(from, "read");
  const bytes = Buffer.alloc((await source.stat()).bytes);
  await source.read(bytes, 0);
  await source.close();
  await fs.remove(to);
  const target = await fs.open(to, "create");
  await target.write(bytes, 0);
  await target.close();
}

describe("the lock", () => {
  test("one that keeps nobody out", async () => {
    const { env, start } = await machine((fs) => ({
      lock: async (path, mode) => {
        const held = await fs.lock(path, mode);
        await held?.release();
        return { id: (await fs.stat(path))?.id ?? "", release: () => Promise.resolve() };
      },
    }));
    const facts = await probeLock(env, start, "/disk/lock");
    expect(facts).toMatchObject({ excludesSameProcess: false, excludesOtherProcess: false });
  });

  test("one that other processes do not see", async () => {
    const { env } = await machine();
    const { env: elsewhere } = await machine();
    const facts = await probeLock(env, starter(elsewhere), "/disk/lock");
    expect(facts).toMatchObject({ excludesSameProcess: true, excludesOtherProcess: false });
  });

  test("one that outlives its holder", async () => {
    const { env } = await machine();
    expect(await probeLock(env, starter(env, false), "/disk/lock").catch((error: unknown) => error)).toMatchObject({
      excludesOtherProcess: true,
      freeAfterKillMs: undefined,
    });
  });
});

describe("the crash matrix", () => {
  test("a record with another content, and one that is not there", async () => {
    const { env } = await machine();
    const backend = fileBackend({ path: "/disk/store" }, env);
    const store = await openStore(backend);
    await store.append("events", [eventOf(7), eventOf(8)]);
    await store.close();
    expect(
      await countAcknowledged(
        backend,
        new Map([
          [1, 7],
          [2, 8],
        ]),
      ),
    ).toEqual({ lost: 0, changed: 0 });
    expect(
      await countAcknowledged(
        backend,
        new Map([
          [1, 7],
          [2, 9],
          [3, 10],
        ]),
      ),
    ).toEqual({ lost: 1, changed: 1 });
  });

  test("lines that are no acknowledgement are none", () => {
    expect(parseAck("ack 12 3000012")).toEqual([12, 3000012]);
    for (const line of ["ack 12", "ack 12 3x", "ack 1 2 3", "held", ""]) expect(parseAck(line)).toBeUndefined();
  });

  test("a disk that loses files at a kill is found, and each loss counts once", async () => {
    const { env, start, volume } = await machine();
    const facts = await crashMatrix(env, "/disk/crash", {
      ms: 400,
      roundsPerStore: 4,
      start: (task, args) => {
        const child = start(task, args);
        async function* lines(): AsyncGenerator<string> {
          yield "ack 4000000 1"; // promised, and nowhere
          yield* child.lines;
        }
        return { ...child, lines: lines() };
      },
      remove: (path) => volume.removeTree(path),
    });
    expect(facts.lost).toBe(facts.stores);
    expect(facts.rounds).toBeGreaterThan(facts.stores);
    expect(facts.unsound.length).toBeGreaterThan(0);
  });

  test("a writer that ends by itself is a failure of the disk, with its words", async () => {
    const { env, volume } = await machine();
    const ended = Promise.resolve({ how: "exit 1", stderr: "PapyraError: cannot write: EIO" });
    async function* lines(): AsyncGenerator<string> {
      yield* [];
    }
    const start = () => ({ lines: lines(), end: () => undefined, kill: () => undefined, ended });
    const remove = (path: string) => volume.removeTree(path);
    await expect(crashMatrix(env, "/disk/crash", { ms: 100, roundsPerStore: 1, start, remove })).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining("EIO"),
    });
  });
});

describe("the directory", () => {
  test("too little space: nothing is made", async () => {
    const { env, start, disk } = await machine();
    const volume = volumeOf(env, EXT4, 1000);
    const before = disk.mutations;
    const run = selftest({ env, volume, start }, "/disk");
    await expect(run).rejects.toMatchObject({ code: "STORAGE_FULL", details: { freeBytes: 1000 } });
    expect(disk.mutations).toBe(before);
  });

  test("one that is not there is tested where it would be made; without a parent it is STORE_NOT_FOUND", async () => {
    const { env, start } = await machine();
    const volume = volumeOf(env, EXT4, 1000);
    const run = (dir: string) => selftest({ env, volume, start }, dir);
    await expect(run("/disk/new")).rejects.toMatchObject({ code: "STORAGE_FULL", details: { path: "/disk" } });
    await expect(run("/nowhere/new")).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    await expect(run("/disk")).rejects.toMatchObject({ code: "STORAGE_FULL", details: { path: "/disk" } });
  });

  test("is taken away also when the disk fails and when it is stopped; nothing else is touched", async () => {
    for (const stop of [true, false]) {
      const { env, start, disk, volume } = await machine();
      disk.put("/disk/mine", "mine");
      const controller = new AbortController();
      if (stop) disk.pause = (call) => void (call.n > 60 && controller.abort(new Error("stopped")));
      else disk.failAt(60, "EIO");
      const run = selftest({ env, volume, start }, "/disk", { seconds: 1, signal: controller.signal });
      await expect(run).rejects.toThrow(stop ? "stopped" : "EIO");
      expect(volume.removed.at(0)).toMatch(/^\/disk\/papyra-selftest-[0-9a-f]{16}$/);
      expect([...disk.tree().keys()]).toEqual(["/disk/mine"]);
    }
  });
});
