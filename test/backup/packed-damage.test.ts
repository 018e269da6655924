// Damage to a packed repository is told as damage, wherever it is, and never taken for a wrong key; a wrong key is never taken
// for damage.
import { expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { drillBackup } from "../../src/backup/drill.ts";
import type { ObjectStore } from "../../src/backup/objects.ts";
import { HEADER_BYTES } from "../../src/backup/pack.ts";
import { packObjects, type PackedOptions } from "../../src/backup/packed.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { ada, encryptedFor, eve, identitiesOf, namesIn, refusal } from "./packed-world.ts";
import { world, type World, write } from "./world.ts";

const PLAIN = Buffer.from(`${"what is kept, ".repeat(8)}once`);
const NAME = "state/one.json";
const KEY_FILE = "keys/000001.age";

function flipped(bytes: Buffer, at: number): Buffer {
  const other = Buffer.from(bytes);
  other.writeUInt8(other.readUInt8(at) ^ (1 << (at % 8)), at);
  return other;
}

/** What comes of an object: its content, or a code. */
async function outcome(objects: ObjectStore): Promise<unknown> {
  return objects.get(NAME).then(
    (bytes) => bytes,
    (error: { code: unknown }) => error.code,
  );
}

test.each<[string, PackedOptions]>([
  ["compressed", { compression: "brotli" }],
  ["encrypted", encryptedFor(ada)],
  ["both", { ...encryptedFor(ada), compression: "brotli" }],
])("%s: every byte of an object flipped, and every length cut", async (_, options) => {
  const { objects: inner } = world();
  const objects = packObjects(inner, options);
  await objects.put(NAME, PLAIN);
  const stored = (await inner.get(NAME)) as Buffer;
  for (let at = 0; at < stored.length; at++) {
    await inner.put(NAME, flipped(stored, at));
    const found = await outcome(objects);
    if (at < 8) expect(PLAIN.equals(found as Buffer), `magic at ${at}`).toBe(false);
    else expect(found, `byte ${at}`).toBe("BACKUP_DAMAGED");
    if (at < HEADER_BYTES) expect((await objects.stat(NAME))?.bytes, `size with byte ${at}`).not.toBe(PLAIN.length);
  }
  for (let length = 8; length < stored.length; length++) {
    await inner.put(NAME, stored.subarray(0, length));
    expect(await outcome(objects), `length ${length}`).toBe("BACKUP_DAMAGED");
    expect((await objects.stat(NAME))?.bytes, `size of length ${length}`).not.toBe(PLAIN.length);
  }
  await inner.put(NAME, Buffer.concat([stored, Buffer.from("x")]));
  expect(await outcome(objects)).toBe("BACKUP_DAMAGED");
  await inner.put(NAME, stored);
  expect(PLAIN.equals((await objects.get(NAME)) as Buffer)).toBe(true);
});

async function made(): Promise<World & { readonly packed: ObjectStore }> {
  const one = world({ segmentBytes: 4096 });
  await write(one.store, 40);
  const packed = packObjects(one.objects, { ...encryptedFor(ada), compression: "brotli" });
  await createBackup(one.store, packed);
  return { ...one, packed };
}

test.each<[string, (length: number) => number]>([
  ["magic", () => 0],
  ["header", () => 17],
  ["nonce", () => 30],
  ["body", (length) => HEADER_BYTES + ((length - HEADER_BYTES) >> 1)],
  ["tag", (length) => length - 1],
])("the %s of a part: verify reports it, restore refuses, and a drill fails", async (_, at) => {
  const { objects: inner, packed, env } = await made();
  const [name = ""] = await namesIn(inner, "segments/events/");
  const stored = (await inner.get(name)) as Buffer;
  await inner.put(name, flipped(stored, at(stored.length)));
  const report = await verifyBackups(packed, { level: "checksums" });
  expect(report).toMatchObject({ ok: false, backups: [{ ok: false }] });
  expect(report.backups[0]?.problems.join()).toMatch(/is not what was stored|bytes instead of/);
  const backup = report.backups[0]?.id as string; // it is not the newest good one any more
  expect(await refusal(restoreBackup(packed, env, "/restored", { point: { backup } }))).toMatchObject({
    code: "BACKUP_DAMAGED",
  });
  expect(await drillBackup(packed, env, { scratch: "/scratch", backup })).toMatchObject({ outcome: "fail" });
  await inner.put(name, stored);
  expect(await verifyBackups(packed)).toMatchObject({ ok: true });
});

test("a truncated part is found by names alone, and a missing one is missing", async () => {
  const { objects: inner, packed } = await made();
  const [name = "", other = ""] = await namesIn(inner, "segments/");
  await inner.put(name, ((await inner.get(name)) as Buffer).subarray(0, -1));
  await inner.remove(other);
  const { backups } = await verifyBackups(packed, { level: "names" });
  expect(backups[0]?.problems.join("; ")).toMatch(/bytes instead of.*is gone|is gone.*bytes instead of/);
});

test("damaged manifests and entries of the catalog are findings, not failures", async () => {
  const { objects: inner, packed } = await made();
  for (const prefix of ["backups/", "catalog/"]) {
    const [name = ""] = await namesIn(inner, prefix);
    await inner.put(name, flipped((await inner.get(name)) as Buffer, 50));
  }
  const { backups, problems } = await viewRepository(packed);
  expect(backups).toMatchObject([{ good: false }]);
  expect(problems.join()).toContain("is damaged");
});

test("the key file: every flipped byte is damage and says so; a wrong identity beside it is a wrong identity", async () => {
  const { objects: inner } = await made();
  const [reader, stranger] = [ada, eve].map((one) => () => packObjects(inner, identitiesOf(one)));
  const file = (await inner.get(KEY_FILE)) as Buffer;
  for (let at = 0; at < file.length; at++) {
    await inner.put(KEY_FILE, flipped(file, at));
    for (const open of [reader, stranger]) {
      const error = await refusal(viewRepository((open as () => ObjectStore)()));
      expect({ at, code: error.code, message: error.message }).toMatchObject({
        at,
        code: "BACKUP_DAMAGED",
        message: expect.stringContaining(`key file ${KEY_FILE}`),
      });
      expect(error.hint).toContain("copy");
    }
  }
  await inner.put(KEY_FILE, file);
  expect((await viewRepository((reader as () => ObjectStore)())).backups).toHaveLength(1);
  expect(await refusal(viewRepository((stranger as () => ObjectStore)()))).toMatchObject({ code: "KEY_WRONG" });
});

test("the key file is gone: damage, also for who would write", async () => {
  const { objects: inner, store } = await made();
  const copies = await Promise.all(
    (await namesIn(inner, "keys/")).map(async (name) => ({ name, bytes: await inner.get(name) })),
  );
  for (const { name } of copies) await inner.remove(name);
  for (const options of [{}, identitiesOf(ada), encryptedFor(ada)]) {
    const calls = [viewRepository(packObjects(inner, options)), createBackup(store, packObjects(inner, options))];
    for (const error of await Promise.all(calls.map(refusal))) {
      expect(error).toMatchObject({ code: "BACKUP_DAMAGED", message: expect.stringContaining("its key 1 is gone") });
    }
  }
  expect(await namesIn(inner, "keys/")).toEqual([]);
  for (const { name, bytes } of copies) await inner.put(name, bytes as Buffer);
  expect(await verifyBackups(packObjects(inner, identitiesOf(ada)))).toMatchObject({ ok: true });
});

test("the key file of another repository is none of this one", async () => {
  const [here, there] = [await made(), world()];
  await packObjects(there.objects, encryptedFor(ada)).put(NAME, PLAIN);
  for (const name of await namesIn(there.objects, "keys/"))
    await here.objects.put(name, (await there.objects.get(name)) as Buffer);
  const { backups, problems } = await viewRepository(packObjects(here.objects, identitiesOf(ada)));
  expect({ good: backups.filter(({ good }) => good), told: problems.length > 0 }).toEqual({ good: [], told: true });
});
