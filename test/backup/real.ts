// Real processes around one store and its repository: a service that writes without pause, and the command line.
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { backupReader } from "../../src/backup/backup-reader.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import type { Manifest } from "../../src/backup/manifest.ts";
import type { ObjectStore } from "../../src/backup/objects.ts";
import type { DefinedActors } from "../../src/backup/states.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { untilStopped } from "../until-stopped.ts";
import { passOver } from "../../src/ops/record-pass.ts";
import type { Build } from "../cli/build.ts";

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const SERVICE = here("service.mjs");
const NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];

/** Each event says which one it is, and what it must be. */
const ACCOUNT = `import { persistentActor } from "papyra";
export const account = persistentActor(
  {
    type: "account",
    initial: () => ({ count: 0, sum: 0 }),
    events: { added: (s, e) => ({ count: s.count + 1, sum: s.sum + e.amount }) },
    snapshot: { everyEvents: 20 },
  },
  {
    add: (s, { text }, ctx) => {
      const n = s.count + 1;
      return ctx.persist("added", { n, amount: (n * 7919) % 1000, text }).reply((after) => after.count);
    },
  },
);`;

const CONFIG = `import { account } from "./account.mjs";
export default { path: "./persistence", backups: "./backups", actors: [account] };`;

/** A directory with a store and a repository. */
export class Home {
  readonly built: Build;
  readonly dir: string;

  constructor(built: Build) {
    this.built = built;
    this.dir = mkdtempSync(join(tmpdir(), "papyra-home-"));
    chmodSync(this.dir, 0o755); // for others, too
    mkdirSync(join(this.dir, "node_modules"));
    symlinkSync(built.root, join(this.dir, "node_modules", "papyra"));
    copyFileSync(here("stop-at.mjs"), join(this.dir, "stop-at.mjs"));
    writeFileSync(join(this.dir, "package.json"), "{}");
    writeFileSync(join(this.dir, "account.mjs"), ACCOUNT);
    writeFileSync(join(this.dir, "papyra.config.mjs"), CONFIG);
  }

  get store() {
    return fileBackend({ path: join(this.dir, "persistence"), segmentBytes: 50_000 }, nodeEnv);
  }

  get objects() {
    return directoryObjects(nodeEnv, join(this.dir, "backups"));
  }

  /** What its actors are. */
  async actors(): Promise<DefinedActors> {
    const { account } = (await import(pathToFileURL(join(this.dir, "account.mjs")).href)) as {
      account: DefinedActors[0];
    };
    return [account];
  }

  papyra(...args: readonly string[]): Command {
    return new Command(spawnIn(this.dir, [this.built.bin, ...args]));
  }

  /** Stops itself at the first call that fits; resolves when it has. See stop-at.mjs. */
  async stopped(call: string, args: readonly string[], as: "root" | "nobody" = "root"): Promise<Command> {
    const wrapper = as === "nobody" ? NOBODY : [];
    const all = ["--import", "./stop-at.mjs", this.built.bin, ...args];
    const command = new Command(spawnIn(this.dir, all, { PAPYRA_TEST_STOP: call }, wrapper));
    await Promise.race([untilStopped(command.pid).catch(() => command.ended), command.ended]); // one that is gone has no state
    if (command.over)
      throw new Error(`${args.join(" ")} did not come to ${call}: ${JSON.stringify(await command.ended)}`);
    return command;
  }

  /** As a user who owns nothing. */
  papyraAsNobody(...args: readonly string[]): Command {
    return new Command(spawnIn(this.dir, [this.built.bin, ...args], {}, NOBODY));
  }

  /** Somebody holds the repository; of the living and of the dead. */
  holds(): string[] {
    const dir = join(this.dir, "backups", "holds");
    return existsSync(dir) ? readdirSync(dir) : [];
  }
}

