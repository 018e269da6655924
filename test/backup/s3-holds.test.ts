// Holds in a bucket, when listings lag, clocks are wrong, machines sleep and networks are cut.
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Hold, ObjectStore } from "../../src/backup/objects.ts";
import type { Env } from "../../src/env/env.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { s3Objects, type S3ObjectsOptions } from "../../src/s3/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { type Asked, Gateway, problem } from "./gateway.ts";
import { bytesOf, refusal } from "./objects-contract.ts";
import { behind, CREDENTIALS, keysIn, makeBucket, S3Server } from "./s3-servers.ts";

const LEASE_MS = 120_000;
/** When others take it for ended. */
const LEASE_ENDS_MS = 1.5 * LEASE_MS + 3000;

let server: S3Server;
const gateways: Gateway[] = [];

beforeAll(async () => {
  server = await S3Server.start("fauxqs");
});
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.close()));
  await server.stop();
});

interface World {
  readonly gateway: Gateway;
  readonly bucket: string;
  readonly open: (more?: Partial<S3ObjectsOptions>, env?: Env) => ObjectStore;
}

async function world(): Promise<World> {
  const gateway = await Gateway.before(server.port, { conditions: true });
  gateways.push(gateway);
  const bucket = await makeBucket(server.url);
  const base = { bucket, endpoint: gateway.url, credentials: CREDENTIALS };
  return { gateway, bucket, open: (more = {}, env = nodeEnv) => s3Objects({ ...base, ...more }, env) };
}

const entry = (number: number): string => `holds/${String(number).padStart(20, "0")}.json`;

async function race(stores: readonly ObjectStore[]): Promise<Hold[]> {
  const wanted = await Promise.allSettled(stores.map((store) => store.hold("exclusive", "prune")));
  for (const one of wanted) if (one.status === "rejected") expect(one.reason.code).toBe("REPOSITORY_LOCKED");
  return wanted.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}

test.concurrent("a listing that shows nothing new lets no two hold that exclude each other", async () => {
  const { gateway, open } = await world();
  await (await open().hold("shared", "first")).release();
  let frozen: string | undefined;
  gateway.listing = (xml) => (frozen ??= xml);
  const shared = await open().hold("shared", "backup");
  await refusal(open().hold("exclusive", "prune"), "REPOSITORY_LOCKED");
  await shared.release();
  for (let round = 0; round < 2; round++) {
    const held = await race([open(), open(), open(), open()]);
    expect(held).toHaveLength(1);
    await refusal(open().hold("shared", "backup"), "REPOSITORY_LOCKED");
    await held[0]?.assertHeld();
    await held[0]?.release();
  }
});

test.concurrent("a listing that still shows what is gone is asked again", async () => {
  const { gateway, open } = await world();
  const ghost = `<Contents><Key>${entry(9)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents>`;
  let times = 2;
  gateway.listing = (xml) => (times-- > 0 ? xml.replace(/<Contents>\s*<Key>holds\/lease-/, `${ghost}$&`) : xml);
  const hold = await open().hold("exclusive", "prune");
  await hold.assertHeld();
  await hold.release();
  times = Number.POSITIVE_INFINITY;
  await refusal(open({ deadlineMs: 1500 }).hold("exclusive", "prune"), "STORAGE_FAILED");
});

test.concurrent("the clocks of those who want to hold do not count", async () => {
  const { open } = await world();
  const wrong = (ms: number): Env => ({
    ...nodeEnv,
    clock: {
      nowMs: () => nodeEnv.clock.nowMs() + ms,
      monotonicMs: () => nodeEnv.clock.monotonicMs(),
      after: (delayMs, fn, kind) => nodeEnv.clock.after(delayMs, fn, kind),
    },
  });
  for (const ms of [-7_200_000, 7_200_000]) {
    const hold = await open({}, wrong(ms)).hold("exclusive", "prune");
    await refusal(open({}, wrong(-ms)).hold("exclusive", "prune"), "REPOSITORY_LOCKED");
    await refusal(open().hold("shared", "backup"), "REPOSITORY_LOCKED");
    await hold.assertHeld();
    await hold.release();
  }
});

