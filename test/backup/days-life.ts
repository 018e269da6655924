// One life of a store on a simulated disk: days of work by persistent actors, backups, compaction, damage and recovery, restores
// and new lineages. Beside it stands a model that knows, line by line, what the store and each backup must hold.
import { expect } from "vitest";
import { ActorSystem } from "../../src/actors/system.ts";
import type { Backend } from "../../src/backends/backend.ts";
import type { Store } from "../../src/backends/store.ts";
import { backups as repositoryAt } from "../../src/backup/index.ts";
import { restoreInPlace } from "../../src/backup/in-place.ts";
import type { Manifest } from "../../src/backup/manifest.ts";
import type { Point } from "../../src/backup/points.ts";
import type { Clock } from "../../src/env/env.ts";
import type { LogName } from "../../src/log/record.ts";
import type { RetentionPolicy } from "../../src/log/retention.ts";
import { compact } from "../../src/ops/compact.ts";
import { recover } from "../../src/ops/recover.ts";
import { replay } from "../../src/ops/replay.ts";
import { scan } from "../../src/ops/scan.ts";
import { ledgerWith } from "../actors/persistent-helpers.ts";
import {
  actorsOf,
  compacted,
  type Content,
  type Descent,
  descend,
  digestOfActors,
  endsBy,
  expectedAt,
  isGap,
  type Kept,
  lastSeqOf,
  type Line,
  lineOf,
  type Lines,
  LOGS,
  mapLines,
} from "./days-model.ts";
import { noting } from "./days-noting.ts";
import { audit, event, world } from "./world.ts";

const NOTHING: Lines = { events: [], journal: [], audits: [], dead_letters: [], snapshots: [] };
export const ledger = ledgerWith({ snapshot: { everyEvents: 4 } });

export class Life {
  readonly #world = world({ segmentBytes: 8192 });
  readonly disk = this.#world.disk;
  readonly objects = this.#world.objects;
  readonly repository = repositoryAt(this.objects);
  place = "/srv/store";
  now: Content = { lines: NOTHING, happened: [], holes: false };
  kept: Kept[] = [];
  descent: Descent = { ancestors: [], id: 0, begunMs: 0 };
  #lineages = 0;
  restores = 0;
  outOfRange = 0;
  #n = 0;

  get store(): Backend {
    return this.#world.at(this.place);
  }

  /** A system over the store; what is handed to the disk is noted before anything is read back. */
  async running(work: (system: ActorSystem, store: Store) => Promise<void>): Promise<void> {
    const { env, disk } = this.#world;
    const backend = noting(this.store, (log, line) => this.#stands(log, line));
    const clock: Clock = {
      nowMs: () => disk.clock.nowMs(),
      monotonicMs: () => disk.clock.monotonicMs(),
      after: (delayMs, fn) => {
        if (delayMs === 0) setImmediate(fn); // nobody waits for anything else
        return () => undefined;
      },
    };
    const system = new ActorSystem({ store: backend, env: { ...env, clock } });
    await system.start();
    await work(system, system.store as Store);
    expect(await system.stop()).toMatchObject({ ok: true, recordsLost: 0 });
  }

  #stands(log: LogName, line: Line): void {
    const { lines } = this.now;
    this.now = { ...this.now, lines: { ...lines, [log]: [...lines[log], line] } };
  }

