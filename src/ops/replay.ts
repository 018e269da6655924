// Replay: folds the journal of a store into the states of its actors, without a system and without changing anything. With
// `verify`, folds twice, compares every snapshot on the way, and names the first event after which a state differs.
import { absencesOf, type Absences, type Position } from "../actors/history.ts";
import { FoldState, readSnapshot } from "../actors/fold.ts";
import { type AnyPersistentActor, type Definition, definitionOf, typeOfPersistenceId } from "../actors/persistent.ts";
import type { Backend, StoreView } from "../backends/backend.ts";
import { checkLog } from "../backends/check.ts";
import type { Location } from "../backends/locate.ts";
import { readSteadily } from "../backends/steady.ts";
import { isPapyraError, PapyraError } from "../errors.ts";
import type { SeqRange } from "../log/anomaly.ts";
import { gapRanges } from "../log/gaps.ts";
import { normalise, subtract } from "../log/ranges.ts";
import type { GapRecord, JournalRecord, LogName, LogRecord, SnapshotRecord } from "../log/record.ts";
import {
  type Divergence,
  type Expectation,
  type Folded,
  isOfThisHistory,
  type ReplayProblem,
  type ReplayReport,
  reportOf,
  type Running,
} from "./replay-report.ts";
import { passOver } from "./record-pass.ts";

export type { Divergence, ReplayedActor, ReplayProblem, ReplayReport } from "./replay-report.ts";

export interface ReplayOptions {
  /** The definitions of the actors whose states are wanted. */
  readonly definitions: readonly AnyPersistentActor[];
  /** Only this actor, by its persistence id. */
  readonly persistenceId?: string | undefined;
  /** Only records up to this seq of the journal. */
  readonly untilSeq?: number | undefined;
  /** Only records up to this time, in milliseconds since the epoch. */
  readonly untilMs?: number | undefined;
  readonly verify?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Rejects with STORE_NOT_FOUND, OPTION_INVALID (a type defined twice), FORMAT_UNKNOWN, STORAGE_FAILED, or the signal's reason. */
export async function replay(backend: Backend, options: ReplayOptions): Promise<ReplayReport> {
  return readSteadily(backend, (view) => replayView(backend, view, options));
}

async function replayView(backend: Backend, view: StoreView, options: ReplayOptions): Promise<ReplayReport> {
  const run = new Replay(backend, view, options);
  await run.prepare();
  const first = await run.fold();
  if (options.verify !== true) return reportOf(backend, first, run.unattributed, undefined);
  const second = await run.fold();
  return reportOf(backend, first, run.unattributed, await run.compare(first, second));
}

class Replay {
  readonly #backend: Backend;
  readonly #view: StoreView;
  readonly #options: ReplayOptions;
  readonly #definitions = new Map<string, Definition>();
  #absences: Absences = { missing: [], lost: [], compacted: [] };
  #expected = new Map<string, Expectation[]>();
  /** Where the folds begin whose events before were compacted. */
  readonly #bases = new Map<string, Position & { readonly state: unknown }>();

  constructor(backend: Backend, view: StoreView, options: ReplayOptions) {
    this.#backend = backend;
    this.#view = view;
    this.#options = options;
    for (const actor of options.definitions) {
      const definition = definitionOf(actor);
      if (this.#definitions.has(definition.type)) {
        throw new PapyraError("OPTION_INVALID", `two definitions have the type ${JSON.stringify(definition.type)}`);
      }
      this.#definitions.set(definition.type, definition);
    }
  }

  /** See {@link ReplayReport.unattributed}. */
  unattributed: readonly SeqRange[] = [];

