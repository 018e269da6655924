// A store of three lineages with persistent actors, on a simulated or a real disk, and what its actors must say by a plain list of
// what they were told.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { ActorSystem } from "../../src/actors/system.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { backups } from "../../src/backup/index.ts";
import type { Point } from "../../src/backup/points.ts";
import type { Env } from "../../src/env/env.ts";
import { nodeEnv } from "../../src/env/node.ts";
import type { LogName } from "../../src/log/record.ts";
import { replay } from "../../src/ops/replay.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { ledgerWith } from "../actors/persistent-helpers.ts";
import { impatient } from "../sim-env.ts";
import { event } from "./world.ts";

/** A disk that a test can put its fingers into. */
export interface Disk {
  readonly env: Env;
  readonly root: string;
  pass(): void;
  names(dir: string): string[];
  read(path: string): Buffer;
  write(path: string, bytes: Uint8Array): void;
  drop(path: string): void;
  end(): void;
}

export function simulated(disk: SimDisk = new SimDisk()): Disk & { readonly disk: SimDisk } {
  return {
    disk,
    env: impatient(disk),
    root: "/srv",
    pass: () => disk.clock.advance(1000),
    names: (dir) =>
      [...disk.tree().keys()].filter((path) => path.startsWith(`${dir}/`)).map((path) => path.slice(dir.length + 1)),
    read: (path) => disk.content(path),
    write: (path, bytes) => (disk.tree().has(path) ? disk.corrupt(path, () => bytes) : disk.put(path, bytes)),
    drop: (path) => disk.drop(path),
    end: () => undefined,
  };
}

export function real(): Disk {
  const root = mkdtempSync(join(tmpdir(), "papyra-lineages-"));
  return {
    env: nodeEnv,
    root,
    pass: () => undefined,
    names: (dir) => readdirSync(dir, { recursive: true }).map(String),
    read: (path) => readFileSync(path),
    write: (path, bytes) => writeFileSync(path, bytes),
    drop: (path) => rmSync(path),
    end: () => rmSync(root, { recursive: true }),
  };
}

export const ledger = ledgerWith({ snapshot: { everyEvents: 7 } });
const ACTORS = ["a", "b", "c"];
/** It is told one thing in each lineage, too little for a snapshot: compaction must leave that. */
const RARE = "rare";

/** What was told to which actor; the n-th is the n-th record of the journal. */
export type Told = readonly (readonly [id: string, value: number])[];

export class Lineages {
  readonly disk: Disk;
  readonly #repository;
  told: Told = [];
  /** What actors may say of their snapshots. */
  tolerated: readonly string[] = [];

  constructor(disk: Disk) {
    this.disk = disk;
    this.#repository = backups(`${disk.root}/backups`, disk.env);
  }

  at(name: string): Backend {
    return fileBackend({ path: `${this.disk.root}/${name}`, segmentBytes: 4096 }, this.disk.env);
  }

  /** Lets actors of a store work, and writes some events beside. */
  async work(name: string, count: number, events: number = count): Promise<void> {
    const ids = Array.from({ length: count }, (_, i) => (i === 0 ? RARE : (ACTORS[i % ACTORS.length] as string)));
    await this.tell(name, ids, events);
  }

  async tell(name: string, ids: readonly string[], events: number = 0): Promise<void> {
    await this.with(name, async (system) => {
      for (const id of ids) {
        const value = this.told.length + 1;
        await system.get(ledger, id).ask("put", { key: name, value });
        this.told = [...this.told, [id, value]];
      }
      for (let i = 0; i < events; i++) await system.store?.append("events", [event(i)]);
    });
  }

  async with<T>(name: string, use: (system: ActorSystem) => Promise<T>): Promise<T> {
    this.disk.pass();
    const problems: string[] = [];
    const env = { ...this.disk.env, clock: nodeEnv.clock }; // asks have a time limit
    const system = new ActorSystem({ store: this.at(name), env, onProblem: ({ message }) => problems.push(message) });
    await system.start();
    const result = await use(system);
    expect(await system.stop()).toMatchObject({ ok: true });
    expect(problems.filter((problem) => !this.tolerated.some((known) => problem.includes(known)))).toEqual([]);
    return result;
  }

  /** A backup of one store, restored as another. */
  async goOn(from: string, to: string, point: Point = {}): Promise<void> {
    this.disk.pass();
    await this.#repository.create(this.at(from));
    this.disk.pass();
    await this.#repository.restore(`${this.disk.root}/${to}`, { point });
    if ("seq" in point) this.told = this.told.slice(0, point.seq);
  }

  /** first, second and third, which goes on from the middle of the second. */
  async three(): Promise<this> {
    await this.work("first", 30);
    await this.goOn("first", "second");
    await this.work("second", 36);
    await this.goOn("second", "third", { log: "journal", seq: 48 });
    await this.work("third", 30);
    return this;
  }

  /** The states by the list alone. */
  states(): unknown[] {
    return [...new Set(this.told.map(([id]) => id))].sort().flatMap((id) => {
      const own = this.told.filter(([of]) => of === id).map(([, value]) => value);
      return own.length === 0 ? [] : [[id, own.length, own.reduce((sum, value) => sum + value, 0), own]];
    });
  }

  /** Healthy, and all states by a fold and by the actors themselves. */
  async assertWhole(name: string): Promise<void> {
    expect(await scan(this.at(name))).toMatchObject({ anomalies: [], ok: true });
    const replayed = await replay(this.at(name), { definitions: [ledger], verify: true });
    expect(replayed).toMatchObject({ ok: true, problems: [] });
    const shown = (id: string, revision: number, state: unknown): unknown => {
      const { total, entries } = state as { total: number; entries: { value: number }[] };
      return [id, revision, total, entries.map(({ value }) => value)];
    };
    const folded = replayed.actors.map(({ persistenceId, revision, state }) =>
      shown(persistenceId.slice(7), revision, state),
    );
    expect(folded).toEqual(this.states());
    const lived = await this.with(name, (system) =>
      Promise.all(
        [...new Set(this.told.map(([id]) => id))].sort().map(async (id) => {
          const ref = system.get(ledger, id);
          return shown(id, await ref.ask("revision"), await ref.ask("state"));
        }),
      ),
    );
    expect(lived).toEqual(this.states());
  }

  path(name: string, file: string): string {
    return `${this.disk.root}/${name}/${file}`;
  }

  /** The segments of a log, by their names. */
  segments(name: string, log: LogName): string[] {
    const names = this.disk.names(`${this.disk.root}/${name}`);
    return names.filter((file) => file.startsWith(`${log}.`) && file.endsWith(".ndjson")).sort();
  }

  /** What the first line of a file says. */
  identity(name: string, file: string): { lineage: string; parent?: string; after?: number } {
    const text = this.disk.read(this.path(name, file)).toString("utf8");
    return JSON.parse(text.slice(0, text.indexOf("\n"))) as { lineage: string };
  }

  /** The numbered lines of a file, as text. */
  lines(name: string, file: string): string[] {
    const text = this.disk.read(this.path(name, file)).toString("utf8");
    return text.split("\n").filter((line) => line.startsWith('{"seq":'));
  }
}
