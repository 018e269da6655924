// What a power cut takes of the simulated disk, and what it never takes. A disk that forgets nothing would make every later
// crash test pass, so these tests ask for each kind of loss by name.
import { describe, expect, it } from "vitest";
import { replaceDurably } from "../../src/env/durable.ts";
import type { Env } from "../../src/env/env.ts";
import { PowerCut, SimDisk } from "../../src/testing/sim-disk.ts";
import { createFile, createSynced, texts } from "./sim-helpers.ts";

const SEEDS = Array.from({ length: 200 }, (_, seed) => seed);

/** A disk with a durable /log of 600 bytes and three unsynced writes behind it, one of them over durable bytes. */
async function diskWithPendingWrites(): Promise<SimDisk> {
  const disk = new SimDisk();
  disk.put("/log", "d".repeat(600));
  const file = await disk.env.fs.open("/log", "update");
  await file.write(Buffer.alloc(1000, "1"), 600);
  await file.write(Buffer.alloc(700, "2"), 1600);
  await file.write(Buffer.alloc(10, "3"), 100);
  return disk;
}

describe("a power cut", () => {
  it("drops, keeps or tears what was written but not synced", async () => {
    const disk = await diskWithPendingWrites();
    const whole = disk.content("/log");
    const durable = Buffer.alloc(600, "d");
    expect(disk.reboot(1, "drop").content("/log")).toEqual(durable);
    expect(disk.reboot(1, "keep").content("/log")).toEqual(whole);
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const content = disk.reboot(seed).content("/log");
      content.forEach((byte, at) => {
        const allowed = at < 600 ? [durable[at], whole[at]] : [0, whole[at]];
        if (!allowed.includes(byte)) throw new Error(`seed ${seed}: byte ${at} is ${byte}`);
      });
      expect(content.length).toBeLessThanOrEqual(whole.length);
      seen.add(content.toString("latin1"));
    }
    expect(seen.has(whole.toString("latin1"))).toBe(true);
    expect(seen.has(durable.toString("latin1"))).toBe(true);
    expect(seen.size).toBeGreaterThan(80);
  });

  it("leaves every kind of tear", async () => {
    const disk = new SimDisk();
    disk.put("/log", "");
    const file = await disk.env.fs.open("/log", "update");
    await file.write(Buffer.alloc(2000, "x"), 0);
    const kinds = new Set<string>();
    for (const seed of SEEDS) {
      const text = disk.reboot(seed).content("/log").toString("latin1");
      if (/^x+$/.test(text) && text.length < 2000 && text.length % 512 !== 0) kinds.add("prefix at any byte");
      if (/^\0+$/.test(text) && text.length === 2000) kinds.add("zeros");
      if (/^\0+x+$/.test(text) && text.indexOf("x") % 512 !== 0) kinds.add("hole in front");
      if (/x\0+x/.test(text) && text.indexOf("\0") % 512 === 0) kinds.add("sectors");
      if (text === "") kinds.add("nothing");
      if (text === "x".repeat(2000)) kinds.add("everything");
    }
    expect([...kinds].sort()).toEqual([
      "everything",
      "hole in front",
      "nothing",
      "prefix at any byte",
      "sectors",
      "zeros",
    ]);
  });

  it("never touches what was synced, with any of 200 seeds", async () => {
    const disk = new SimDisk();
    await disk.env.fs.makeDir("/store/logs");
    await createSynced(disk.env, "/store/logs/a", "durable");
    await disk.env.fs.syncDir("/store/logs");
    await disk.env.fs.syncDir("/store");
    await disk.env.fs.syncDir("/");
    const file = await disk.env.fs.open("/store/logs/a", "update");
    await file.write(Buffer.from(" and not"), 7);
    await createFile(disk.env, "/store/logs/b", "new");
    for (const seed of SEEDS) {
      expect(disk.reboot(seed).content("/store/logs/a").toString("latin1")).toMatch(/^durable/);
    }
    expect(texts(disk.reboot(0, "drop"))).toEqual({ "/store/logs/a": "durable" });
  });

  it("is the same for the same seed", async () => {
    const [one, other] = [await diskWithPendingWrites(), await diskWithPendingWrites()];
    for (const seed of SEEDS) {
      expect(texts(one.reboot(seed))).toEqual(texts(other.reboot(seed)));
    }
  });

  it("can be looked at while the disk goes on", async () => {
    const disk = new SimDisk();
    disk.put("/log", "");
    const file = await disk.env.fs.open("/log", "update");
    await file.write(Buffer.from("one"), 0);
    const [dropped, kept] = [disk.afterReboot(1, "drop"), disk.afterReboot(1, "keep")];
    await file.write(Buffer.from("two"), 3);
    await file.sync();
    const keptFile = await kept.env.fs.open("/log", "update");
    await keptFile.write(Buffer.from("ONE"), 0);
    expect([disk, dropped, kept].map((each) => each.content("/log").toString())).toEqual(["onetwo", "", "ONE"]);
    expect(disk.reboot(1, "drop").content("/log").toString()).toBe("onetwo");
  });

  it("shares no bytes with the disks that follow", async () => {
    const disk = new SimDisk();
    disk.put("/log", "");
    const file = await disk.env.fs.open("/log", "update");
    await file.write(Buffer.from("before"), 0);
    await file.sync();
    const [rebooted, killed] = [disk.afterReboot(1), disk.afterReboot(1).kill()];
    await file.write(Buffer.from("AFTER"), 0);
    await file.sync();
    const later = await killed.env.fs.open("/log", "update");
    await later.write(Buffer.from("later"), 0);
    const again = killed.afterReboot(1, "keep");
    expect([disk, rebooted, killed, again].map((each) => each.content("/log").toString())).toEqual([
      "AFTERe",
      "before",
      "latere",
      "latere",
    ]);
    expect(rebooted.reboot(1, "drop").content("/log").toString()).toBe("before");
  });

  it("can lose the change time of what was not synced", async () => {
    const disk = new SimDisk({ startMs: 1000 });
    disk.put("/log", "");
    const file = await disk.env.fs.open("/log", "update");
    disk.clock.advance(5);
    await file.write(Buffer.from("x"), 0);
    const changed = async (env: Env): Promise<number | undefined> => (await env.fs.stat("/log"))?.changedMs;
    expect(await changed(disk.env)).toBe(1005);
    expect(await changed(disk.reboot(1, "drop").env)).toBe(1000);
    expect(await changed(disk.reboot(1, "keep").env)).toBe(1005);
  });
});

