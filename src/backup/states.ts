// The states of the actors in a backup, as one digest: what a drill compares with, months later, on another machine.
import type { AnyPersistentActor } from "../actors/persistent.ts";
import type { Backend } from "../backends/backend.ts";
import { replay, type ReplayReport } from "../ops/replay.ts";
import { backupReader } from "./backup-reader.ts";
import type { BackedUpStates, Manifest } from "./manifest.ts";
import type { ObjectStore } from "./objects.ts";
import { sha256Of } from "./sealed-json.ts";

/** The definitions of the actors whose states are folded. */
export type DefinedActors = readonly AnyPersistentActor[];

/** Folds every actor from what is stored. */
export async function statesOf(
  objects: ObjectStore,
  manifest: Manifest,
  definitions: DefinedActors,
  signal: AbortSignal | undefined,
): Promise<BackedUpStates> {
  return digestOfStates(await foldStates(backupReader(objects, manifest), definitions, { signal }));
}

export function foldStates(
  backend: Backend,
  definitions: DefinedActors,
  options: { readonly signal?: AbortSignal | undefined; readonly verify?: boolean },
): Promise<ReplayReport> {
  return replay(backend, { definitions, ...options });
}

export function digestOfStates({ actors }: ReplayReport): BackedUpStates {
  const lines = actors.map(
    ({ persistenceId, revision, digest }) => `${JSON.stringify(persistenceId)} ${revision} ${digest}\n`,
  );
  return { actors: actors.length, sha256: sha256Of(lines.join("")) };
}
