// Backups under SIGKILL, with real processes on the real disk: a service writes without pause, a backup of it is made by the
// command line or in the service, and one of them, or both, are killed at random moments. Whatever lists as good verifies to
// the last line and state, has every record that was acknowledged before its instant and none twice, and restores.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import type { Manifest } from "../../src/backup/manifest.ts";
import { type BackupInfo, viewRepository } from "../../src/backup/repository.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { digestOfStates, foldStates } from "../../src/backup/states.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { isPapyraError } from "../../src/errors.ts";
import { startupCheck } from "../../src/ops/startup.ts";
import { type Build, build } from "../cli/build.ts";
import { type Ack, type Ended, historyOf, Home, Service } from "./real.ts";

const ROUNDS = Number(process.env.PAPYRA_ROUNDS ?? 4);
const SEED = Number(process.env.PAPYRA_KILL_SEED ?? 7);
/** A store that has grown for longer makes the looking at it the whole work. */
const ROUNDS_A_HOME = 4;
const TIMEOUT_MS = 240_000 + ROUNDS * 60_000;
const RESTORES = Math.ceil(ROUNDS / 2);
const KINDS = ["backup", "writer", "both", "in process"] as const;

let built: Build;
beforeAll(() => void (built = build()));
afterEach(() => rounds?.killService()); // one that failed has not
afterAll(() => built.remove());

let rounds: Rounds | undefined;
let state = SEED;
function random(): number {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return state / 2 ** 32;
}

const seen = { acknowledged: 0, killedBackups: 0, thereAllTheSame: 0, good: 0, damaged: 0, restored: 0 };

/** One store, its repository, and what was promised. */
class Rounds {
  readonly home = new Home(built);
  /** Of earlier services; the order is that of time for each actor. */
  readonly #acks: Ack[] = [];
  readonly #judged = new Set<string>();
  #service: Service | undefined;
  /** How long a backup takes that nobody disturbs. */
  #spanMs = 200;

  async service(seed: number): Promise<Service> {
    this.#service?.goOn();
    this.#service ??= await Service.start(this.home, seed);
    return this.#service;
  }

  async killService(): Promise<void> {
    await this.#service?.kill();
    const acks = this.#service?.acks() ?? [];
    seen.acknowledged += acks.length;
    this.#acks.push(...acks);
    this.#service = undefined;
  }

  async end(): Promise<void> {
    await this.killService();
    await this.verify();
    rmSync(this.home.dir, { recursive: true });
  }

