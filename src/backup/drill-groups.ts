// The part of a drill that files cannot show: whether the consumer groups of a backup come back where they stood. For that the
// backup is restored once more, to a scratch server, where the restore itself compares them with the manifest.
import type { Backend } from "../backends/backend.ts";
import type { Env } from "../env/env.ts";
import { isPapyraError } from "../errors.ts";
import { LOG_NAMES } from "../log/record.ts";
import type { Manifest } from "./manifest.ts";
import type { ObjectStore } from "./objects.ts";
import { restoreBackup } from "./restore.ts";

/** A place for a store that keeps consumer groups, for as long as a drill takes. */
export interface ScratchStore {
  readonly backend: Backend;
  stop(): Promise<void>;
}

export interface DrilledGroups {
  /** In the backup. */
  readonly groups: number;
  /** What their consumers had not acknowledged. */
  readonly pending: number;
  /** Why they were not restored and compared; undefined: they were. */
  readonly notChecked: string | undefined;
  readonly seconds: number;
}

export interface GroupsResult {
  readonly groups: DrilledGroups | undefined;
  /** What was wrong with them. */
  readonly difference: string | undefined;
}

const DAMAGED = new Set(["BACKUP_DAMAGED", "BACKUP_NOT_FOUND"]);
/** Nothing is learnt about the backup: there is no server, or it is not what it should be. */
const UNABLE = new Set(["CLIENT_MISSING", "OPTION_INVALID", "STORAGE_FAILED", "STORAGE_FULL"]);

/** Nothing where the backup has no groups. Rejects with the signal's reason. */
export async function drillGroups(
  objects: ObjectStore,
  env: Env,
  manifest: Manifest,
  scratch: (() => Promise<ScratchStore>) | undefined,
  signal: AbortSignal | undefined,
): Promise<GroupsResult> {
  const all = LOG_NAMES.flatMap((log) => manifest.logs[log].groups ?? []);
  if (all.length === 0) return { groups: undefined, difference: undefined };
  const pending = all.flatMap(({ consumers }) => consumers).reduce((sum, one) => sum + one.pending.length, 0);
  const started = env.clock.monotonicMs();
  const found = (notChecked: string | undefined, difference?: string): GroupsResult => {
    const seconds = (env.clock.monotonicMs() - started) / 1000;
    return { groups: { groups: all.length, pending, notChecked, seconds }, difference };
  };
  if (scratch === undefined) return found("no scratch server was given");
  try {
    const place = await scratch();
    try {
      await restoreBackup(objects, env, place.backend, { point: { backup: manifest.id }, signal });
    } finally {
      await place.stop();
    }
    return found(undefined);
  } catch (error) {
    if (!isPapyraError(error)) throw error;
    if (DAMAGED.has(error.code)) return found(undefined, error.message);
    if (UNABLE.has(error.code)) return found(error.message);
    throw error;
  }
}

/** For the verdict. */
export function describeGroups({ groups, notChecked }: DrilledGroups): string {
  const what = groups === 1 ? "1 consumer group" : `${groups} consumer groups`;
  return notChecked === undefined ? `; ${what} came back as they were` : `; ${what} NOT CHECKED: ${notChecked}`;
}
