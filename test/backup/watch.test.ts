// A watch: what becomes durable is in the repository a round later; a watch that is started again goes on; the parts do not
// become too many; whatever was shipped restores.
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { prune } from "../../src/backup/prune.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { backupStatus } from "../../src/backup/status.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { type Shipment, watchBackups } from "../../src/backup/watch.ts";
import { gone, makeStore, scratch } from "../cli/helpers.ts";
import { ROOT } from "../source.ts";
import { contents, event, world } from "./world.ts";

test("each round ships what is new; it goes on after a restart; nothing is stored again and again", async () => {
  const { store, objects, env, at } = world({ segmentBytes: 1 << 20 });
  const writer = await openStore(store);
  let written = 0;
  const shipped: (Shipment & { readonly events: number })[] = [];
  for (const rounds of [120, 80]) {
    const stop = new AbortController();
    const report = await watchBackups(store, objects, {
      everyMs: 1000,
      signal: stop.signal,
      onShipped: (shipment) => {
        shipped.push({ ...shipment, events: written });
        if (shipped.length % rounds === 0) stop.abort();
        for (let i = 0; i < 3; i++) void writer.append("events", [event(++written)]);
      },
      onProblem: (error) => expect(error).toBeUndefined(),
    });
    expect(report.ok).toBe(true);
    await writer.flush();
  }
  await writer.close();
  const [watched] = (await viewRepository(objects)).watched;
  const parts = watched?.manifest?.logs.events.segments.flatMap((segment) => segment.parts) ?? [];
  expect(parts.length).toBeLessThan(40);
  const stored = shipped.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  const bytes = watched?.manifest?.logs.events.segments.reduce((sum, segment) => sum + segment.bytes, 0) ?? 0;
  expect(stored).toBeLessThan(6 * bytes);
  expect(await verifyBackups(objects, { level: "replay" })).toMatchObject({ ok: true });
  await restoreBackup(objects, env, "/restored");
  const found = (await contents(at("/restored"))).events as { payload: { n: number } }[];
  expect(found.map(({ payload }) => payload.n)).toEqual(Array.from({ length: found.length }, (_, i) => i + 1));
  expect(found.length).toBeGreaterThanOrEqual((shipped.at(-1) as { events: number }).events);
});

test("what a watch has shipped counts: status, the newest restore, and no prune takes its parts", async () => {
  const { store, objects, env, at, disk } = world();
  const writer = await openStore(store);
  await writer.append("events", [event(1)]);
  const stop = new AbortController();
  let rounds = 0;
  await watchBackups(store, objects, {
    everyMs: 1000,
    signal: stop.signal,
    onShipped: () => {
      if (++rounds === 3) stop.abort();
      void writer.append("events", [event(rounds + 1)]);
    },
  });
  await writer.close();
  const { backups, watched } = await viewRepository(objects);
  expect(backups).toHaveLength(1);
  expect(watched).toHaveLength(1);
  disk.clock.advance(86_400_000);
  await prune(objects, { keep: { last: 1 }, graceMs: 0 });
  const status = await backupStatus(objects, { maxAgeMs: 2 * 86_400_000 });
  expect(status).toMatchObject({ ok: true, lastGood: watched[0]?.manifest?.instant });
  await restoreBackup(objects, env, "/restored");
  expect((await contents(at("/restored"))).events).toHaveLength(watched[0]?.manifest?.logs.events.records ?? 0);
  expect(watched[0]?.manifest?.logs.events.records).toBeGreaterThan(backups[0]?.manifest?.logs.events.records ?? 0);
});

test("a first round that cannot be made is a failure; a later one is told and tried again", async () => {
  const { store, objects, disk } = world();
  const stop = new AbortController();
  await expect(watchBackups(store, objects, { signal: stop.signal })).rejects.toMatchObject({
    code: "STORE_NOT_FOUND",
  });
  const writer = await openStore(store);
  await writer.append("events", [event(1)]);
  const problems: unknown[] = [];
  let rounds = 0;
  const report = await watchBackups(store, objects, {
    everyMs: 1000,
    signal: stop.signal,
    onShipped: () => {
      rounds += 1;
      if (rounds === 1) {
        disk.failAt(3, "EIO", { operations: ["write"] });
        void writer.append("audits", [event(1)]).catch(() => undefined);
      } else stop.abort();
    },
    onProblem: (error) => {
      problems.push(error);
      if (problems.length > 20) stop.abort();
    },
  });
  expect(report.shipments).toBeGreaterThanOrEqual(2);
  expect(report.problems).toBe(problems.length);
  await writer.close().catch(() => undefined);
});

test("papyra backup watch beside a writing process ends with exit 0 at SIGINT, with all that there was shipped", async () => {
  const dir = scratch();
  try {
    await makeStore(join(dir, "store"), 5);
    const args = [
      "backup",
      "watch",
      "--path",
      join(dir, "store"),
      "--repository",
      join(dir, "backups"),
      "--every",
      "1s",
    ];
    const child = spawn(process.execPath, [join(ROOT, "dist/cli/bin.js"), ...args, "--json"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    const ended = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
    const shipped = join(dir, "backups", "backups");
    while (!existsSync(shipped) || readdirSync(shipped).length === 0) await new Promise((next) => setTimeout(next, 50));
    child.kill("SIGINT");
    expect(await ended).toBe(0);
    const { report } = JSON.parse(output) as { report: { ok: boolean; backups: number; last: { records: number } } };
    expect(report).toMatchObject({ ok: true, backups: 1, last: { records: 7 } });
  } finally {
    gone(dir);
  }
});
