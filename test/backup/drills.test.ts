// What a drill says of states: that they are those of the backup's instant, that they are not, or that nobody can say because
// the definition gives another state each time. The scratch store is gone afterwards, however it ended.
import { expect, test } from "vitest";
import { persistentActor } from "../../src/actors/persistent.ts";
import { openStore } from "../../src/backends/open.ts";
import { createBackup } from "../../src/backup/create.ts";
import { drillBackup, type DrillOptions, type DrillReport } from "../../src/backup/drill.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import type { NewRecord } from "../../src/log/record.ts";
import { world, type World } from "./world.ts";

/** An account whose states are made by `step`. */
function accountWith(step: (total: number, amount: number) => number) {
  return persistentActor(
    {
      type: "account",
      initial: () => ({ total: 0 }),
      events: { put: ({ total }, { amount }: { amount: number }) => ({ total: step(total, amount) }) },
    },
    { total: (state, _, ctx) => ctx.reply(state.total) },
  );
}

const steady = accountWith((total, amount) => total + amount);
const changed = accountWith((total, amount) => total + 2 * amount);
const random = accountWith((total, amount) => total + amount * Math.random());
let calls = 0;
const counting = accountWith((total, amount) => total + amount + (calls += 1));

const put = (id: string, revision: number): NewRecord => ({
  kind: "journal",
  system_id: "local",
  persistence_id: `account/${id}`,
  revision,
  event_type: "put",
  version: 1,
  payload: { amount: revision },
});

async function backedUp(states: boolean): Promise<World> {
  const made = world({ segmentBytes: 4096 });
  const store = await openStore(made.store);
  for (let revision = 1; revision <= 20; revision++)
    for (const id of ["a", "b"]) await store.append("journal", [put(id, revision)]);
  await store.close();
  await createBackup(made.store, made.objects, states ? { states: [steady] } : {});
  return made;
}

/** Drills, and fails unless nothing is left of it. */
async function drill({ objects, env }: World, options: Partial<DrillOptions> = {}): Promise<DrillReport> {
  try {
    return await drillBackup(objects, env, { scratch: "/drill/scratch", ...options });
  } finally {
    expect((await env.fs.stat("/drill")) === undefined ? [] : await env.fs.list("/drill")).toEqual([]);
  }
}

test("the same definition passes, with and without states in the backup", async () => {
  for (const states of [true, false]) {
    const made = await backedUp(states);
    expect(await drill(made, { states: [steady] })).toMatchObject({
      ok: true,
      outcome: "pass",
      actors: 2,
      records: 40,
    });
    expect(await drill(made)).toMatchObject({ ok: true, outcome: "pass", actors: undefined });
  }
});

test.each([
  ["random numbers", random],
  ["a counter", counting],
])("a definition with %s is inconclusive, and its first event is named", async (_, definition) => {
  const made = await backedUp(true);
  const report = await drill(made, { states: [definition] });
  expect(report).toMatchObject({ ok: false, outcome: "inconclusive" });
  expect(report.difference).toMatch(/two folds differ: first after revision 1 \(seq 1, put\) of account\/a$/);
  expect((await viewRepository(made.objects)).backups[0]?.lastDrilled).toMatchObject({ outcome: "inconclusive" });
});

test("a definition that was changed since fails with the digest of the states, where the backup has one", async () => {
  const made = await backedUp(true);
  const report = await drill(made, { states: [changed] });
  expect(report).toMatchObject({ ok: false, outcome: "fail", actors: 2 });
  expect(report.difference).toContain("not those of the 2 at its instant");
  expect(await verifyBackups(made.objects, { level: "replay", states: [changed] })).toMatchObject({ ok: false });
  expect(await verifyBackups(made.objects, { level: "replay", states: [steady] })).toMatchObject({ ok: true });
  expect(await drill(await backedUp(false), { states: [changed] })).toMatchObject({ outcome: "pass" });
});

test("a restore that finds other states than those of the backup leaves nothing, not even what it had staged", async () => {
  const { objects, env } = await backedUp(true);
  const restore = restoreBackup(objects, env, "/there/restored", { states: [changed] });
  await expect(restore).rejects.toMatchObject({ code: "REPLAY_DIVERGED" });
  expect((await env.fs.stat("/there")) === undefined ? [] : await env.fs.list("/there")).toEqual([]);
});

test("whenever it is aborted, the scratch store is gone and the catalog says nothing", async () => {
  let aborted = 0;
  for (let at = 1; at <= 400; at = Math.ceil(at * 1.4)) {
    const made = await backedUp(true);
    const controller = new AbortController();
    let n = 0;
    made.disk.pause = () => {
      if ((n += 1) === at) controller.abort(new Error("enough"));
    };
    const outcome = await drill(made, { states: [steady], signal: controller.signal }).then(
      (report) => report.outcome,
      (error: Error) => error.message,
    );
    made.disk.pause = undefined;
    expect(["pass", "enough"]).toContain(outcome);
    if (outcome === "pass") continue;
    aborted += 1;
    expect((await viewRepository(made.objects)).backups[0]?.lastDrilled).toBeUndefined();
  }
  expect(aborted).toBeGreaterThan(3);
});
