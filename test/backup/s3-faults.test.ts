// What networks and busy servers do, done to every verb: once, and for ever. Every call ends within its deadline; what is
// reported as stored is stored, whole; whoever put with ifAbsent is told the truth.
import assert from "node:assert/strict";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ObjectStore } from "../../src/backup/objects.ts";
import { isPapyraError } from "../../src/errors.ts";
import { s3Objects } from "../../src/s3/index.ts";
import { type Fault, FAULTS, Gateway } from "./gateway.ts";
import { bytesOf, namesOf, refusal } from "./objects-contract.ts";
import { behind, CREDENTIALS, makeBucket, S3Server } from "./s3-servers.ts";

/** A single request that gets no answer is given up soon; the machine that runs the tests may be slow, so the call is not. */
const PATIENT = { deadlineMs: 30_000, requestTimeoutMs: 250, leaseMs: 30_000 };
const HURRIED = { deadlineMs: 500, requestTimeoutMs: 150, leaseMs: 1000 };
/** How much later than its deadline a call may end where two cores run many tests. */
const SLACK_MS = 5000;

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
  /** With nothing in between. */
  readonly plain: ObjectStore;
  readonly open: (timing: typeof PATIENT) => ObjectStore;
}

async function world(): Promise<World> {
  const gateway = await Gateway.before(server.port, { conditions: true });
  gateways.push(gateway);
  const bucket = await makeBucket(server.url);
  const base = { bucket, credentials: CREDENTIALS };
  return {
    gateway,
    bucket,
    plain: s3Objects({ ...base, endpoint: server.url, conditionalWrites: "none" }),
    open: (timing) => s3Objects({ ...base, endpoint: gateway.url, ...timing }),
  };
}

const BYTES = Buffer.alloc(200_000, "papyra");

interface Verb {
  readonly method: string;
  /** Only requests whose path holds this are met. */
  readonly holding: string;
  readonly faults: readonly Fault[];
  /** Those that are tried for ever, and how long; where several requests come first it takes longer. */
  readonly lasting?: readonly Fault[];
  readonly deadlineMs?: number;
  /** Does it, and looks whether it was done. */
  readonly work: (store: ObjectStore, name: string, world: World) => Promise<void>;
}

const ALL = FAULTS.filter((fault) => !fault.startsWith("garbled"));

async function putAndLook(store: ObjectStore, name: string, { plain }: World, ifAbsent: boolean): Promise<void> {
  assert.equal(await store.put(name, BYTES, { ifAbsent }), true);
  assert.deepEqual(await plain.get(name), BYTES);
}

const VERBS: Record<string, Verb> = {
  put: {
    method: "PUT",
    holding: "/a/",
    faults: [...ALL, "garbled-request"],
    work: (store, name, around) => putAndLook(store, name, around, false),
  },
  "put with ifAbsent": {
    method: "PUT",
    holding: "/a/",
    faults: [...ALL, "garbled-request", "conflict"],
    work: (store, name, around) => putAndLook(store, name, around, true),
  },
  get: {
    method: "GET",
    holding: "/a/",
    faults: [...ALL, "garbled-reply"],
    async work(store, name, { plain }) {
      await plain.put(name, BYTES);
      assert.deepEqual(await store.get(name), BYTES);
    },
  },
  "get of nothing": {
    method: "GET",
    holding: "/a/",
    faults: ALL,
    work: async (store, name) => assert.equal(await store.get(name), undefined),
  },
  stat: {
    method: "HEAD",
    holding: "/a/",
    faults: ALL,
    async work(store, name, { plain }) {
      await plain.put(name, BYTES);
      assert.equal((await store.stat(name))?.bytes, BYTES.length);
    },
  },
  list: {
    method: "GET",
    holding: "list-type",
    faults: ALL,
    async work(store, name, { plain }) {
      await plain.put(name, BYTES);
      assert.deepEqual(await namesOf(store, name), [name]);
    },
  },
  remove: {
    method: "DELETE",
    holding: "/a/",
    faults: ALL,
    async work(store, name, { plain }) {
      await plain.put(name, BYTES);
      await store.remove(name);
      assert.equal(await plain.get(name), undefined);
    },
  },
  "hold, the entry": {
    method: "PUT",
    holding: "/holds/0",
    faults: [...ALL, "conflict"],
    lasting: ["refused", "stall", "lose-reply"],
    deadlineMs: 2000,
    async work(store, _, { open }) {
      const hold = await store.hold("exclusive", "prune");
      await hold.assertHeld();
      await refusal(open(PATIENT).hold("shared", "backup"), "REPOSITORY_LOCKED");
      await hold.release();
    },
  },
};