  /** One command to an actor; the model says what it decides. */
  async command(system: ActorSystem, id: string, how: "put" | "putAll" | "clear"): Promise<void> {
    const before = actorsOf(this.now).get(id)?.revision ?? 0;
    const base = this.now.lines.journal.length;
    const value = (this.#n += 1);
    const ref = system.get(ledger, id);
    if (how === "put") await ref.ask("put", { key: "k", value });
    else if (how === "putAll") await ref.ask("putAll", { values: [value, -value, 7] });
    else await ref.ask("clear");
    const values =
      how === "put" ? [{ key: "k", value }] : [value, -value, 7].map((v, i) => ({ key: `k${i}`, value: v }));
    const payloads = how === "clear" ? [{}] : values;
    const lines = this.now.lines.journal.slice(base);
    const told = lines.map(({ fields }) => [fields.persistence_id, fields.revision, fields.event_type]);
    const type = how === "clear" ? "cleared" : "put";
    expect(told).toEqual(payloads.map((_, i) => [`ledger/${id}`, before + 1 + i, type]));
    const happened = payloads.map((payload, i) => {
      const { seq } = lines[i] as Line;
      return { seq, id, revision: before + 1 + i, type, payload, place: i + 1, size: payloads.length };
    });
    this.now = { ...this.now, happened: [...this.now.happened, ...happened] };
  }

  async note(store: Store, log: "events" | "audits"): Promise<void> {
    await store.append(log, [log === "events" ? event((this.#n += 1)) : audit((this.#n += 1))]);
  }

  /** What each actor says of itself is what the model says. */
  async assertAlive(system: ActorSystem): Promise<void> {
    for (const [id, { state, revision }] of actorsOf(this.now)) {
      expect([await system.get(ledger, id).ask("state"), await system.get(ledger, id).ask("revision")]).toEqual([
        state,
        revision,
      ]);
    }
  }

  /** A backup that was just made of the store, in which this stood at its instant. */
  keep(made: Manifest, content: Content, between: readonly [fromMs: number, toMs: number]): void {
    const instantMs = Math.round(made.instant * 1000);
    expect(instantMs).toBeGreaterThanOrEqual(between[0]);
    expect(instantMs).toBeLessThanOrEqual(between[1]);
    if (made.states !== null && made.verdict === "good" && !content.holes)
      expect(made.states).toEqual({ actors: actorsOf(content).size, sha256: digestOfActors(content) });
    const one = {
      id: made.id,
      instantMs,
      good: made.verdict === "good",
      pinned: false,
      content,
      descent: this.descent,
    };
    const at = this.kept.findLastIndex((other) => other.instantMs <= instantMs) + 1;
    this.kept = this.kept.toSpliced(at, 0, one);
  }

  async compact(policy: RetentionPolicy, system?: ActorSystem): Promise<number> {
    const nowMs = this.disk.clock.nowMs();
    const before = this.now.lines;
    await (system === undefined
      ? compact(this.store, { retention: policy, nowMs })
      : system.compact({ retention: policy, nowMs }));
    const lines = compacted(before, policy, nowMs);
    const records = (of: Lines): number =>
      LOGS.reduce((sum, log) => sum + of[log].filter((line) => !isGap(line)).length, 0);
    this.now = { ...this.now, lines };
    await this.assertStands(system === undefined ? "states" : "lines"); // its actors tell their states themselves
    return records(before) - records(lines);
  }

  /** Recovery takes out what was damaged, and nothing else. */
  async recover(mode: "repair" | "quarantine", damaged: readonly Line[], log: LogName): Promise<void> {
    expect(await scan(this.store)).toMatchObject({ ok: false });
    const report = await recover(this.store, { mode });
    expect({ ok: report.ok, verdict: report.verdict }).toMatchObject({ ok: true });
    const lines = mapLines(this.now.lines, (name, all) =>
      name === log ? all.filter((line) => !damaged.includes(line)) : all,
    );
    this.now = { ...this.now, lines, holes: this.now.holes || (log === "journal" && damaged.length > 0) };
    await this.assertStands();
  }

  /** The store holds what the model says; its gap records are read from it, and must account for everything else. */
  async assertStands(states: "states" | "lines" = "states"): Promise<void> {
    const how = `the store at ${this.place}`;
    this.now = { ...this.now, lines: await this.assertHolds(this.place, this.now, how, states === "lines") };
  }

  async assertHolds(place: string, content: Content, how: string, onlyLines: boolean = false): Promise<Lines> {
    const raw = await this.#linesAt(place);
    const told = (lines: Lines): unknown =>
      mapLines(lines, (_, all) => all.filter((line) => !isGap(line)).map(({ text }) => text) as never);
    expect({ how, lines: told(raw) }).toEqual({ how, lines: told(content.lines) });
    const report = await scan(this.#world.at(place));
    expect({ how, anomalies: report.anomalies }).toEqual({ how, anomalies: [] });
    if (content.holes || onlyLines) return raw;
    const { actors, ok, problems, verified, unattributed } = await replay(this.#world.at(place), {
      definitions: [ledger],
      verify: true,
    });
    const states = [...actorsOf(content)]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, { state, revision }]) => [`ledger/${id}`, revision, state]);
    const found = actors.map(({ persistenceId, revision, state }) => [persistenceId, revision, state]);
    const wrong = { problems, divergences: verified?.divergences, unattributed };
    expect({ how, wrong, states: found }).toEqual({
      how,
      wrong: { problems: [], divergences: [], unattributed: [] },
      states,
    });
    expect(ok).toBe(true);
    return raw;
  }

  /** Every numbered line of the files in a directory, as text. */
  async #linesAt(place: string): Promise<Lines> {
    const texts = await this.#textsIn(place);
    return mapLines(NOTHING, (log) =>
      texts
        .filter(([path]) => path.startsWith(`${place}/${log}.`))
        .flatMap(([, text]) =>
          text
            .trimEnd()
            .split("\n")
            .flatMap((line) => lineOf(line) ?? []),
        )
        .sort((a, b) => a.seq - b.seq),
    );
  }

  /** What `cp -r` gives of the stopped store. */
  async copy(to: string): Promise<Backend> {
    for (const [path, bytes] of this.disk.tree())
      if (path.startsWith(`${this.place}/`)) this.disk.put(`${to}${path.slice(this.place.length)}`, bytes);
    return this.#world.at(to);
  }

  async fileOf({ text }: Line): Promise<string> {
    const found = (await this.#textsIn(this.place)).find(([, all]) => all.includes(text));
    return (found as [string, string])[0];
  }

  /** The files of a store's logs, as they are. */
  async #textsIn(place: string): Promise<[path: string, text: string][]> {
    const names = (await this.#world.env.fs.list(place)).filter((name) => name.endsWith(".ndjson"));
    return names.map((name) => [`${place}/${name}`, this.disk.content(`${place}/${name}`).toString("utf8")]);
  }

  /** Restores to a place aside, and compares; undefined when the point is out of range, as the model says, too. */
  async restore(point: Point, target: string): Promise<(Content & { readonly from: string }) | undefined> {
    const how = `${JSON.stringify(point)} in ${target}`;
    const wanted = expectedAt(this.kept, point);
    const damaged = wanted !== undefined && this.kept.find(({ id }) => id === wanted.from)?.good === false;
    const restored = this.repository.restore(target, { point, allowDamaged: damaged });
    if (wanted === undefined) {
      await expect(restored, how).rejects.toMatchObject({ code: "RESTORE_OUT_OF_RANGE" });
      this.outOfRange += 1;
      return undefined;
    }
    this.restores += 1;
    expect({ how, from: (await restored).backup }).toEqual({ how, from: wanted.from });
    if (damaged) return undefined; // as it is: a scan says what is wrong with it
    const raw = await this.assertHolds(target, wanted, how);
    const ends = (lines: Lines): unknown => LOGS.map((log) => lines[log].at(-1)?.text);
    expect({ how, ends: ends(raw) }).toEqual({ how, ends: ends(wanted.lines) });
    return { ...wanted, lines: raw };
  }

  /** What was restored is the store from now on. */
  goOn(content: Content, from: string, begunMs: number): void {
    const { descent } = this.kept.find(({ id }) => id === from) as Kept;
    const ends = endsBy((log) => lastSeqOf(content.lines[log]));
    this.descent = descend(descent, ends, (this.#lineages += 1), begunMs);
    this.now = content;
  }

  /** Restores over the store itself, if the point can be reached; else it stays as it is. */
  async restoreInPlace(point: Point, damaged: boolean): Promise<boolean> {
    const wanted = expectedAt(this.kept, point);
    const from = this.disk.clock.nowMs();
    const { content, failed, ids } = { content: this.now, failed: wanted === undefined, ids: await this.#ids() };
    const restored = restoreInPlace(this.objects, this.#world.env, this.place, { point });
    if (failed) await expect(restored).rejects.toMatchObject({ code: "RESTORE_OUT_OF_RANGE" });
    else expect(await restored).toMatchObject({ ok: true, backup: wanted?.from });
    const safety = (await this.repository.list()).backups.find(({ id }) => !ids.has(id))?.manifest;
    if (safety !== undefined) this.keep(safety, content, [from, this.disk.clock.nowMs()]);
    expect(safety !== undefined || failed).toBe(true);
    if (!damaged && safety !== undefined) expect(safety.verdict).toBe("good");
    if (wanted === undefined) return false;
    this.goOn(wanted, wanted.from, this.disk.clock.nowMs());
    await this.assertStands();
    return true;
  }

  async #ids(): Promise<Set<string>> {
    return new Set((await this.repository.list()).backups.map(({ id }) => id));
  }
}
