// Who may work on a store and on a repository at the same time: a backup that is held up in the middle, and everybody else.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { createBackup } from "../../src/backup/create.ts";
import type { ObjectStore } from "../../src/backup/objects.ts";
import { pinBackup } from "../../src/backup/pins.ts";
import { prune } from "../../src/backup/prune.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { compact, compactStore } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { event, world, write } from "./world.ts";

const RETENTION = { retention: { events: { maxRecords: 10 } } } as const;
const RECOVERY = { mode: "quarantine", quarantineDir: "/quarantine" } as const;
const KEEP = { keep: { last: 1 }, graceMs: 0 } as const;

/** The same objects, but whoever asks for the first one of `verb` waits until he is let go. */
function heldAt(objects: ObjectStore, verb: "put" | "get" | "remove") {
  let letGo!: () => void;
  let reached!: () => void;
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const waiting = new Promise<void>((resolve) => (reached = resolve));
  const wait = async <T>(name: typeof verb, call: () => Promise<T>): Promise<T> => {
    if (name === verb) {
      reached();
      await gate;
    }
    return call();
  };
  const slow: ObjectStore = {
    location: objects.location,
    env: objects.env,
    stat: (name) => objects.stat(name),
    list: (prefix) => objects.list(prefix),
    hold: (mode, purpose) => objects.hold(mode, purpose),
    put: (name, bytes, options) => wait("put", () => objects.put(name, bytes, options)),
    get: (name) => wait("get", () => objects.get(name)),
    remove: (name) => wait("remove", () => objects.remove(name)),
  };
  return { slow, waiting, letGo };
}

const storeLocked = (pid: number, purpose: string) => ({
  code: "STORE_LOCKED",
  message: expect.stringMatching(new RegExp(`pid ${pid} .*\\(${purpose}\\)`)),
});
const repositoryLocked = (pid: number, purpose: string) => ({
  code: "REPOSITORY_LOCKED",
  message: expect.stringMatching(new RegExp(`pid ${pid} .*\\(${purpose}\\)`)),
});

test("while a backup runs, its store is written, and neither compacted nor backed up once more", async () => {
  const { store, objects, env } = world({ segmentBytes: 4096 });
  await write(store, 60);
  const writer = await openStore(store);
  const { slow, waiting, letGo } = heldAt(objects, "put");
  const running = createBackup(store, slow);
  await waiting;
  const locked = storeLocked(env.host.pid, "backup");
  await writer.append("events", [event(61)]);
  await expect(compactStore(writer, RETENTION)).rejects.toMatchObject(locked);
  await expect(createBackup(store, objects)).rejects.toMatchObject(locked);
  await writer.close();
  await expect(compact(store, RETENTION)).rejects.toMatchObject(locked);
  await expect(prune(objects, KEEP)).rejects.toMatchObject(repositoryLocked(env.host.pid, "backup"));
  letGo();
  expect((await running).backup).toMatchObject({ verdict: "good" });
  expect(await compact(store, RETENTION)).toMatchObject({ ok: true });
  expect(await verifyBackups(objects, { level: "replay" })).toMatchObject({ ok: true });
});

test("while a backup of a damaged store runs, recovery is refused; then it mends the store", async () => {
  const { store, objects, env, disk } = world({ segmentBytes: 4096 });
  await write(store, 60);
  disk.corrupt("/srv/store/events.00000000000000000001.ndjson", (bytes) => bytes.fill(0x7e, 400, 401));
  const { slow, waiting, letGo } = heldAt(objects, "put");
  const running = createBackup(store, slow);
  await waiting;
  await expect(recover(store, RECOVERY)).rejects.toMatchObject(storeLocked(env.host.pid, "backup"));
  letGo();
  expect((await running).backup).toMatchObject({ verdict: "damaged" });
  expect(await recover(store, RECOVERY)).toMatchObject({ ok: true, changed: true });
  expect((await createBackup(store, objects)).backup).toMatchObject({ verdict: "good" });
});

test("while a store is kept by compaction or recovery, no backup of it begins", async () => {
  const { store, objects, env } = world({ segmentBytes: 4096 });
  await write(store, 20);
  for (const purpose of ["compaction", "recovery"]) {
    const pin = await store.pin?.(purpose);
    await expect(createBackup(store, objects)).rejects.toMatchObject(storeLocked(env.host.pid, purpose));
    await pin?.release();
  }
  expect((await createBackup(store, objects)).ok).toBe(true);
});

test("prune waits for nobody and nobody for a prune: whoever comes second is told who is there", async () => {
  const { store, objects, env, disk } = world();
  for (let day = 0; day < 3; day++) {
    await write(store, 5);
    await createBackup(store, objects);
    disk.clock.advance(86_400_000);
  }
  for (const [purpose, work] of Object.entries({
    verify: (slow: ObjectStore) => verifyBackups(slow),
    restore: (slow: ObjectStore) => restoreBackup(slow, env, "/restored"),
    pin: (slow: ObjectStore) => pinBackup(slow, "latest"),
  })) {
    const { slow, waiting, letGo } = heldAt(objects, "get");
    const running = work(slow);
    await waiting;
    await expect(prune(objects, KEEP), purpose).rejects.toMatchObject(repositoryLocked(env.host.pid, purpose));
    letGo();
    await running;
  }
  const { slow, waiting, letGo } = heldAt(objects, "remove");
  const pruning = prune(slow, KEEP);
  await waiting;
  const locked = repositoryLocked(env.host.pid, "prune");
  await expect(createBackup(store, objects)).rejects.toMatchObject(locked);
  await expect(verifyBackups(objects)).rejects.toMatchObject(locked);
  await expect(restoreBackup(objects, env, "/other")).rejects.toMatchObject(locked);
  await expect(pinBackup(objects, "latest")).rejects.toMatchObject(locked);
  await expect(prune(objects, KEEP)).rejects.toMatchObject(locked);
  letGo();
  expect((await pruning).done).toBe(true);
  expect(await verifyBackups(objects, { level: "replay" })).toMatchObject({ ok: true });
});