describe("names at a power cut", () => {
  it("loses a new file whose directory was not synced, even though its bytes were", async () => {
    const disk = new SimDisk();
    await createSynced(disk.env, "/a", "bytes");
    expect(texts(disk.afterReboot(1, "drop"))).toEqual({});
    await disk.env.fs.syncDir("/");
    expect(texts(disk.reboot(1, "drop"))).toEqual({ "/a": "bytes" });
  });

  it("undoes a rename and a removal until the directory is synced", async () => {
    const disk = new SimDisk();
    for (const name of ["a", "b", "c"]) disk.put(`/${name}`, name);
    await disk.env.fs.rename("/a", "/b");
    await disk.env.fs.remove("/c");
    expect(texts(disk)).toEqual({ "/b": "a" });
    expect(texts(disk.afterReboot(1, "drop"))).toEqual({ "/a": "a", "/b": "b", "/c": "c" });
    await disk.env.fs.syncDir("/");
    expect(texts(disk.reboot(1, "drop"))).toEqual({ "/b": "a" });
  });

  it("needs each directory on the way to be synced in its parent", async () => {
    const disk = new SimDisk();
    await disk.env.fs.makeDir("/a/b");
    await createSynced(disk.env, "/a/b/file", "x");
    await disk.env.fs.syncDir("/a/b");
    await disk.env.fs.syncDir("/a");
    expect(texts(disk.afterReboot(1, "drop"))).toEqual({});
    await disk.env.fs.syncDir("/");
    expect(texts(disk.reboot(1, "drop"))).toEqual({ "/a/b/file": "x" });
  });

  it("keeps a prefix of the changes, sometimes any subset, and a rename in one directory whole", async () => {
    const disk = new SimDisk();
    disk.put("/tmp", "new");
    disk.put("/log", "old");
    await createSynced(disk.env, "/1", "");
    await disk.env.fs.rename("/tmp", "/log");
    await createSynced(disk.env, "/2", "");
    const seen = new Set(SEEDS.map((seed) => JSON.stringify(texts(disk.reboot(seed)))));
    const before = { "/log": "old", "/tmp": "new" };
    const after = { "/log": "new" };
    const expected = [before, after].flatMap((state) => [
      state,
      { "/1": "", ...state },
      { "/2": "", ...state },
      { "/1": "", "/2": "", ...state },
    ]);
    expect([...seen].sort()).toEqual(expected.map((state) => JSON.stringify(state)).sort());
  });

  it("lets each half of a move between directories survive alone", async () => {
    const disk = new SimDisk();
    disk.put("/from/x", "x");
    disk.put("/to/y", "y");
    await disk.env.fs.rename("/from/x", "/to/x");
    const seen = new Set(SEEDS.map((seed) => Object.keys(texts(disk.reboot(seed))).join(" ")));
    expect([...seen].sort()).toEqual(["/from/x /to/x /to/y", "/from/x /to/y", "/to/x /to/y", "/to/y"]);
    const both = SEEDS.map((seed) => disk.reboot(seed)).find((each) => each.tree().size === 3)!;
    const stats = await Promise.all(["/from/x", "/to/x"].map((path) => both.env.fs.stat(path)));
    expect(stats[0]?.id).toBe(stats[1]?.id);
    await both.env.fs.rename("/from/x", "/to/x");
    expect(both.tree().size).toBe(3); // two names of one file: rename does nothing
  });

  it("never gives a moved directory two names", async () => {
    const disk = new SimDisk();
    disk.put("/a/dir/file", "x");
    disk.put("/b/other", "y");
    await disk.env.fs.rename("/a/dir", "/b/dir");
    for (const seed of SEEDS) {
      expect(Object.keys(texts(disk.reboot(seed))).filter((path) => path.endsWith("/file")).length).toBeLessThan(2);
    }
  });

  it("tells the old file from the new one in a replacement cut anywhere", async () => {
    const run = async (disk: SimDisk): Promise<void> =>
      replaceDurably(disk.env.fs, disk.env.random, "/config", (append) => append(Buffer.from("new")));
    const whole = new SimDisk();
    whole.put("/config", "old");
    await run(whole);
    for (let cut = 1; cut <= whole.calls; cut++) {
      const disk = new SimDisk();
      disk.put("/config", "old");
      disk.cutPowerAt(cut);
      await expect(run(disk)).rejects.toThrow(PowerCut);
      for (let seed = 0; seed < 40; seed++) expect(["old", "new"]).toContain(texts(disk.reboot(seed))["/config"]);
    }
    expect(texts(whole.reboot(1, "drop"))).toEqual({ "/config": "new" });
  });
});