  /** What is absent in the journal has to be known before the first event is folded; snapshots are what to compare with. */
  async prepare(): Promise<void> {
    const gaps: GapRecord[] = [];
    const { signal } = this.#options;
    const checked = await checkLog(this.#backend, this.#view, "journal", {
      live: this.#view.writer !== undefined,
      findingsMax: 1,
      signal,
      onEntry: (entry) => void (entry.type === "gap" && gaps.push(entry.record)),
    });
    this.#absences = absencesOf(normalise([...checked.account.missingSeqs, ...gaps.flatMap(gapRanges)]), gaps);
    const told = gaps.filter((gap) => gap.reason === "compacted" || (gap.concerns ?? []).length > 0);
    const unknown = normalise([...this.#absences.missing, ...this.#absences.lost]);
    this.unattributed = subtract(unknown, normalise(told.flatMap(gapRanges)));
    const firsts = this.#absences.compacted.length > 0 ? await this.#firstRevisions() : undefined;
    if (this.#options.verify !== true && firsts === undefined) return;
    await this.#pass("snapshots", (record) => {
      if (record.kind !== "snapshot") return;
      const id = record.persistence_id;
      const definition = this.#definitions.get(typeOfPersistenceId(id) ?? "");
      if (definition === undefined) return;
      const first = firsts?.get(id);
      if (first !== undefined && !this.#bases.has(id)) this.#addBase(definition, record, first);
      if (this.#options.verify !== true || (record.version ?? 1) !== definition.stateVersion) return;
      const list = this.#expected.get(id) ?? [];
      const { revision, digest, journal_seq: seq, timestamp } = record;
      this.#expected.set(id, [...list, { revision, digest, seq, timestamp }]);
    });
  }

  /** Of the actors whose history does not begin with revision 1 any more: the first revision that is there. */
  async #firstRevisions(): Promise<Map<string, number>> {
    const firsts = new Map<string, number>();
    await this.#pass("journal", (record) => {
      if (record.kind === "journal" && !firsts.has(record.persistence_id))
        firsts.set(record.persistence_id, record.revision);
    });
    for (const [id, revision] of firsts) if (revision === 1) firsts.delete(id);
    return firsts;
  }

  /** The oldest snapshot that reaches what is there is where the fold begins: everything behind it is folded and compared. */
  #addBase(definition: Definition, record: SnapshotRecord, firstRevision: number): void {
    const { persistence_id: id, revision, journal_seq: seq } = record;
    if (revision < firstRevision - 1 || this.#isBehind(seq, record.timestamp)) return;
    const verdict = readSnapshot(definition, record);
    if (verdict.usable) this.#bases.set(id, { state: verdict.state, revision, seq });
  }

  #newFold(definition: Definition, id: string): FoldState {
    const base = this.#bases.get(id);
    return new FoldState(definition, id, { absences: this.#absences, ...(base === undefined ? {} : { base }) }, base);
  }

  /** One pass over the journal; each actor has a fold of its own, and a failing one stops alone. */
  async fold(): Promise<Folded> {
    const actors = new Map<string, Running>();
    const folded = {
      problems: [] as ReplayProblem[],
      divergences: [] as Divergence[],
      undefinedTypes: {} as Record<string, number>,
    };
    let events = 0;
    let lastSeq = 0;
    let snapshots = 0;
    await this.#pass("journal", (record, at) => {
      if (this.#isBehind(record.seq, record.timestamp)) return;
      lastSeq = Math.max(lastSeq, record.seq);
      if (record.kind !== "journal") return;
      if (this.#options.persistenceId !== undefined && record.persistence_id !== this.#options.persistenceId) return;
      const running = this.#running(actors, record, folded.undefinedTypes);
      if (running === undefined || running.failed) return;
      events += 1;
      try {
        running.fold.push(record, at);
        snapshots += this.#compareSnapshots(running, record, folded.divergences);
      } catch (error) {
        running.failed = true;
        folded.problems.push(problemOf(record.persistence_id, error));
      }
    });
    const whole = this.#options.untilSeq === undefined && this.#options.untilMs === undefined;
    for (const [persistenceId, running] of actors) {
      if (running.failed || !whole) continue;
      try {
        running.fold.end();
      } catch (error) {
        running.failed = true;
        folded.problems.push(problemOf(persistenceId, error));
      }
    }
    return { ...folded, actors, snapshots, events, lastSeq };
  }

  #isBehind(seq: number, timestamp: number): boolean {
    const { untilSeq, untilMs } = this.#options;
    return (untilSeq !== undefined && seq > untilSeq) || (untilMs !== undefined && timestamp * 1000 > untilMs);
  }

