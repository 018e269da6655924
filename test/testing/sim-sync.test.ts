// What a sync of the simulated disk covers and what it does not: the rule that decides whether "acknowledged" means durable.
import { describe, expect, it } from "vitest";
import { PowerCut, SimDisk } from "../../src/testing/sim-disk.ts";
import { failure } from "./sim-helpers.ts";

describe("sync", () => {
  it("covers the writes that completed before it started, and no others", async () => {
    const disk = new SimDisk();
    disk.put("/log", "");
    const file = await disk.env.fs.open("/log", "update");
    await file.write(Buffer.from("a"), 0);
    const inFlight = file.write(Buffer.from("b"), 1);
    let finishSync = (): void => undefined;
    disk.pause = (call) => (call.operation === "sync" ? new Promise((resolve) => (finishSync = resolve)) : undefined);
    const syncing = file.sync();
    await inFlight;
    await file.write(Buffer.from("c"), 2);
    expect(disk.afterReboot(1, "drop").content("/log").toString()).toBe("");
    finishSync();
    await syncing;
    expect(disk.afterReboot(1, "drop").content("/log").toString()).toBe("a");
    disk.pause = undefined;
    await Promise.all([file.sync(), file.sync()]);
    expect(disk.reboot(1, "drop").content("/log").toString()).toBe("abc");
  });

  it("covers no more when two of them overlap", async () => {
    const disk = new SimDisk();
    disk.put("/log", "");
    const file = await disk.env.fs.open("/log", "update");
    await file.write(Buffer.from("a"), 0);
    const held: (() => void)[] = [];
    disk.pause = (call) => (call.operation === "sync" ? new Promise((resolve) => held.push(resolve)) : undefined);
    const syncing = [file.sync(), file.sync()];
    await file.write(Buffer.from("b"), 1);
    for (const finish of held) finish();
    await Promise.all(syncing);
    expect(disk.reboot(1, "drop").content("/log").toString()).toBe("a");
  });

  it("covers the names that were changed before syncDir started, and no others", async () => {
    const disk = new SimDisk();
    let finishSync = (): void => undefined;
    disk.pause = (call) =>
      call.operation === "syncDir" ? new Promise((resolve) => (finishSync = resolve)) : undefined;
    await disk.env.fs.makeDir("/before");
    const syncing = disk.env.fs.syncDir("/");
    await disk.env.fs.makeDir("/meanwhile");
    finishSync();
    await syncing;
    expect(await disk.reboot(1, "drop").env.fs.list("/")).toEqual(["before"]);
  });

  it("makes nothing durable when the power goes while it runs", async () => {
    const disk = new SimDisk();
    disk.put("/log", "");
    const file = await disk.env.fs.open("/log", "update");
    await file.write(Buffer.from("a"), 0);
    disk.cutPowerAt(2);
    const syncing = file.sync();
    await expect(disk.env.fs.list("/")).rejects.toThrow(PowerCut);
    await expect(syncing).rejects.toThrow(PowerCut);
    expect(disk.reboot(1, "drop").content("/log").toString()).toBe("");
  });

  it("can fail once, then succeed over data that is lost", async () => {
    const disk = new SimDisk();
    disk.put("/log", "");
    const file = await disk.env.fs.open("/log", "update");
    await file.write(Buffer.from("lost"), 0);
    disk.forgetAtSync(1);
    expect(await failure(file.sync())).toEqual({
      code: "STORAGE_FAILED",
      operation: "sync",
      path: "/log",
      errno: "EIO",
    });
    await file.write(Buffer.from("kept"), 4);
    await file.sync();
    expect(disk.faultsHit).toBe(1);
    const after = disk.kill();
    expect(after.content("/log").toString()).toBe("lostkept");
    expect(after.reboot(1, "keep").content("/log").toString()).toBe("\0\0\0\0kept");
  });
});
