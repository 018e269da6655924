// The file of a backup, as it was, for who puts it back into its server by hand: servers load such a file only when they start.
import { appendToCatalog } from "../backup/catalog.ts";
import type { ObjectStore } from "../backup/objects.ts";
import { type FileManifest, readServerFile } from "../backup/server-file.ts";
import { replaceDurably } from "../env/durable.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { quoted } from "../quoted.ts";

export interface PutBackReport {
  readonly ok: true;
  readonly verdict: string;
  readonly backup: string;
  readonly target: string;
  readonly bytes: number;
  /** What the operator does with it, in order. */
  readonly steps: readonly string[];
  readonly anchor: string;
}

/** Rejects with TARGET_NOT_EMPTY, BACKUP_DAMAGED, STORAGE_FULL, STORAGE_FAILED, or the signal's reason; then there is no file. */
export async function writeBackedUpFile(
  objects: ObjectStore,
  env: Env,
  manifest: FileManifest,
  target: string,
  signal?: AbortSignal,
): Promise<PutBackReport> {
  if ((await env.fs.stat(target)) !== undefined) {
    throw new PapyraError("TARGET_NOT_EMPTY", `there is something at ${target}`, {
      hint: "name a file that is not there",
    });
  }
  const { id, lineage, server_file: file } = manifest;
  await replaceDurably(env.fs, env.random, target, async (append) => {
    for await (const chunk of readServerFile(objects, manifest)) {
      signal?.throwIfAborted();
      await append(chunk);
    }
  });
  const anchor = await appendToCatalog(objects, { type: "restored", backup: id, target, lineage });
  const verdict = `the file of backup ${id} is at ${target}: ${file.bytes} bytes, as they were`;
  return { ok: true, verdict, backup: id, target, bytes: file.bytes, steps: stepsFor(manifest, target), anchor };
}

function stepsFor({ server_file: file }: FileManifest, target: string): string[] {
  const store = `--redis redis://HOST:PORT/${file.database} --prefix ${quoted(file.prefix)} --system ${file.system_id}`;
  return [
    "stop the services that write: whatever is in the server now is replaced, of all its programs",
    "stop the server without a save: redis-cli SHUTDOWN NOSAVE",
    `put ${target} in the place of its file (CONFIG GET dir, dbfilename), readable by its user`,
    "where it writes an append-only file: move the directory (appenddirname) away, and start it with --appendonly no; else it loads that, and not this file",
    `start the server, ${file.server ?? "the version that wrote it"} or later, and look: papyra persistence startup-check ${store}`,
    "then redis-cli CONFIG SET appendonly yes, where it was on; remove a witness file of the store; start the services",
  ];
}
