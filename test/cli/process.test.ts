// Real processes: the lines that operators type, signals, pipes, other users, full disks, and what a scan leaves behind.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeFields, encodeIdentity, encodeLine, seedOf } from "../../src/log/codec.ts";
import { type Build, build } from "./build.ts";
import { flipBit, gone, makeStore, measured, scratch, tear, TORN } from "./helpers.ts";

let built: Build;
const dir = scratch();
beforeAll(() => {
  built = build();
  chmodSync(dir, 0o755);
});
afterAll(() => {
  built.remove();
  gone(dir);
});

/** A line as one types it. */
function shell(line: string, cwd: string): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, PATH: `${built.path}:${process.env.PATH}`, NO_COLOR: "1", PAPYRA_PATH: "" };
  return spawnSync("sh", ["-c", line], { cwd, env, encoding: "utf8" });
}

/** A process that writes to the store at `path` until it is killed. */
async function startWriter(path: string): Promise<() => Promise<void>> {
  const index = (name: string): string => pathToFileURL(join(built.root, "dist", name)).href;
  const code = `
    import { openStore } from ${JSON.stringify(index("backends/open.js"))};
    import { fileBackend } from ${JSON.stringify(index("backends/files.js"))};
    import { nodeEnv } from ${JSON.stringify(index("env/node.js"))};
    const store = await openStore(fileBackend({ path: ${JSON.stringify(path)} }, nodeEnv));
    const record = { kind: "event", system_id: "local", actor_address: "local://a", event_type: "Tick", payload: "x".repeat(500) };
    for (let i = 0; ; i++) {
      await Promise.all(Array.from({ length: 20 }, () => store.append("events", [record])));
      if (i === 50) process.stdout.write("ready");
    }`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await new Promise<void>((resolve) => child.stdout.once("data", () => resolve()));
  return async () => {
    child.kill("SIGKILL");
    await ended;
  };
}

describe("the lines of the operator's handbook, as they stand", () => {
  const system = join(dir, "system");
  beforeAll(async () => {
    mkdirSync(join(system, "backups"), { recursive: true });
    const stop = await startWriter(join(system, "persistence"));
    for (let i = 1; i <= 5; i++)
      execFileSync("cp", ["-r", "persistence/", `backups/papyra-2026-01-0${i}/`], { cwd: system });
    await stop();
  });

  test("requirements 6, 8: every copy of the running system is whole or ends in a torn line, and recovers", () => {
    for (let i = 1; i <= 5; i++) {
      const at = `backups/papyra-2026-01-0${i}`;
      const scan = shell(`papyra persistence scan --path ${at}/events.ndjson`, system);
      expect([0, 2], scan.stdout + scan.stderr).toContain(scan.status);
      if (scan.status === 2) expect(scan.stdout).toMatch(/^1 anomaly \(1 torn-tail\)/);
      expect(shell("papyra persistence recover --path events.ndjson", join(system, at)).status).toBe(0);
      expect(shell(`papyra persistence scan --path ${at}/events.ndjson`, system).status).toBe(0);
      expect(shell(`papyra persistence startup-check --path ${at}`, system).status).toBe(0);
    }
  });

  test("requirement 9: startup-check on the store that was killed, found without options", () => {
    const check = shell("papyra persistence startup-check", system);
    expect(check.stdout).toMatch(/^safe to start: /);
    expect(check.status).toBe(0);
  });

  test("requirement 9: a damaged copy, recovered with a quarantine", () => {
    const copy = join(system, "backups", "damaged");
    cpSync(join(system, "backups", "papyra-2026-01-01"), copy, { recursive: true });
    flipBit(join(copy, "events.ndjson"));
    tear(join(copy, "events.ndjson"));
    expect(shell("papyra persistence scan --path events.ndjson", copy).status).toBe(2);
    const recover = shell(
      "papyra persistence recover --mode quarantine --quarantine-dir ./quarantine --path events.ndjson",
      copy,
    );
    expect(recover.status, recover.stdout + recover.stderr).toBe(0);
    const [run = ""] = readdirSync(join(copy, "quarantine"));
    const kept = readFileSync(join(copy, "quarantine", run, "events.ndjson.bytes"), "utf8");
    expect(kept.endsWith(TORN)).toBe(true);
    expect(shell("papyra persistence scan --path .", copy).status).toBe(0);
    expect(shell("papyra persistence startup-check --path .", copy).status).toBe(0);
  });

  test("11: recovery beside the living writer is refused, and nothing changes", async () => {
    const path = join(dir, "busy");
    const stop = await startWriter(path);
    try {
      appendFileSync(join(path, "audits.ndjson"), `${TORN}\n`);
      const recover = shell("papyra persistence recover --path busy", dir);
      expect(recover.status).toBe(11);
      expect(recover.stderr).toMatch(/is held by pid \d+ /);
      expect(
        shell("papyra inspect events --path busy --limit 3 && papyra inspect summary --path busy", dir).status,
      ).toBe(0);
      expect(shell("papyra persistence scan --path busy/events.ndjson", dir).status).toBe(0);
    } finally {
      await stop();
    }
  });
});

