// A simulated machine for the self-test: processes that run in this one and can be killed, and disks that lie.
import type { ChildProcess, Env, Fs, OpenFile, Volume } from "../src/env/env.ts";
import { runWorker } from "../src/ops/selftest-worker.ts";
import type { StartWorker } from "../src/ops/selftest-lock.ts";
import type { SelftestWorld } from "../src/ops/selftest.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";
import { impatient } from "./sim-env.ts";

export const EXT4 = 0xef53;
export const XFS = 0x58465342;

/** A process that is dead makes no more calls, and its locks are free. */
function mortal(env: Env): { readonly env: Env; kill(): Promise<void> } {
  let dead = false;
  const held: (() => Promise<void>)[] = [];
  const never = new Promise<never>(() => undefined);
  const living =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      dead ? never : call(...args).then((result) => (dead ? never : result));
  const fileOf = (file: OpenFile): OpenFile => ({
    read: living((into: Uint8Array, at: number) => file.read(into, at)),
    write: living((bytes: Uint8Array, at: number) => file.write(bytes, at)),
    truncate: living((bytes: number) => file.truncate(bytes)),
    sync: living(async () => {
      await new Promise(setImmediate); // the one who kills gets a turn
      await file.sync();
    }),
    stat: living(() => file.stat()),
    close: living(() => file.close()),
  });
  const fs = Object.fromEntries(
    Object.entries(env.fs).map(([name, call]) => [name, living(call as (...args: unknown[]) => Promise<unknown>)]),
  ) as unknown as Fs;
  return {
    env: {
      ...env,
      fs: {
        ...fs,
        open: async (path, mode) => fileOf(await fs.open(path, mode)),
        lock: living(async (path, mode) => {
          const lock = await env.fs.lock(path, mode);
          if (lock !== undefined) held.push(() => lock.release());
          return lock;
        }),
      },
    },
    async kill() {
      dead = true;
      for (const release of held) await release();
    },
  };
}

/** Starts workers on the disk; `frees: false`: the kernel forgets to free the locks of the dead. */
export function starter(env: Env, frees: boolean = true): StartWorker {
  return (task, args): ChildProcess => {
    const world = frees ? mortal(env) : { env, kill: () => Promise.resolve() };
    const printed: string[] = [];
    let wake = (): void => undefined;
    let over = false;
    let ended!: (end: { how: string; stderr: string }) => void;
    const end = new Promise<{ how: string; stderr: string }>((resolve) => (ended = resolve));
    const finish = (how: string): void => {
      over = true;
      ended({ how, stderr: "" });
      wake();
    };
    void runWorker(world.env, [task, ...args], (line) => {
      if (!over) printed.push(line);
      wake();
    });
    async function* lines(): AsyncGenerator<string> {
      for (;;) {
        const line = printed.shift();
        if (line !== undefined) yield line;
        else if (over) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    }
    return {
      lines: lines(),
      end: () => undefined,
      kill: () => void world.kill().then(() => finish("SIGKILL")),
      ended: end,
    };
  };
}

/** A volume that says what it is told, and removes what is on the disk. */
export function volumeOf(env: Env, type: number = XFS, freeBytes: number = 1e12): Volume & { removed: string[] } {
  const removed: string[] = [];
  const removeTree = async (dir: string): Promise<void> => {
    removed.push(dir);
    for (const name of (await env.fs.stat(dir)) === undefined ? [] : await env.fs.list(dir)) {
      const path = `${dir}/${name}`;
      if ((await env.fs.stat(path))?.kind === "directory") await removeTree(path);
      else await env.fs.remove(path);
    }
  };
  return { space: () => Promise.resolve({ type, freeBytes }), removeTree, removed };
}

/** A simulated machine with a directory /disk, where `change` may make the file system lie. */
export async function machine(
  change: (fs: Fs) => Partial<Fs> = () => ({}),
): Promise<SelftestWorld & { readonly disk: SimDisk; readonly volume: ReturnType<typeof volumeOf> }> {
  const disk = new SimDisk();
  const honest = impatient(disk);
  const env = { ...honest, fs: { ...honest.fs, ...change(honest.fs) } };
  await env.fs.makeDir("/disk");
  return { disk, env, volume: volumeOf(env), start: starter(env) };
}

/** The same file system, where each open file is changed. */
export function withFiles(fs: Fs, change: (file: OpenFile, path: string) => Partial<OpenFile>): Partial<Fs> {
  return {
    open: async (path, mode) => {
      const file = await fs.open(path, mode);
      return { ...file, ...change(file, path) };
    },
  };
}
