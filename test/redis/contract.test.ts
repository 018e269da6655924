// The backend contract, unchanged, on a real Redis server; and on Valkey, where PAPYRA_VALKEY_SERVER names one.
import { afterAll, beforeAll, describe, test } from "vitest";
import type { Clock, Env } from "../../src/env/env.ts";
import { backendContract } from "../../src/testing/index.ts";
import { type Admin, RedisServer } from "./server.ts";
import { redisSubject } from "./subject.ts";

function withWall(env: Env, nowMs: (() => number) | undefined): Env {
  if (nowMs === undefined) return env;
  const clock: Clock = {
    nowMs,
    monotonicMs: () => env.clock.monotonicMs(),
    after: (delayMs, fn, kind) => env.clock.after(delayMs, fn, kind),
  };
  return { ...env, clock };
}

const valkey = process.env.PAPYRA_VALKEY_SERVER;

for (const [kind, program] of Object.entries({ redis: undefined, ...(valkey === undefined ? {} : { valkey }) })) {
  describe(kind, () => {
    let server: RedisServer;
    let admin: Admin;
    const subject = redisSubject(() => ({ server, admin }), withWall);

    beforeAll(async () => {
      server = await RedisServer.startProgram(program);
      admin = await server.admin();
    });

    afterAll(async () => {
      admin.destroy();
      await server.stop();
    });

    for (const { name, run } of backendContract) {
      test(name, async (context) => {
        const outcome = await run(subject);
        if (outcome !== undefined) context.skip(outcome.skipped);
      });
    }
  });
}
