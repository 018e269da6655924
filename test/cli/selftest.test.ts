// The self-test on a real disk, with real processes that are killed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { renderSelftest } from "../../src/cli/render-selftest.ts";
import { nodeEnv, nodeVolume } from "../../src/env/node.ts";
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

/** Runs the built command, and sends it a signal when it has come to making `when`; resolves with how it ended. */
function signalled(
  disk: string,
  signal: "SIGINT" | "SIGTERM",
  when: string,
): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [built.bin, "persistence", "selftest", disk, "--seconds", "5"]);
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdout.resume();
  const there = (): string[] => {
    try {
      return readdirSync(disk, { recursive: true }).map(String);
    } catch {
      return []; // a directory was removed while it was listed
    }
  };
  const look = setInterval(() => {
    if (!there().some((path) => basename(path).startsWith(when))) return;
    clearInterval(look);
    child.kill(signal);
  }, 10);
  // Where it hangs, what it was at is told instead of nothing.
  const late = setTimeout(() => {
    stderr += `\nit did not end; there is: ${there().join(" ")}`;
    child.kill("SIGKILL");
  }, 120_000);
  return new Promise((resolve) => {
    child.on("close", (code) => {
      clearInterval(look);
      clearTimeout(late);
      resolve({ code, stderr });
    });
  });
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

test.each([
  ["SIGINT", "crash-"],
  ["SIGTERM", "throughput"],
] as const)("%s while it makes %s: exit 130, and the directory is as before", async (signal, when) => {
  const disk = join(dir, signal);
  mkdirSync(disk);
  const { code, stderr } = await signalled(disk, signal, when);
  expect(code, stderr).toBe(130);
  expect(stderr).toContain("INTERRUPTED");
  expect(readdirSync(disk)).toEqual([]);
});

test("a process of the self-test ends with the one that started it, however that ends, and lets go of the store", async () => {
  const path = join(dir, "orphan");
  const dist = join(built.root, "dist");
  const code = `
    import { startNode } from ${JSON.stringify(join(dist, "env", "node.js"))};
    const child = startNode(${JSON.stringify(join(dist, "cli", "selftest-child.js"))}, ["hold", ${JSON.stringify(path)}]);
    for await (const line of child.lines) console.log(line);`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  const [held] = (await once(parent.stdout, "data")) as [Buffer];
  expect(held.toString()).toBe("held\n");
  const backend = fileBackend({ path }, nodeEnv);
  await expect(backend.claim("test")).rejects.toMatchObject({ code: "STORE_LOCKED" });
  parent.kill("SIGKILL");
  for (let tries = 1; ; tries++) {
    const claim = await backend.claim("test").catch(() => undefined);
    await claim?.release();
    if (claim !== undefined) break;
    expect(tries, "the orphan still holds the store").toBeLessThan(100);
  }
});

test("statfs tells the free space of a directory, and what is not there is STORE_NOT_FOUND", async () => {
  expect((await nodeVolume.space(dir)).freeBytes).toBeGreaterThan(0);
  await expect(nodeVolume.space(join(dir, "nothing"))).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
});
