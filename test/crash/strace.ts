// What a real process does to a directory, as strace sees it: the calls that change something or make it durable, in order.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether it is there and may trace. */
export const hasStrace: boolean = spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0;

/** One thread for file calls, so that they are made in the order in which they were asked for, and each by itself. */
const ENV = { ...process.env, UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" };

/** The calls that name a file, and those by which an open one is changed, made durable, or passed on. */
const CALLS =
  "%file,close,dup,dup2,dup3,write,writev,pwrite64,pwritev,pwritev2,copy_file_range,sendfile,splice,ftruncate,fallocate,fsync,fdatasync,sync_file_range,syncfs,fchmod,fchown";

/** Runs a Node program under strace. Its stderr must be empty. Returns its stdout and what strace wrote. */
export function traced(
  args: readonly string[],
  options: readonly string[] = ["--seccomp-bpf", "-e", `trace=${CALLS}`],
): { stdout: string; trace: string } {
  const dir = mkdtempSync(join(tmpdir(), "papyra-strace-"));
  try {
    const file = join(dir, "trace");
    const strace = ["-f", "-qq", "-s", "0", "-e", "signal=none", "-o", file, ...options, process.execPath, ...args];
    const { status, stdout, stderr } = spawnSync("strace", strace, { encoding: "utf8", env: ENV });
    if (status !== 0 || stderr !== "") throw new Error(`strace: exit ${status}\n${stderr}`);
    return { stdout, trace: readFileSync(file, "utf8") };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** These only look, or concern the process alone. */
const LOOKS = new Set([
  "stat",
  "lstat",
  "statx",
  "newfstatat",
  "access",
  "faccessat",
  "faccessat2",
  "readlink",
  "statfs",
]);
const NEITHER = new Set(["close", "getcwd", "chdir", "execve"]);

interface SystemCall {
  readonly name: string;
  readonly args: readonly string[];
  readonly result: number;
}

/** The calls of all threads in the order in which they began; those that failed are left out. */
function* callsIn(trace: string): Generator<SystemCall> {
  const begun = new Map<string, { text: string }>();
  const all: { text: string }[] = [];
  for (const line of trace.split("\n")) {
    const [, pid = "", text = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text);
    if (resumed !== null) {
      const first = begun.get(pid);
      if (first !== undefined) first.text += resumed[1];
      continue;
    }
    const call = { text: text.replace(/ *<unfinished \.\.\.>$/, "") };
    if (call.text !== text) begun.set(pid, call);
    all.push(call);
  }
  for (const { text } of all) {
    const match = /^(\w+)\((.*)\) += (-?\d+)/.exec(text);
    if (match === null || Number(match[3]) < 0) continue;
    yield { name: match[1] as string, args: (match[2] as string).split(", "), result: Number(match[3]) };
  }
}

/** What was done below `root`, which was empty, in words. A call that is not known is told as it is. */
export function actsBelow(root: string, trace: string): string[] {
  const files = new Map<number, string>();
  const there = new Set<string>();
  const acts: string[] = [];
  for (const { name, args, result } of callsIn(trace)) {
    const paths = args.flatMap((arg) => /^"(\/.*)"$/.exec(arg)?.[1] ?? []);
    const path = paths[0] ?? files.get(Number(args[0]));
    if (name === "openat") {
      files.delete(result);
      if (!isBelow(root, path)) continue;
      files.set(result, path);
      const flags = args[2] ?? "";
      if (flags.includes("O_CREAT") && !there.has(path)) acts.push(`create ${path}`);
      else if (flags.includes("O_TRUNC")) acts.push(`truncate ${path} to 0`);
      if (flags.includes("O_CREAT")) there.add(path);
    } else if (isBelow(root, path)) acts.push(...actOf(name, args, result, { path, to: paths[1] }, there));
    if (name === "close") files.delete(Number(args[0]));
  }
  return acts;
}

function isBelow(root: string, path: string | undefined): path is string {
  return path !== undefined && (root.startsWith(path) || path.startsWith(`${root}/`));
}

function actOf(
  name: string,
  args: readonly string[],
  result: number,
  at: { readonly path: string; readonly to: string | undefined },
  there: Set<string>,
): string[] {
  const { path, to } = at;
  if (LOOKS.has(name) || NEITHER.has(name)) return [];
  switch (name) {
    case "pwrite64":
      return result === 0 ? [] : [`write ${path} ${result} at ${args[3]}`];
    case "ftruncate":
      return [`truncate ${path} to ${args[1]}`];
    case "fdatasync":
      return [`sync ${path}`];
    case "fsync":
      return [`syncDir ${path}`];
    case "mkdir":
      return [`makeDir ${path}`];
    case "unlink":
      there.delete(path);
      return [`remove ${path}`];
    case "rename":
      there.delete(path);
      there.add(to as string);
      return [`rename ${path} to ${to}`];
    default:
      return [`${name}(${args.join(", ")})`];
  }
}
