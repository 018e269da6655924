// An empty server for a drill: of what it was asked to restore, it keeps nothing.
import type { ScratchStore } from "../backup/drill-groups.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import type { Loading } from "./load.ts";
import { makeScratch, startScratch } from "./scratch.ts";

const PLACE = { database: 0, prefix: "papyra", systemId: "drill", hashTag: false };
const KEEPS_NOTHING = ["--appendonly", "no"];

/**
 * Starts one in the scratch directory, which goes with it. Rejects with CLIENT_MISSING, TARGET_NOT_EMPTY, OPTION_INVALID,
 * STORAGE_FAILED, or the signal's reason.
 */
export async function startEmptyServer(
  { world, programs, scratch, signal }: Loading,
  settings: readonly string[] = [],
): Promise<ScratchStore> {
  const found = await programs();
  await makeScratch(world, scratch);
  try {
    const server = await startScratch(world, found, scratch, [...KEEPS_NOTHING, ...settings], signal);
    return {
      backend: { ...server.store(PLACE), location: scratch },
      async stop() {
        await server.stop();
        await world.volume.removeTree(scratch);
      },
    };
  } catch (error) {
    await world.volume.removeTree(scratch);
    if (!isPapyraError(error, "BACKUP_DAMAGED")) throw error;
    // It was given nothing to load.
    throw new PapyraError("STORAGE_FAILED", `the scratch server did not start: ${error.message}`, {
      hint: `does ${found.server} start by itself on this machine?`,
      details: error.details,
    });
  }
}