/** Everything that could change in a directory. */
function photograph(path: string): unknown[] {
  return ["", ...(readdirSync(path, { recursive: true }) as string[])].sort().map((name) => {
    const file = join(path, name);
    const { ino, mode, size, mtimeNs, ctimeNs, nlink } = statSync(file, { bigint: true });
    const hash = statSync(file).isFile() ? createHash("sha256").update(readFileSync(file)).digest("hex") : "";
    return { name, ino, mode, size, mtimeNs, ctimeNs, nlink, hash };
  });
}

const LOOKING = [
  "persistence scan",
  "persistence startup-check",
  "persistence recover --mode ignore",
  "persistence inspect --count",
  "doctor run",
  "inspect events",
  "inspect summary",
];

describe("looking changes nothing", () => {
  let path: string;
  beforeAll(async () => {
    path = await makeStore(join(dir, "looked-at"), 20);
    flipBit(join(path, "events.ndjson"));
  });

  test.each(LOOKING)("%s", (command) => {
    const before = photograph(path);
    const ran = shell(`papyra ${command} --path looked-at`, dir);
    expect(ran.stderr).toBe("");
    expect(photograph(path)).toEqual(before);
  });

  test("also for somebody who may not write, with the same answer; and what may not be read is 74", (context) => {
    const root = process.getuid?.() === 0;
    const as = root ? "setpriv --reuid=65534 --regid=65534 --clear-groups " : "";
    if (shell(`${as}papyra --version`, dir).status !== 0) context.skip("another user cannot run Node here");
    const mode = { file: 0o444, dir: 0o555 };
    const copy = join(dir, "read-only");
    cpSync(path, copy, { recursive: true });
    for (const name of readdirSync(copy)) chmodSync(join(copy, name), mode.file);
    chmodSync(copy, mode.dir);
    const before = photograph(copy);
    const scan = shell(`${as}papyra persistence scan --path read-only`, dir);
    expect(scan).toMatchObject({ status: 2, stderr: "" });
    expect(photograph(copy)).toEqual(before);
    const recover = shell(`${as}papyra persistence recover --path read-only`, dir);
    expect(recover.status).toBe(74);
    expect(recover.stderr).toContain("EACCES");
    expect(photograph(copy)).toEqual(before);
    chmodSync(join(copy, "events.ndjson"), 0);
    const refused = shell(`${as}papyra persistence scan --path read-only`, dir);
    expect(refused).toMatchObject({ status: 74, stdout: "" });
    expect(refused.stderr).toMatch(/cannot open .*events\.ndjson: EACCES.*\nNext: check the owner/);
    chmodSync(copy, 0o755);
  });
});