  #running(
    actors: Map<string, Running>,
    record: JournalRecord,
    undefinedTypes: Record<string, number>,
  ): Running | undefined {
    const id = record.persistence_id;
    const known = actors.get(id);
    if (known !== undefined) return known;
    const type = typeOfPersistenceId(id) ?? id;
    const definition = this.#definitions.get(type);
    if (definition === undefined) {
      undefinedTypes[type] = (undefinedTypes[type] ?? 0) + 1;
      return undefined;
    }
    const fold = this.#newFold(definition, id);
    const base = this.#bases.get(id)?.revision ?? 0; // what it begins with is not compared with itself
    const behind = (this.#expected.get(id) ?? []).filter(({ revision }) => revision > base);
    const expected = behind.sort((a, b) => a.revision - b.revision);
    const running: Running = { fold, definition, expected, equalUpTo: 0, sinceEqual: undefined, failed: false };
    actors.set(id, running);
    return running;
  }

  /** Compares the state with the snapshots of this revision; returns how many there were. */
  #compareSnapshots(running: Running, record: JournalRecord, divergences: Divergence[]): number {
    const { fold, expected } = running;
    running.sinceEqual ??= { revision: record.revision, seq: record.seq, eventType: record.event_type };
    let compared = 0;
    while (expected[0] !== undefined && expected[0].revision <= fold.revision) {
      const expectation = expected.shift() as Expectation;
      const { revision, digest } = expectation;
      if (revision < fold.revision || !isOfThisHistory(expectation, record)) continue;
      compared += 1;
      if (digest === fold.digest()) {
        running.equalUpTo = revision;
        running.sinceEqual = undefined;
      } else {
        const since = running.sinceEqual ?? { revision, seq: record.seq, eventType: record.event_type };
        divergences.push({
          persistenceId: record.persistence_id,
          against: "snapshot",
          ...since,
          equalUpTo: running.equalUpTo,
        });
      }
    }
    return compared;
  }

  /** The divergences of both folds: of each from the snapshots, and of one from the other, located event by event. */
  async compare(
    first: Folded,
    second: Folded,
  ): Promise<{ folds: number; snapshots: number; divergences: Divergence[] }> {
    const suspects = new Set<string>();
    for (const [id, { fold, failed }] of first.actors) {
      const other = second.actors.get(id);
      if (failed !== other?.failed || (!failed && fold.digest() !== other.fold.digest())) suspects.add(id);
    }
    const divergences = [...first.divergences];
    if (suspects.size > 0) divergences.push(...(await this.#locate(suspects)));
    return { folds: 2, snapshots: first.snapshots, divergences };
  }

  /** Folds the suspects twice side by side, and compares after every event. */
  async #locate(suspects: ReadonlySet<string>): Promise<Divergence[]> {
    const pairs = new Map<string, readonly [FoldState, FoldState]>();
    const found = new Map<string, Divergence>();
    await this.#pass("journal", (record) => {
      if (this.#isBehind(record.seq, record.timestamp)) return;
      if (record.kind !== "journal" || !suspects.has(record.persistence_id) || found.has(record.persistence_id)) return;
      const id = record.persistence_id;
      const definition = this.#definitions.get(typeOfPersistenceId(id) ?? "") as Definition;
      const make = (): FoldState => this.#newFold(definition, id);
      const pair = pairs.get(id) ?? [make(), make()];
      pairs.set(id, pair);
      const before = pair[0].revision;
      const failed = pair.map((fold) => throws(() => fold.push(record)));
      if (failed[0] === failed[1] && (failed[0] === true || pair[0].digest() === pair[1].digest())) return;
      const { revision, seq, event_type: eventType } = record;
      found.set(id, { persistenceId: id, against: "fold", revision, seq, eventType, equalUpTo: before });
    });
    // A handler may happen to agree with itself this time: that it did not before is what counts.
    for (const id of suspects) {
      if (!found.has(id))
        found.set(id, {
          persistenceId: id,
          against: "fold",
          revision: 0,
          seq: 0,
          eventType: "(not the same one each time)",
          equalUpTo: 0,
        });
    }
    return [...found.values()];
  }

  #pass(log: LogName, visit: (record: LogRecord, at: Location) => void): Promise<void> {
    const { signal, onProgress } = this.#options;
    return passOver(this.#backend, this.#view, log, { signal, onProgress }, visit);
  }
}

function throws(act: () => void): boolean {
  try {
    act();
    return false;
  } catch {
    return true; // what it threw is in the report of the fold already
  }
}

function problemOf(persistenceId: string, error: unknown): ReplayProblem {
  if (!isPapyraError(error)) throw error;
  return { persistenceId, code: error.code, message: error.message, hint: error.hint };
}
