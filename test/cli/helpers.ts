// main() as a function, stores to try it on, and real processes.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import type { CliIo } from "../../src/cli/io.ts";
import { main } from "../../src/cli/main.ts";
import { nodeEnv } from "../../src/env/node.ts";
import type { LogName, NewRecord } from "../../src/log/record.ts";
import { ROOT } from "../source.ts";

export interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly stderrIsTTY?: boolean;
  readonly stdoutIsTTY?: boolean;
  /** Throws when stdout is written to. */
  readonly brokenStdout?: boolean;
  /** Whoever read stdout has gone. */
  readonly deafStdout?: boolean;
}

/** Calls main() with everything captured. */
export async function papyra(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  let stdout = "";
  let stderr = "";
  const write = (text: string): void => {
    if (options.brokenStdout === true) throw new TypeError("a bug, for the test");
    stdout += text;
  };
  const complain = (text: string): unknown => (stderr += text);
  const outputOf = (to: (text: string) => unknown, isTTY: boolean): CliIo["stdout"] => ({
    write: to,
    written: (text) => Promise.resolve(to(text)).then(() => options.deafStdout !== true),
    isTTY,
  });
  const io: CliIo = {
    stdout: outputOf(write, options.stdoutIsTTY ?? false),
    stderr: outputOf(complain, options.stderrIsTTY ?? false),
    cwd: options.cwd ?? tmpdir(),
    env: options.env ?? {},
    signal: options.signal ?? new AbortController().signal,
    node: "v20.20.0",
    platform: "linux-x64",
    workerScript: join(ROOT, "dist", "cli", "selftest-child.js"),
  };
  const exit = await main(argv, io);
  return { exit, stdout, stderr };
}

/** The document that a command with --json printed: exactly one. */
export async function papyraJson(argv: readonly string[], options: RunOptions = {}): Promise<Record<string, unknown>> {
  const { stdout, exit, stderr } = await papyra([...argv, "--json"], options);
  if (stderr !== "") throw new Error(`--json wrote to stderr: ${stderr}`);
  const document = JSON.parse(stdout) as Record<string, unknown>;
  if (document.exit !== exit) throw new Error(`exit is ${exit} and the document says ${String(document.exit)}`);
  return document;
}

/** A directory that is gone after the test file. */
export function scratch(): string {
  return mkdtempSync(join(tmpdir(), "papyra-cli-"));
}

export function gone(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
}

export const event = (type: string, actor: string, payload: unknown): NewRecord => ({
  kind: "event",
  system_id: "local",
  actor_address: actor,
  event_type: type,
  payload,
});

/** A store with `count` events, and a few records in the other logs. */
export async function makeStore(path: string, count: number): Promise<string> {
  const store = await openStore(fileBackend({ path }, nodeEnv));
  const events = Array.from({ length: count }, (_, k) =>
    event(k % 2 === 0 ? "ActorStarted" : "ActorStopped", `local://orders/${(k + 1) % 5}`, { i: k + 1 }),
  );
  const size = count > 100 ? 500 : 1; // one by one, each batch vouches for the one before
  for (let k = 0; k < count; k += size) await store.append("events", events.slice(k, k + size));
  const one: readonly (readonly [LogName, NewRecord])[] = [
    [
      "dead_letters",
      {
        kind: "dead_letter",
        system_id: "local",
        target: "local://a",
        message_type: "Ping",
        reason: "stopped",
        payload: 1,
      },
    ],
    [
      "journal",
      {
        kind: "journal",
        system_id: "local",
        persistence_id: "account/42",
        revision: 1,
        event_type: "deposited",
        version: 1,
        payload: { amount: 5 },
      },
    ],
  ];
  for (const [log, record] of one) await store.append(log, [record]);
  await store.close();
  return path;
}

/** Flips a bit in the middle of the third line. */
export function flipBit(file: string): void {
  const bytes = readFileSync(file);
  const second = bytes.indexOf(0x0a, bytes.indexOf(0x0a) + 1);
  const at = second + 60;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(file, bytes);
}

export const TORN = '{"seq":4711,"kind":"event","timesta';

export function tear(file: string): void {
  appendFileSync(file, TORN);
}

/** A log that nobody can judge: its lines have checksums, and the identity that they were made with is lost. */
export async function makeUnreadable(dir: string): Promise<string> {
  await makeStore(`${dir}-whole`, 3);
  const bytes = readFileSync(join(`${dir}-whole`, "events.ndjson"));
  gone(`${dir}-whole`);
  const file = join(dir, "events.ndjson");
  bytes.fill("x", 0, bytes.indexOf(0x0a));
  writeFileSync(file, bytes);
  return dir;
}

/**
 * Prints the greatest resident memory of a process when it ends. Linux tells it in /proc; what getrusage tells there
 * begins with the memory of the parent.
 */
const PEAK = `data:text/javascript,import{readFileSync}from"node:fs";process.on("exit",()=>{
  let kb=process.resourceUsage().maxRSS;try{kb=/VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status","utf8"))[1]}catch{}
  process.stderr.write("peak "+kb)})`;

export interface Measured extends Ran {
  readonly megabytes: number;
}

/** Runs the built command line as a process, and says how many megabytes it took. */
export function measured(bin: string, args: readonly string[]): Measured {
  const options = { encoding: "utf8", maxBuffer: 1 << 28 } as const;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", PEAK.replace(/\n\s*/g, ""), bin, ...args],
    options,
  );
  return { exit: status ?? -1, stdout, stderr, megabytes: Number(/peak (\d+)/.exec(stderr)?.[1]) / 1024 };
}

/** Runs a line as one types it, with `papyra` on the PATH. */
export function shellWith(
  path: string,
  line: string,
  cwd: string,
): { status: number | null; stdout: string; stderr: string } {
  const env = { ...process.env, PATH: `${path}:${process.env.PATH}`, NO_COLOR: "1", PAPYRA_PATH: "" };
  return spawnSync("sh", ["-c", line], { cwd, env, encoding: "utf8" });
}

/** Everything that could change in a directory. */
export function photograph(path: string): unknown[] {
  return ["", ...(readdirSync(path, { recursive: true }) as string[])].sort().map((name) => {
    const file = join(path, name);
    const { ino, mode, size, mtimeNs, ctimeNs, nlink } = statSync(file, { bigint: true });
    const hash = statSync(file).isFile() ? createHash("sha256").update(readFileSync(file)).digest("hex") : "";
    return { name, ino, mode, size, mtimeNs, ctimeNs, nlink, hash };
  });
}
