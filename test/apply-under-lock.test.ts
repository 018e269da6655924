// A plan is applied to the store that it was made for, or not at all: also when another process changes the store in the moment in
// which the lock is taken.
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import type { Env, Fs } from "../src/env/env.ts";
import { nodeEnv } from "../src/env/node.ts";
import { LOCK_FILE } from "../src/log/segments.ts";
import { compact, planCompact } from "../src/ops/compact.ts";
import { applyRecover, planRecover } from "../src/ops/recover-plan.ts";
import { scan } from "../src/ops/scan.ts";
import { event, flipBit, makeStore } from "./cli/helpers.ts";

const root = mkdtempSync(join(tmpdir(), "papyra-apply-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The same world, in which `meanwhile` happens once, when somebody is about to take the lock to write. */
function whenLocked(meanwhile: () => Promise<void> | void): Env {
  let left = 1;
  const fs: Fs = Object.create(nodeEnv.fs, {
    lock: {
      value: async (path: string, mode: "exclusive" | "shared") => {
        if (path.endsWith(LOCK_FILE) && mode === "exclusive" && left-- === 1) await meanwhile();
        return nodeEnv.fs.lock(path, mode);
      },
    },
  }) as Fs;
  return { ...nodeEnv, fs };
}

/** Without the lock and the mark, which says how far it was told about. */
const logsIn = (path: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(path)
      .filter((name) => name.endsWith(".ndjson"))
      .map((name) => [name, readFileSync(join(path, name), "latin1")]),
  );

async function write(path: string): Promise<void> {
  const store = await openStore(fileBackend({ path }, nodeEnv));
  await store.append("events", [event("T", "local://b", {})]);
  await store.close();
}

const CHANGES: [string, (path: string) => Promise<void> | void][] = [
  ["another process has written", write],
  ["more is damaged", (path) => appendFileSync(join(path, "audits.ndjson"), "junk\n")],
  [
    "another process has recovered",
    async (path) => {
      const backend = fileBackend({ path }, nodeEnv);
      await applyRecover(backend, await planned(path));
    },
  ],
  ["the damage is gone", (path) => flipBit(join(path, "events.ndjson"))],
];

async function planned(path: string) {
  const options = { mode: "quarantine", quarantineDir: `${path}-kept` } as const;
  const { run, fingerprint } = await planRecover(fileBackend({ path }, nodeEnv), options);
  return { ...options, run, fingerprint };
}

test.each(CHANGES)("a recovery is not applied when %s by the time it has the lock", async (what, change) => {
  const path = await makeStore(join(root, what.replaceAll(" ", "-")), 9);
  flipBit(join(path, "events.ndjson"));
  const plan = await planned(path);
  let then: Record<string, string> = {};
  const env = whenLocked(async () => {
    await change(path);
    then = logsIn(path);
  });
  await expect(applyRecover(fileBackend({ path }, env), plan)).rejects.toMatchObject({ code: "STORE_CHANGED" });
  expect(Object.keys(then).length).toBeGreaterThan(0);
  expect(logsIn(path)).toEqual(then);
  await write(path); // nobody has the lock any more
});

test("a recovery is applied when nothing has happened", async () => {
  const path = await makeStore(join(root, "unchanged"), 9);
  flipBit(join(path, "events.ndjson"));
  const backend = fileBackend(
    { path },
    whenLocked(() => undefined),
  );
  expect(await applyRecover(backend, await planned(path))).toMatchObject({ changed: true, ok: true });
  expect((await scan(backend)).ok).toBe(true);
});

test("a compaction takes nothing out when another process has written by the time it has the lock", async () => {
  const path = await makeStore(join(root, "compacted"), 9);
  const retention = { events: { maxRecords: 3 } };
  const nowMs = nodeEnv.clock.nowMs();
  const { fingerprint } = await planCompact(fileBackend({ path }, nodeEnv), { retention, nowMs });
  let then: Record<string, string> = {};
  const env = whenLocked(async () => {
    await write(path);
    then = logsIn(path);
  });
  const applied = compact(fileBackend({ path }, env), { retention, nowMs, fingerprint });
  await expect(applied).rejects.toMatchObject({ code: "STORE_CHANGED" });
  expect(logsIn(path)).toEqual(then);
  writeFileSync(join(path, LOCK_FILE), "");
  expect(await planCompact(fileBackend({ path }, nodeEnv), { retention, nowMs })).not.toMatchObject({ fingerprint });
});
