// Continuous backup: what becomes durable in a store is shipped into the repository every second or so, under one manifest that is
// renewed each time; now and then a backup of its own is made. A watch that is started again goes on where the last one ended.
import type { Backend } from "../backends/backend.ts";
import { isPapyraError } from "../errors.ts";
import { LOG_NAMES } from "../log/record.ts";
import { wholeNumber } from "../options.ts";
import { createBackup, type CreateReport, type CreateSource, withParts } from "./create.ts";
import { encodeManifest, type Manifest, watchName } from "./manifest.ts";
import type { ObjectStore } from "./objects.ts";

export interface WatchOptions {
  /** How often, in milliseconds: so much may be missing. From 10. Default 1,000. */
  readonly everyMs?: number | undefined;
  /** How often a backup is made of its own, in milliseconds. From 1,000. Default one hour. */
  readonly backupEveryMs?: number | undefined;
  /** Ends the watch, which then ships what is left, and resolves. */
  readonly signal: AbortSignal;
  /** Called after each shipment. */
  readonly onShipped?: ((shipment: Shipment) => void) | undefined;
  /** Called when a round could not be made; the next one tries again. */
  readonly onProblem?: ((error: unknown) => void) | undefined;
}

/** One shipment. */
export interface Shipment {
  /** Everything acknowledged before this is in the repository; milliseconds since the epoch. */
  readonly instantMs: number;
  /** How long ago that is. */
  readonly lagMs: number;
  readonly storedBytes: number;
  readonly records: number;
}

export interface WatchReport {
  readonly ok: boolean;
  readonly verdict: string;
  readonly rounds: number;
  readonly shipments: number;
  readonly backups: number;
  readonly problems: number;
  readonly last: Shipment | undefined;
}

/**
 * Watches a store that is being written, until the signal. Rejects with OPTION_INVALID at once, and with whatever the first
 * round rejects with (STORE_NOT_FOUND, STORAGE_FAILED); later failures are told to `onProblem`, and tried again.
 */
export async function watchBackups(
  backend: Backend,
  objects: ObjectStore,
  options: WatchOptions,
  source: CreateSource = {},
): Promise<WatchReport> {
  const everyMs = wholeNumber("everyMs", options.everyMs, 1000, 10, 86_400_000);
  const backupEveryMs = wholeNumber("backupEveryMs", options.backupEveryMs, 3_600_000, 1000, 366 * 86_400_000);
  const watch = new Watch(backend, objects, backupEveryMs, source, options);
  await watch.round();
  while (!options.signal.aborted) {
    await wait(backend, everyMs, options.signal);
    await watch.tryRound();
  }
  return watch.report();
}

/** After so many rounds in which nothing came, the manifest is renewed: up to when it reaches must not look old. */
const RENEW_ROUNDS = 30;

class Watch {
  readonly #backend: Backend;
  readonly #objects: ObjectStore;
  readonly #backupEveryMs: number;
  readonly #source: CreateSource;
  readonly #options: WatchOptions;
  #backupAtMs = Number.NEGATIVE_INFINITY;
  /** What was shipped last, by its ends, and for how many rounds nothing has come since. */
  #shipped = "";
  #idle = 0;
  #rounds = 0;
  #shipments = 0;
  #backups = 0;
  #problems = 0;
  #last: Shipment | undefined;

  constructor(
    backend: Backend,
    objects: ObjectStore,
    backupEveryMs: number,
    source: CreateSource,
    options: WatchOptions,
  ) {
    this.#backend = backend;
    this.#objects = objects;
    this.#backupEveryMs = backupEveryMs;
    this.#source = source;
    this.#options = options;
  }

  /** What is in the way for a while (a prune, a compaction) is told, and the next round tries again. */
  async tryRound(): Promise<void> {
    try {
      await this.round();
    } catch (error) {
      if (isPapyraError(error, "INTERNAL")) throw error;
      this.#problems += 1;
      this.#options.onProblem?.(error);
    }
  }

  async round(): Promise<void> {
    const { clock } = this.#backend.env;
    this.#rounds += 1;
    if (clock.monotonicMs() - this.#backupAtMs >= this.#backupEveryMs) {
      const ends = await this.#endsNow();
      const report: CreateReport = await createBackup(this.#backend, this.#objects, {}, this.#source);
      this.#backupAtMs = clock.monotonicMs();
      this.#backups += 1;
      this.#note(report.backup, report.storedBytes, ends);
      return;
    }
    const ends = await this.#endsNow();
    this.#idle = ends === this.#shipped ? this.#idle + 1 : 0;
    if (this.#idle % RENEW_ROUNDS !== 0) return; // nothing came
    const source: CreateSource = { ...this.#source, how: "watched" };
    await withParts(this.#backend, this.#objects, { purpose: "watch" }, source, async ({ manifest, storedBytes }) => {
      await this.#objects.put(watchName(manifest.store), encodeManifest(manifest));
      this.#note(manifest, storedBytes, ends);
    });
  }

  /** Where the logs end, without reading them. */
  async #endsNow(): Promise<string> {
    const { acknowledged, segments } = await this.#backend.view();
    return JSON.stringify(
      acknowledged === undefined
        ? segments.map(({ id, bytes }) => [id, bytes])
        : LOG_NAMES.map((log) => acknowledged[log] ?? 0),
    );
  }

  #note(manifest: Manifest, storedBytes: number, ends: string): void {
    const { clock } = this.#backend.env;
    const instantMs = Math.round(manifest.instant * 1000);
    const records = LOG_NAMES.reduce((sum, log) => sum + manifest.logs[log].records, 0);
    this.#shipped = ends;
    this.#shipments += 1;
    this.#last = { instantMs, lagMs: Math.max(0, clock.nowMs() - instantMs), storedBytes, records };
    this.#options.onShipped?.(this.#last);
  }

  report(): WatchReport {
    const { rounds, shipments, backups, problems, last } = {
      rounds: this.#rounds,
      shipments: this.#shipments,
      backups: this.#backups,
      problems: this.#problems,
      last: this.#last,
    };
    const upTo = last === undefined ? "nothing" : new Date(last.instantMs).toISOString();
    const verdict = `shipped ${shipments} times, up to ${upTo}; ${backups} backups made, ${problems} rounds failed`;
    return { ok: problems === 0, verdict, rounds, shipments, backups, problems, last };
  }
}

function wait({ env }: Backend, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const end = (): void => {
      cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const cancel = env.clock.after(ms, end, "foreground");
    signal.addEventListener("abort", end, { once: true });
  });
}
