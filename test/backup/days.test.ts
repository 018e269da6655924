// Thirty days of a store that is worked on, backed up, compacted, damaged, recovered, restored to points in the past and gone on
// with from there. Each day, retention keeps what a naive model keeps, and whatever the repository lists gives what it should.
import { expect, test } from "vitest";
import type { ActorSystem } from "../../src/actors/system.ts";
import type { Store } from "../../src/backends/store.ts";
import { createBackup } from "../../src/backup/create.ts";
import type { Point } from "../../src/backup/points.ts";
import { prune } from "../../src/backup/prune.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import type { LogName } from "../../src/log/record.ts";
import type { RetentionPolicy } from "../../src/log/retention.ts";
import { seededNumbers } from "../../src/testing/sim-survival.ts";
import { ledger, Life } from "./days-life.ts";
import { isGap, type Kept, type Line, lastSeqOf, LOGS, upTo } from "./days-model.ts";
import { keptByModel } from "./keep-model.ts";

const SEEDS = Number(process.env.PAPYRA_DAYS_SEEDS ?? 1);
const FIRST_SEED = Number(process.env.PAPYRA_DAYS_SEED ?? 1);
/** On each so many-th day, every backup that is listed is restored, and points within it. */
const CHECK_EVERY = Number(process.env.PAPYRA_DAYS_CHECK ?? 15);
const DAYS = 30;
const DAY_MS = 86_400_000;
const ACTORS = ["a", "b", "c", "d"];
const DAMAGED = ["events", "audits", "snapshots", "journal"] as const;
const KEEP = { last: 3, daily: 4, weekly: 3 } as const;
const POLICIES: readonly RetentionPolicy[] = [
  { events: { maxRecords: 25 }, journal: { maxRecords: 10 } },
  { journal: { maxRecords: 0 }, audits: { maxAgeMs: 3 * DAY_MS } },
  { events: { maxBytes: 6000 }, audits: { maxRecords: 4 }, journal: { maxAgeMs: 2 * DAY_MS } },
  { audits: { maxRecords: 1 } },
];

class Days {
  readonly life = new Life();
  readonly done = { compacted: 0, recovered: 0, lineages: 1, damagedBackups: 0, holes: 0 };
  readonly #random: () => number;
  #day = 0;
  #checks = 0;

