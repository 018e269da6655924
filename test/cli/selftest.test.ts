// The self-test on a real disk, with real processes that are killed.
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { renderSelftest } from "../../src/cli/render-selftest.ts";
import { nodeEnv, nodeVolume, startNode } from "../../src/env/node.ts";
import { probeLock } from "../../src/ops/selftest-lock.ts";
import type { SelftestReport } from "../../src/ops/selftest-report.ts";
import { ROOT } from "../source.ts";
import { build, type Build } from "./build.ts";
import { gone, papyra, papyraJson, scratch } from "./helpers.ts";

const dir = scratch();
let built: Build;
beforeAll(() => {
  built = build();
});
afterAll(() => {
  built.remove();
  gone(dir);
});

/** Runs the built command, and sends it a signal when its directory is there; resolves with how it ended. */
function signalled(
  disk: string,
  signal: NodeJS.Signals,
): Promise<{ code: number | null; stderr: string; killed: string | null }> {
  const child = spawn(process.execPath, [built.bin, "persistence", "selftest", disk, "--seconds", "60"]);
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const look = setInterval(() => {
    const [name] = readdirSync(disk);
    if (name === undefined || !readdirSync(join(disk, name)).some((one) => one.startsWith("crash-"))) return;
    clearInterval(look);
    child.kill(signal);
  }, 10);
  return new Promise((resolve) => child.on("close", (code, killed) => resolve({ code, stderr, killed })));
}

test("one document, everything measured, nothing left behind and nothing else touched", async () => {
  const disk = join(dir, "disk");
  mkdirSync(disk);
  writeFileSync(join(disk, "mine"), "mine");
  const document = await papyraJson(["persistence", "selftest", disk, "--seconds", "1"]);
  expect(document).toMatchObject({ ok: true, exit: 0, command: "persistence selftest" });
  const report = document.report as SelftestReport;
  expect(report.findings.filter(({ verdict }) => verdict === "bad")).toEqual([]);
  expect(report.crash).toMatchObject({ lost: 0, changed: 0, unsound: [] });
  expect(report.crash.rounds).toBeGreaterThanOrEqual(2);
  expect(report.crash.acknowledged).toBeGreaterThan(0);
  expect(report.lock).toMatchObject({ excludesSameProcess: true, excludesOtherProcess: true });
  expect(report.tails).toMatchObject({ wrongCount: 0 });
  expect(report.throughput.records).toBeGreaterThan(report.throughput.batches);
  expect(report.volume.freeBytes).toBeGreaterThan(1 << 20);
  expect(readdirSync(disk)).toEqual(["mine"]);
  const text = renderSelftest(report, (_, words) => words);
  for (const words of [
    "durable records/s",
    "What this disk gives:",
    "What no software can tell:",
    report.durability.summary,
  ])
    expect(text).toContain(words);
});

test.each([
  [[join(dir, "no", "such", "place")], 10, "STORE_NOT_FOUND"],
  [[join(ROOT, "package.json")], 10, "STORE_NOT_FOUND"],
  [[dir, "--path", dir], 64, "OPTION_INVALID"],
  [[dir, "--seconds", "0"], 64, "OPTION_INVALID"],
  [[dir, "--seconds", "3601"], 64, "OPTION_INVALID"],
  [[dir, dir], 64, "OPTION_INVALID"],
])("%j: exit %i", async (args, exit, code) => {
  const ran = await papyra(["persistence", "selftest", ...args]);
  expect(ran).toMatchObject({ exit, stdout: "" });
  expect(ran.stderr).toContain(`(${code})`);
});

test.each(["SIGINT", "SIGTERM"] as const)("%s: exit 130, and the directory is as before", async (signal) => {
  const disk = join(dir, signal);
  mkdirSync(disk);
  const { code, stderr } = await signalled(disk, signal);
  expect(code, stderr).toBe(130);
  expect(stderr).toContain("INTERRUPTED");
  expect(readdirSync(disk)).toEqual([]);
});

test("when it is killed itself, its processes end and let go of the store", async () => {
  const disk = join(dir, "killed");
  mkdirSync(disk);
  expect((await signalled(disk, "SIGKILL")).killed).toBe("SIGKILL");
  const [name] = readdirSync(disk);
  expect(name).toMatch(/^papyra-selftest-[0-9a-f]{16}$/);
  const crashed = readdirSync(join(disk, name as string)).filter((one) => one.startsWith("crash-"));
  const script = join(built.root, "dist", "cli", "selftest-child.js");
  // The lock of the store that was being written comes free: nobody writes any more.
  for (const store of crashed) {
    const path = join(disk, name as string, store);
    for (let tries = 0; ; tries++) {
      const facts = await probeLock(nodeEnv, (task, args) => startNode(script, [task, ...args]), path).catch(
        () => undefined,
      );
      if (facts !== undefined) {
        expect(facts.excludesOtherProcess).toBe(true);
        break;
      }
      expect(tries, "the writer still holds its store").toBeLessThan(100);
    }
  }
});

test("statfs tells the free space of a directory, and what is not there is STORE_NOT_FOUND", async () => {
  expect((await nodeVolume.space(dir)).freeBytes).toBeGreaterThan(0);
  await expect(nodeVolume.space(join(dir, "nothing"))).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
});
