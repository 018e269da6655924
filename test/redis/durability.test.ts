// What the server promises: read from it, printed, and refused where it is too little; and histories that came back shorter.
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { doctor, type DoctorFact } from "../../src/ops/doctor.ts";
import { redisStore, type RedisStoreOptions } from "../../src/redis/index.ts";
import { event, withStore } from "../../src/testing/contract-subject.ts";
import { type Admin, RedisServer } from "./server.ts";
import { uniqueSystem } from "./subject.ts";

let server: RedisServer;
let admin: Admin;
let directory: string;

beforeAll(async () => {
  server = await RedisServer.start("--appendonly", "yes", "--appendfsync", "everysec");
  admin = await server.admin();
  directory = await mkdtemp(join(tmpdir(), "papyra-witness-"));
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

function storeOf(more: Partial<RedisStoreOptions> = {}) {
  return redisStore({ url: server.url, systemId: uniqueSystem(), ...more });
}

async function factsOf(store: ReturnType<typeof storeOf>): Promise<Partial<Record<DoctorFact["name"], DoctorFact>>> {
  await withStore(store, (opened) => opened.append("events", [event(1)]));
  const about = { mode: "scan_only", node: process.version, platform: "test", policySource: "the server" } as const;
  const report = await doctor(store, about);
  return Object.fromEntries(report.facts.map((fact) => [fact.name, fact]));
}

test.each([
  ["always", /appendfsync always: an acknowledged record is on the server's disk/],
  ["everysec", /appendfsync everysec: a power cut of the server may lose about the last two seconds/],
  ["no", /appendfsync no: a power cut/],
])("doctor says what appendfsync %s means", async (setting, meaning) => {
  await admin.configSet("appendfsync", setting);
  const facts = await factsOf(storeOf());
  expect(facts.durability?.detail).toMatch(meaning);
  expect(facts.server?.detail).toMatch(/^(Redis|Valkey) \d+\.\d+\.\d+, role master$/);
  expect(facts["safe keeping"]?.verdict).toBe("good");
});

test("power-cut wants appendfsync always, and is refused otherwise, with the reason and the remedy", async () => {
  await admin.configSet("appendfsync", "everysec");
  const strict = storeOf({ requireDurability: "power-cut" });
  await expect(openStore(strict)).rejects.toMatchObject({
    code: "DURABILITY_REFUSED",
    message: expect.stringMatching(/appendfsync is everysec/) as string,
    hint: "set appendfsync always",
  });
  await expect(strict.view()).rejects.toMatchObject({ code: "STORE_NOT_FOUND" }); // nothing was made
  await withStore(storeOf({ requireDurability: "crash" }), async () => undefined);
  await admin.configSet("appendfsync", "always");
  await withStore(strict, (store) => store.append("events", [event(1)]));
});

test("a server without an append-only file is refused where a crash must not lose anything", async () => {
  const bare = await RedisServer.start();
  const options = { url: bare.url, systemId: "s" };
  const strict = redisStore({ ...options, requireDurability: "crash" });
  await expect(openStore(strict)).rejects.toThrow(/appendonly is no/);
  const lax = redisStore(options);
  await withStore(lax, (store) => store.append("events", [event(1)]));
  expect(lax.durability).toMatch(/appendonly no: a crash of the server loses everything since its last snapshot/);
  await bare.stop();
});

test("replicas that must be there and are not", async () => {
  await expect(openStore(storeOf({ requireReplicas: 1 }))).rejects.toThrow(/connected replicas: 0/);
});

test("a server that may throw whole streams away is never written", async () => {
  const store = storeOf();
  await admin.configSet("maxmemory-policy", "allkeys-lru");
  await withStore(store, async () => undefined); // there is no limit: nothing is ever thrown away
  await admin.configSet("maxmemory", "1gb");
  await expect(openStore(store)).rejects.toMatchObject({ code: "DURABILITY_REFUSED", hint: /noeviction/ });
  const about = {
    mode: "fail_on_anomaly",
    node: process.version,
    platform: "test",
    policySource: "the server",
  } as const;
  const report = await doctor(store, about);
  expect(report).toMatchObject({
    ok: false,
    verdict: expect.stringContaining("safe keeping: not as it must be") as string,
  });
  await admin.configSet("maxmemory-policy", "noeviction");
  await withStore(store, async () => undefined);
  await admin.configSet("maxmemory", "0");
});

test("what the server does not tell is unknown, and not enough where something is required", async () => {
  await admin.sendCommand(["ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all", "-info", "-config"]);
  const url = server.url.replace("redis://", "redis://app:secret@");
  const store = storeOf({ url });
  await withStore(store, (opened) => opened.append("events", [event(1)]));
  expect(store.durability).toBe(
    "appendonly unknown: the server does not say; replicas: unknown; maxmemory-policy: unknown",
  );
  expect(store.location).not.toContain("secret");
  await expect(openStore(storeOf({ url, requireDurability: "crash" }))).rejects.toThrow(/appendonly is not told/);
  await expect(openStore(storeOf({ url: url.replace("secret", "wrong") }))).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    hint: "check the user and password in the URL",
  });
});

test("a server that came back empty, or older, or as another, is refused; without the witness it counts", async () => {
  const systemId = uniqueSystem();
  const witness = join(directory, "witness");
  const store = storeOf({ systemId, witness });
  await withStore(store, (opened) => opened.append("events", [event(1), event(2), event(3)]));
  await withStore(store, (opened) => opened.append("journal", [event(1)]));
  const keys = await admin.keys(`papyra:${systemId}:*`);
  const { RESP_TYPES } = await import("redis");
  const bytes = admin.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const now = await Promise.all(keys.map((key) => bytes.dump(key)));
  await withStore(store, (opened) => opened.append("events", [event(4)]));

  await admin.del(keys);
  await expect(openStore(store)).rejects.toMatchObject({ code: "HISTORY_CHANGED", message: /is empty, and store/ });
  await expect(store.view()).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });

  for (const [i, key] of keys.entries()) await admin.restore(key, 0, now[i] as unknown as Buffer);
  await expect(openStore(store)).rejects.toThrow("reaches seq 3 of events, and reached seq 4 before");

  await admin.del(keys);
  await withStore(storeOf({ systemId }), (opened) => opened.append("events", [event("another")]));
  await expect(openStore(store)).rejects.toThrow(/holds store .*, and store .* was there/);

  await rm(witness);
  await withStore(store, (opened) => opened.append("events", [event("goes on")]));
  await access(witness);
});

test("history that is lost under a living writer ends it, and is named", async () => {
  const systemId = uniqueSystem();
  const store = await openStore(storeOf({ systemId }));
  await store.append("events", [event(1)]);
  const key = `papyra:${systemId}:events`;
  await admin.del(key);
  await expect(store.append("events", [event(2)])).rejects.toMatchObject({
    code: "OUTCOME_UNKNOWN",
    cause: { code: "HISTORY_CHANGED", message: expect.stringContaining(`${key} is gone`) as string },
  });
  await store.close();
  expect(await admin.exists(key)).toBe(0);
});
