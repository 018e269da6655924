// docs/operations/backups-and-recovery.md: every command of it is run, in its order, by real processes on one store and its repository;
// what it says of cron, systemd and Kubernetes is checked as far as there is something to check it with.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { directoryObjects } from "../../src/backup/directory.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { type Build, build } from "../cli/build.ts";
import { gone, scratch, shellWith } from "../cli/helpers.ts";
import { textOf } from "../source.ts";

const page = textOf("docs/operations/backups-and-recovery.md");
const root = scratch();
const dir = join(root, "orders");
let built: Build;
let stopService = async (): Promise<void> => undefined;
/** What stands on the page for something that only a run knows. */
const known = new Map<string, string>();

interface Block {
  readonly section: string;
  readonly language: string;
  readonly text: string;
}

function blocksOf(language: string): Block[] {
  const found: Block[] = [];
  let section = "";
  for (const [, heading, fence, text] of page.matchAll(/^#+ (.+)$|^```([a-z]+)\n([^]*?)^```$/gm)) {
    if (heading !== undefined) section = heading;
    else if (fence === language) found.push({ section, language, text: text as string });
  }
  return found;
}

function onlyBlock(language: string, section: string): string {
  const blocks = blocksOf(language).filter((block) => block.section === section);
  expect(blocks, `one ${language} block in "${section}"`).toHaveLength(1);
  return blocks[0]?.text ?? "";
}

const ACCOUNT = `import { persistentActor } from "papyra";
export const account = persistentActor(
  { type: "account", initial: () => ({ balance: 0 }), events: { deposited: (s, e) => ({ balance: s.balance + e.amount }) } },
  { deposit: (_, c, ctx) => ctx.persist("deposited", c).reply((after) => after.balance) },
);`;

const SERVICE = `import { ActorSystem, fileStore } from "papyra";
import { account } from "./account.mjs";
const system = new ActorSystem({ store: fileStore({ path: "./persistence" }) });
await system.start();
const deposit = (id) => system.get(account, id).ask("deposit", { amount: 5 });
for (let i = 0; i < 60; i++) await Promise.all([deposit("42"), deposit("43")]);
console.log("ready");
let stopping = false;
process.on("SIGTERM", () => (stopping = true));
while (!stopping) {
  await deposit("42");
  await new Promise((resolve) => setTimeout(resolve, 25));
}
await system.stop();`;

async function startService(): Promise<void> {
  const child = spawn(process.execPath, ["service.mjs"], { cwd: dir, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await new Promise<void>((resolve) => child.stdout.once("data", () => resolve()));
  stopService = async () => {
    child.kill("SIGTERM");
    await ended;
  };
}

beforeAll(async () => {
  built = build();
  mkdirSync(join(dir, "node_modules"), { recursive: true });
  symlinkSync(built.root, join(dir, "node_modules", "papyra"));
  writeFileSync(join(dir, "package.json"), "{}");
  mkdirSync(join(dir, "docs"));
  writeFileSync(join(dir, "docs/restore.md"), "1. Stop the service.\n");
  writeFileSync(join(dir, "account.mjs"), ACCOUNT);
  writeFileSync(join(dir, "service.mjs"), SERVICE);
  writeFileSync(join(dir, "papyra.config.mjs"), onlyBlock("js", "The configuration"));
  await startService();
});
afterAll(async () => {
  await stopService();
  built.remove();
  gone(root);
});

function sh(text: string): ReturnType<typeof shellWith> {
  let line = text;
  for (const [shown, real] of known) line = line.replaceAll(shown, real);
  return shellWith(built.path, line, dir);
}

/** Changes a byte in the middle of a file. */
function flipIn(file: string): void {
  const bytes = readFileSync(file);
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(file, bytes);
}

/** A closed segment; not of the journal, where an actor would lose an event. */
function closedEvents(): string {
  const name = readdirSync(join(dir, "persistence")).find((one) => /^events\.\d+\.ndjson$/.test(one));
  return join(dir, "persistence", name as string);
}

/** The largest part of the journal in the newest backup. */
function someBackedUpPart(): string {
  const newest = readdirSync(join(dir, "backups/backups")).at(-1) as string;
  const manifest = JSON.parse(readFileSync(join(dir, "backups/backups", newest), "utf8")) as {
    logs: { journal: { segments: { parts: { sha256: string; bytes: number }[] }[] } };
  };
  const parts = manifest.logs.journal.segments.flatMap((segment) => segment.parts);
  const [largest] = parts.sort((a, b) => b.bytes - a.bytes);
  return `backups/segments/journal/${largest?.sha256}.part`;
}

/** What happens before the commands of a section. */
const BEFORE: Readonly<Record<string, () => unknown>> = {
  "Proving that backups are good": () => known.set("2026-01-01T10:30", new Date().toISOString()),
  Restoring: async () => {
    await stopService();
    expect(sh("papyra backup create --states").status).toBe(0);
  },
  "Corrupted store": () => flipIn(closedEvents()),
  "Corrupted backup": () => {
    expect(sh("papyra backup create").status).toBe(0);
    flipIn(join(dir, someBackedUpPart()));
    const damaged = join(dir, "backups-by-hand/damaged");
    cpSync(join(dir, "backups-by-hand/papyra-2026-01-01"), damaged, { recursive: true });
    flipIn(join(damaged, "events.ndjson"));
  },
  "The disk is gone": () => rmSync(join(dir, "persistence"), { recursive: true }),
};

/** An example of a file in /etc, as it would be on this machine. */
function placed(text: string): string {
  return text.replaceAll("/srv/orders", dir).replaceAll("/usr/local/bin/papyra", join(built.path, "papyra"));
}

describe("the schedules of the system", () => {
  test("cron: each line, with nothing in its environment but what the crontab says", () => {
    const [path = "", ...lines] = onlyBlock("crontab", "cron").trim().split("\n");
    expect(path).toMatch(/^PATH=/);
    expect(lines.length).toBeGreaterThan(4);
    const PATH = `${built.path}:${dirname(process.execPath)}:${path.slice("PATH=".length)}`;
    for (const line of lines) {
      const [, command = ""] = /^(?:[\d*/,-]+ +){5}(.+)$/.exec(line) ?? [];
      const { status, stderr } = spawnSync("sh", ["-c", placed(command).replaceAll("\\%", "%")], {
        env: { PATH },
        encoding: "utf8",
      });
      expect([status, stderr], line).toEqual([0, ""]);
      const [, file = ""] = /> (\w+\.json)/.exec(command) ?? [];
      expect(JSON.parse(readFileSync(join(dir, file), "utf8")), line).toMatchObject({ ok: true, exit: 0 });
    }
  });

  test("systemd: the units are what systemd understands, and the commands are the ones above", () => {
    const units = blocksOf("ini").map(({ text }) => {
      const [, name = ""] = /^# \/etc\/systemd\/system\/(\S+)\n/.exec(text) ?? [];
      writeFileSync(join(root, name), placed(text).replace("User=orders\n", ""));
      return { name, text };
    });
    expect(units.map(({ name }) => name)).toEqual(["papyra-backup.service", "papyra-backup.timer"]);
    for (const [, command = ""] of (units[0]?.text ?? "").matchAll(/^ExecStart=(.+)$/gm))
      expect([command, sh(placed(command)).status]).toEqual([command, 0]);
    if (spawnSync("systemd-analyze", ["--version"]).status !== 0) return; // no systemd here: only their commands are tested
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", ...units.map(({ name }) => join(root, name))], {
      encoding: "utf8",
    });
    expect([status, stderr.split("\n").filter((line) => line.includes("papyra"))]).toEqual([0, []]);
  });

  test("Kubernetes: the job is YAML of the right shape, and its command is one that works", () => {
    const yaml = onlyBlock("yaml", "Kubernetes");
    const [, list = "[]"] = /^ *command: (\[.+\])$/m.exec(yaml) ?? [];
    const command = JSON.parse(list) as string[];
    const line = command.join(" ").replace("/data/", "").replace("/backups", "backups");
    expect(sh(line).status, line).toBe(0);
    for (const needed of ["kind: CronJob", "concurrencyPolicy: Forbid", "restartPolicy: Never"])
      expect(yaml).toContain(needed);
    const python = "import sys, json, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
    const parsed = spawnSync("python3", ["-c", python], { input: yaml, encoding: "utf8" });
    if (parsed.stderr.includes("No module named 'yaml'")) return; // no parser here: only what is above
    const job = JSON.parse(parsed.stdout) as { spec: { schedule: string; jobTemplate: { spec: { template: Pod } } } };
    expect(job.spec.schedule).toBe("0 3 * * *");
    const pod = job.spec.jobTemplate.spec.template.spec;
    expect(pod.containers[0]?.command).toEqual(command);
    const mounted = pod.containers[0]?.volumeMounts.map(({ name }) => name);
    expect(pod.volumes.map(({ name }) => name)).toEqual(mounted);
  });
});

interface Pod {
  readonly spec: {
    readonly containers: readonly { command: string[]; volumeMounts: { name: string }[] }[];
    readonly volumes: readonly { name: string }[];
  };
}

describe("every command, in the order of the page", () => {
  let section = "";
  known.set("journal:100", "journal:20");
  test.each(blocksOf("sh").map((block, i) => ({ ...block, i: i + 1 })))(
    "$i: $section",
    async (block) => {
      if (block.section !== section) await BEFORE[block.section]?.();
      section = block.section;
      const wanted = Number(/# exit (\d+)$/m.exec(block.text)?.[1] ?? 0);
      const { status, stdout, stderr } = sh(`set -e\n${block.text}`);
      expect(status, block.text + stdout + stderr).toBe(wanted);
    },
    60_000,
  );

  test("and what they led to: the actor has its history, and the one of today is whole", () => {
    const { stdout } = sh("papyra replay --states --json");
    const { report } = JSON.parse(stdout) as { report: { actors: { persistenceId: string; revision: number }[] } };
    const revisions = Object.fromEntries(report.actors.map(({ persistenceId, revision }) => [persistenceId, revision]));
    expect(revisions["account/42-restored"]).toBeGreaterThan(60);
    expect(revisions["account/42"]).toBeGreaterThan(revisions["account/42-restored"] as number);
  });
});

test.each(["Every day", "In process, by a schedule"])("in the process of the service: %s", (section) => {
  const code = onlyBlock("js", section)
    .replaceAll('"./persistence"', '"./own"')
    .replaceAll('"./backups"', '"./own-backups"');
  writeFileSync(join(dir, "in-process.mjs"), code);
  const ran = spawnSync(process.execPath, ["in-process.mjs"], { cwd: dir, encoding: "utf8" });
  expect([ran.status, ran.stdout, ran.stderr]).toEqual([0, "", ""]);
  expect(sh("papyra backup show --repository own-backups").stdout).toContain("(in-process, from");
});

test("a refusal names who is in the way, as the page shows it", async () => {
  const hold = await directoryObjects(nodeEnv, join(dir, "backups")).hold("shared", "backup");
  const { status, stderr } = sh("papyra backup prune --keep-last 1");
  await hold.release();
  const shown = onlyBlock("text", "Who keeps whom away").replace("/srv/orders", dir);
  const withoutOwner = (text: string): string => text.replace(/pid \d+ on \S+ since \S+/, "...");
  expect(status).toBe(11);
  expect(withoutOwner(stderr)).toBe(withoutOwner(shown));
  expect(stderr).toContain(`pid ${process.pid} `);
});

describe("what a stranger checks finds what is wrong", () => {
  const [check] = blocksOf("sh").filter(({ section }) => section === "What a repository looks like");
  const run = (copy: string): number | null => shellWith(built.path, check?.text ?? "", copy).status;
  const copied = (what: string): string => {
    const copy = join(root, what);
    cpSync(join(dir, "own-backups"), join(copy, "backups"), { recursive: true });
    return copy;
  };

  test("nothing, of what is as it was", () => expect(run(copied("as it was"))).toBe(0));

  test.each<[string, string, (file: string) => void]>([
    ["a byte of a part", "segments/events", flipIn],
    ["a byte of a manifest", "backups", flipIn],
    ["an entry of the catalog that is gone", "catalog", rmSync],
    ["a part that is gone", "segments/journal", rmSync],
  ])("%s", (what, folder, damage) => {
    const copy = copied(what);
    const [first = ""] = readdirSync(join(copy, "backups", folder));
    damage(join(copy, "backups", folder, first));
    expect(run(copy)).not.toBe(0);
  });
});
