// Every control of the simulated disk does what it says: faults, a full disk, kills, locks, the trace and the setup helpers.
// What a power cut takes is in sim-power-cut.test.ts.
import { describe, expect, it } from "vitest";
import { writeAll } from "../../src/env/durable.ts";
import { PowerCut, ProcessKilled, SimDisk, type SimFault, type SimOperation } from "../../src/testing/sim-disk.ts";
import { createFile, createSynced, failure, texts } from "./sim-helpers.ts";

describe("planned faults", () => {
  it("fails the n-th call once, with the error of the real file system", async () => {
    const codes: Record<SimFault, string> = {
      EIO: "STORAGE_FAILED",
      EMFILE: "STORAGE_FAILED",
      EROFS: "STORAGE_FAILED",
      EINTR: "STORAGE_FAILED",
      ENOSPC: "STORAGE_FULL",
    };
    for (const [errno, code] of Object.entries(codes)) {
      const disk = new SimDisk();
      disk.failAt(2, errno as SimFault);
      await disk.env.fs.makeDir("/a");
      expect(await failure(disk.env.fs.makeDir("/b"))).toEqual({
        code,
        operation: "make the directory",
        path: "/b",
        errno,
      });
      await disk.env.fs.makeDir("/c");
      expect(await disk.env.fs.list("/")).toEqual(["a", "c"]);
      expect(disk.faultsHit).toBe(1);
    }
  });

  it("fails from then on when sticky, until the faults are cleared", async () => {
    const disk = new SimDisk();
    const file = await disk.env.fs.open("/log", "create");
    disk.failAt(2, "EIO", { sticky: true, operations: ["write", "sync"] });
    expect(await file.write(Buffer.from("a"), 0)).toBe(1);
    expect(await file.read(Buffer.alloc(1), 0)).toBe(1);
    expect(await failure(file.sync())).toMatchObject({ operation: "sync", errno: "EIO" });
    expect(await failure(file.write(Buffer.from("b"), 1))).toMatchObject({ operation: "write", errno: "EIO" });
    expect((await file.stat()).bytes).toBe(1);
    disk.clearFaults();
    expect(await file.write(Buffer.from("b"), 1)).toBe(1);
    expect(disk.faultsHit).toBe(2);
    expect(() => disk.failAt(0, "EIO")).toThrow(RangeError);
  });

  it("fails every kind of call", async () => {
    const disk = new SimDisk();
    const { fs } = disk.env;
    const file = await fs.open("/log", "create");
    const lock = (await fs.lock("/lock", "exclusive"))!;
    const calls: [SimOperation, () => Promise<unknown>][] = [
      ["list", () => fs.list("/")],
      ["makeDir", () => fs.makeDir("/d")],
      ["stat", () => fs.stat("/log")],
      ["open", () => fs.open("/log", "read")],
      ["create", () => fs.open("/new", "create")],
      ["rename", () => fs.rename("/log", "/log2")],
      ["remove", () => fs.remove("/log")],
      ["syncDir", () => fs.syncDir("/")],
      ["lock", () => fs.lock("/new-lock", "exclusive")],
      ["read", () => file.read(Buffer.alloc(1), 0)],
      ["write", () => file.write(Buffer.from("x"), 0)],
      ["sync", () => file.sync()],
      ["stat", () => file.stat()],
      ["close", () => file.close()],
      ["release", () => lock.release()],
    ];
    const before = disk.calls;
    for (const [, call] of calls) {
      disk.failAt(1, "EIO");
      expect(await failure(call())).toMatchObject({ errno: "EIO" });
    }
    expect(disk.trace.slice(before).map((call) => call.operation)).toEqual(calls.map(([operation]) => operation));
    expect(texts(disk)).toEqual({ "/lock": "", "/log": "" });
    expect(disk.mutations).toBe(2);
    expect(disk.openFiles).toBe(0); // a failed close gives the descriptor back
    expect(await fs.lock("/lock", "exclusive")).toBeDefined(); // and with it the lock
  });

  it("takes only part of a write and says so", async () => {
    const disk = new SimDisk();
    const file = await disk.env.fs.open("/log", "create");
    disk.shortWriteAt(2, 3);
    expect(await file.write(Buffer.from("12345"), 0)).toBe(5);
    expect(await file.write(Buffer.from("67890"), 5)).toBe(3);
    expect(await file.write(Buffer.from("90"), 8)).toBe(2);
    expect(disk.content("/log").toString()).toBe("1234567890");
    disk.shortWriteAt(1, 0);
    expect((await failure(writeAll(file, Buffer.from("x"), 10))).code).toBe("STORAGE_FAILED");
  });

  it("fills up, comes short, fails with ENOSPC, and works again when there is space", async () => {
    const disk = new SimDisk();
    disk.put("/old", "12345678");
    const file = await disk.env.fs.open("/log", "create");
    disk.freeBytes = 10;
    expect(await file.write(Buffer.from("abcdef"), 0)).toBe(6);
    expect(await file.write(Buffer.from("ABCDEF"), 0)).toBe(6);
    expect(await file.write(Buffer.from("ghijkl"), 6)).toBe(4);
    expect(await failure(file.write(Buffer.from("kl"), 10))).toMatchObject({ code: "STORAGE_FULL", errno: "ENOSPC" });
    disk.freeBytes += 1;
    expect(await file.write(Buffer.from("kl"), 10)).toBe(1);
    await disk.env.fs.remove("/old");
    expect(disk.freeBytes).toBe(8);
    expect(await file.write(Buffer.from("l"), 11)).toBe(1);
    expect(disk.content("/log").toString()).toBe("ABCDEFghijkl");
    await disk.env.fs.syncDir("/");
    expect(disk.reboot(1, "drop").freeBytes).toBe(7 + 12);
  });

  it("cuts the power at the n-th call and for good", async () => {
    const disk = new SimDisk();
    const file = await disk.env.fs.open("/log", "create");
    disk.cutPowerAt(2);
    await file.write(Buffer.from("a"), 0);
    expect(disk.powerCut).toBe(false);
    const unfinished = disk.env.fs.makeDir("/d").catch((error: unknown) => error);
    await expect(file.write(Buffer.from("b"), 1)).rejects.toThrow(PowerCut);
    expect(await unfinished).toBeInstanceOf(PowerCut);
    expect(disk.powerCut).toBe(true);
    await expect(file.close()).rejects.toThrow(PowerCut);
    await expect(disk.env.fs.list("/")).rejects.toThrow(PowerCut);
    expect(texts(disk)).toEqual({ "/log": "a" });
    expect(() => disk.kill()).toThrow(/reboot/);
  });
});

