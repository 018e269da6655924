// The files that an interrupted compaction left behind. Their names say that they are superseded; they are removed only when
// the seal of the segment that replaces them says so, too: a stray file with a bold name must not cost a single byte.
import type { Backend, StoreView, Superseded } from "../backends/backend.ts";
import { identityOf } from "../backends/identities.ts";
import { PapyraError } from "../errors.ts";
import { encodeIdentity, seedOf } from "../log/codec.ts";
import type { LogName } from "../log/record.ts";
import { quoted } from "../quoted.ts";
import { digestOfAll } from "./merge-segments.ts";
import { lastSeal } from "./seals.ts";

/** The names of those that may be removed, and those of which only their name says that they may. */
export async function leftoversIn(
  backend: Backend,
  view: StoreView,
  logs: readonly LogName[],
): Promise<{ readonly proved: readonly string[]; readonly doubtful: readonly Superseded[] }> {
  const proved: string[] = [];
  const doubtful: Superseded[] = [];
  for (const one of view.superseded) {
    const identity = identityOf(view, one.log, one);
    if (one.log === undefined || !logs.includes(one.log) || identity === undefined) continue;
    const seed = seedOf(encodeIdentity(identity)); // of both: no segment is made of two lineages
    const by = view.segments.find(({ name }) => name === one.by);
    const seal = by === undefined ? undefined : await lastSeal(backend, by, seed);
    const own = (await lastSeal(backend, one, seed))?.digests[0] ?? (await digestOfAll(backend, one));
    if (seal?.digests.includes(own) === true) proved.push(one.name);
    else doubtful.push(one);
  }
  return { proved, doubtful };
}

/** What is missing may stand in a segment that only its name says to be replaced: as long as that is there, nothing is written off. */
export async function assertNoneDoubtful(backend: Backend, view: StoreView, log: LogName): Promise<void> {
  const { doubtful } = await leftoversIn(backend, view, [log]);
  if (doubtful[0] !== undefined) throw notProved(backend, doubtful[0]);
}

/** Why one is not removed. */
export function notProved({ location }: Backend, { name, by, log }: Superseded): PapyraError {
  return new PapyraError(
    "LOG_DAMAGED",
    `${name} is superseded by ${by} by its name, and the seal of ${by} does not say so`,
    {
      hint: `one of the two was put there by somebody else; run: papyra persistence scan --path ${quoted(location)}, and move the stray one away`,
      details: { log, file: name, by },
    },
  );
}