describe.concurrent("a fault that passes is lived through", () => {
  for (const [verb, { method, holding, faults, work }] of Object.entries(VERBS)) {
    test(verb, async () => {
      const around = await world();
      const store = around.open(PATIENT);
      await store.put("probed", bytesOf("x"), { ifAbsent: true });
      let planned = 0;
      for (const [n, fault] of faults.entries()) {
        const times = fault === "garbled-reply" ? 1 : 2; // what arrives the same twice is what is stored
        around.gateway.plan(fault, { method, holding, times });
        planned += times;
        await work(store, `a/${n}`, around).catch((error: unknown) => {
          throw new Error(`${verb}, ${fault}: ${String(error)}`, { cause: error });
        });
        assert.equal(around.gateway.done, planned, `${fault} was not done`);
      }
    });
  }
});

async function endure(verb: string): Promise<void> {
  const { method, holding, faults, work, deadlineMs = HURRIED.deadlineMs, ...more } = VERBS[verb] as Verb;
  const around = await world();
  const { gateway, plain } = around;
  const store = around.open({ ...HURRIED, deadlineMs, leaseMs: 2 * deadlineMs });
  await eventually(() => store.put("probed", bytesOf("x"), { ifAbsent: true }));
  // What arrives the same again and again is what is stored.
  const lasting = more.lasting ?? faults.filter((fault) => fault !== "garbled-reply");
  let refused = 0; // an answer that trickles may be enough, where its head says it all
  for (const [n, fault] of lasting.entries()) {
    gateway.plan(fault, { method, holding, times: Number.POSITIVE_INFINITY });
    const what = `${verb}, ${fault}`;
    const began = Date.now();
    await work(store, `a/${n}`, around).catch((error: unknown) => {
      refused += 1;
      assert.ok(isPapyraError(error, "STORAGE_FAILED"), `${what}: ${String(error)}`);
      assert.match(error.message, new RegExp(`within ${deadlineMs} ms, tried (?:once|\\d+ times): `), what);
    });
    assert.ok(Date.now() - began < deadlineMs + SLACK_MS, `${what}: it took ${Date.now() - began} ms`);
    gateway.clear();
    const there = await plain.get(`a/${n}`);
    assert.ok(there === undefined || there.equals(BYTES), `${what}: ${there?.length} bytes are there`);
  }
  assert.ok(gateway.done >= lasting.length / 2, `${verb}: ${gateway.done} faults were done`);
  assert.ok(refused >= lasting.length - 1, `${verb}: ${refused} of ${lasting.length} were refused`);
}

test("a fault that stays is said within the deadline, and nothing half is there", async () => {
  await Promise.all(Object.keys(VERBS).map(endure));
});

/** A call that has to be done before the test begins, on a machine that may be busy. */
async function eventually(work: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await work();
      return;
    } catch (error) {
      if (tries === 10) throw error;
    }
  }
}

test("a put with ifAbsent whose answer was lost says who won", async () => {
  const around = await world();
  const { gateway, plain } = around;
  const store = around.open(PATIENT);
  await store.put("probed", bytesOf("x"), { ifAbsent: true });
  for (const fault of ["lose-reply", "reset", "stall", "failed", "slow"] as const) {
    // It won, and was not told.
    gateway.plan(fault, { method: "PUT", holding: `/won-${fault}` });
    expect(await store.put(`won-${fault}`, BYTES, { ifAbsent: true })).toBe(true);
    // It never arrived, and another one put the very same bytes meanwhile.
    gateway.plan("refused", { method: "PUT", holding: `/lost-${fault}` });
    const losing = store.put(`lost-${fault}`, BYTES, { ifAbsent: true });
    await plain.put(`lost-${fault}`, BYTES);
    expect(await losing).toBe(false);
    // It won, was not told, and what it put was removed: it is stored again.
    gateway.plan(fault, { method: "PUT", holding: `/gone-${fault}` });
    gateway.answer = async ({ method, url }) => {
      if (method === "HEAD" && url.includes("/gone-")) {
        gateway.answer = undefined;
        await plain.remove(`gone-${fault}`);
      }
      return undefined;
    };
    expect(await store.put(`gone-${fault}`, BYTES, { ifAbsent: true })).toBe(true);
    expect(await plain.get(`gone-${fault}`)).toEqual(BYTES);
  }
  expect(gateway.done).toBe(15);
});

test("what is stored damaged comes back as it is stored: the reader judges", async () => {
  const { bucket, gateway, open } = await world();
  const store = open(PATIENT);
  const headers = { "x-amz-meta-papyra-sha256": "0".repeat(64) };
  await behind(`${server.url}/${bucket}/a`, { method: "PUT", headers, body: "not what it was" });
  gateway.plan("garbled-reply", { method: "GET" });
  expect(String(await store.get("a"))).toBe("not what it was");
  expect(gateway.seen.filter((one) => one.startsWith("GET"))).toHaveLength(3);
});

test("when time is over, the last thing that the server said is told", async () => {
  const { gateway, open } = await world();
  gateway.plan("refused", { method: "PUT" });
  gateway.plan("black-hole", { method: "PUT", times: Number.POSITIVE_INFINITY });
  const refused = await refusal(open(HURRIED).put("a", BYTES), "STORAGE_FAILED");
  expect(refused.message).toMatch(/within 500 ms, tried \d+ times: SlowDown said so$/);
  expect(refused.hint).toBe("the server is asked too much: wait, then start again");
});
