// Packed repositories: whatever is done with backups is done the same over compressed and encrypted objects, and nobody reads
// or continues an encrypted repository without its key.
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, constants, crc32 } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { createBackup } from "../../src/backup/create.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import { drillBackup } from "../../src/backup/drill.ts";
import { backups, rotateKeys } from "../../src/backup/index.ts";
import { partName, partsOf } from "../../src/backup/manifest.ts";
import { CONTENT_BYTES_MAX, OBJECT_BYTES_MAX, type ObjectStore } from "../../src/backup/objects.ts";
import { HEADER_BYTES, readHeader } from "../../src/backup/pack.ts";
import { packObjects, type PackedOptions } from "../../src/backup/packed.ts";
import { prune } from "../../src/backup/prune.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import type { Env } from "../../src/env/env.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { ada, bob, encryptedFor, eve, identitiesOf, namesIn, refusal } from "./packed-world.ts";
import { contents, world, write } from "./world.ts";

const dir = mkdtempSync(join(tmpdir(), "papyra-packed-"));
afterAll(() => rmSync(dir, { recursive: true }));

const WAYS: Readonly<Record<string, PackedOptions>> = {
  "as it is": {},
  compressed: { compression: "brotli" },
  encrypted: encryptedFor(ada),
  "compressed and encrypted": { compression: "brotli", ...encryptedFor(ada, bob) },
};

interface Place {
  readonly env: Env;
  readonly at: (path: string) => Backend;
  readonly objects: ObjectStore;
  /** Where restores may go. */
  readonly root: string;
}

const PLACES: Readonly<Record<string, () => Place>> = {
  "the simulated disk": () => ({ ...world({ segmentBytes: 4096 }), root: "/work" }),
  "a real disk": () => {
    const root = mkdtempSync(join(dir, "place-"));
    const at = (path: string): Backend => fileBackend({ segmentBytes: 4096, path }, nodeEnv);
    return { env: nodeEnv, at, objects: directoryObjects(nodeEnv, join(root, "repository")), root };
  },
};

describe.each(Object.keys(PLACES))("on %s", (where) => {
  test.each(Object.entries(WAYS))("%s: create, verify, restore, drill and prune", async (_, options) => {
    const { env, at, objects: inner, root } = (PLACES[where] as () => Place)();
    const objects = packObjects(inner, options);
    const store = at(join(root, "store"));
    await write(store, 60);
    await createBackup(store, objects);
    const then = await contents(store);
    await write(store, 60);
    const { backup, storedBytes } = await createBackup(store, objects);
    expect(storedBytes).toBeGreaterThan(0);
    expect((await createBackup(store, objects)).storedBytes).toBe(0); // equal content still has equal names

    for (const level of ["names", "checksums", "replay"] as const) {
      const report = await verifyBackups(objects, { level });
      expect(report).toMatchObject({ ok: true, problems: [] });
    }
    const first = (await backups(objects).list()).backups[0]?.id as string;
    await restoreBackup(objects, env, join(root, "restored"), { point: { backup: first } });
    expect(await contents(at(join(root, "restored")))).toEqual(then);
    expect(await drillBackup(objects, env, { scratch: join(root, "scratch") })).toMatchObject({ outcome: "pass" });
    expect(await prune(objects, { keep: { last: 1 }, graceMs: -60_000 })).toMatchObject({ ok: true });
    const kept = [...new Set([...partsOf(backup)].map(({ log, part }) => partName(log, part)))].sort();
    expect(await namesIn(objects, "segments/")).toEqual(kept);
    expect(await namesIn(inner, "segments/")).toHaveLength(kept.length);
    expect(await verifyBackups(objects, { level: "replay" })).toMatchObject({ ok: true });
  });
});

test("nothing of an encrypted repository is readable: neither content nor the hash of a content", async () => {
  const { store, objects: inner } = world();
  await write(store, 30);
  const { backup } = await createBackup(store, packObjects(inner, encryptedFor(ada)));
  const hashes = [...partsOf(backup)].map(({ part }) => part.sha256);
  let seen = 0;
  for (const name of await namesIn(inner, "")) {
    const bytes = (await inner.get(name)) as Buffer;
    const text = name + bytes.toString("latin1");
    expect(text).not.toContain(backup.store);
    expect(text).not.toContain("Noted");
    for (const hash of hashes) expect(text).not.toContain(hash);
    expect(name.startsWith("keys/") || readHeader(name, bytes)).not.toBe("plain");
    seen += 1;
  }
  expect(seen).toBeGreaterThan(5);
});

