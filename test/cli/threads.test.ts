// Real threads over a real store: they say what reading in one thread says, and end when they are told to.
import { closeSync, openSync, readdirSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Backend, Segment } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { lookForWhole, type WholeQuestion } from "../../src/backends/whole-segment.ts";
import type { Thread } from "../../src/env/env.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { ActorSystem, fileStore, openStore } from "../../src/index.ts";
import { scan } from "../../src/ops/scan.ts";
import { build, type Build } from "./build.ts";
import { gone, scratch } from "./helpers.ts";
import { spawnSync } from "node:child_process";

const RECORDS = 1200;
const RECORD_BYTES = 128 << 10;
const SEGMENT_BYTES = 8 << 20;
const dir = scratch();
const path = join(dir, "store");
let built: Build;

beforeAll(async () => {
  built = build();
  const store = await openStore(fileStore({ path, durability: "os", segmentBytes: SEGMENT_BYTES }));
  const payload = { text: "x".repeat(RECORD_BYTES) };
  const event = { kind: "event", system_id: "s", actor_address: "s://a", event_type: "Noted", payload } as const;
  for (let i = 0; i < RECORDS; i += 20)
    await store.append(
      "events",
      Array.from({ length: 20 }, () => event),
    );
  await store.close();
});
afterAll(() => {
  built.remove();
  gone(dir);
});

/** The exit and the report of a command of the built command line. */
function ran(...args: readonly string[]): { readonly exit: number | null; readonly report: unknown } {
  const { status, stdout } = spawnSync(process.execPath, [built.bin, ...args, "--path", path, "--json"], {
    encoding: "utf8",
    timeout: 10_000,
  });
  return { exit: status, report: (JSON.parse(stdout) as { report: unknown }).report };
}

/** The closed segments, and who looks at them in real threads. */
async function lookedAt(
  threads: number,
): Promise<{ closed: Segment[]; ahead: ReturnType<NonNullable<Backend["lookAhead"]>> }> {
  const load = (file: string): Promise<unknown> => import(pathToFileURL(join(built.root, "dist", file)).href);
  const { fileBackend } = (await load("backends/files.js")) as typeof import("../../src/backends/files.ts");
  const { nodeEnv } = (await load("env/node.js")) as typeof import("../../src/env/node.ts");
  const { identityOf } = (await load("backends/identities.js")) as typeof import("../../src/backends/identities.ts");
  const { encodeIdentity } = (await load("log/codec.js")) as typeof import("../../src/log/codec.ts");
  const backend = fileBackend({ path }, nodeEnv) as Required<Backend>;
  const view = await backend.view();
  const closed = view.segments.filter(({ active }) => !active);
  const asked = closed.map((one) => [one, encodeIdentity(identityOf(view, one.log, one)!)] as const);
  return { closed, ahead: backend.lookAhead(asked, threads) };
}

test("real threads vouch for every closed segment of a healthy store", async () => {
  const { closed, ahead } = await lookedAt(2);
  expect(closed.length).toBeGreaterThan(10);
  for (const { id } of closed)
    expect(await ahead.of(id)).toMatchObject({ digest: expect.stringMatching(/^[0-9a-f]{64}$/) });
  await ahead.end();
});

test("threads that are ended leave nobody waiting", async () => {
  const { closed, ahead } = await lookedAt(2);
  const answers = Promise.all(closed.map(({ id }) => ahead.of(id)));
  await ahead.end();
  expect(await answers).toHaveLength(closed.length);
});

test("the check before a system starts uses as many threads as `startupThreads` says", async () => {
  for (const [startupThreads, expected] of [
    [undefined, 0],
    [2, 2],
  ] as const) {
    let started = 0;
    const startThread = (): Thread => {
      started += 1;
      return { ask: (question) => lookForWhole(nodeEnv.fs, question as WholeQuestion), end: async () => undefined };
    };
    const store = fileBackend({ path }, { ...nodeEnv, startThread });
    const system = new ActorSystem({ store, ...(startupThreads === undefined ? {} : { startupThreads }) });
    await system.start();
    await system.stop();
    expect(started).toBe(expected);
  }
  expect(() => new ActorSystem({ store: fileStore({ path }), startupThreads: 0 })).toThrow("startupThreads");
});

test("a scan that is stopped waits for no thread", async () => {
  let release = (): void => undefined;
  const ended = new Promise<never>((_, reject) => (release = () => reject(new Error("ended"))));
  ended.catch(() => undefined);
  const controller = new AbortController();
  const startThread = (): Thread => ({
    ask: () => {
      controller.abort(new Error("enough"));
      return ended;
    },
    end: async () => release(),
  });
  const store = fileBackend({ path }, { ...nodeEnv, startThread });
  await expect(scan(store, { log: "events", threads: 2, signal: controller.signal })).rejects.toThrow("enough");
});

test.each([["scan"], ["startup-check"]])(
  "%s by threads says what it says by one, before and after damage",
  (command) => {
    const one = ran("persistence", command, "--threads", "1");
    expect(one).toMatchObject({ exit: 0 });
    expect(ran("persistence", command, "--threads", "2")).toEqual(one);
    expect(ran("persistence", command)).toEqual(one);
    const [file] = readdirSync(path)
      .filter((name) => /^events\..*[1-9]/.test(name))
      .slice(4);
    flip(join(path, file as string), 3 << 20);
    try {
      const damaged = ran("persistence", command, "--threads", "1");
      expect(damaged).toMatchObject({ exit: command === "scan" ? 2 : 4 });
      expect(JSON.stringify(damaged)).toContain(file);
      expect(ran("persistence", command, "--threads", "2")).toEqual(damaged);
    } finally {
      flip(join(path, file as string), 3 << 20);
    }
  },
);

/** Changes a bit, or changes it back. */
function flip(file: string, at: number): void {
  const fd = openSync(file, "r+");
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, at);
  writeSync(fd, Buffer.from([byte[0]! ^ 1]), 0, 1, at);
  closeSync(fd);
}
