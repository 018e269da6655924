// Real processes under bad conditions: files that are no logs, lines without end, large logs, a full disk, signals, pipes.
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeFields, encodeIdentity, encodeLine, seedOf } from "../../src/log/codec.ts";
import { type Build, build } from "./build.ts";
import { flipBit, gone, makeStore, measured, scratch, shellWith } from "./helpers.ts";

let built: Build;
const dir = scratch();
beforeAll(() => {
  built = build();
});
afterAll(() => {
  built.remove();
  gone(dir);
});
const shell = (line: string, cwd: string): ReturnType<typeof shellWith> => shellWith(built.path, line, cwd);

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
      expect(scan.exit).toBe(2);
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
    expect(scan.exit, scan.stdout).toBe(0);
    const inspect = measured(built.bin, ["inspect", "events", "--path", path]);
    expect(inspect.stdout).toContain(` ${seq}  T `);
    flipBit(file);
    const recover = measured(built.bin, ["persistence", "recover", "--path", path]);
    expect(recover.exit, recover.stdout).toBe(0);
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
      rm -rf mount/store/quarantine; diff -r -x papyra.lock before mount/store && echo unchanged
      papyra persistence scan --path mount/store | head -1`;
    const env = { ...process.env, PATH: `${built.path}:${process.env.PATH}`, NO_COLOR: "1" };
    const ran = spawnSync("unshare", ["-m", "sh", "-c", script], { cwd: dir, env, encoding: "utf8" });
    expect(ran.stdout, ran.stderr).toMatch(/^exit 15\n/);
    // Which kind of damage a flipped bit is depends on what it hit.
    expect(ran.stdout).toMatch(/\nunchanged\n1 anomaly \(1 (checksum-mismatch|malformed-line)\)/);
    expect(ran.stderr).toMatch(/ENOSPC \(STORAGE_FULL\)\nNext: free some space/);
  });
});

describe("signals and pipes", () => {
  test.each(["SIGINT", "SIGTERM"] as const)("%s stops a command cleanly: 130", (signal) => {
    const file = join(dir, "stopped.ndjson");
    writeFileSync(file, '{"kind":"event"}\n');
    // The signal comes as soon as somebody listens, whatever the machine is busy with.
    const hook = `data:text/javascript,const t=setInterval(()=>{if(process.listenerCount("${signal}")){clearInterval(t);process.kill(process.pid,"${signal}")}},0)`;
    const blocked = `data:text/javascript,const{open}=(await import("node:fs")).promises;import("node:fs").then(({promises})=>{promises.open=async(...a)=>{await new Promise((r)=>setTimeout(r,50));return open(...a)}})`;
    const args = ["--import", hook, "--import", blocked, built.bin, "persistence", "scan", "--path", file, "--json"];
    const child = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(child.stderr).toBe("");
    expect(child.status).toBe(130);
    expect(JSON.parse(child.stdout)).toMatchObject({ ok: false, exit: 130, error: { code: "INTERRUPTED" } });
  });

  test("a reader that goes away is no failure", async () => {
    const path = await makeStore(join(dir, "piped"), 3000);
    const ran = shell(`(papyra inspect events --limit 3000 --path ${path}; echo "exit $?" >&2) | head -1`, dir);
    expect(ran.stdout).toContain("TIME");
    expect(ran.stderr).toBe("exit 0\n");
  });

  test("help is there at once: nothing but the tree of commands is loaded", () => {
    const env = { ...process.env, NODE_DEBUG: "esm" };
    const loaded = spawnSync(process.execPath, [built.bin, "--help"], { encoding: "utf8", env }).stderr;
    expect(loaded).toContain("dist/cli/commands.js");
    expect(loaded).not.toMatch(/dist\/(?:ops|backends|actors)\/|jiti|fs-native/);
  });
});