test("the same content is encrypted differently each time, and moved elsewhere it is not accepted", async () => {
  const { objects: inner } = world();
  const objects = packObjects(inner, encryptedFor(ada));
  const content = Buffer.from("the same");
  for (const name of ["state/a.json", "state/b.json"]) await objects.put(name, content);
  const [a, b] = [(await inner.get("state/a.json")) as Buffer, (await inner.get("state/b.json")) as Buffer];
  expect(a.subarray(HEADER_BYTES)).not.toEqual(b.subarray(HEADER_BYTES));
  expect(readHeader("", a)).not.toMatchObject({ nonce: (readHeader("", b) as { nonce: Buffer }).nonce });
  await inner.put("state/b.json", a);
  expect(await refusal(objects.get("state/b.json"))).toMatchObject({ code: "BACKUP_DAMAGED" });
});

test("a mixed repository: what was stored unpacked, and then compressed, is read, found and removed as before", async () => {
  const { store, env, at, objects: inner } = world({ segmentBytes: 4096 });
  const states = [];
  const ids = [];
  for (const options of [{}, { compression: "brotli" } as const, encryptedFor(ada)]) {
    await write(store, 40);
    ids.push((await createBackup(store, packObjects(inner, options))).backup.id);
    states.push(await contents(store));
  }
  const reader = packObjects(inner, identitiesOf(ada));
  expect(await verifyBackups(reader, { level: "replay" })).toMatchObject({ ok: true });
  for (const [i, backup] of ids.entries()) {
    await restoreBackup(reader, env, `/r${i}`, { point: { backup } });
    expect(await contents(at(`/r${i}`))).toEqual(states[i]);
  }
  const forms = new Set((await namesIn(inner, "segments/")).map((name) => name.split(".").at(-1)));
  expect(forms).toEqual(new Set(["enc", "part"]));
  const part = (await namesIn(inner, "segments/")).find((name) => name.endsWith(".part")) as string;
  await reader.remove(part);
  expect(await reader.stat(part)).toBeUndefined();
});

describe("an encrypted repository is never continued otherwise", () => {
  const made = async (): Promise<ReturnType<typeof world>> => {
    const one = world();
    await write(one.store, 5);
    await createBackup(one.store, packObjects(one.objects, encryptedFor(ada)));
    return one;
  };

  test.each<[string, PackedOptions]>([
    ["without a key", {}],
    ["with another one's identity", identitiesOf(eve, bob)],
    ["with recipients alone", { recipients: [ada.recipient] }],
  ])("%s: KEY_WRONG, and nothing is stored", async (_, options) => {
    const { store, objects: inner } = await made();
    const before = await namesIn(inner, "");
    const repository = backups(packObjects(inner, options));
    const calls = [repository.create(store), repository.list(), repository.verify(), repository.restore("/r")];
    for (const error of await Promise.all(calls.map(refusal))) {
      expect(error).toMatchObject({ code: "KEY_WRONG" });
      expect(error.hint).toContain("--age-identity");
    }
    expect(await refusal(packObjects(inner, options).put("state/x", Buffer.from("x")))).toMatchObject({
      code: "KEY_WRONG",
    });
    expect(await namesIn(inner, "")).toEqual(before);
  });

  test("for other recipients, or with an identity where nothing is encrypted: OPTION_INVALID with the way to do it", async () => {
    const { store, objects: inner } = await made();
    const others = { ...encryptedFor(ada), recipients: [bob.recipient] };
    const error = await refusal(createBackup(store, packObjects(inner, others)));
    expect(error).toMatchObject({ code: "OPTION_INVALID", hint: expect.stringContaining("rotate-keys") });
    const fresh = world();
    await write(fresh.store, 5);
    const none = await refusal(createBackup(fresh.store, packObjects(fresh.objects, identitiesOf(ada))));
    expect(none).toMatchObject({ code: "OPTION_INVALID", hint: expect.stringContaining("--age-recipient") });
    const odd = { recipients: [ada.recipient], identities: [bob.identity] };
    expect(await refusal(createBackup(fresh.store, packObjects(fresh.objects, odd)))).toMatchObject({
      code: "KEY_WRONG",
    });
    expect(await namesIn(fresh.objects, "")).toEqual([]);
  });
});

test("of two that make the keys at once one wins, and both write under its keys", async () => {
  const { objects: inner } = world();
  const [one, other] = [packObjects(inner, encryptedFor(ada)), packObjects(inner, encryptedFor(ada))];
  await Promise.all([one.put("state/1", Buffer.from("1")), other.put("state/2", Buffer.from("2"))]);
  expect(await namesIn(inner, "keys/")).toEqual(["keys/000001.age", "keys/000001.sha256"]);
  const reader = packObjects(inner, identitiesOf(ada));
  expect([await reader.get("state/1"), await reader.get("state/2")].map(String)).toEqual(["1", "2"]);
});