  acks(): Ack[] {
    return [...this.#acks, ...(this.#service?.acks() ?? [])];
  }

  /** A while in which a backup may or may not get ready. */
  async aWhile(): Promise<void> {
    await delay(random() * 1.3 * this.#spanMs);
  }

  async round(kind: (typeof KINDS)[number], seed: number): Promise<void> {
    const service = await this.service(seed);
    const earlier = [...this.#acks];
    const promised = this.acks();
    if (kind === "in process") {
      await service.begin("backup");
      await this.aWhile();
      await this.killService();
      return this.judge(kind, undefined, [...earlier, ...service.acks("begin ")]);
    }
    const known = this.home.holds();
    const creating = this.home.papyra("backup", "create", "--states", "--json");
    await creating.until(() => this.home.holds().some((name) => !known.includes(name)));
    await this.aWhile();
    if (kind === "backup") creating.child.kill("SIGKILL");
    else await this.killService();
    if (kind === "both") creating.child.kill("SIGKILL");
    await this.judge(kind, await creating.ended, promised);
  }

  /** What is there now is what must be there, and the next backup comes by itself. */
  async judge(kind: string, ended: Ended | undefined, promised: readonly Ack[]): Promise<void> {
    const killed = ended === undefined || ended.signal === "SIGKILL";
    if (killed) seen.killedBackups += 1;
    else await this.#judgeReport(ended);
    await this.#service?.pause(); // what it writes meanwhile would only have to be looked at
    const left = await this.#judgeAll(`${kind} was killed`);
    if (killed) seen.thereAllTheSame += left.length;
    else expect(left).toHaveLength(1);
    for (const info of left) await this.#judgeOne(info, promised);
    this.#service?.goOn();
    const known = this.acks();
    const again = await this.home.papyra("backup", "create", "--states", "--json").ended;
    await this.#service?.pause();
    const seconds = await this.#judgeReport(again);
    this.#spanMs = seconds * 1000;
    const [next, ...others] = await this.#judgeAll("the next one");
    expect(others).toEqual([]);
    await this.#judgeOne(next as BackupInfo, known);
    await this.restore(next as BackupInfo);
  }

  /** A backup that came to its end says what it is. Returns how long it took. */
  async #judgeReport({ exit, signal, stdout, stderr }: Ended): Promise<number> {
    expect({ signal, stderr }).toEqual({ signal: null, stderr: "" });
    expect([0, 13], stdout).toContain(exit);
    const { report } = JSON.parse(stdout) as { report: { backup: Manifest; ok: boolean; seconds: number } };
    expect(report).toMatchObject({ ok: exit === 0, backup: { verdict: exit === 0 ? "good" : "damaged" } });
    const { backups } = await viewRepository(this.home.objects);
    expect(backups.find(({ id }) => id === report.backup.id)?.good).toBe(exit === 0);
    return report.seconds;
  }

  /** Verifies all there are, and gives the new ones. */
  async #judgeAll(how: string): Promise<BackupInfo[]> {
    const { objects } = this.home;
    try {
      const { backups, problems } = await viewRepository(objects);
      expect({ how, problems }).toEqual({ how, problems: [] });
      const fresh = backups.filter(({ id }) => !this.#judged.has(id));
      for (const { id } of fresh) {
        this.#judged.add(id);
        await this.verify(id);
      }
      return fresh;
    } catch (error) {
      if (isPapyraError(error, "BACKUP_NOT_FOUND")) return [];
      throw error;
    }
  }

  async verify(backup?: string): Promise<void> {
    const states = await this.home.actors();
    const { ok, verdict } = await verifyBackups(this.home.objects, { level: "replay", states, backup });
    expect({ ok, verdict }).toEqual({ ok: true, verdict });
  }

  /** Everything that was acknowledged before its instant is in it, in the order in which it was written, and nothing twice. */
  async #judgeOne({ id, manifest, good }: BackupInfo, promised: readonly Ack[]): Promise<void> {
    if (manifest === undefined) throw new Error(`the manifest of ${id} is damaged`);
    seen[good ? "good" : "damaged"] += 1;
    const { last, seqs } = await historyOf(this.home.objects, manifest);
    expect(manifest.logs.journal.records).toBe(seqs);
    for (const ack of [...promised, ...this.acks().filter(({ atMs }) => atMs < Math.floor(manifest.instant * 1000))])
      if ((last.get(ack.id) ?? 0) < ack.revision)
        throw new Error(
          `${id} (${manifest.how}, ${manifest.instant}) ends at ${last.get(ack.id)}; promised: ${promised.includes(ack)}, ${JSON.stringify(ack)}`,
        );
  }

  async restore({ id, manifest }: BackupInfo): Promise<void> {
    const target = join(this.home.dir, `restored-${id}`);
    const report = await restoreBackup(this.home.objects, nodeEnv, target, {
      point: { backup: id },
      states: await this.home.actors(),
    });
    expect(report).toMatchObject({ ok: true, statesNotCompared: undefined, states: manifest?.states });
    expect(await startupCheck(fileBackend({ path: target }, nodeEnv), { mode: "fail_on_anomaly" })).toMatchObject({
      ok: true,
    });
    seen.restored += 1;
    rmSync(target, { recursive: true });
  }
}

test(
  `kill -9, ${ROUNDS} rounds: what lists as good is good, and has what was acknowledged before it`,
  async () => {
    for (let i = 0; i < ROUNDS; i++) {
      if (i % ROUNDS_A_HOME === 0) {
        await rounds?.end();
        rounds = new Rounds();
      }
      await rounds?.round(KINDS[i % KINDS.length] as (typeof KINDS)[number], SEED * 1000 + i);
    }
    await rounds?.end();
    console.log(`backups under kill -9: ${ROUNDS} rounds (seed ${SEED}), ${JSON.stringify(seen)}`);
    expect(seen.good).toBeGreaterThanOrEqual(ROUNDS);
  },
  TIMEOUT_MS,
);

test(
  `kill -9 of ${RESTORES} restores: the target is absent or complete, and the next restore needs no help`,
  async () => {
    const home = new Home(built);
    const service = await Service.start(home, SEED);
    await service.says("ack 0 200 ");
    await service.kill();
    expect((await home.papyra("backup", "create", "--states").ended).exit).toBe(0);
    const target = join(home.dir, "restored");
    const args = ["backup", "restore", "--states", "--target", "restored"];
    const restore = () => home.papyra(...args);
    const half = await home.stopped("open restored\\S*/journal", args);
    expect(existsSync(target), "while it is built").toBe(false);
    await half.kill();
    expect(existsSync(target), "for good").toBe(false);
    const manifest = (await viewRepository(home.objects)).backups[0]?.manifest;
    const staged = (): string[] => readdirSync(home.dir).filter((name) => name.startsWith("restored.restoring-"));
    let [complete, spanMs] = [0, 100];
    for (let i = 0; i < RESTORES; i++) {
      const left = staged(); // by those before: it is in nobody's way
      const restoring = restore();
      await restoring.until(() => existsSync(target) || staged().some((name) => !left.includes(name)));
      const began = performance.now();
      if (i > 0) setTimeout(() => restoring.child.kill("SIGKILL"), random() * 1.2 * spanMs); // the first one says how long it takes
      const { signal, exit } = await restoring.ended;
      if (i === 0) spanMs = performance.now() - began;
      expect(signal ?? exit).toBe(existsSync(target) && signal === null ? 0 : "SIGKILL");
      if (existsSync(target)) {
        complete += 1;
        const restored = fileBackend({ path: target }, nodeEnv);
        expect(await startupCheck(restored, { mode: "fail_on_anomaly" })).toMatchObject({ ok: true });
        expect(digestOfStates(await foldStates(restored, await home.actors(), {}))).toEqual(manifest?.states);
        rmSync(target, { recursive: true });
      }
    }
    const last = await restore().ended;
    expect(last).toMatchObject({ exit: 0, stderr: "" });
    expect(await verifyBackups(home.objects)).toMatchObject({ ok: true });
    console.log(`restores under kill -9: ${RESTORES}, ${complete} complete, the others absent (seed ${SEED})`);
    rmSync(home.dir, { recursive: true });
  },
  TIMEOUT_MS,
);
