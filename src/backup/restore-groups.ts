// The consumer groups of a backup, given to a store in the making, and compared with what it then has.
import type { GroupState, Stage } from "../backends/backend.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import type { LogName } from "../log/record.ts";
import { groupsOf } from "./groups.ts";
import type { Manifest } from "./manifest.ts";
import type { ObjectStore } from "./objects.ts";
import type { RebuiltLog } from "./rebuild.ts";

/** A consumer group of a backup, and what became of it. */
export interface RestoredGroup {
  readonly log: LogName;
  readonly group: string;
  /** The last record that it was given. */
  readonly seq: number;
  /** What is pending: it will be given out again. */
  readonly pending: number;
  /** What was pending and is of no record that was restored. */
  readonly dropped: number;
  /** False: the place of the store has no consumer groups. */
  readonly restored: boolean;
}

/** Rejects with BACKUP_DAMAGED when the groups are not those of the backup afterwards. */
export async function restoreGroups(
  objects: ObjectStore,
  stage: Stage,
  manifest: Manifest,
  logs: readonly RebuiltLog[],
): Promise<RestoredGroup[]> {
  const all: RestoredGroup[] = [];
  for (const { log, lastSeq } of logs) {
    const groups = await groupsOf(objects, manifest, log).catch((error: unknown) => {
      if (stage.makeGroups !== undefined || !isPapyraError(error, "BACKUP_DAMAGED")) throw error;
      return []; // nothing of them would be restored
    });
    const wanted = groups.map((group) => upTo(group, lastSeq));
    if (wanted.length > 0) await stage.makeGroups?.(log, wanted);
    for (const [i, group] of wanted.entries()) {
      const pending = countOf(group);
      const dropped = countOf(groups[i] as GroupState) - pending;
      const restored = stage.makeGroups !== undefined;
      all.push({ log, group: group.group, seq: group.seq, pending, dropped, restored });
    }
    if (stage.makeGroups !== undefined && wanted.length > 0) await compare(stage, manifest, log, wanted);
  }
  return all;
}

export function describeGroups(groups: readonly RestoredGroup[]): string {
  if (groups.length === 0) return "";
  if (groups.some(({ restored }) => !restored))
    return `; ${groups.length} consumer groups are left out: files have none`;
  const pending = groups.reduce((sum, group) => sum + group.pending, 0);
  return `; ${groups.length} consumer groups, ${pending} pending entries will be given out again`;
}

/** The group as it was when the log reached `lastSeq`, as far as is known. */
function upTo(group: GroupState, lastSeq: number): GroupState {
  return {
    ...group,
    seq: Math.min(group.seq, lastSeq),
    consumers: group.consumers.map(({ consumer, pending }) => ({
      consumer,
      pending: pending.filter(([seq]) => seq !== null && seq <= lastSeq),
    })),
  };
}

function countOf({ consumers }: GroupState): number {
  return consumers.reduce((sum, { pending }) => sum + pending.length, 0);
}

async function compare(stage: Stage, { id }: Manifest, log: LogName, wanted: readonly GroupState[]): Promise<void> {
  const differs = groupDifference(wanted, (await stage.backend.viewWithGroups?.())?.groups?.[log] ?? []);
  if (differs === undefined) return;
  throw new PapyraError("BACKUP_DAMAGED", `the consumer groups of ${log} are not those of backup ${id}: ${differs}`, {
    hint: "is something else writing to the server? Run the restore again",
    details: { backup: id, log },
  });
}

/** The first thing that only one of them has, in words. */
export function groupDifference(wanted: readonly GroupState[], found: readonly GroupState[]): string | undefined {
  const [expected, actual] = [factsOf(wanted), factsOf(found)];
  return [...expected].find((fact) => !actual.has(fact)) ?? [...actual].find((fact) => !expected.has(fact));
}

/** All but the ids, which are others. A time in the future is one of a clock that is ahead, and the server makes it its own. */
function factsOf(groups: readonly GroupState[]): Set<string> {
  const facts = groups.flatMap(({ group, seq, consumers }) => [
    `group ${group} at seq ${seq}`,
    ...consumers.flatMap(({ consumer, pending }) => [
      `consumer ${consumer} of ${group}`,
      ...pending.map(([of, , , count]) => `seq ${of} pending of ${consumer} of ${group}, given out ${count} times`),
    ]),
  ]);
  return new Set(facts);
}
