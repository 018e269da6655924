// Real processes: the lines that operators type, a store that is being written, another user, and what looking leaves behind.
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Build, build } from "./build.ts";
import { flipBit, gone, makeStore, photograph, scratch, shellWith, tear, TORN } from "./helpers.ts";

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

const shell = (line: string, cwd: string): ReturnType<typeof shellWith> => shellWith(built.path, line, cwd);

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
