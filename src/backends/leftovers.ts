// What an interrupted compaction leaves behind, as a finding.
import type { ClaimOwner, StoreFinding, Superseded } from "./backend.ts";

/** Beside a writer they may be about to be removed. */
export function leftovers(superseded: readonly Superseded[], writer: ClaimOwner | undefined): StoreFinding[] {
  if (writer !== undefined) return [];
  return superseded.map(({ name, log, by }) => ({
    kind: "unexpected-file",
    file: name,
    ...(log === undefined ? {} : { log }),
    leftover: "superseded",
    detail: `a temporary remainder: by its name, compaction replaced it by ${by} and was interrupted; recovery or the next one removes it, if the seal of that says so`,
  }));
}
