// Backups by a cron expression, in the process of the service. The expression only says when the next instant is; time is the
// clock's, and wall time is looked at again and again, since a machine may sleep and a clock may jump.
import { Cron } from "croner";
import type { BackupTaker, Store } from "../backends/store.ts";
import type { Clock } from "../env/env.ts";
import { ensureError, isPapyraError, PapyraError } from "../errors.ts";
import { refuseUnknown, text } from "../options.ts";
import type { CreateOptions, CreateReport } from "./create.ts";
import { assertKeeps, type KeepPolicy } from "./keep.ts";
import type { PruneOptions, PruneReport } from "./prune.ts";
import type { RepositoryView } from "./repository.ts";
import type { DefinedActors } from "./states.ts";

export interface ScheduleOptions {
  /** Five fields: minute, hour, day of the month, month, day of the week; or `@daily`, `@hourly`, `@weekly`. */
  readonly cron: string;
  /** An IANA name. Default: UTC. */
  readonly timeZone?: string | undefined;
  /** After each good backup, backups are removed by this policy. Default: none is removed. */
  readonly keep?: KeepPolicy | undefined;
  /** Folds the states of these actors with each backup, for drills to compare with. */
  readonly states?: DefinedActors | undefined;
  /** Called after each run. Must not throw. */
  readonly onReport: (report: ScheduledBackup) => void;
  /** Called with whatever is not as it was promised. Must not throw. */
  readonly onProblem: (problem: ScheduleProblem) => void;
}

/** One run. */
export interface ScheduledBackup {
  /** When it was due, in epoch seconds. */
  readonly due: number;
  readonly backup: CreateReport;
  readonly pruned: PruneReport | undefined;
}

export interface ScheduleProblem {
  /**
   * "skipped": due while another run was going on. "missed": due while the process was down or busy; one backup is made
   * for all of them at once. "failed": there is no backup, or it could not be pruned. "damaged": the source is.
   */
  readonly kind: "skipped" | "missed" | "failed" | "damaged";
  readonly message: string;
  /** When the last of the runs was due that this is about, in epoch seconds. */
  readonly due: number;
  /** How many runs it is about. */
  readonly runs: number;
  readonly error: Error | undefined;
}

export interface BackupSchedule {
  /** When the next run is due, in epoch seconds. */
  readonly next: number;
  /** No run begins any more. Resolves when the run in hand has ended. */
  stop(): Promise<void>;
}

/** A system, or whatever else hands its store to who takes backups. */
export interface BackedUpSystem {
  backup<Options, Report>(to: BackupTaker<Options, Report>, options?: Options): Promise<Report>;
}

/** What of a repository a schedule needs. */
export interface ScheduledRepository extends BackupTaker<CreateOptions, CreateReport> {
  readonly clock: Clock;
  list(): Promise<RepositoryView>;
  prune(options: PruneOptions): Promise<PruneReport>;
}

const OPTIONS = ["cron", "timeZone", "keep", "states", "onReport", "onProblem"] as const;
/** The clock is looked at so often, at least. */
const LOOK_MS = 60_000;
/** More runs than these are not counted. */
const MISSED_MAX = 10_000;

/**
 * Backs a running system, or an open store, up whenever a cron expression says so, until it is stopped. A run that was due since the
 * store's last backup, while the process was down, is made up for at once. Throws OPTION_INVALID.
 *
 * @example
 * ```ts
 * import { memoryStore, openStore } from "papyra";
 * import { backups, scheduleBackups } from "papyra/backup";
 * import { SimDisk } from "papyra/testing";
 * const { env } = new SimDisk();
 * const store = await openStore(memoryStore({}, env));
 * const schedule = scheduleBackups(store, backups("/backups", env), {
 *   cron: "0 3 * * *",
 *   keep: { daily: 7, weekly: 4, monthly: 12 },
 *   onReport: ({ backup }) => void backup.verdict,
 *   onProblem: ({ kind, message }) => void `${kind}: ${message}`,
 * });
 * if (new Date(schedule.next * 1000).getUTCHours() !== 3) throw new Error("not at three");
 * await schedule.stop();
 * ```
 */
export function scheduleBackups(
  source: Store | BackedUpSystem,
  repository: ScheduledRepository,
  options: ScheduleOptions,
): BackupSchedule {
  refuseUnknown("a schedule of backups", options, OPTIONS);
  if (options.keep !== undefined) assertKeeps(options.keep);
  for (const name of ["onReport", "onProblem"] as const) {
    if (typeof options[name] === "function") continue;
    throw new PapyraError("OPTION_INVALID", `option \`${name}\` must be a function`, { details: { option: name } });
  }
  return new Schedule(source, repository, options, instantsOf(options, repository.clock.nowMs()));
}

/** The next instant behind a time, or undefined when there is none. */
type Instants = (afterMs: number) => number | undefined;

function instantsOf({ cron, timeZone = "UTC" }: ScheduleOptions, nowMs: number): Instants {
  const pattern = text("cron", cron);
  text("timeZone", timeZone);
  let next: Instants;
  try {
    const parsed = new Cron(pattern, { timezone: timeZone, mode: "5-part", paused: true });
    next = (afterMs) => parsed.nextRun(new Date(afterMs))?.getTime();
    if (!/^\d{4}-/.test(pattern) && next(nowMs) !== undefined) return next;
  } catch (thrown) {
    throw invalid(`the schedule ${JSON.stringify(pattern)} (${timeZone}) cannot be used`, ensureError(thrown));
  }
  throw invalid(`the schedule ${JSON.stringify(pattern)} does not come again and again`, undefined);
}

