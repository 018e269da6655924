// Backups by a cron expression, on a clock that only the test moves.
import { afterEach, describe, expect, test } from "vitest";
import { ActorSystem } from "../../src/index.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import { backups, type Backups } from "../../src/backup/index.ts";
import {
  type BackedUpSystem,
  type BackupSchedule,
  type ScheduledBackup,
  type ScheduledRepository,
  scheduleBackups,
  type ScheduleOptions,
  type ScheduleProblem,
} from "../../src/backup/schedule.ts";
import type { ManualClock } from "../../src/testing/manual-clock.ts";
import { event, world, type World, write } from "./world.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

interface Running {
  readonly clock: ManualClock;
  readonly store: Store;
  readonly repository: Backups;
  readonly world: World;
}

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** A store that is open, on the first of January at midnight. */
async function running(): Promise<Running> {
  const one = world();
  await write(one.store, 3);
  const store = await openStore(one.store);
  open.push(store);
  return { clock: one.disk.clock, store, repository: backups("/backups/repository", one.env), world: one };
}

interface Scheduled {
  readonly schedule: BackupSchedule;
  readonly reports: ScheduledBackup[];
  readonly problems: ScheduleProblem[];
}

async function schedule(
  source: Store | BackedUpSystem,
  repository: ScheduledRepository,
  options: Partial<ScheduleOptions> = {},
): Promise<Scheduled> {
  const reports: ScheduledBackup[] = [];
  const problems: ScheduleProblem[] = [];
  const made = scheduleBackups(source, repository, {
    cron: "0 3 * * *",
    onReport: (report) => void reports.push(report),
    onProblem: (problem) => void problems.push(problem),
    ...options,
  });
  open.push({ close: () => made.stop() });
  await settled();
  return { schedule: made, reports, problems };
}

