// Processes that run out of memory while they append: of heap, which Node ends itself for, and of what the kernel gives them.
// What was acknowledged is there, and the next process goes on.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileStore, openStore } from "../../src/index.ts";
import { startupCheck } from "../../src/ops/startup.ts";
import { type Build, build } from "../cli/build.ts";

const PROGRAM = fileURLToPath(new URL("hoarder.mjs", import.meta.url));
const ROUNDS = 2;
const LIMIT_BYTES = 160 << 20;

/** Where control groups of the first or the second kind limit memory. */
function memoryGroups(): { readonly dir: string; readonly limit: string } | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return undefined;
  const kinds = [
    { dir: "/sys/fs/cgroup/memory", limit: "memory.limit_in_bytes", mark: "memory.limit_in_bytes" },
    { dir: "/sys/fs/cgroup", limit: "memory.max", mark: "cgroup.subtree_control" },
  ];
  return kinds.find(({ dir, mark }) => {
    const file = join(dir, mark);
    return existsSync(file) && (mark !== "cgroup.subtree_control" || readFileSync(file, "utf8").includes("memory"));
  });
}
const groups = memoryGroups();
if (groups === undefined) console.log(`out of memory: ${ROUNDS} skipped, they need root and control groups for memory`);

let built: Build;
let path: string;
const acknowledged = new Map<number, number>();
beforeAll(() => {
  built = build();
  path = mkdtempSync(join(tmpdir(), "papyra-memory-"));
});
afterAll(() => {
  built.remove();
  rmSync(path, { recursive: true, force: true });
});

/** Runs a process to its bad end, and demands that nothing which it acknowledged is lost. */
async function hoard(program: string, args: readonly string[], signals: readonly string[]): Promise<void> {
  const before = acknowledged.size;
  const { signal, stdout, status } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  expect(signals, `ended by ${signal ?? status}`).toContain(signal ?? String(status));
  for (const [, seq, n] of stdout.matchAll(/^ack (\d+) (\d+)\n/gm)) acknowledged.set(Number(seq), Number(n));
  expect(acknowledged.size, "it acknowledged something").toBeGreaterThan(before);
  expect(await startupCheck(fileStore({ path }), { mode: "fail_on_anomaly" })).toMatchObject({ ok: true });
  const store = await openStore(fileStore({ path }));
  const present = new Map<number, number>();
  for await (const record of store.read("events"))
    if (record.kind === "event") present.set(record.seq, (record.payload as { n: number }).n);
  await store.close();
  for (const [seq, n] of acknowledged) expect(present.get(seq), `I1 DURABLE: seq ${seq}`).toBe(n);
}

test("the heap is at its end while a process appends", async () => {
  for (let i = 0; i < ROUNDS; i++)
    await hoard(
      process.execPath,
      ["--max-old-space-size=40", PROGRAM, built.root, path, "heap"],
      ["SIGABRT", "SIGTRAP"],
    );
  console.log(`out of heap: ${ROUNDS} processes, ${acknowledged.size} acknowledged records, 0 lost`);
});

test.skipIf(groups === undefined)("the kernel ends a process that takes too much memory", async () => {
  const { dir, limit } = groups!;
  const group = join(dir, `papyra-test-${process.pid}`);
  mkdirSync(group);
  try {
    writeFileSync(join(group, limit), String(LIMIT_BYTES));
    if (existsSync(join(group, "memory.swap.max"))) writeFileSync(join(group, "memory.swap.max"), "0");
    const enter = `echo $$ > ${join(group, "cgroup.procs")} && exec "$@"`;
    for (let i = 0; i < ROUNDS; i++)
      await hoard("sh", ["-c", enter, "sh", process.execPath, PROGRAM, built.root, path, "kernel"], ["SIGKILL"]);
    console.log(`ended by the kernel: ${ROUNDS} processes, ${acknowledged.size} acknowledged records, 0 lost`);
  } finally {
    for (let tries = 0; tries < 50; tries++) {
      try {
        rmdirSync(group);
        break;
      } catch {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20); // the kernel is not yet done with it
      }
    }
  }
});