describe("files that are no logs", () => {
  test.each<[string, number, () => Buffer]>([
    ["empty", 2, () => Buffer.alloc(0)],
    ["invalid UTF-8", 2, () => Buffer.from('{"kind":"event","a":"\xff\xfe"}\n', "latin1")],
    ["NULs", 2, () => Buffer.alloc(5000)],
    ["an array", 2, () => Buffer.from("[1]\n")],
    ["a number", 2, () => Buffer.from("42\n")],
    ["not JSON", 2, () => Buffer.from("hello\n")],
    ["JSON without checksums", 0, () => Buffer.from('{"kind":"event"}\n{}\n')],
    ["JSON without its last line break", 2, () => Buffer.from('{"kind":"event"}\n{}')],
    ["a later format", 16, () => Buffer.from('{"papyra":2,"log":"events","store":"s","lineage":"b"}\n')],
  ])("%s: exit %i", (name, status, bytes) => {
    const file = join(dir, `${name.replaceAll(" ", "-")}.ndjson`);
    writeFileSync(file, bytes());
    expect(shell(`papyra persistence scan --path '${file}'`, dir).status).toBe(status);
  });

  test("lines of the wrong kind in a log of ours: each is one anomaly, its neighbours are whole", async () => {
    const path = await makeStore(join(dir, "wrong-kinds"), 4);
    appendFileSync(join(path, "events.ndjson"), '[1]\n42\n{"kind":"event"}\n\n');
    const scan = JSON.parse(shell("papyra persistence scan --path wrong-kinds --json", dir).stdout) as {
      report: { counts: object; logs: { records: number }[] };
    };
    expect(Object.values(scan.report.counts).reduce((sum: number, count: number) => sum + count, 0)).toBe(4);
    expect(scan.report.logs[0]?.records).toBe(4);
  });

  test("a line of 100 MB is one anomaly, in flat memory, at either end of a log", async () => {
    for (const last of ["", '\n{"kind":"event"}\n']) {
      const file = join(dir, "long.ndjson");
      writeFileSync(file, '{"kind":"event"}\n');
      for (let i = 0; i < 10; i++) appendFileSync(file, Buffer.alloc(10_000_000, "x"));
      appendFileSync(file, last);
      const scan = measured(built.bin, ["persistence", "scan", "--path", file, "--json"]);
      expect(scan.status).toBe(2);
      expect(JSON.parse(scan.stdout)).toMatchObject({ report: { anomalyCount: 1 } });
      const inspect = measured(built.bin, ["inspect", "events", "--path", file, "--json"]);
      expect(JSON.parse(inspect.stdout)).toMatchObject({
        exit: 0,
        report: { damaged: 1, linesRead: last === "" ? 1 : 2 },
      });
      expect(Math.max(scan.megabytes, inspect.megabytes)).toBeLessThan(150);
    }
  });
});

describe("memory", () => {
  test("a scan, a recovery and a look at the end of 120 MB take no more than one of 1 MB", async () => {
    const path = await makeStore(join(dir, "large"), 1);
    const file = join(path, "events.ndjson");
    const { store, lineage } = JSON.parse(readFileSync(join(path, "papyra.json"), "utf8")) as {
      store: string;
      lineage: string;
    };
    const identity = { log: "events", store, lineage } as const;
    const seed = seedOf(encodeIdentity(identity));
    const fields = encodeFields({
      system_id: "local",
      actor_address: "local://a",
      event_type: "T",
      payload: "x".repeat(300),
    });
    let seq = 0;
    writeFileSync(file, encodeIdentity(identity));
    for (let part = 0; part < 24; part++) {
      const lines: string[] = [];
      for (let i = 0; i < 12_000; i++)
        lines.push(encodeLine(seed, ++seq, undefined, "event", 1767225600000 + seq, fields));
      appendFileSync(file, lines.join(""));
    }
    expect(statSync(file).size).toBeGreaterThan(110e6);
    gone(join(path, "papyra.mark")); // it vouches for a shorter log
    const scan = measured(built.bin, ["persistence", "scan", "--path", path]);
    expect(scan.status, scan.stdout).toBe(0);
    const inspect = measured(built.bin, ["inspect", "events", "--path", path]);
    expect(inspect.stdout).toContain(` ${seq}  T `);
    flipBit(file);
    const recover = measured(built.bin, ["persistence", "recover", "--path", path]);
    expect(recover.status, recover.stdout).toBe(0);
    expect(Math.max(scan.megabytes, inspect.megabytes, recover.megabytes)).toBeLessThan(150);
  });
});

