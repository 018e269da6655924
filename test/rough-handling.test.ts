// What people and scripts do to a store: delete or replace files under its writer, copy single logs, recover as root, fill
// caches with junk, change the directory of the process. Nothing may be acknowledged into the void, and no verdict may
// reassure without reason.
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { fileStore, openStore } from "../src/index.ts";
import type { NewRecord } from "../src/log/record.ts";
import { recover } from "../src/ops/recover.ts";
import { scan } from "../src/ops/scan.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";

const root = mkdtempSync(join(tmpdir(), "papyra-rough-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let places = 0;

const note = (n: number): NewRecord => ({
  kind: "event",
  system_id: "s",
  actor_address: "s://a",
  event_type: "Noted",
  payload: { n },
});

async function storeOf(records: number): Promise<string> {
  const path = join(root, `store-${++places}`);
  const store = await openStore(fileStore({ path }));
  for (let n = 0; n < records; n++) await store.append("events", [note(n)]);
  await store.close();
  return path;
}

async function copyOf(path: string): Promise<string> {
  const copy = join(root, `copy-${++places}`);
  cpSync(path, copy, { recursive: true });
  return copy;
}

test("a flipped bit in the identity of a log that was copied alone costs no record", async () => {
  const path = await storeOf(20);
  for (let byte = 0; byte < 60; byte += 7) {
    const dir = join(root, `lone-${++places}`);
    mkdirSync(dir);
    copyFileSync(join(path, "events.ndjson"), join(dir, "events.ndjson"));
    const whole = readFileSync(join(dir, "events.ndjson"));
    const damaged = Buffer.from(whole);
    damaged[byte] = (damaged[byte] as number) ^ 1;
    writeFileSync(join(dir, "events.ndjson"), damaged);
    expect((await scan(fileStore({ path: dir }))).anomalyCount).toBe(1);
    expect((await recover(fileStore({ path: dir }), { mode: "repair" })).ok).toBe(true);
    expect(readFileSync(join(dir, "events.ndjson")).equals(whole), `byte ${byte}`).toBe(true);
  }
});

test("where the identity is edited beyond telling, recovery refuses to take every line for damaged", async () => {
  const path = await storeOf(20);
  const dir = join(root, `lone-${++places}`);
  mkdirSync(dir);
  const text = readFileSync(join(path, "events.ndjson"), "utf8").replace(/"lineage":"[^"]+"/, '"lineage":"edited"');
  writeFileSync(join(dir, "events.ndjson"), text);
  const report = await recover(fileStore({ path: dir }), { mode: "repair" });
  expect(report.ok).toBe(false);
  expect(readFileSync(join(dir, "events.ndjson"), "utf8")).toBe(text);
});

test("a copied log of which nothing is left may have held anything: nobody says that nothing is lost", async () => {
  for (const bytes of [0, 40]) {
    const copy = await copyOf(await storeOf(20));
    truncateSync(join(copy, "events.ndjson"), bytes);
    const found = await scan(fileStore({ path: copy }));
    expect(found.anomalies.map((anomaly) => anomaly.acknowledged)).toEqual(["unknown"]);
    expect(found.startable).toBe(false);
    const report = await recover(fileStore({ path: copy }), { mode: "repair" });
    expect(report.after.logs.find((log) => log.log === "events")?.endVouched).toBe(false);
  }
});

test("recovering a copy vouches for nothing that nobody vouched for before", async () => {
  const copy = await copyOf(await storeOf(20));
  const lines = readFileSync(join(copy, "events.ndjson"), "utf8").split("\n");
  writeFileSync(join(copy, "events.ndjson"), `${lines.slice(0, 11).join("\n")}\n{"seq":11,`);
  const report = await recover(fileStore({ path: copy }), { mode: "repair" });
  expect(report.ok).toBe(true);
  expect(report.after.logs.every((log) => !log.endVouched)).toBe(true);
});

test("a copy of hard links is not accused of lacking what was written since; the store is still vouched for", async () => {
  const path = join(root, `store-${++places}`);
  const store = await openStore(fileStore({ path, segmentBytes: 4096 }));
  for (let n = 0; n < 30; n++) await store.append("events", [note(n)]);
  const copy = join(root, `copy-${++places}`);
  execFileSync("cp", ["-al", path, copy]);
  for (let n = 0; n < 60; n++) await store.append("events", [note(n)]); // into another file than the copy has
  await store.close();
  const [copied, original] = [await scan(fileStore({ path: copy })), await scan(fileStore({ path }))];
  expect([copied.counts, copied.logs.some((log) => log.endVouched)]).toEqual([{}, false]);
  expect([original.ok, original.logs.every((log) => log.endVouched)]).toEqual([true, true]);
});

for (const [what, act] of [
  ["is removed", (file: string) => rmSync(file)],
  ["is renamed", (file: string) => renameSync(file, `${file}.old`)],
  [
    "is replaced, as sed -i does",
    (file: string) => (copyFileSync(file, `${file}.new`), renameSync(`${file}.new`, file)),
  ],
] as const) {
  test(`a log that ${what} under its writer ends the acknowledgements`, async () => {
    const path = await storeOf(3);
    const store = await openStore(fileStore({ path }));
    await store.append("events", [note(100)]);
    act(join(path, "events.ndjson"));
    await expect(store.append("events", [note(101)])).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    await expect(store.append("events", [note(102)])).rejects.toMatchObject({ code: "STORE_POISONED" });
    await store.close().catch(() => undefined);
  });
}

test("a writer whose lock file is taken away writes nothing more, so that two never write", async () => {
  const path = await storeOf(3);
  const first = await openStore(fileStore({ path }));
  await first.append("events", [note(100)]);
  rmSync(join(path, "papyra.lock"));
  const second = await openStore(fileStore({ path }));
  await second.append("events", [note(200)]);
  await expect(first.append("events", [note(101)])).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  await second.append("events", [note(201)]);
  await first.close().catch(() => undefined);
  await second.close();
  const found = await scan(fileStore({ path }));
  expect([found.ok, found.logs.find((log) => log.log === "events")?.lastSeq]).toEqual([true, 6]);
});

test("a directory or a dead link under the name of a segment is named, with what to do", async () => {
  const file = "events.00000000000000000500.ndjson";
  const path = await storeOf(3);
  mkdirSync(join(path, file));
  await expect(scan(fileStore({ path }))).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringContaining(file) as string,
    hint: expect.stringContaining("move it out of the store") as string,
  });
  rmSync(join(path, file), { recursive: true });
  symlinkSync("nowhere", join(path, file));
  await expect(scan(fileStore({ path }))).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    hint: expect.stringContaining("a link that leads nowhere") as string,
  });
});

