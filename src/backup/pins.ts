// Pins: a backup that is pinned stays, whatever the policy says.
import { appendToCatalog } from "./catalog.ts";
import type { ObjectStore } from "./objects.ts";
import { findBackup, viewRepository } from "./repository.ts";

/** Pins a backup, or lets it go. Resolves with its id and the new anchor. Rejects with BACKUP_NOT_FOUND, REPOSITORY_LOCKED (a prune is at work). */
export async function pinBackup(
  objects: ObjectStore,
  backup: string,
  options: { readonly unpin?: boolean; readonly note?: string | undefined } = {},
): Promise<{ readonly id: string; readonly anchor: string }> {
  const type = options.unpin === true ? "unpinned" : "pinned";
  const hold = await objects.hold("shared", "pin"); // a prune that has decided already would not see it
  try {
    const { id } = findBackup(await viewRepository(objects), backup);
    return { id, anchor: await appendToCatalog(objects, { type, backup: id, detail: options.note ?? "" }) };
  } finally {
    await hold.release();
  }
}
