// Faults of reading and of access: an error of the storage is a clear failure, never taken for damage, and changes nothing.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { fileStore, openStore, type Store } from "../../src/index.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { ROOT } from "../source.ts";
import { backendOn, newLedger, PATH, put } from "./scenario.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
if (!isRoot && process.env.CI !== undefined) throw new Error("faults of access need root: CI must run as root");
if (!isRoot) console.log("faults of access: 2 skipped, they need root on Linux");

const QUARANTINE = { mode: "quarantine", quarantineDir: "/data/quarantine" } as const;

/** So many of the calls that read fail, evenly spread; with PAPYRA_EXHAUSTIVE=1 all of them. */
const READS = 60;

/** Two closed segments and an active one with a torn tail and a damaged record: recovery has something to do. */
async function damaged(): Promise<SimDisk> {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk, { segmentBytes: 4096 }));
  for (let i = 0; i < 4; i++) await put(store, newLedger(), "journal", 8);
  await store.close();
  disk.corrupt(`${PATH}/journal.ndjson`, (bytes) => Buffer.concat([bytes, Buffer.from('{"seq":99,"ki')]));
  disk.corrupt(`${PATH}/journal.00000000000000000001.ndjson`, (bytes) => bytes.fill(0x7e, 400, 401));
  return disk;
}

const WORK: readonly [string, (disk: SimDisk) => Promise<unknown>][] = [["a scan", (disk) => scan(backendOn(disk))]];

test.each(WORK)("EIO at each read of %s is STORAGE_FAILED, and no damage that is written down", async (_, work) => {
  const base = await damaged();
  const whole = base.afterKill();
  const before = whole.calls;
  await work(whole);
  const looks = ["read", "stat", "list", "open"] as const;
  const calls = whole.trace.slice(before).filter(({ operation }) => (looks as readonly string[]).includes(operation));
  expect(calls.length).toBeGreaterThan(20);
  const step = process.env.PAPYRA_EXHAUSTIVE === "1" ? 1 : Math.ceil(calls.length / READS);
  for (let n = 1; n <= calls.length; n += step) {
    const disk = base.afterKill();
    const gaps = (text: string): number => text.split('"kind":"gap"').length;
    disk.failAt(n, "EIO", { operations: looks });
    const error: unknown = await work(disk).catch((thrown: unknown) => thrown);
    expect(disk.faultsHit, `${calls[n - 1]?.operation} ${n}`).toBe(1);
    expect(error, `${calls[n - 1]?.operation} ${calls[n - 1]?.path}`).toMatchObject({ code: "STORAGE_FAILED" });
    // Whatever was done by then, the next recovery ends it, and the one damaged record is all that is ever missing.
    const next = await recover(backendOn(disk), QUARANTINE);
    expect(next.after, next.verdict).toMatchObject({ ok: true });
    const all = [...disk.tree()]
      .filter(([path]) => path.startsWith(`${PATH}/journal`))
      .map(([, bytes]) => String(bytes));
    expect(gaps(all.join("")), "one gap record").toBe(2);
  }
});

function run(program: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
}

const note = { kind: "event", system_id: "s", actor_address: "s://a", event_type: "Noted", payload: {} } as const;

async function storeAt(path: string): Promise<Store> {
  const store = await openStore(fileStore({ path }));
  await store.append("events", [note]);
  return store;
}

test.skipIf(!isRoot)("a read-only mount: reading works, everything else says that it is read-only", async () => {
  const root = mkdtempSync(join(tmpdir(), "papyra-ro-"));
  const path = join(root, "persistence");
  await (await storeAt(path)).close();
  run("mount", "--bind", root, root);
  try {
    run("mount", "-o", "remount,ro,bind", root);
    expect(await scan(fileStore({ path }))).toMatchObject({ ok: true });
    for (const place of [path, join(root, "new"), join(root, "new/below")]) {
      const error: unknown = await openStore(fileStore({ path: place })).catch((thrown: unknown) => thrown);
      expect(error, place).toMatchObject({ code: "STORAGE_FAILED", details: { errno: "EROFS" } });
      expect((error as { hint: string }).hint).toContain("read-only");
    }
  } finally {
    run("umount", "-l", root);
    rmSync(root, { recursive: true, force: true });
  }
});

test.skipIf(!isRoot)("another user who may not read: EACCES says so, and is no damage", async () => {
  const root = mkdtempSync(join(tmpdir(), "papyra-user-"));
  chmodSync(root, 0o755);
  const path = join(root, "persistence");
  await (await storeAt(path)).close();
  const file = join(path, "events.ndjson");
  chmodSync(file, 0o600);
  const bytes = readFileSync(file);
  const module = (name: string) => JSON.stringify(pathToFileURL(join(ROOT, "dist", name)).href);
  const program = `
    const { fileStore, openStore } = await import(${module("index.js")});
    const { scan } = await import(${module("ops/scan.js")});
    const said = (error) => [error.code, error.details?.errno, error.hint];
    const path = ${JSON.stringify(path)};
    const read = await scan(fileStore({ path })).then((report) => report.verdict, said);
    const write = await openStore(fileStore({ path })).then(() => "opened", said);
    console.log(JSON.stringify({ read, write }));`;
  const args = ["--reuid", "65534", "--regid", "65534", "--clear-groups", process.execPath];
  const { stdout, stderr } = spawnSync("setpriv", [...args, "--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  const refused = ["STORAGE_FAILED", "EACCES", expect.stringContaining("owner")];
  expect(JSON.parse(stdout)).toEqual({ read: refused, write: refused });
  expect(readFileSync(file).equals(bytes)).toBe(true);
  rmSync(root, { recursive: true, force: true });
});

test("the directory is removed under a living writer: not one more acknowledgement, and a new store when asked", async () => {
  const root = mkdtempSync(join(tmpdir(), "papyra-gone-"));
  const path = join(root, "persistence");
  const store = await storeAt(path);
  rmSync(path, { recursive: true });
  await expect(store.append("events", [note])).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  await expect(store.append("events", [note])).rejects.toMatchObject({ code: "STORE_POISONED" });
  await store.close().catch(() => undefined);
  expect(existsSync(path), "a closing writer brings nothing back").toBe(false);
  mkdirSync(path);
  const next = await openStore(fileStore({ path }));
  expect(await next.append("events", [note])).toMatchObject({ firstSeq: 1 });
  await next.close();
  expect(readdirSync(path)).toContain("papyra.json");
  rmSync(root, { recursive: true, force: true });
});