function spawnIn(
  cwd: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  wrapper: readonly string[] = [],
): ChildProcess {
  const [program = "", ...rest] = [...wrapper, process.execPath, "--no-warnings", ...args];
  return spawn(program, rest, { cwd, stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1", ...env } });
}

export interface Ended {
  readonly exit: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process of the command line. */
export class Command {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  over = false;

  constructor(child: ChildProcess) {
    this.child = child;
    const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
    this.ended = new Promise((resolve) =>
      child.once("close", (exit, signal) => {
        this.over = true;
        resolve({ exit, signal, stdout: stdout.text, stderr: stderr.text });
      }),
    );
  }

  get pid(): number {
    return this.child.pid as number;
  }

  kill(): Promise<Ended> {
    this.child.kill("SIGKILL");
    return this.ended;
  }

  /** Until it has done something that one can see, or is over. */
  async until(seen: () => boolean): Promise<void> {
    while (!this.over && !seen()) await delay(1);
  }
}

function textOf(stream: NodeJS.ReadableStream | null): { text: string } {
  const all = { text: "" };
  stream?.setEncoding("utf8").on("data", (chunk: string) => void (all.text += chunk));
  return all;
}

/** An event that the service was told to be stored. */
export interface Ack {
  readonly id: string;
  readonly revision: number;
  readonly atMs: number;
}

/** A process that writes (service.mjs). */
export class Service {
  readonly #command: Command;
  readonly #output: { text: string };

  private constructor(home: Home, seed: number) {
    const child = spawnIn(home.dir, [SERVICE, home.built.root, home.dir, String(seed)]);
    this.#output = textOf(child.stdout);
    child.stdin?.on("error", () => undefined); // it was killed
    this.#command = new Command(child);
  }

  /** It has written something when this resolves. */
  static async start(home: Home, seed: number): Promise<Service> {
    const service = new Service(home, seed);
    await service.says("ack ");
    return service;
  }

  /** Whole lines only. */
  get lines(): string[] {
    return this.#output.text.split("\n").slice(0, -1);
  }

  /** What it has acknowledged so far, or before the line that begins with `before`. */
  acks(before?: string): Ack[] {
    const { lines } = this;
    const end = before === undefined ? -1 : lines.findLastIndex((line) => line.startsWith(before));
    return lines
      .slice(0, end < 0 ? lines.length : end)
      .filter((line) => line.startsWith("ack "))
      .map((line) => {
        const [, id = "", revision, atMs] = line.split(" ");
        return { id, revision: Number(revision), atMs: Number(atMs) };
      });
  }

  async says(beginning: string): Promise<string> {
    for (;;) {
      const line = this.lines.findLast((one) => one.startsWith(beginning));
      if (line !== undefined) return line;
      if (this.#command.over) throw new Error(`the service has ended: ${JSON.stringify(await this.#command.ended)}`);
      await delay(1);
    }
  }

  async begin(work: "backup" | "compact"): Promise<void> {
    this.#command.child.stdin?.write(`${work}\n`);
    await this.says(`begin ${work}`);
  }

  get pid(): number {
    return this.#command.pid;
  }

  async pause(): Promise<void> {
    this.#command.child.kill("SIGSTOP");
    await untilStopped(this.pid);
  }

  goOn(): void {
    this.#command.child.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    const { signal, stderr, stdout } = await this.#command.kill();
    if (signal !== "SIGKILL") throw new Error(`the service ended by itself: ${stderr} ${stdout.slice(-300)}`);
  }
}

/** Reads the journal and the snapshots of a backup. Each event must be the one that was written as such. */
export async function historyOf(
  objects: ObjectStore,
  manifest: Manifest,
): Promise<{ last: Map<string, number>; seqs: number }> {
  const backup = backupReader(objects, manifest);
  const last = new Map<string, number>();
  let seqs = 0;
  await passOver(backup, await backup.view(), "journal", {}, (record) => {
    if (record.kind !== "journal") throw new Error(`a record of ${record.kind} in the journal`);
    const id = record.persistence_id.replace("account/", "");
    const n = (last.get(id) ?? 0) + 1;
    const { text: _, ...payload } = record.payload as { text: string };
    expect([record.seq, record.revision, payload]).toEqual([++seqs, n, { n, amount: (n * 7919) % 1000 }]);
    last.set(id, n);
  });
  // A snapshot is written behind its events: it is of the same instant only when they are there, too.
  await passOver(backup, await backup.view(), "snapshots", {}, (record) => {
    if (record.kind !== "snapshot") throw new Error(`a record of ${record.kind} among the snapshots`);
    expect(last.get(record.persistence_id.replace("account/", "")) ?? 0).toBeGreaterThanOrEqual(record.revision);
  });
  return { last, seqs };
}
