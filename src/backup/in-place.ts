// Restoring over the store itself, without overwriting anything: a fresh backup of it first, then two renames. What was there
// stays beside it under another name, until somebody removes it.
import { fileBackend } from "../backends/files.ts";
import { syncAncestors } from "../env/durable.ts";
import type { Env } from "../env/env.ts";
import { PapyraError } from "../errors.ts";
import { createBackup } from "./create.ts";
import type { ObjectStore } from "./objects.ts";
import { choosePoint } from "./points.ts";
import { viewRepository } from "./repository.ts";
import { restoreBackup, type RestoreOptions, type RestoreReport } from "./restore.ts";

/** A restore, and where the store is now that was there before. */
export interface InPlaceReport extends RestoreReport {
  /** The backup that was made of it right before. */
  readonly safetyBackup: string;
  readonly before: string;
}

/**
 * Restores in place of a stopped store. 1. It is claimed, so that nobody starts it; 2. it is backed up; 3. the restore is built
 * beside it and verified; 4. the store is renamed, and the restored one takes its name. A crash between the two renames of 4
 * leaves nothing at the target, and both stores beside it. Rejects with STORE_LOCKED, STORE_NOT_FOUND, and as {@link restoreBackup} does.
 */
export async function restoreInPlace(
  objects: ObjectStore,
  env: Env,
  target: string,
  options: RestoreOptions = {},
): Promise<InPlaceReport> {
  const live = fileBackend({ path: target }, env);
  const { identity } = await live.view();
  // The safety backup would be the newest one, of the newest lineage: what shall be restored is decided before it is made.
  const chosen = await choosePoint(objects, await viewRepository(objects), options.point ?? {}, identity?.store);
  const { manifest } = chosen;
  if (identity !== undefined && identity.store !== manifest.store) {
    throw new PapyraError(
      "OPTION_INVALID",
      `${target} is store ${identity.store}, and the backup is of ${manifest.store}`,
      {
        hint: "restore it to another place: leave --in-place out",
      },
    );
  }
  const claim = await live.claim("restore in place");
  try {
    const note = `before a restore of ${manifest.id} in its place`;
    const safety = await createBackup(
      live,
      objects,
      { note, signal: options.signal },
      { how: "stopped", instant: async () => ({}) },
    );
    const built = `${target}.restored-${safety.backup.id}`;
    const before = `${target}.before-${safety.backup.id}`;
    const report = await restoreBackup(objects, env, built, options, { decided: chosen });
    await env.fs.rename(target, before);
    await env.fs.rename(built, target);
    await syncAncestors(env.fs, target);
    const verdict = `restored backup ${report.backup} in place of ${target}: healthy; what was there is backup ${safety.backup.id}, and stays at ${before}`;
    return { ...report, verdict, target, safetyBackup: safety.backup.id, before };
  } finally {
    await claim.release();
  }
}
