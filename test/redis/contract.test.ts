// The backend contract, unchanged, on a real Redis server; once more with hash tags.
import { afterAll, beforeAll, describe, test } from "vitest";
import type { Clock, Env } from "../../src/env/env.ts";
import { backendContract } from "../../src/testing/index.ts";
import { type Admin, RedisServer } from "./server.ts";
import { redisSubject } from "./subject.ts";

let server: RedisServer;
let admin: Admin;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = await server.admin();
});

afterAll(async () => {
  admin.destroy();
  await server.stop();
});

function withWall(env: Env, nowMs: (() => number) | undefined): Env {
  if (nowMs === undefined) return env;
  const clock: Clock = {
    nowMs,
    monotonicMs: () => env.clock.monotonicMs(),
    after: (delayMs, fn, kind) => env.clock.after(delayMs, fn, kind),
  };
  return { ...env, clock };
}

const running = () => ({ server, admin });

for (const [kind, subject] of Object.entries({
  redis: redisSubject(running, withWall),
  "redis with hash tags": redisSubject(running, withWall, { hashTag: true }),
})) {
  describe(kind, () => {
    for (const { name, run } of backendContract) {
      test(name, async (context) => {
        const outcome = await run(subject);
        if (outcome !== undefined) context.skip(outcome.skipped);
      });
    }
  });
}
