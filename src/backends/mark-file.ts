// Reading the mark of a file store: the newest whole slot, if it speaks for this very store.
import { join } from "node:path";
import { readSmall } from "../env/durable.ts";
import type { Env } from "../env/env.ts";
import { decodeSlots, type Mark, speaksFor } from "../log/mark.ts";
import { MARK_FILE } from "../log/segments.ts";

export async function readMark(env: Env, path: string): Promise<Mark | undefined> {
  const file = join(path, MARK_FILE);
  const stat = await env.fs.stat(file);
  if (stat === undefined || stat.kind !== "file") return undefined;
  const found = decodeSlots(await readSmall(env.fs, file));
  if (found === undefined || !speaksFor(found.newest, stat, env.host.bootId)) return undefined;
  return found.stale ? { ...found.newest, stale: true } : found.newest;
}
