// Real processes: they end by themselves, a missing client is named, and a writer that was killed leaves its lease to end.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { scan } from "../../src/ops/scan.ts";
import { redisStore } from "../../src/redis/index.ts";
import { event, payloadsOf, withStore } from "../../src/testing/contract-subject.ts";
import { type Build, build } from "../cli/build.ts";
import { ROOT } from "../source.ts";
import { RedisServer } from "./server.ts";
import { uniqueSystem } from "./subject.ts";

let server: RedisServer;
let built: Build;

beforeAll(async () => {
  built = build();
  server = await RedisServer.start();
});

afterAll(async () => {
  built.remove();
  await server.stop();
});

test("without the package redis the store says what to install; the tools work on files without it", () => {
  const root = mkdtempSync(join(tmpdir(), "papyra-bare-"));
  cpSync(join(built.root, "dist"), join(root, "dist"), { recursive: true });
  cpSync(join(built.root, "package.json"), join(root, "package.json"));
  mkdirSync(join(root, "node_modules"));
  for (const name of readdirSync(join(ROOT, "node_modules")).filter((one) => !/^(?:@?redis|\.)/.test(one)))
    symlinkSync(join(ROOT, "node_modules", name), join(root, "node_modules", name));
  const papyra = (...args: readonly string[]) =>
    spawnSync(process.execPath, [join(root, "dist/cli/bin.js"), ...args], { encoding: "utf8", cwd: root });
  const named = papyra("persistence", "scan", "--redis", server.url, "--system", "s");
  expect(named.stderr).toContain("the package redis is not installed (CLIENT_MISSING)");
  expect(named.stderr).toContain("Next: run: npm install redis@6");
  expect(named.status).toBe(64);
  expect(papyra("persistence", "scan").status).toBe(10);
  rmSync(root, { recursive: true });
});

const WRITER = `
import { openStore } from "../dist/index.js";
import { redisStore } from "../dist/redis/index.js";
const [url, systemId, mode] = process.argv.slice(2);
const store = await openStore(redisStore({ url, systemId, leaseMs: 1000 }));
for (let n = 1; n <= 3 || mode === "for ever"; n++) {
  await store.append("events", [
    { kind: "event", system_id: "local", actor_address: "local://a", event_type: "Noted", payload: n },
  ]);
  process.stdout.write(n + "\\n");
}
await store.close();
`;

function writer(systemId: string, mode: string) {
  const directory = join(built.root, "writer");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "writer.mjs"), WRITER);
  return spawn(process.execPath, [join(directory, "writer.mjs"), server.url, systemId, mode], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

test("a process that has closed its store ends, though a connection is still open", async () => {
  const systemId = uniqueSystem();
  const [code] = (await once(writer(systemId, "three"), "exit")) as [number | null];
  expect(code).toBe(0);
  expect((await scan(redisStore({ url: server.url, systemId }))).ok).toBe(true);
});

test("kill -9 of a writer: nothing acknowledged is lost, nothing is there twice; the next one waits for the lease", async () => {
  const systemId = uniqueSystem();
  const child = writer(systemId, "for ever");
  let output = "";
  child.stdout.on("data", (bytes: Buffer) => {
    output += String(bytes);
    if (output.includes("\n50\n")) child.kill("SIGKILL");
  });
  await once(child, "close");
  const acknowledged = Number(output.slice(0, output.lastIndexOf("\n")).split("\n").at(-1));
  const store = redisStore({ url: server.url, systemId, leaseMs: 1000 });
  await expect(openStore(store)).rejects.toMatchObject({ code: "STORE_LOCKED", details: { pid: child.pid } });
  const admin = await server.admin();
  while ((await admin.exists(`papyra:${systemId}:writer`)) === 1) await new Promise((done) => setTimeout(done, 50));
  admin.destroy();
  await withStore(store, async (opened) => {
    const stored = (await payloadsOf(opened, "events")) as number[];
    expect(stored).toEqual(stored.map((_, i) => i + 1));
    expect(stored.length).toBeGreaterThanOrEqual(acknowledged);
    expect(stored.length).toBeLessThanOrEqual(acknowledged + 1);
    await opened.append("events", [event("next")]);
  });
  expect((await scan(store)).ok).toBe(true);
});