/** Everything that needs no time has happened. */
async function settled(): Promise<void> {
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A repository whose backups begin only when the test says so. */
function slow(repository: Backups): { repository: ScheduledRepository; go: () => void; begun: () => number } {
  let [go, begun] = [(): void => undefined, 0];
  const gate = new Promise<void>((resolve) => (go = resolve));
  const take: Backups["take"] = async (store, options) => {
    begun += 1;
    await gate;
    return repository.take(store, options);
  };
  return { repository: { ...repository, take }, go: () => go(), begun: () => begun };
}

const at = (text: string): number => Date.parse(text) / 1000;

test("every day at three, until it is stopped; each run prunes by the policy", async () => {
  const { clock, store, repository } = await running();
  const { schedule: made, reports, problems } = await schedule(store, repository, { keep: { last: 2 } });
  expect(made.next).toBe(at("2026-01-01T03:00:00Z"));
  for (let day = 1; day <= 4; day++) {
    await store.append("events", [event(day)]);
    clock.advance(DAY_MS);
    await settled();
  }
  expect(reports.map(({ due }) => new Date(due * 1000).toISOString().slice(0, 16))).toEqual(
    [1, 2, 3, 4].map((day) => `2026-01-0${day}T03:00`),
  );
  expect(reports.map(({ backup }) => backup.ok && backup.backup.how)).toEqual(Array(4).fill("in-process"));
  expect(problems).toEqual([]);
  expect((await repository.list()).backups).toHaveLength(2);
  expect(reports.at(-1)?.pruned?.done).toBe(true);
  await made.stop();
  clock.advance(3 * DAY_MS);
  await settled();
  expect(reports).toHaveLength(4);
  expect(clock.waiting).toBe(0);
});

test("a running system, and another time zone", async () => {
  const one = world();
  const system = new ActorSystem({ store: one.store });
  await system.start();
  open.push({ close: async () => void (await system.stop()) });
  const repository = backups("/backups/repository", one.env);
  const { schedule: made, reports } = await schedule(system, repository, { timeZone: "Asia/Tokyo" });
  expect(made.next).toBe(at("2026-01-01T18:00:00Z"));
  one.disk.clock.advance(18 * HOUR_MS);
  await settled();
  expect(reports.map(({ backup }) => backup.ok)).toEqual([true]);
});

test("a run that is due while another one goes on is skipped and reported", async () => {
  const { clock, store, repository } = await running();
  const gated = slow(repository);
  const { reports, problems } = await schedule(store, gated.repository, { cron: "0 * * * *" });
  clock.advance(3 * HOUR_MS);
  await settled();
  expect(gated.begun()).toBe(1);
  expect(problems.map(({ kind, due, runs }) => [kind, due, runs])).toEqual([
    ["skipped", at("2026-01-01T02:00:00Z"), 1],
    ["skipped", at("2026-01-01T03:00:00Z"), 1],
  ]);
  gated.go();
  await settled();
  clock.advance(HOUR_MS);
  await settled();
  expect(reports.map(({ due }) => due)).toEqual([at("2026-01-01T01:00:00Z"), at("2026-01-01T04:00:00Z")]);
});

describe("missed runs are reported, and one is made up for at once", () => {
  test("while the process was down", async () => {
    const { clock, store, repository } = await running();
    const first = await schedule(store, repository);
    expect(first.problems).toEqual([]); // there was never a backup: nothing was missed
    clock.advance(4 * HOUR_MS);
    await settled();
    await first.schedule.stop();
    clock.advance(3 * DAY_MS);
    const second = await schedule(store, repository);
    expect(second.problems).toMatchObject([{ kind: "missed", due: at("2026-01-04T03:00:00Z"), runs: 3 }]);
    expect(second.reports).toMatchObject([{ due: at("2026-01-04T03:00:00Z"), backup: { ok: true } }]);
    await second.schedule.stop();
    expect((await schedule(store, repository)).problems).toEqual([]);
  });

  test("while the machine slept: the wall clock goes on, and no timer fires", async () => {
    const { clock, store, repository } = await running();
    const { reports, problems, schedule: made } = await schedule(store, repository);
    clock.set(clock.nowMs() + 3 * DAY_MS);
    clock.advance(60_000);
    await settled();
    expect(problems).toMatchObject([{ kind: "missed", due: at("2026-01-02T03:00:00Z"), runs: 2 }]);
    expect(reports).toMatchObject([{ due: at("2026-01-03T03:00:00Z") }]);
    expect(made.next).toBe(at("2026-01-04T03:00:00Z"));
  });

  test("backups of another store, and copies that were adopted, are not runs of this one", async () => {
    const { clock, store, repository, world: one } = await running();
    const { schedule: made } = await schedule(store, repository);
    clock.advance(4 * HOUR_MS);
    await settled();
    await made.stop();
    clock.advance(DAY_MS);
    await write(one.at("/srv/other"), 3);
    await repository.create(one.at("/srv/other"));
    await store.append("events", [event(1)]);
    await repository.adopt(one.store);
    expect((await schedule(store, repository)).problems).toMatchObject([{ kind: "missed", runs: 1 }]);
  });
});

test("stop() waits for the run in hand", async () => {
  const { clock, store, repository } = await running();
  const gated = slow(repository);
  const { schedule: made, reports } = await schedule(store, gated.repository);
  clock.advance(4 * HOUR_MS);
  let stopped = false;
  const stopping = made.stop().then(() => (stopped = true));
  await settled();
  expect([stopped, reports.length]).toEqual([false, 0]);
  gated.go();
  await stopping;
  expect(reports).toHaveLength(1);
});

test("a run that fails is reported, and the next one comes all the same; so is a damaged source", async () => {
  const { clock, store, repository, world: one } = await running();
  const { reports, problems } = await schedule(store, repository);
  const hold = await one.objects.hold("exclusive", "prune");
  clock.advance(4 * HOUR_MS);
  await settled();
  expect(problems).toMatchObject([{ kind: "failed", runs: 1, error: { code: "REPOSITORY_LOCKED" } }]);
  await hold.release();
  const file = await one.env.fs.open("/srv/store/events.ndjson", "update");
  await file.write(Buffer.from("x"), 120);
  await file.close();
  clock.advance(DAY_MS);
  await settled();
  expect(problems.slice(1)).toMatchObject([{ kind: "damaged", due: at("2026-01-02T03:00:00Z") }]);
  expect(reports).toMatchObject([{ backup: { ok: false } }]);
});

test.each<[string, Record<string, unknown>]>([
  ["no expression", { cron: "" }],
  ["four fields", { cron: "0 3 * *" }],
  ["six fields", { cron: "0 0 3 * * *" }],
  ["a minute that no hour has", { cron: "61 3 * * *" }],
  ["a day that never comes", { cron: "0 3 30 2 *" }],
  ["a date, which comes once", { cron: "2027-01-01T03:00:00" }],
  ["a time zone that is none", { timeZone: "Nowhere/Land" }],
  ["a policy that keeps nothing", { keep: { last: 0 } }],
  ["nobody to report to", { onProblem: undefined }],
  ["an option that nobody reads", { corn: "0 3 * * *" }],
])("%s is refused at once", async (_, options) => {
  const { clock, store, repository } = await running();
  const whole = { cron: "0 3 * * *", onReport: () => undefined, onProblem: () => undefined, ...options };
  expect(() => scheduleBackups(store, repository, whole as ScheduleOptions)).toThrow(
    expect.objectContaining({ code: "OPTION_INVALID" }) as Error,
  );
  await settled();
  expect(clock.waiting).toBe(0);
});
