// A file system on which something happens between a call and its answer.
import type { Env, Fs } from "../src/env/env.ts";

/** The same world, in which `after` is called between each listing or look at a file and its answer. */
export function withBetween(env: Env, after: (what: "list" | "stat") => Promise<void>): Env {
  const fs: Fs = Object.create(env.fs, {
    list: {
      value: async (dir: string) => {
        const names = await env.fs.list(dir);
        await after("list");
        return names;
      },
    },
    stat: {
      value: async (path: string) => {
        const stat = await env.fs.stat(path);
        await after("stat");
        return stat;
      },
    },
  }) as Fs;
  return { ...env, fs };
}
