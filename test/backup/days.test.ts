// Thirty days of a store with a backup now and then, restores to points in the past, new lineages that go on from them, and
// retention; beside it a model that knows which records each backup must give.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { createBackup } from "../../src/backup/create.ts";
import { backups as repositoryAt } from "../../src/backup/index.ts";
import { chooseKept } from "../../src/backup/keep.ts";
import type { Point } from "../../src/backup/points.ts";
import { prune } from "../../src/backup/prune.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { contents, event, world } from "./world.ts";

const SEEDS = Math.ceil(Number(process.env.PAPYRA_SEEDS ?? 12) / 4);
const DAYS = 30;
const DAY_MS = 86_400_000;
const LOGS = ["events", "audits"] as const;
const KEEP = { last: 4, daily: 6, weekly: 3 } as const;

interface Written {
  readonly seq: number;
  readonly n: number;
  readonly atMs: number;
}
type History = Readonly<Record<(typeof LOGS)[number], readonly Written[]>>;
interface Kept {
  readonly id: string;
  readonly instantMs: number;
  readonly history: History;
}

/** What the history of the newest backup has up to the point, or undefined when it does not reach so far. */
function expected(kept: readonly Kept[], point: Point): History | undefined {
  const newest = kept.at(-1);
  if ("timeMs" in point) {
    const of =
      newest !== undefined && newest.instantMs >= point.timeMs ? upTo(newest.history, point.timeMs) : undefined;
    return of === undefined || LOGS.every((log) => of[log].length === 0) ? undefined : of;
  }
  if (!("seq" in point)) return kept.find(({ id }) => id === point.backup)?.history;
  const log = point.log as (typeof LOGS)[number];
  const of = newest?.history;
  if (of === undefined || of[log].length < point.seq) return undefined;
  const { atMs } = of[log][point.seq - 1] as Written;
  return { ...upTo(of, atMs), [log]: of[log].slice(0, point.seq) };
}

function upTo(history: History, timeMs: number): History {
  const early = ({ atMs }: Written): boolean => atMs <= timeMs;
  return { events: history.events.filter(early), audits: history.audits.filter(early) };
}

async function assertHolds(backend: Backend, history: History, how: string): Promise<void> {
  const found = await contents(backend);
  for (const log of LOGS) {
    const records = (found[log] as { seq: number; payload: { n: number } }[]).map(({ seq, payload }) => [
      seq,
      payload.n,
    ]);
    expect({ how, log, records }).toEqual({ how, log, records: history[log].map(({ seq, n }) => [seq, n]) });
  }
}

test.each(Array.from({ length: SEEDS }, (_, i) => i + 1))("thirty days, seed %i", async (seed) => {
  let state = seed * 7919;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const { objects, env, at, disk } = world({ segmentBytes: 4096 });
  const repository = repositoryAt(objects);
  let place = "/srv/store";
  let history: History = { events: [], audits: [] };
  let kept: Kept[] = [];
  let n = 0;
  let lineages = 1;
  const append = async (store: Awaited<ReturnType<typeof openStore>>): Promise<void> => {
    const log = LOGS[random(2)] as (typeof LOGS)[number];
    disk.clock.advance(1 + random(60_000));
    const atMs = disk.clock.nowMs();
    const { firstSeq } = await store.append(log, [event((n += 1))]);
    history = { ...history, [log]: [...history[log], { seq: firstSeq, n, atMs }] };
  };
  const pointFor = (): Point => {
    const one = kept[random(kept.length)] as Kept;
    const all = [...one.history.events, ...one.history.audits];
    const which = random(3);
    if (which === 0 || all.length === 0) return { backup: one.id };
    const { atMs } = all[random(all.length)] as Written;
    if (which === 1) return { timeMs: atMs };
    const log = one.history.events.length > 0 ? "events" : "audits";
    return { log, seq: 1 + random(one.history[log].length) };
  };
  for (let day = 1; day <= DAYS; day++) {
    const store = await openStore(at(place));
    for (let i = random(12); i >= 0; i--) await append(store);
    disk.clock.advance(1000);
    const instantMs = disk.clock.nowMs();
    const kind = random(3);
    if (kind === 0) await store.close();
    const made =
      kind === 2 ? await repository.take(store) : await createBackup(at(place), objects, { note: `day ${day}` });
    kept.push({ id: made.backup.id, instantMs, history });
    expect(made.backup).toMatchObject({ verdict: "good", how: ["stopped", "live", "in-process"][kind] });
    disk.clock.advance(1000);
    if (kind !== 0) {
      await append(store); // behind the instant
      await store.close();
    }
    if (random(3) === 0) {
      const point = pointFor();
      const wanted = expected(kept, point);
      const target = `/restored/${day}`;
      const restored = restoreBackup(objects, env, target, { point });
      if (wanted === undefined) {
        // Only a lineage has it that a restore has cut off.
        await expect(restored).rejects.toMatchObject({ code: "RESTORE_OUT_OF_RANGE" });
      } else {
        await restored;
        await assertHolds(at(target), wanted, `seed ${seed}, day ${day}: ${JSON.stringify(point)}`);
        if (random(2) === 0) [place, history, lineages] = [target, wanted, lineages + 1];
      }
    }
    if (day % 10 === 0) {
      const all = kept.map((one) => ({ ...one, good: true, pinned: false }));
      const stay = chooseKept(all, KEEP, disk.clock.nowMs());
      await prune(objects, { keep: KEEP, graceMs: 0 });
      kept = kept.filter(({ id }) => stay.has(id));
      expect((await viewRepository(objects)).backups.map(({ id }) => id)).toEqual(kept.map(({ id }) => id));
    }
    disk.clock.advance(DAY_MS - (disk.clock.nowMs() % DAY_MS));
  }
  expect(await verifyBackups(objects, { level: "replay" })).toMatchObject({ ok: true, problems: [], coverage: 1 });
  for (const one of kept) {
    await restoreBackup(objects, env, `/end/${one.id}`, { point: { backup: one.id } });
    await assertHolds(at(`/end/${one.id}`), one.history, `seed ${seed}, backup ${one.id}`);
  }
  expect(lineages).toBeGreaterThan(1);
});