/** A machine whose clocks stand still until they are moved; requests take real time. */
function machine(): { env: Env; clock: ManualClock } {
  const clock = new ManualClock(Date.now());
  const after: Env["clock"]["after"] = (delayMs, fn, kind) =>
    kind === "foreground" ? nodeEnv.clock.after(delayMs, fn, kind) : clock.after(delayMs, fn, kind);
  const nowMs = () => clock.nowMs();
  return { clock, env: { ...nodeEnv, clock: { nowMs, monotonicMs: () => clock.monotonicMs(), after } } };
}

/** Moves the time of a machine and of the server on, and waits until the lease was renewed, or should have been. */
async function live(gateway: Gateway, clock: ManualClock, ms: number): Promise<void> {
  const asked = (): number => gateway.seen.filter((one) => /^PUT .*\/lease-/.test(one)).length;
  const before = asked();
  gateway.clockMs += ms;
  clock.advance(ms);
  while (asked() === before) await delay(5);
  while (clock.waiting === 0) await delay(5);
}

const noWrites = ({ method }: Asked) => (method === "PUT" ? problem(403, "AccessDenied") : undefined);

test.concurrent("a hold lives as long as its holder, also when renewals fail now and then", async () => {
  const { gateway, open } = await world();
  const { env, clock } = machine();
  const hold = await open({}, env).hold("exclusive", "prune");
  for (let round = 0; round < 10; round++) {
    gateway.answer = round % 3 === 0 ? noWrites : undefined;
    await live(gateway, clock, round % 3 === 1 ? LEASE_MS / 20 : LEASE_MS / 3);
    gateway.answer = undefined;
    await refusal(open().hold("shared", "backup"), "REPOSITORY_LOCKED");
  }
  await hold.assertHeld();
  await hold.release();
  await (await open().hold("shared", "backup")).release();
});

test.concurrent("who asks whether it holds has half of the lease before it, or more", async () => {
  const { gateway, open } = await world();
  const { env, clock } = machine();
  const hold = await open({}, env).hold("exclusive", "prune");
  gateway.answer = noWrites;
  await live(gateway, clock, LEASE_MS / 3);
  await hold.assertHeld();
  await live(gateway, clock, LEASE_MS / 5);
  await refusal(hold.assertHeld(), "STORAGE_FAILED");
  gateway.answer = undefined;
  await hold.assertHeld();
  gateway.answer = noWrites;
  clock.advance(LEASE_MS / 5);
  await hold.assertHeld();
  gateway.answer = undefined;
  await hold.release();
});

test.concurrent("who is cut off holds no more when the lease is over, and never again", async () => {
  const { gateway, open } = await world();
  const { env, clock } = machine();
  const hold = await open({}, env).hold("exclusive", "prune");
  await hold.assertHeld();
  gateway.answer = () => problem(403, "AccessDenied");
  await refusal(hold.assertHeld(), "STORAGE_FAILED");
  clock.advance(LEASE_MS);
  const refused = await refusal(hold.assertHeld(), "REPOSITORY_LOCKED");
  expect(refused.message).toMatch(/^the prune holds s3:\/\/.* no more: it could not be renewed for 120000 ms$/);
  gateway.answer = undefined;
  await refusal(hold.assertHeld(), "REPOSITORY_LOCKED");
  // Nobody else is in before the server's clock says so.
  gateway.clockMs += LEASE_MS;
  await refusal(open().hold("shared", "backup"), "REPOSITORY_LOCKED");
  gateway.clockMs += LEASE_ENDS_MS - LEASE_MS;
  const next = await open().hold("exclusive", "prune");
  await refusal(hold.assertHeld(), "REPOSITORY_LOCKED");
  await hold.release();
  await next.assertHeld();
  await next.release();
});

test.concurrent("a machine that slept does not hold what others have taken meanwhile", async () => {
  const { gateway, open } = await world();
  // Its clocks stand still, and with them its timers: when it wakes up it believes that nothing has happened.
  const hold = await open({}, machine().env).hold("exclusive", "prune");
  await refusal(open().hold("shared", "backup"), "REPOSITORY_LOCKED");
  gateway.clockMs += LEASE_ENDS_MS;
  const other = await open().hold("shared", "backup");
  const refused = await refusal(hold.assertHeld(), "REPOSITORY_LOCKED");
  expect(refused.message).toContain(`no more: pid ${process.pid} on ${nodeEnv.host.name} has taken it over`);
  await hold.release();
  await other.assertHeld();
  await other.release();
});