function invalid(message: string, cause: Error | undefined): PapyraError {
  return new PapyraError("OPTION_INVALID", cause === undefined ? message : `${message}: ${cause.message}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'give five fields, for example "0 3 * * *" for every day at three, and a time zone such as Europe/Vienna',
    details: { option: "cron" },
  });
}

class Schedule implements BackupSchedule {
  readonly #source: Store | BackedUpSystem;
  readonly #repository: ScheduledRepository;
  readonly #options: ScheduleOptions;
  readonly #after: Instants;
  #dueMs: number;
  #running: Promise<void> | undefined;
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor(
    source: Store | BackedUpSystem,
    repository: ScheduledRepository,
    options: ScheduleOptions,
    after: Instants,
  ) {
    this.#source = source;
    this.#repository = repository;
    this.#options = options;
    this.#after = after;
    const nowMs = repository.clock.nowMs();
    this.#dueMs = this.#dueAfter(nowMs);
    this.#begin(() => this.#start(nowMs));
  }

  get next(): number {
    return this.#dueMs / 1000;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#running;
  }

  #dueAfter(timeMs: number): number {
    return this.#after(timeMs) ?? Number.POSITIVE_INFINITY;
  }

  #wait(): void {
    if (this.#stopped) return;
    const { clock } = this.#repository;
    const delayMs = Math.min(LOOK_MS, Math.max(0, this.#dueMs - clock.nowMs()));
    this.#cancel = clock.after(delayMs, () => this.#look(), "background");
  }

  #look(): void {
    const nowMs = this.#repository.clock.nowMs();
    if (nowMs >= this.#dueMs) {
      const due = this.#dueUntil(this.#dueMs, nowMs);
      const last = due.at(-1) as number;
      this.#dueMs = this.#dueAfter(nowMs);
      if (this.#running !== undefined) this.#tell("skipped", due, "another run was going on");
      else {
        if (due.length > 1) this.#tell("missed", due.slice(0, -1), "the process was busy, or the machine slept");
        this.#begin(() => this.#run(last));
      }
    }
    this.#wait();
  }

  /** The instants from `fromMs`, which is one, to `untilMs`. */
  #dueUntil(fromMs: number, untilMs: number): number[] {
    const due = [fromMs];
    for (let at = this.#dueAfter(fromMs); at <= untilMs && due.length < MISSED_MAX; at = this.#dueAfter(at))
      due.push(at);
    return due;
  }

  #begin(work: () => Promise<void>): void {
    this.#running = work().finally(() => (this.#running = undefined));
  }

  /** Makes up for what was due since the last backup of this store. */
  async #start(nowMs: number): Promise<void> {
    const missed = await this.#missedBy(nowMs);
    this.#wait();
    if (missed.length === 0 || this.#stopped) return;
    this.#tell("missed", missed, "no backup was made since, as when the process is down");
    await this.#run(missed.at(-1) as number);
  }

  async #missedBy(nowMs: number): Promise<number[]> {
    try {
      const lastMs = await this.#lastBackupMs();
      const dueMs = lastMs === undefined ? Number.POSITIVE_INFINITY : this.#dueAfter(lastMs);
      return dueMs > nowMs ? [] : this.#dueUntil(dueMs, nowMs);
    } catch (thrown) {
      this.#tell("failed", [nowMs], "it cannot be told when the last backup was made", ensureError(thrown));
      return [];
    }
  }

  async #lastBackupMs(): Promise<number | undefined> {
    const identity = await this.#withStore(async (store) => (await store.backend.view()).identity);
    try {
      const { backups } = await this.#repository.list();
      const made = backups.flatMap(({ good, manifest }) => (good && manifest !== undefined ? [manifest] : []));
      const last = made.findLast(({ store, how }) => store === identity?.store && how !== "adopted");
      return last === undefined ? undefined : last.instant * 1000;
    } catch (error) {
      if (isPapyraError(error, "BACKUP_NOT_FOUND")) return undefined; // the first run makes the repository
      throw error;
    }
  }

  #withStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
    return "backup" in this.#source ? this.#source.backup({ take: work }) : work(this.#source);
  }

  async #run(dueMs: number): Promise<void> {
    const { keep, states, onReport } = this.#options;
    const due = dueMs / 1000;
    let backup: CreateReport;
    try {
      backup = await this.#withStore((store) => this.#repository.take(store, { note: "scheduled", states }));
    } catch (thrown) {
      this.#tell("failed", [dueMs], "no backup was made", ensureError(thrown));
      return;
    }
    let pruned: PruneReport | undefined;
    try {
      if (backup.ok && keep !== undefined) pruned = await this.#repository.prune({ keep });
    } catch (thrown) {
      this.#tell("failed", [dueMs], "the backup was made, and the others were not pruned", ensureError(thrown));
    }
    if (!backup.ok) this.#tell("damaged", [dueMs], backup.verdict);
    onReport({ due, backup, pruned });
  }

  #tell(kind: ScheduleProblem["kind"], due: readonly number[], why: string, error?: Error): void {
    const [lastMs, runs] = [due.at(-1) as number, due.length];
    const at = new Date(lastMs).toISOString();
    const what = runs === 1 ? `the run of ${at}` : `${runs} runs, the last of ${at}`;
    const because = error === undefined ? why : `${why}: ${error.message}`;
    this.#options.onProblem({ kind, message: `${what}: ${kind}: ${because}`, due: lastMs / 1000, runs, error });
  }
}
