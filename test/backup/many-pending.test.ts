// More pending entries of consumer groups than one object holds: they are parts, verified, kept by a prune, and given out again.
import { expect, test } from "vitest";
import type { Backend, GroupState, PendingState, Stage } from "../../src/backends/backend.ts";
import { createBackup } from "../../src/backup/create.ts";
import { stageDirectory } from "../../src/backup/directory-stage.ts";
import { drillBackup } from "../../src/backup/drill.ts";
import { groupsOf } from "../../src/backup/groups.ts";
import { encodeManifest, partName } from "../../src/backup/manifest.ts";
import { OBJECT_BYTES_MAX } from "../../src/backup/objects.ts";
import { prune } from "../../src/backup/prune.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { LOG_NAMES, type LogName } from "../../src/log/record.ts";
import { world, write } from "./world.ts";

type Groups = Record<LogName, readonly GroupState[]>;

function groupsWith(entries: number, lastSeq: number): Groups {
  const pending = (from: number): PendingState[] =>
    Array.from({ length: entries / 2 }, (_, i) => [
      1 + ((from + i) % lastSeq),
      `1767225600000-${from + i}`,
      1767225600123,
      1,
    ]);
  const consumers = [0, 1].map((n) => ({ consumer: `worker ${n}`, pending: pending((n * entries) / 2) }));
  const none = Object.fromEntries(LOG_NAMES.map((log) => [log, []])) as unknown as Groups;
  return {
    ...none,
    events: [
      { group: "empty", seq: 0, id: "0-0", consumers: [] },
      { group: "mail", seq: lastSeq, id: "5-0", consumers },
    ],
  };
}

/** A store whose place has consumer groups. */
function grouped(backend: Backend, groups: Groups): Backend {
  return { ...backend, viewWithGroups: async () => ({ ...(await backend.view()), groups }) };
}

test.each([
  ["a few stand in the manifest", 40, false],
  ["400,000 are parts", 400_000, true],
])("%s", async (_, entries, asParts) => {
  const { store, objects, env } = world();
  await write(store, 20);
  const groups = groupsWith(entries, 20);
  const { backup } = await createBackup(grouped(store, groups), objects);
  expect(encodeManifest(backup).length).toBeLessThan(OBJECT_BYTES_MAX / 10);
  const { events } = backup.logs;
  expect([events.groups === undefined, events.group_parts !== undefined]).toEqual([asParts, asParts]);
  expect(JSON.stringify(await groupsOf(objects, backup, "events"))).toBe(JSON.stringify(groups.events));
  await prune(objects, { keep: { last: 1 }, graceMs: 0 });
  expect((await verifyBackups(objects, { level: "checksums" })).ok).toBe(true);

  let made: readonly GroupState[] = [];
  const stage = async (): Promise<Stage> => {
    const staged = await stageDirectory(env, "/restored");
    const empty = Object.fromEntries(LOG_NAMES.map((log) => [log, []])) as unknown as Groups;
    const viewWithGroups = async () => ({ ...(await staged.backend.view()), groups: { ...empty, events: made } });
    const makeGroups: Stage["makeGroups"] = async (_log, wanted) => void (made = wanted);
    return { ...staged, backend: { ...staged.backend, viewWithGroups }, makeGroups };
  };
  const report = await restoreBackup(objects, env, { ...store, location: "/restored", stage });
  expect(report.groups.map(({ group, pending, dropped }) => [group, pending, dropped])).toEqual([
    ["empty", 0, 0],
    ["mail", entries, 0],
  ]);
  expect(JSON.stringify(made)).toBe(JSON.stringify(groups.events));

  const [part] = events.group_parts ?? [];
  if (part === undefined) return;
  await objects.put(partName("events", part), Buffer.alloc(part.bytes));
  expect((await drillBackup(objects, env, { scratch: "/scratch" })).outcome).toBe("fail");
  expect((await restoreBackup(objects, env, "/as-files")).ok).toBe(true); // files have no groups
  expect((await verifyBackups(objects)).ok).toBe(false);
});
