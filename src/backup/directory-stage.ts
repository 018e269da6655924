// A store in the making under another name beside the directory that it shall be, published by one rename.
import { dirname } from "node:path";
import { fileBackend } from "../backends/files.ts";
import type { Stage } from "../backends/backend.ts";
import { syncAncestors } from "../env/durable.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { quoted } from "../quoted.ts";
import { holdPlace, removeBuilt, sweepBeside } from "./leftovers.ts";

/** Rejects with TARGET_NOT_EMPTY. */
export async function stageDirectory(env: Env, target: string): Promise<Stage> {
  await sweepBeside(env, target);
  await assertEmpty(env, target);
  const { fs } = env;
  const staging = `${target}.restoring-${env.random.hex(4)}`;
  const hold = await holdPlace(env, staging, "restore");
  const backend = fileBackend({ path: staging }, env);
  return {
    backend,
    async freeBytes() {
      let dir = dirname(target);
      while ((await fs.stat(dir)) === undefined && dirname(dir) !== dir) dir = dirname(dir);
      return fs.freeBytes(dir);
    },
    async build(work) {
      const claim = await backend.claim("restore");
      try {
        await work(claim);
      } finally {
        await claim.release();
      }
    },
    async publish() {
      await fs.rename(staging, target);
      await syncAncestors(fs, target);
      await hold.release();
    },
    async discard() {
      try {
        await removeBuilt(fs, staging);
        await hold.release();
      } catch {
        // it stays, named after what it is: the disk that made the restore fail may not be able to do this either
      }
    },
  };
}

async function assertEmpty({ fs }: Env, target: string): Promise<void> {
  const stat = await fs.stat(target);
  if (stat === undefined) return;
  if (stat.kind === "directory" && (await fs.list(target)).length === 0) return;
  throw new PapyraError("TARGET_NOT_EMPTY", `${target} is there already: a restore never overwrites`, {
    hint: `name another place, look at it, then swap the two by hand: mv ${quoted(target)} ${quoted(`${target}.old`)}`,
    details: { target },
  });
}