  constructor(seed: number) {
    this.#random = seededNumbers(seed * 7919);
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  #of<T>(all: readonly T[]): T {
    return all[this.#below(all.length)] as T;
  }

  /** Often nothing passes: then several records are of one millisecond. */
  #pass(): void {
    if (this.#below(3) > 0) this.life.disk.clock.advance(1 + this.#below(600_000));
  }

  async day(day: number): Promise<void> {
    this.#day = day;
    const { life } = this;
    const how = this.#of(["stopped", "live", "in-process", "adopted"] as const);
    await life.running(async (system, store) => {
      await this.#work(system, store);
      if (how === "live" || how === "in-process") await this.#backUpRunning(how, system);
      if (this.#below(4) === 0) await this.#compact(system);
      await this.#work(system, store); // behind the instant
      await life.assertAlive(system);
    });
    await life.assertStands("lines");
    if (how === "stopped" || how === "adopted") await this.#backUpStopped(how);
    const what = this.#below(7);
    if (what === 0) await this.#compact(undefined);
    else if (what <= 2) await this.#damage();
    else if (what === 3) await this.#goBack();
    else if (what === 4) await this.#goElsewhere();
    await this.#prune();
    if (day % CHECK_EVERY === 0) await this.checkPoints();
    life.disk.clock.advance(DAY_MS - (life.disk.clock.nowMs() % DAY_MS));
  }

  async #work(system: ActorSystem, store: Store): Promise<void> {
    for (let i = this.#below(8); i >= 0; i--) {
      this.#pass();
      const which = this.#below(6);
      if (which === 0) await this.life.note(store, this.#of(["events", "audits"]));
      else if (which === 1) system.audit();
      else await this.life.command(system, this.#of(ACTORS), this.#of(["put", "putAll", "put", "clear"]));
    }
    await system.flush();
  }

  async #backUpRunning(how: "live" | "in-process", system: ActorSystem): Promise<void> {
    const { life } = this;
    const before = life.now;
    const from = life.disk.clock.nowMs();
    const states = this.#below(2) === 0 ? [ledger] : undefined;
    const { backup } =
      how === "live"
        ? await createBackup(life.store, life.objects, { states })
        : await system.backup(life.repository, { states });
    expect(backup).toMatchObject({ how, verdict: "good" });
    const ends = Object.fromEntries(LOGS.map((log) => [log, backup.logs[log].last_seq])) as Record<LogName, number>;
    for (const log of LOGS) expect(ends[log]).toBeGreaterThanOrEqual(lastSeqOf(before.lines[log]));
    life.keep(backup, upTo(life.now, ends), [from, life.disk.clock.nowMs()]);
  }

  async #backUpStopped(how: "stopped" | "adopted"): Promise<void> {
    const { life } = this;
    this.#pass();
    const from = life.disk.clock.nowMs();
    if (how === "stopped") {
      const states = this.#below(2) === 0 ? [ledger] : undefined;
      const { backup } = await createBackup(life.store, life.objects, { states });
      if (backup.verdict === "damaged") this.done.damagedBackups += 1;
      return life.keep(backup, life.now, [from, life.disk.clock.nowMs()]);
    }
    const copy = await life.copy(`/copies/${this.#day}`);
    const { backup } = await life.repository.adopt(copy);
    const newest = Math.max(...LOGS.map((log) => life.now.lines[log].at(-1)?.atMs ?? 0));
    return life.keep(backup, life.now, [newest, newest]);
  }

  async #compact(system: ActorSystem | undefined): Promise<void> {
    this.#pass();
    this.done.compacted += await this.life.compact(this.#of(POLICIES), system);
  }

  /** Something in the stopped store is destroyed; some back it up as it is. Then it is mended, and where events are lost, it goes back. */
  async #damage(): Promise<void> {
    const { life } = this;
    this.#pass();
    const found = await this.#destroy(this.#of(DAMAGED));
    if (found === undefined) return;
    this.done.recovered += 1;
    if (this.#below(2) === 0) await this.#backUpStopped("stopped");
    const { log, gone } = found;
    const goesBack = log === "journal" && gone.length > 0;
    const mends = !goesBack || this.#below(2) === 0;
    if (mends) await life.recover(this.#of(["repair", "quarantine"]), gone, log);
    if (!goesBack) return;
    this.done.holes += 1;
    const newest = life.kept.findLast(({ good, content }) => good && !content.holes) as Kept;
    expect(await life.restoreInPlace({ backup: newest.id }, !mends)).toBe(true);
    this.done.lineages += 1;
  }

  async #destroy(log: (typeof DAMAGED)[number]): Promise<{ log: LogName; gone: readonly Line[] } | undefined> {
    const { life } = this;
    const records = life.now.lines[log].filter((line) => !isGap(line));
    const line = this.#of(records);
    if (
      log === "snapshots" &&
      records.filter(({ fields }) => fields.persistence_id === line?.fields.persistence_id).length < 3
    )
      return undefined; // an actor needs one that is whole
    if (log === "journal" && !life.kept.some(({ good, content }) => good && !content.holes)) return undefined;
    if (line === undefined) return undefined;
    const file = await life.fileOf(line);
    const how = this.#below(4);
    if (how === 0 && (log === "events" || log === "audits") && /\d{20}/.test(file)) {
      const held = life.disk.content(file).toString("utf8");
      life.disk.drop(file);
      return { log, gone: life.now.lines[log].filter(({ text }) => held.includes(text)) };
    }
    if (how === 1) {
      const active = `${life.place}/${log}.ndjson`;
      life.disk.corrupt(active, (bytes) => Buffer.concat([bytes, Buffer.from(line.text.slice(0, 40))]));
      return { log, gone: [] };
    }
    life.disk.corrupt(file, (bytes) => {
      const at = bytes.indexOf(line.text);
      if (how === 2) return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + line.text.length + 1)]);
      bytes[at + line.text.indexOf('"payload"') + 3]! ^= 1 << this.#below(7);
      return bytes;
    });
    return { log, gone: [line] };
  }

  #point(): Point {
    const one = this.#of(this.life.kept);
    const which = this.#below(3);
    return which === 0 ? { backup: one.id } : (this.#pointWithin(one, which === 1) ?? { backup: one.id });
  }

  #pointWithin({ content, instantMs }: Kept, byTime: boolean): Point | undefined {
    const log = this.#of(LOGS.filter((name) => content.lines[name].length > 0));
    if (log === undefined) return undefined;
    if (!byTime) return { log, seq: 1 + this.#below(lastSeqOf(content.lines[log])) };
    return { timeMs: this.#below(4) === 0 ? instantMs : this.#of(content.lines[log]).atMs - this.#below(2) };
  }

  async #goBack(): Promise<void> {
    if (this.life.kept.length === 0) return;
    const point = this.#point();
    if ("backup" in point && !this.#isGood(point.backup as string)) return;
    if (await this.life.restoreInPlace(point, false)) this.done.lineages += 1;
  }

  async #goElsewhere(): Promise<void> {
    if (this.life.kept.length === 0) return;
    const target = `/restored/${this.#day}`;
    const content = await this.life.restore(this.#point(), target);
    if (content === undefined || content.holes) return;
    this.life.place = target;
    this.life.goOn(content, content.from, this.life.disk.clock.nowMs());
    this.done.lineages += 1;
  }

  #isGood(backup: string): boolean {
    return this.life.kept.some(({ id, good, content }) => id === backup && good && !content.holes);
  }

  async #prune(): Promise<void> {
    const { life } = this;
    const pinned = this.#below(6) === 0 ? this.#of(life.kept) : undefined;
    if (pinned !== undefined) {
      await (pinned.pinned ? life.repository.unpin(pinned.id) : life.repository.pin(pinned.id));
      life.kept = life.kept.map((one) => (one === pinned ? { ...one, pinned: !one.pinned } : one));
    }
    const stay = keptByModel(life.kept, KEEP, life.disk.clock.nowMs());
    const { backups } = await prune(life.objects, { keep: KEEP, graceMs: 0 });
    expect(backups.map(({ id, good }) => [id, good])).toEqual(life.kept.map(({ id, good }) => [id, good]));
    life.kept = life.kept.filter(({ id }) => stay.includes(id));
    const listed = (await viewRepository(life.objects)).backups.map(({ id, good, pinned: is }) => [id, good, is]);
    expect({ day: this.#day, listed }).toEqual({
      day: this.#day,
      listed: life.kept.map((one) => [one.id, one.good, one.pinned]),
    });
  }

  /** Every backup that is listed, and points within each. */
  async checkPoints(): Promise<void> {
    const { life } = this;
    this.#checks += 1;
    for (const [i, one] of life.kept.entries()) {
      const points = [{ backup: one.id }, this.#pointWithin(one, true), this.#pointWithin(one, false)];
      for (const [j, point] of points.entries())
        if (point !== undefined) await life.restore(point, `/checked/${this.#checks}/${i}.${j}`);
    }
  }

  async end(): Promise<void> {
    const verified = await verifyBackups(this.life.objects, { level: "replay" });
    expect(verified).toMatchObject({ ok: true, problems: [], coverage: 1 });
    await this.checkPoints();
  }
}

const seeds = Array.from({ length: SEEDS }, (_, i) => i + FIRST_SEED);
test.each(seeds)("thirty days, seed %i", { timeout: 600_000 }, async (seed) => {
  const days = new Days(seed);
  for (let day = 1; day <= DAYS; day++) await days.day(day);
  await days.end();
  if (process.env.PAPYRA_DAYS_TELL !== undefined)
    console.info(seed, { ...days.done, restores: days.life.restores, outOfRange: days.life.outOfRange });
  expect(days.done.lineages).toBeGreaterThan(1);
  expect(days.done.compacted).toBeGreaterThan(0);
});
