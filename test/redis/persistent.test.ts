// The tests of persistent actors, unchanged, over a real Redis server: their memory store is exchanged for a Redis store. Those
// that damage bytes in their own memory stay where they are; the backend contract damages the bytes of this one.
import { afterAll, beforeAll, vi } from "vitest";
import type { MemoryStoreOptions } from "../../src/index.ts";
import { redisStore } from "../../src/redis/index.ts";
import { RedisServer } from "./server.ts";
import { uniqueSystem } from "./subject.ts";

const place = vi.hoisted(() => ({ url: "" }));
let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
  place.url = server.url;
});

afterAll(() => server.stop());

vi.mock("../../src/index.ts", async (actual) => ({
  ...(await actual<typeof import("../../src/index.ts")>()),
  memoryStore: (options: MemoryStoreOptions = {}) =>
    redisStore({ url: place.url, systemId: uniqueSystem(), ...options }),
}));

await import("../actors/persistent.test.ts");
await import("../actors/persistent-failures.test.ts");
await import("../actors/persistent-ids.test.ts");
await import("../actors/persistent-payloads.test.ts");
await import("../actors/persistent-types.test.ts");
