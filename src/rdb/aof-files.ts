// An append-only file: a directory with a manifest, a base and what was written since. A copy of it as of one moment, and what
// redis-check-aof says of the copy.
import { join } from "node:path";
import { readRange, readSmall, replaceDurably } from "../env/durable.ts";
import type { Env, Fs } from "../env/env.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import { judgeTail } from "./aof-tail.ts";
import { copyFile } from "./copy-file.ts";
import { type Programs, run, type ServerWorld } from "./world.ts";

export interface AofCopy {
  /** The first part of the names of its files: "appendonly.aof". */
  readonly name: string;
  readonly bytes: number;
}

const MANIFEST = ".manifest";
const TRIES_MAX = 20;
/** More than any command that leaves something to find behind it. */
const TAIL_BYTES_MAX = 16 << 20;

/**
 * Copies the files that the manifest names. Only the last of them grows, until a rewrite puts another manifest and other files in their place: then
 * the old ones are as whole as they were, and removed. So what could be copied goes together, and what has gone meanwhile is tried again by the new
 * manifest. Nothing of the server is touched.
 */
export async function copyAof({ fs, random }: Env, from: string, to: string, signal?: AbortSignal): Promise<AofCopy> {
  const name = await nameIn(fs, from);
  await fs.makeDir(to);
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const manifest = await readSmall(fs, join(from, name + MANIFEST));
    const { bytes, missing } = await tryCopy(fs, from, to, filesIn(manifest.toString("utf8")), signal);
    if (missing === undefined) {
      await replaceDurably(fs, random, join(to, name + MANIFEST), (append) => append(manifest));
      return { name, bytes };
    }
    if ((await readSmall(fs, join(from, name + MANIFEST))).equals(manifest)) {
      throw new PapyraError("BACKUP_DAMAGED", `${join(from, missing)} is missing, and the manifest names it`, {
        hint: "restore a backup: a server does not start on this",
      });
    }
    for (const file of await fs.list(to)) await fs.remove(join(to, file));
  }
  throw new PapyraError("STORAGE_FAILED", `${from} was rewritten ${TRIES_MAX} times while it was copied`, {
    hint: "run the same command again when the server rewrites it less",
  });
}

/** A server that finds no manifest begins anew with nothing, and says no word. */
async function nameIn(fs: Fs, directory: string): Promise<string> {
  const manifests = (await fs.list(directory)).filter((name) => name.endsWith(MANIFEST));
  const [manifest, other] = manifests;
  if (manifest !== undefined && other === undefined) return manifest.slice(0, -MANIFEST.length);
  const what = manifest === undefined ? "no manifest" : `several manifests (${manifests.join(", ")})`;
  throw new PapyraError(
    "BACKUP_DAMAGED",
    `there is ${what} of an append-only file in ${directory}: a server would start empty`,
    {
      hint: "name the directory that appenddirname names, with the file whose name ends with .manifest: --aof-dir <dir>",
    },
  );
}

/** The names of its files: what is only history (type h) is not read any more. */
function filesIn(manifest: string): string[] {
  return manifest.split("\n").flatMap((line) => {
    const [, file, type] = /^file (\S+) seq \d+ type ([bih])/.exec(line) ?? [];
    return file === undefined || type === "h" ? [] : [file];
  });
}

/** As far as the files are there. */
async function tryCopy(
  fs: Fs,
  from: string,
  to: string,
  files: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ readonly bytes: number; readonly missing: string | undefined }> {
  let bytes = 0;
  for (const file of files) {
    try {
      bytes += await copyFile(fs, join(from, file), join(to, file), signal);
    } catch (error) {
      if (isPapyraError(error, "STORE_NOT_FOUND")) return { bytes, missing: file };
      throw error;
    }
  }
  return { bytes, missing: undefined };
}

/** What is wrong with an append-only file. */
export type AofState =
  | { readonly state: "whole" }
  /** A command at its end is not finished: a server that loads it cuts these bytes off. */
  | { readonly state: "cut"; readonly file: string; readonly offset: number; readonly bytes: number }
  | { readonly state: "damaged"; readonly why: string };

/** Looks before a server does: that one takes damage that looks like an unfinished command for one, and cuts off all that follows. */
export async function checkAof(
  world: ServerWorld,
  { checkAof: program }: Programs,
  directory: string,
  { name }: AofCopy,
  signal?: AbortSignal,
): Promise<AofState> {
  const { ok, how, lines } = await run(world, program, [join(directory, name + MANIFEST)], signal);
  if (ok) return { state: "whole" };
  const found = lines.flatMap((line) => {
    const [, file, size, valid] = /^AOF analyzed: filename=(.+), size=(\d+), ok_up_to=(\d+),/.exec(line) ?? [];
    return file === undefined ? [] : [{ file, size: Number(size), offset: Number(valid) }];
  });
  const last = found.at(-1);
  const said = lines.slice(-2).join("; ");
  if (last === undefined || last.offset >= last.size)
    return { state: "damaged", why: `redis-check-aof (${how}): ${said}` };
  const { file, size, offset } = last;
  const bytes = size - offset;
  const newest = filesIn((await readSmall(world.env.fs, join(directory, name + MANIFEST))).toString("utf8")).at(-1);
  const tail: Buffer[] = [];
  const end = Math.min(size, offset + TAIL_BYTES_MAX);
  for await (const chunk of readRange(world.env.fs, join(directory, file), offset, end)) tail.push(Buffer.from(chunk));
  if (file === newest && judgeTail(Buffer.concat(tail), end === size) === "unfinished")
    return { state: "cut", file, offset, bytes };
  return {
    state: "damaged",
    why: `${file} is damaged at byte ${offset}, and ${bytes} bytes follow that belong to other commands`,
  };
}