describe("a killed process", () => {
  it("leaves the cache, the boot and no locks", async () => {
    const disk = new SimDisk();
    disk.put("/log", "durable");
    const file = await disk.env.fs.open("/log", "update");
    await file.write(Buffer.from(" cached"), 7);
    await disk.env.fs.makeDir("/d");
    const lock = (await disk.env.fs.lock("/lock", "exclusive"))!;
    const before = await disk.env.fs.stat("/log");
    disk.clock.advance(1000);
    disk.killAt(1);
    await expect(disk.env.fs.list("/")).rejects.toThrow(ProcessKilled);
    expect(disk.killed).toBe(true);

    const next = disk.kill();
    expect(texts(next)).toEqual({ "/lock": "", "/log": "durable cached" });
    expect(await next.env.fs.list("/")).toEqual(["d", "lock", "log"]);
    expect(await next.env.fs.lock("/lock", "exclusive")).toBeDefined();
    expect(next.env.host.bootId).toBe(disk.env.host.bootId);
    expect(next.env.host.pid).not.toBe(disk.env.host.pid);
    expect(next.clock.monotonicMs()).toBe(1000);
    expect(await next.env.fs.stat("/log")).toEqual(before);
    for (const call of [file.write(Buffer.from("!"), 0), file.close(), lock.release()]) {
      await expect(call).rejects.toThrow(ProcessKilled);
    }
    expect(texts(next.reboot(1, "drop"))).toEqual({ "/log": "durable" });
  });

  it("can be followed by a sync that saves what it left in the cache", async () => {
    const disk = new SimDisk();
    await createFile(disk.env, "/log", "cached");
    const next = disk.kill();
    const file = await next.env.fs.open("/log", "update");
    await file.sync();
    await next.env.fs.syncDir("/");
    expect(texts(next.reboot(1, "drop"))).toEqual({ "/log": "cached" });
  });

  it("makes each process draw other names, and each boot have another id", () => {
    const disk = new SimDisk({ seed: 5 });
    const [killed, rebooted] = [disk.kill(), disk.reboot(5)];
    const again = rebooted.reboot(5);
    const drawn = [disk, killed, again].map((each) => each.env.random.hex(8));
    expect(new Set(drawn).size).toBe(3);
    expect(new SimDisk({ seed: 5 }).env.random.hex(8)).toBe(drawn[0]);
    expect(new Set([disk, rebooted, again].map((each) => each.env.host.bootId)).size).toBe(3);
    expect(drawn[0]).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe("locks", () => {
  it("exclude each other, however often the file is renamed, until they are released", async () => {
    const { fs } = new SimDisk().env;
    expect(await failure(fs.lock("/lock", "shared"))).toMatchObject({ code: "STORE_NOT_FOUND", errno: "ENOENT" });
    const first = (await fs.lock("/lock", "exclusive"))!;
    expect(await fs.lock("/lock", "exclusive")).toBeUndefined();
    expect(await fs.lock("/lock", "shared")).toBeUndefined();
    await fs.rename("/lock", "/renamed");
    expect(await fs.lock("/renamed", "shared")).toBeUndefined();
    await first.release();
    await first.release();
    const readers = [(await fs.lock("/renamed", "shared"))!, (await fs.lock("/renamed", "shared"))!];
    await readers[0]!.release();
    await readers[0]!.release();
    expect(await fs.lock("/renamed", "exclusive")).toBeUndefined();
    await readers[1]!.release();
    expect(await fs.lock("/renamed", "exclusive")).toBeDefined();
  });

  it("are freed by a reboot", async () => {
    const disk = new SimDisk();
    disk.put("/lock", "");
    await disk.env.fs.lock("/lock", "exclusive");
    expect(await disk.reboot(1, "keep").env.fs.lock("/lock", "exclusive")).toBeDefined();
  });
});

describe("what a test sees", () => {
  it("lists every call, and counts those that changed something", async () => {
    const disk = new SimDisk();
    const { fs } = disk.env;
    await fs.makeDir("/d");
    await fs.makeDir("/d");
    await createFile(disk.env, "/d/a", "abc");
    await fs.rename("/d/a", "/d/b");
    await fs.lock("/lock", "exclusive");
    expect(disk.mutations).toBe(5);
    await fs.lock("/lock", "shared");
    const file = await fs.open("/d/b", "read");
    expect(disk.openFiles).toBe(1);
    await file.read(Buffer.alloc(8), 1);
    await file.sync();
    await file.close();
    await file.close();
    await fs.list("/");
    await fs.stat("/d/b");
    expect([disk.mutations, disk.openFiles, disk.calls]).toEqual([5, 0, disk.trace.length]);
    expect(disk.trace.slice(2, 7)).toEqual([
      { n: 3, operation: "create", path: "/d/a", changed: true },
      { n: 4, operation: "write", path: "/d/a", bytes: 3, position: 0, changed: true },
      { n: 5, operation: "close", path: "/d/a" },
      { n: 6, operation: "rename", path: "/d/a to /d/b", changed: true },
      { n: 7, operation: "lock", path: "/lock", changed: true },
    ]);
    expect(disk.trace.find((call) => call.operation === "read")).toMatchObject({ path: "/d/b", bytes: 2, position: 1 });
  });

  it("tells files apart by id, over renames and reboots, and dates changes by its clock", async () => {
    const disk = new SimDisk({ startMs: 1000 });
    const { fs } = disk.env;
    await createSynced(disk.env, "/a", "x");
    await createSynced(disk.env, "/b", "x");
    const [a, b] = [await fs.stat("/a"), await fs.stat("/b")];
    expect(a?.id).not.toBe(b?.id);
    disk.clock.advance(7);
    await fs.rename("/a", "/b");
    expect(await fs.stat("/b")).toEqual({ ...a, changedMs: 1007 });
    expect((await fs.stat("/"))?.changedMs).toBe(1007);
    await fs.syncDir("/");
    const after = disk.reboot(3);
    expect((await after.env.fs.stat("/b"))?.id).toBe(a?.id);
    await createFile(after.env, "/c");
    expect([a?.id, b?.id]).not.toContain((await after.env.fs.stat("/c"))?.id);
    expect((await new SimDisk({ seed: 2 }).env.fs.stat("/"))?.id).not.toBe(
      (await fs.stat("/").catch(() => undefined))?.id,
    );
  });

  it("puts, damages and drops files durably", async () => {
    const disk = new SimDisk();
    disk.put("/d/a", "good");
    disk.put("/d/b", Buffer.from("gone"));
    const before = await disk.env.fs.stat("/d/a");
    const file = await disk.env.fs.open("/d/a", "update");
    await file.write(Buffer.from("!"), 4);
    disk.corrupt("/d/a", (content) => {
      content[0]! ^= 1;
      return content;
    });
    disk.drop("/d/b");
    expect(await disk.env.fs.stat("/d/a")).toEqual({ ...before, bytes: 5 });
    for (let seed = 0; seed < 200; seed++) expect(texts(disk.reboot(seed))).toEqual({ "/d/a": "food!" });
    expect(disk.mutations).toBe(1);
    expect(() => disk.content("/d")).toThrow(/directory/);
    expect(() => disk.put("/", "")).toThrow(/not the path of a file/);
    expect(() => disk.put("/d/a/b", "")).toThrow(/is a file/);
  });

  it("gives content that later writes do not change", async () => {
    const disk = new SimDisk();
    disk.put("/log", "before");
    const [content, tree] = [disk.content("/log"), disk.tree()];
    const file = await disk.env.fs.open("/log", "update");
    const given = Buffer.from("after!");
    await file.write(given, 0);
    given.fill("x");
    expect([content.toString(), tree.get("/log")?.toString(), disk.content("/log").toString()]).toEqual([
      "before",
      "before",
      "after!",
    ]);
    expect(disk.reboot(1, "keep").content("/log").toString()).toBe("after!");
  });
});