test("rotating: others open everything, the former ones nothing, and what is new has a new key", async () => {
  const { store, objects: inner } = world({ segmentBytes: 4096 });
  await write(store, 40);
  const old = packObjects(inner, encryptedFor(ada, eve));
  const running = packObjects(inner, identitiesOf(ada, bob));
  await createBackup(store, old);
  await verifyBackups(running); // has the keys of before in memory
  const stored = await namesIn(inner, "segments/");
  const report = await rotateKeys(old, { recipients: [bob.recipient] });
  expect(report).toMatchObject({ dataKeys: 2, removed: [ada.recipient, eve.recipient], keyFile: "keys/000002.age" });
  expect(await namesIn(inner, "keys/")).toEqual(["keys/000002.age", "keys/000002.sha256"]);
  expect(await namesIn(inner, "segments/")).toEqual(stored);
  for (const one of [ada, eve])
    expect(await refusal(verifyBackups(packObjects(inner, identitiesOf(one))))).toMatchObject({ code: "KEY_WRONG" });
  await write(store, 40);
  const { backup } = await createBackup(store, running);
  const manifest = (await inner.get(`backups/${backup.id}.json`)) as Buffer;
  expect(readHeader("", manifest)).toMatchObject({ key: 2 });
  const next = packObjects(inner, identitiesOf(bob));
  expect(await verifyBackups(next, { level: "replay" })).toMatchObject({ ok: true, parts: expect.any(Number) });
  expect(await refusal(rotateKeys(old, { recipients: [eve.recipient] }))).toMatchObject({ code: "KEY_WRONG" });
  expect(await refusal(rotateKeys(world().objects, encryptedFor(ada)))).toMatchObject({ code: "OPTION_INVALID" });
});

test("sizes: the largest content fits, and an object that would unfold beyond what it says is not unfolded", async () => {
  const inner = directoryObjects(nodeEnv, mkdtempSync(join(dir, "sizes-")));
  const objects = packObjects(inner, { ...encryptedFor(ada), compression: "brotli" });
  const noise = randomBytes(CONTENT_BYTES_MAX);
  await objects.put("state/noise", noise);
  expect((await objects.get("state/noise"))?.equals(noise)).toBe(true);
  expect((await objects.stat("state/noise"))?.bytes).toBe(noise.length);
  expect((await inner.stat("state/noise"))?.bytes).toBeLessThanOrEqual(OBJECT_BYTES_MAX);

  const bomb = brotliCompressSync(Buffer.alloc(256 << 20), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } });
  await objects.put("state/small", Buffer.alloc(1000));
  for (const plainBytes of [1000, OBJECT_BYTES_MAX, 256 << 20]) {
    const header = Buffer.from(((await packedStart(inner)) as Buffer).subarray(0, HEADER_BYTES));
    header.set([1, 0], 9);
    header.writeUInt32BE(0, 12);
    header.writeUInt32BE(plainBytes, 16);
    header.writeUInt32BE(bomb.length, 20);
    header.fill(0, 24, 36).writeUInt32BE(crc32(bomb), 24);
    header.writeUInt32BE(crc32(header.subarray(0, 36)), 36);
    await inner.put("state/bomb", Buffer.concat([header, bomb]));
    const before = process.memoryUsage().rss;
    expect(await refusal(objects.get("state/bomb"))).toMatchObject({ code: "BACKUP_DAMAGED" });
    expect(process.memoryUsage().rss - before).toBeLessThan(128 << 20);
  }
});

async function packedStart(inner: ObjectStore): Promise<Buffer | undefined> {
  return inner.get("state/small");
}

test("content that looks packed comes back as it was, and options are checked without showing a secret", async () => {
  const { objects: inner } = world();
  const objects = packObjects(inner);
  const looks = Buffer.concat([Buffer.from("\x89PAPYRA\n", "latin1"), Buffer.alloc(64)]);
  await objects.put("state/x", looks);
  expect(await objects.get("state/x")).toEqual(looks);
  for (const options of [
    { recipients: ["ada"] },
    { identities: [`${ada.identity.toLowerCase()}`] },
    { compresion: "x" },
  ]) {
    const message = await refusal(Promise.resolve().then(() => packObjects(inner, options as PackedOptions)));
    expect(message.code).toBe("OPTION_INVALID");
    expect(JSON.stringify(message.details) + message.message + message.hint).not.toMatch(/secret-key-1/i);
  }
  const broken = packObjects(inner, { identities: [`${ada.identity}X`], recipients: [ada.recipient] });
  const error = await refusal(broken.put("state/y", looks));
  expect(error).toMatchObject({ code: "OPTION_INVALID" });
  expect(error.message + error.hint).not.toContain(ada.identity.slice(20));
});

test("on a real disk the objects are files that hold nothing readable", async () => {
  const root = mkdtempSync(join(dir, "files-"));
  const objects = packObjects(directoryObjects(nodeEnv, root), { compression: "brotli", ...encryptedFor(ada) });
  await objects.put("segments/events/" + "ab".repeat(32) + ".part", Buffer.from("secret ".repeat(1000)));
  const [file = ""] = readdirSync(join(root, "segments/events"));
  expect(file).toMatch(/^[0-9a-f]{64}\.enc$/);
  const bytes = readFileSync(join(root, "segments/events", file));
  expect(bytes.length).toBeLessThan(200);
  expect(bytes.toString("latin1")).not.toContain("secret");
});
