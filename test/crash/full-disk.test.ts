// A disk that is really full: a tmpfs of half a megabyte under the store. Nothing acknowledged is lost, the writer
// stops acknowledging, actors that do not persist go on, and the store works again when there is space.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ActorSystem, fileStore, isPapyraError, openStore, type Store } from "../../src/index.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";

const KIB = 1024;
const DISK_BYTES = 512 * KIB;
const isRoot = process.getuid?.() === 0 && process.platform === "linux";
if (!isRoot && process.env.CI !== undefined) throw new Error("the tests of a full disk mount one: CI must run as root");
let root = "";
let path = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "papyra-full-"));
  path = join(root, "persistence");
  if (isRoot) run("mount", "-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "papyra-test", root);
});
afterEach(() => {
  if (isRoot) run("umount", "-l", root);
  rmSync(root, { recursive: true, force: true });
});

function run(program: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
}

/** Appends until the disk is full; how many were acknowledged, and what the last one was told. */
async function fill(store: Store, bytes: number): Promise<{ acknowledged: number; failure: unknown }> {
  for (let acknowledged = store.lastSeq("events"); ; acknowledged++) {
    const payload = { n: acknowledged + 1, text: "x".repeat(bytes) };
    try {
      await store.append("events", [
        { kind: "event", system_id: "s", actor_address: "s://a", event_type: "Noted", payload },
      ]);
    } catch (failure) {
      return { acknowledged, failure };
    }
  }
}

async function recordsIn(store: Store): Promise<number[]> {
  const found: number[] = [];
  for await (const record of store.read("events")) if (record.kind === "event") found.push(record.seq);
  return found;
}

test.skipIf(!isRoot).each([
  ["one file a log", {}],
  ["segments", { segmentBytes: 32 * KIB }],
])("a full disk: nothing acknowledged is lost, and the store goes on when there is space (%s)", async (_, options) => {
  // A recovery copies the segment that it mends: the space that comes back is enough for that.
  writeFileSync(join(root, "ballast"), Buffer.alloc(300 * KIB));
  const store = await openStore(fileStore({ path, ...options }));
  const { acknowledged, failure } = await fill(store, 1500);
  expect(acknowledged).toBeGreaterThan(50);
  expect(failure).toMatchObject({ code: "OUTCOME_UNKNOWN", cause: { code: "STORAGE_FULL" } });
  const again = await fill(store, 10);
  expect(again, "not one more acknowledgement, although a small record might fit").toMatchObject({
    acknowledged,
    failure: { code: "STORE_POISONED" },
  });
  await store.close().catch((error: unknown) => expect(isPapyraError(error)).toBe(true));

  const found = await scan(fileStore({ path }));
  expect(
    found.anomalies.every(({ acknowledged: lost }) => lost === "none"),
    found.verdict,
  ).toBe(true);
  expect(found.startable, found.verdict).toBe(true);

  rmSync(join(root, "ballast"));
  const next = await openStore(fileStore({ path, ...options }));
  expect((await recordsIn(next)).slice(0, acknowledged)).toEqual(
    Array.from({ length: acknowledged }, (_each, i) => i + 1),
  );
  await next.append("events", [
    { kind: "event", system_id: "s", actor_address: "s://a", event_type: "Noted", payload: "after" },
  ]);
  await next.close();
  const report = await recover(fileStore({ path }), { mode: "quarantine" });
  expect(report.after, report.verdict).toMatchObject({ ok: true });
});

/** Twenty events; then the disk has no byte left. Returns the log. */
async function fullStore(damage: (file: string) => void): Promise<string> {
  const store = await openStore(fileStore({ path }));
  for (let n = 1; n <= 20; n++) {
    await store.append("events", [
      { kind: "event", system_id: "s", actor_address: "s://a", event_type: "Noted", payload: "x".repeat(4000) },
    ]);
  }
  await store.close();
  const file = join(path, "events.ndjson");
  damage(file);
  const ballast = join(root, "ballast");
  writeFileSync(ballast, "");
  for (let bytes = 64 * KIB; bytes >= 1; bytes >>= 1) {
    const filled = spawnSync("sh", ["-c", `while head -c ${bytes} /dev/zero >> ${ballast}; do :; done`]);
    expect(filled.status).not.toBeNull();
  }
  return file;
}

const tear = (file: string): void => writeFileSync(file, Buffer.from('{"seq":99,"ki'), { flag: "a" });

test.skipIf(!isRoot)("a torn tail is taken out of a disk without one free byte", async () => {
  const file = await fullStore(tear);
  const before = statSync(file).size;
  expect(await recover(fileStore({ path }), { mode: "repair" })).toMatchObject({ ok: true, after: { ok: true } });
  expect(statSync(file).size).toBe(before - 13);
});

test.skipIf(!isRoot)("and with its bytes kept on another disk", async () => {
  const quarantineDir = mkdtempSync(join(tmpdir(), "papyra-kept-"));
  try {
    await fullStore(tear);
    const report = await recover(fileStore({ path }), { mode: "quarantine", quarantineDir });
    expect(report).toMatchObject({ ok: true, after: { ok: true }, removedBytes: 13 });
    expect(report.quarantine?.startsWith(quarantineDir)).toBe(true);
  } finally {
    rmSync(quarantineDir, { recursive: true, force: true });
  }
});

test.skipIf(!isRoot).each(["repair", "quarantine"] as const)(
  "damage in the middle needs a copy: recovery (%s) says what is missing, and the log is as it was",
  async (mode) => {
    const file = await fullStore((path) => {
      const bytes = readFileSync(path);
      bytes[6000]! ^= 1;
      writeFileSync(path, bytes);
    });
    const before = readFileSync(file);
    await expect(recover(fileStore({ path }), { mode })).rejects.toMatchObject({ code: "STORAGE_FULL" });
    expect(readFileSync(file).equals(before), "the log is as it was").toBe(true);
    expect((await scan(fileStore({ path }))).counts).toEqual({ "checksum-mismatch": 1 });
    rmSync(join(root, "ballast"));
    expect(await recover(fileStore({ path }), { mode })).toMatchObject({ ok: true, after: { ok: true } });
  },
);

test.skipIf(!isRoot)("actors that do not persist go on while the disk is full", async () => {
  writeFileSync(join(root, "ballast"), Buffer.alloc(300 * KIB));
  const problems: Error[] = [];
  const system = new ActorSystem({ store: fileStore({ path }), onProblem: (error) => problems.push(error) });
  await system.start();
  const { failure } = await fill(system.store as Store, 1500);
  expect(failure).toMatchObject({ code: "OUTCOME_UNKNOWN" });
  const adder = system.spawn("adder", () => ({ receive: (m: { a: number; b: number }) => m.a + m.b }));
  expect(await adder.ask({ a: 1, b: 2 })).toBe(3);
  await system.stop().catch(() => undefined); // it says that the disk is full
});