test("a file on its own that lacks records is not called undefined", async () => {
  const path = await storeOf(20);
  const copy = join(root, `alone-${++places}.log`);
  const lines = readFileSync(join(path, "events.ndjson"), "utf8").split("\n");
  writeFileSync(copy, [lines[0], ...lines.slice(9)].join("\n"));
  expect((await scan(fileStore({ path: copy }))).verdict).toContain("(file) seq 1-8");
});

test("caches and notes that were blown up are no reason not to work", async () => {
  const path = await storeOf(3);
  const junk = Buffer.alloc(2 << 20);
  for (const file of ["papyra.mark", "papyra.lock", "papyra.json"]) appendFileSync(join(path, file), junk);
  expect((await scan(fileStore({ path }))).counts).toEqual({ "checksum-mismatch": 1 }); // papyra.json, which is rebuilt
  expect((await recover(fileStore({ path }), { mode: "repair" })).ok).toBe(true);
  const store = await openStore(fileStore({ path }));
  expect((await store.append("events", [note(9)])).lastSeq).toBe(4);
  await store.close();
  expect((await scan(fileStore({ path }))).ok).toBe(true);
});

test("a relative path means the directory in which the store was named", async () => {
  const path = await storeOf(2);
  const before = process.cwd();
  const code = `import { fileStore, openStore } from ${JSON.stringify(new URL("../dist/index.js", import.meta.url).href)};
    const store = await openStore(fileStore({ path: ${JSON.stringify(path.slice(root.length + 1))} }));
    process.chdir("/");
    await store.append("events", [${JSON.stringify(note(5))}]);
    let count = 0;
    for await (const _ of store.read("events")) count += 1;
    await store.close();
    process.stdout.write(String(count));`;
  expect(execFileSync(process.execPath, ["--input-type=module", "-e", code], { cwd: root, encoding: "utf8" })).toBe(
    "3",
  );
  expect(process.cwd()).toBe(before);
});

test.runIf(process.getuid?.() === 0)("recovery by root leaves owners and modes as they were", async () => {
  const path = await storeOf(5);
  const file = join(path, "events.ndjson");
  const bytes = readFileSync(file);
  bytes[bytes.indexOf('{"seq":3,') + 50] = 0x23;
  writeFileSync(file, bytes);
  for (const name of ["events.ndjson", "papyra.mark", "papyra.json", "papyra.lock"]) {
    chownSync(join(path, name), 65534, 65534);
    chmodSync(join(path, name), 0o600);
  }
  chownSync(path, 65534, 65534);
  expect((await recover(fileStore({ path }), { mode: "repair" })).ok).toBe(true);
  for (const name of ["events.ndjson", "papyra.mark"]) {
    const { uid, mode } = statSync(join(path, name));
    expect([name, uid, mode & 0o777]).toEqual([name, 65534, 0o600]);
  }
});

test("a close that fails keeps neither files open nor the store locked", async () => {
  const disk = new SimDisk();
  const store = await openStore(fileStore({ path: "/store" }, disk.env));
  await store.append("events", [note(1)]);
  disk.failAt(1, "EIO", { operations: ["close"] });
  await expect(store.close()).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  const again = await openStore(fileStore({ path: "/store" }, disk.env));
  await again.close();
});

test("as many anomalies as records take time in proportion, not squared", async () => {
  const path = await storeOf(1);
  const store = await openStore(fileStore({ path, durability: "os" }));
  const count = 60_000;
  for (let n = 0; n < count; n += 5000)
    await store.append(
      "events",
      Array.from({ length: 5000 }, (_, i) => note(n + i)),
    );
  await store.close();
  const file = join(path, "events.ndjson");
  const lines = readFileSync(file, "utf8").split("\n");
  writeFileSync(file, lines.filter((_, i) => i % 2 === 0 || i > count).join("\n"));
  const found = await scan(fileStore({ path }));
  expect(found.anomalyCount).toBeGreaterThan(count / 2 - 10);
  const report = await recover(fileStore({ path }), { mode: "repair" });
  expect(report.ok, report.verdict).toBe(true);
});

test("a pipe in the place of the store's own file is told, and nobody waits for its other end", async () => {
  const path = await storeOf(3);
  const file = join(path, "papyra.json");
  rmSync(file);
  execFileSync("mkfifo", [file]);
  const scanned = scan(fileStore({ path }));
  await expect(scanned).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringContaining(file) as string,
  });
});

test("a pipe in the place of the lock is told, and nobody waits for its other end", async () => {
  const path = await storeOf(3);
  const file = join(path, "papyra.lock");
  rmSync(file);
  execFileSync("mkfifo", [file]);
  expect((await scan(fileStore({ path }))).ok).toBe(true);
  await expect(openStore(fileStore({ path }))).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringContaining(file) as string,
    hint: expect.stringContaining("move it away") as string,
  });
});