describe("a full disk", () => {
  test("15: nothing is lost, the store is as it was, and there is a next step", async (context) => {
    const mounts = process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0;
    if (!mounts) context.skip("mounting needs root");
    const path = await makeStore(join(dir, "tight"), 1500);
    flipBit(join(path, "events.ndjson"));
    const mount = join(dir, "mount");
    mkdirSync(mount);
    const kilobytes =
      Math.ceil(
        readdirSync(path).reduce((sum, name) => sum + Math.ceil(statSync(join(path, name)).size / 4096) * 4, 0),
      ) + 24;
    const script = `
      mount -t tmpfs -o size=${kilobytes}k none mount && cp -r tight mount/store && cp -r mount/store before &&
      papyra persistence recover --mode quarantine --path mount/store; echo "exit $?"
      rm -rf mount/store/quarantine; diff -r before mount/store && echo unchanged
      papyra persistence scan --path mount/store | head -1`;
    const env = { ...process.env, PATH: `${built.path}:${process.env.PATH}`, NO_COLOR: "1" };
    const ran = spawnSync("unshare", ["-m", "sh", "-c", script], { cwd: dir, env, encoding: "utf8" });
    expect(ran.stdout, ran.stderr).toMatch(/^exit 15\n/);
    expect(ran.stdout).toContain("\nunchanged\n1 anomaly (1 checksum-mismatch)");
    expect(ran.stderr).toMatch(/ENOSPC \(STORAGE_FULL\)\nNext: free some space/);
  });
});

describe("signals and pipes", () => {
  test.each(["SIGINT", "SIGTERM"] as const)("%s stops a scan cleanly: 130", async (signal) => {
    const file = join(dir, "slow.ndjson");
    writeFileSync(file, "");
    const line = Buffer.alloc(1 << 20, '{"kind":"event","payload":"0123456789"}\n');
    line.writeUInt8(0x0a, line.length - 1);
    for (let i = 0; i < 150; i++) appendFileSync(file, line);
    const child = spawn(process.execPath, [built.bin, "persistence", "scan", "--path", file, "--json"]);
    let stdout = "";
    child.stdout.on("data", (text: Buffer) => (stdout += text.toString()));
    setTimeout(() => child.kill(signal), 350);
    const exit = await new Promise<number | null>((resolve) => child.once("close", resolve));
    expect(exit).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, exit: 130, error: { code: "INTERRUPTED" } });
  });

  test("a reader that goes away is no failure", async () => {
    const path = await makeStore(join(dir, "piped"), 3000);
    const ran = shell(`(papyra inspect events --limit 3000 --path ${path}; echo "exit $?" >&2) | head -1`, dir);
    expect(ran.stdout).toContain("TIME");
    expect(ran.stderr).toBe("exit 0\n");
  });

  test("help is there at once: nothing but the tree of commands is loaded", () => {
    const code = `import { main } from ${JSON.stringify(pathToFileURL(join(built.root, "dist/cli/main.js")).href)};
      const quiet = { write: () => true, isTTY: false };
      await main(["persistence", "scan", "--help"], { stdout: quiet, stderr: quiet, cwd: "/", env: {}, signal: new AbortController().signal });
      process.stdout.write(process.getActiveResourcesInfo().join() + " " + String("fs-native-extensions" in (globalThis.process.moduleLoadList ?? [])));`;
    const ran = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
    expect(ran.status).toBe(0);
    const trace = spawnSync(process.execPath, [built.bin, "--help"], {
      encoding: "utf8",
      env: { ...process.env, NODE_DEBUG: "esm" },
    });
    expect(trace.stderr).not.toMatch(/dist\/ops\/|dist\/backends\/|jiti|fs-native/);
  });
});

describe("one file of a store is its whole log", () => {
  test("closed segments are found beside it", async () => {
    const path = await makeStore(join(dir, "segments"), 6);
    tear(join(path, "events.ndjson"));
    await makeStore(path, 6); // opening leaves the torn file under a closed name and goes on in a new one
    expect(readdirSync(path).filter((name) => name.startsWith("events."))).toHaveLength(2);
    const whole = JSON.parse(shell("papyra persistence scan --path segments/events.ndjson --json", dir).stdout) as {
      report: { logs: unknown[] };
    };
    expect(whole.report.logs).toMatchObject([{ log: "events", segments: 2, records: 12 }]);
    expect(shell("papyra inspect events --path segments/events.ndjson --limit 12", dir).stdout).toMatch(
      /\n\S+ {4,}1 {2}ActorStarted/,
    );
    copyFileSync(join(path, "events.ndjson"), join(dir, "alone.ndjson"));
    expect(shell("papyra persistence scan --path alone.ndjson", dir).status).toBe(2);
  });
});