test.concurrent("where only the wall clock went on while a machine slept, that counts", async () => {
  const { open } = await world();
  const { env, clock } = machine();
  const hold = await open({}, env).hold("shared", "backup");
  clock.set(clock.nowMs() + LEASE_MS);
  expect((await refusal(hold.assertHeld(), "REPOSITORY_LOCKED")).message).toContain("could not be renewed");
  await hold.release();
});

test.concurrent("who makes an entry behind another one is refused, however close", async () => {
  const { gateway, open } = await world();
  const other = open();
  let holding: Hold | undefined;
  gateway.answer = async ({ method, url }) => {
    if (method !== "PUT" || !url.includes(entry(1))) return undefined;
    gateway.answer = undefined;
    holding = await other.hold("exclusive", "first");
    return undefined;
  };
  const refused = await refusal(open().hold("exclusive", "second"), "REPOSITORY_LOCKED");
  expect(refused.message).toMatch(/^the second cannot begin: .* \(first\)$/);
  await holding?.assertHeld();
  await holding?.release();
});

test.concurrent("a number that was swept away and made anew by somebody who slept is no hold", async () => {
  const { gateway, bucket, open } = await world();
  await (await open().hold("shared", "first")).release();
  const [sleeper, other] = [open(), open()];
  let holding: Hold | undefined;
  gateway.answer = async ({ method, url, headers }) => {
    if (method !== "PUT" || !url.includes(entry(2)) || headers["if-none-match"] === undefined) return undefined;
    gateway.answer = undefined;
    await (await other.hold("exclusive", "long ago")).release();
    holding = await other.hold("exclusive", "prune");
    await behind(`${server.url}/${bucket}/${entry(2)}`, { method: "DELETE" });
    return undefined;
  };
  const refused = await refusal(sleeper.hold("exclusive", "prune"), "REPOSITORY_LOCKED");
  expect(refused.message).toMatch(/\(prune\)$/);
  assert.ok(holding !== undefined);
  await holding.assertHeld();
  await holding.release();
});

test.concurrent("what was left a day ago goes, and what counts stays", async () => {
  const { gateway, bucket, open } = await world();
  for (let n = 0; n < 3; n++) await (await open().hold("shared", "backup")).release();
  await behind(`${server.url}/${bucket}/holds/lease-0123456789abcdef.json`, { method: "PUT", body: "{}" });
  const kept = await open().hold("shared", "backup");
  const before = await keysIn(server.url, bucket);
  expect(before.filter((key) => /\/0{19}\d\.json/.test(key))).toHaveLength(4);
  // Everything but the lease that lives is two days old.
  const living = before.filter((key) => key.includes("lease-") && !key.includes("0123456789abcdef"));
  expect(living).toHaveLength(1);
  const old = new Date(Date.now() - 2 * 86_400_000).toISOString();
  gateway.listing = (xml) =>
    xml.replace(/<Contents>.*?<\/Contents>/gs, (one) =>
      /holds\/0|0123456789abcdef/.test(one) ? one.replace(/(<LastModified>)[^<]*/, `$1${old}`) : one,
    );
  const hold = await open().hold("shared", "verify");
  gateway.listing = undefined;
  const after = await keysIn(server.url, bucket);
  expect(after.filter((key) => key.startsWith("holds/0"))).toEqual([entry(5)]);
  expect(after.filter((key) => key.includes("lease-"))).toHaveLength(2);
  await kept.assertHeld();
  await hold.assertHeld();
  await refusal(open().hold("exclusive", "prune"), "REPOSITORY_LOCKED");
  await kept.release();
  await hold.release();
});

test.concurrent("an entry that is not what was stored is said, and decides nothing", async () => {
  const { bucket, open } = await world();
  const hold = await open().hold("shared", "backup");
  await behind(`${server.url}/${bucket}/${entry(2)}`, { method: "PUT", body: "not what it was" });
  const refused = await refusal(open().hold("shared", "backup"), "STORAGE_FAILED");
  expect(refused.message).toContain(`${entry(2)} in s3://${bucket}`);
  await refusal(hold.assertHeld(), "STORAGE_FAILED");
  expect(await open().put("a", bytesOf("x"))).toBe(true);
  await hold.release();
});
