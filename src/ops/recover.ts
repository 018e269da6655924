// Recovery: takes damaged bytes out of a store, keeps every healthy line byte for byte, and leaves a gap record for what
// is gone. Never runs by itself; a second run finds nothing to do; a crash at any step leaves each segment as it was or
// as it shall be, and the next run goes on.
import type { Backend, Claim, Segment, Splice, StoreFinding, StoreView } from "../backends/backend.ts";
import { checkLog } from "../backends/check.ts";
import { withPinnedClaim } from "../backends/pinned.ts";
import { PapyraError } from "../errors.ts";
import { type Anomaly, isHarmless } from "../log/anomaly.ts";
import { LOG_NAMES, type LogName } from "../log/record.ts";
import { activeName } from "../log/segments.ts";
import { type LogPlan, planRepair, type RemovedBytes } from "./plan.ts";
import { assertPlaceToKeep } from "./keep-place.ts";
import { Keeper } from "./keeper.ts";
import { planSeals } from "./seals.ts";
import {
  createdFile,
  newRun,
  type RecoverAction,
  type RecoverOptions,
  type RecoverReport,
  removedFile,
  unchanged,
} from "./recover-report.ts";
import { assertNoneDoubtful, leftoversIn } from "./superseded.ts";
import { logsToScan, scan, type ScanReport, scanView } from "./scan.ts";

export {
  RECOVER_MODES,
  type RecoverAction,
  type RecoverMode,
  type RecoverOptions,
  type RecoverReport,
} from "./recover-report.ts";

const ACTIONS_MAX = 1000;
/** Findings are mended so many at a time; a log with more takes several rounds. */
const FINDINGS_PER_ROUND = 20_000;
const ROUNDS_MAX = 10_000;

/**
 * Rejects with STORE_LOCKED while the store is being written, STORE_NOT_FOUND, FORMAT_UNKNOWN, OPTION_INVALID (a quarantine in the store), STORAGE_FULL and
 * STORAGE_FAILED (each segment is then as before or as after), or the signal's reason. `confirm` is asked under the lock, before
 * anything is changed: nobody else writes from there on.
 */
export async function recover(
  backend: Backend,
  options: RecoverOptions,
  confirm?: (claim: Claim) => Promise<void>,
): Promise<RecoverReport> {
  const { signal, onProgress, log } = options;
  if (options.mode === "quarantine") await assertPlaceToKeep(backend, options.quarantineDir);
  const before = await scan(backend, { log, signal, onProgress });
  if (options.mode === "ignore" || before.ok || !(await anythingToMend(backend, before, options))) {
    return unchanged(backend, options.mode, before);
  }
  return withPinnedClaim(backend, "recovery", async (claim) => {
    await confirm?.(claim);
    const run = new Recovery(backend, claim, options);
    await run.all();
    const after = await scanView(backend, await claim.view(), { log, signal });
    return run.report(before, after);
  });
}

/** What recovery leaves alone: a file that is none of ours, a whole file that belongs elsewhere or cannot be judged. */
function mayBeBeyondRepair({ kind, leftover }: Anomaly): boolean {
  return kind === "foreign-line" || kind === "unreadable" || (kind === "unexpected-file" && leftover === undefined);
}

/** Looks before it takes the store: where nothing can be mended, nothing at all is touched. */
async function anythingToMend(backend: Backend, before: ScanReport, options: RecoverOptions): Promise<boolean> {
  if (!before.anomalies.some(mayBeBeyondRepair)) return true;
  const view = await backend.view();
  if (view.writer !== undefined) return true; // the claim is refused, and says by whom
  if (view.findings.some((finding) => isMendable(view, finding, options.log))) return true;
  for (const log of logsToScan(view, options.log)) {
    const checked = await checkLog(backend, view, log, { live: false, findingsMax: 1000, signal: options.signal });
    const plan = await planRepair(backend, view, checked, { quarantine: false, by: "", nowMs: 0 });
    if (plan.segments.length > 0) return true;
  }
  return false;
}

function isMendable(view: StoreView, finding: StoreFinding, log: LogName | undefined): boolean {
  if (finding.kind === "unexpected-file") return finding.leftover !== undefined;
  return view.identity !== undefined && (log === undefined || finding.log === log);
}

class Recovery {
  readonly #backend: Backend;
  readonly #claim: Claim;
  readonly #options: RecoverOptions;
  readonly #id: string;
  readonly #nowMs: number;
  readonly #keeper: Keeper;
  readonly #sizes = new Map<string, { before: number; after: number }>();
  readonly #actions: RecoverAction[] = [];
  readonly #gaps: RecoverReport["gaps"][number][] = [];
  readonly #lastSeqs: Partial<Record<LogName, number>> = {};
  /** The segments that this run has changed. */
  readonly #rewritten = new Set<string>();
  #actionCount = 0;
  #removedBytes = 0;
  #insertedBytes = 0;
  #round = 0;

  constructor(backend: Backend, claim: Claim, options: RecoverOptions) {
    this.#backend = backend;
    this.#claim = claim;
    this.#options = options;
    const { id, nowMs } = options.run ?? newRun(backend);
    this.#id = id;
    this.#nowMs = nowMs;
    this.#keeper = new Keeper(backend, claim, { mode: options.mode, root: options.quarantineDir, recovery: id });
  }

  async all(): Promise<void> {
    let view = await this.#claim.view();
    // Only what was vouched for stays so: recovery does not know what a copy was too early to see.
    const vouched = LOG_NAMES.filter((log) => view.reach(log)?.exact === true);
    const reached = new Map(vouched.map((log) => [log, view.reach(log)?.seq]));
    const missing = view.findings.filter((finding) => finding.kind === "missing-segment");
    const concerned = missing.some((finding) => this.#options.log === undefined || finding.log === this.#options.log);
    const damaged = view.findings.find((finding) => finding.kind === "checksum-mismatch");
    const storeFile = damaged !== undefined && this.#options.log === undefined;
    if (view.identity !== undefined && (concerned || storeFile)) {
      await this.#keeper.replacing(view, missing, storeFile ? damaged : undefined);
      await this.#claim.create(view.identity);
      for (const { file } of missing) this.#act("file created", createdFile(file, "unknown"));
      if (storeFile)
        this.#act("identity restored", {
          file: damaged.file,
          offset: 0,
          bytes: damaged.bytes ?? 0,
          kind: "checksum-mismatch",
          seqs: undefined,
          acknowledged: "none",
        });
      view = await this.#claim.view();
    }
    for (const log of logsToScan(view, this.#options.log)) await this.#log(log, view);
    for (const file of await this.#claim.tidy()) this.#act("temporary file removed", removedFile(file));
    await this.#removeSuperseded();
    // What the mark says already needs not be said again: a new mark takes space.
    const news = (log: LogName): boolean =>
      this.#lastSeqs[log] !== undefined && this.#lastSeqs[log] !== reached.get(log);
    const known = vouched.some(news) ? vouched.filter((log) => this.#lastSeqs[log] !== undefined) : [];
    if (known.length > 0)
      await this.#claim.vouch(Object.fromEntries(known.map((log) => [log, this.#lastSeqs[log] as number])));
    await this.#keeper.complete();
  }

  /** What an interrupted compaction left behind, as far as it is proved. */
  async #removeSuperseded(): Promise<void> {
    const { log } = this.#options;
    const { proved } = await leftoversIn(
      this.#backend,
      await this.#claim.view(),
      log === undefined ? LOG_NAMES : [log],
    );
    await this.#claim.remove(proved);
    for (const file of proved) this.#act("superseded file removed", removedFile(file));
  }

  /** Rounds, until one finds nothing that it can mend: findings are bounded, and a moved line is a duplicate at first. */
  async #log(log: LogName | undefined, first: StoreView): Promise<void> {
    for (this.#round = 0; this.#round < ROUNDS_MAX; this.#round++) {
      const view = this.#round === 0 ? first : await this.#claim.view();
      const checked = await checkLog(this.#backend, view, log, {
        live: false,
        findingsMax: FINDINGS_PER_ROUND,
        hashSealed: true,
        signal: this.#options.signal,
      });
      const plan = await planRepair(this.#backend, view, checked, {
        quarantine: this.#options.mode === "quarantine",
        by: `recover ${this.#id}`,
        nowMs: this.#nowMs,
      });
      const writesOff = plan.gaps.length > 0;
      if (log !== undefined && writesOff) await assertNoneDoubtful(this.#backend, view, log);
      if (log !== undefined) this.#lastSeqs[log] = Math.max(checked.account.lastSeq, writesOff ? plan.lastSeq : 0);
      if (plan.segments.length === 0) {
        if (log !== undefined) await this.#seal(log, view, checked.account.findings);
        return;
      }
      if (await this.#activeMade(log, view, plan)) continue;
      await this.#apply(view, plan);
      this.#note(checked.account.findings, plan);
    }
    throw new PapyraError(
      "INTERNAL",
      `recovery of ${log ?? "the log"} did not come to an end after ${ROUNDS_MAX} rounds`,
    );
  }

  /** Gap records go into the active segment, and a crash between closing one and beginning the next leaves none. */
  async #activeMade(log: LogName | undefined, view: StoreView, plan: LogPlan): Promise<boolean> {
    if (log === undefined || view.identity === undefined) return false;
    const file = activeName(log);
    const wanted = plan.segments.some(({ segment }) => segment === file);
    if (!wanted || view.segments.some(({ name }) => name === file)) return false;
    await this.#keeper.replacing(view, [{ file, log }], undefined);
    await this.#claim.create(view.identity);
    this.#act("file created", createdFile(file, "none"));
    return true;
  }

  /** When every line is as it shall be: a crash before leaves seals that are about other bytes, and the next run mends them. */
  async #seal(log: LogName, view: StoreView, findings: readonly LogPlanFinding[]): Promise<void> {
    const about = findings.filter(({ kind, repair }) => kind === "checksum-mismatch" && repair.type === "none");
    const plan = await planSeals(
      this.#backend,
      view,
      log,
      new Set([...this.#rewritten, ...about.map(({ file }) => file)]),
    );
    await this.#apply(view, plan);
    for (const { segment: file, splices } of plan.segments) {
      const { offset, remove, insert } = splices.at(-1) as Splice;
      const about = { file, offset, kind: "checksum-mismatch", seqs: undefined, acknowledged: "none" } as const;
      if (insert.length > 0) this.#act("sealed anew", { ...about, bytes: insert.length });
      else this.#act("removed", { ...about, bytes: remove });
    }
  }

  async #apply(view: StoreView, plan: Pick<LogPlan, "segments" | "removed">): Promise<void> {
    await this.#keeper.removed(view, plan.removed, this.#round);
    // Rewriting one changes no other: looking at all of them anew for each would never end where many are damaged.
    const segments = new Map((await this.#claim.view()).segments.map((segment) => [segment.name, segment]));
    for (const { segment: name, splices, removedBytes, insertedBytes } of plan.segments) {
      this.#options.signal?.throwIfAborted();
      const segment = segments.get(name);
      if (segment === undefined) throw new PapyraError("INTERNAL", `${name} was to be rewritten and is not there`);
      await this.#keeper.rewriting(segment, splices);
      this.#measure(segment, splices);
      await this.#claim.rewrite(name, splices);
      this.#rewritten.add(name);
      this.#removedBytes += removedBytes;
      this.#insertedBytes += insertedBytes;
    }
  }

  #measure({ name, bytes }: Segment, splices: readonly Splice[]): void {
    const grown = splices.reduce((sum, { remove, insert }) => sum + insert.length - remove, 0);
    this.#sizes.set(name, { before: this.#sizes.get(name)?.before ?? bytes, after: bytes + grown });
  }

  #note(findings: readonly LogPlanFinding[], plan: LogPlan): void {
    const words = {
      remove: "removed",
      move: "moved",
      terminate: "terminated",
      identity: "identity restored",
      none: undefined,
    } as const;
    for (const { file, offset, length, kind, seqs, acknowledged, repair } of findings) {
      const what = words[repair.type];
      if (what !== undefined) this.#act(what, { file, offset, bytes: length, kind, seqs, acknowledged });
    }
    for (const gap of plan.gaps) if (plan.log !== undefined) this.#gaps.push({ log: plan.log, ...gap });
  }

  #act(what: RecoverAction["what"], action: Omit<RecoverAction, "what">): void {
    this.#actionCount += 1;
    if (this.#actions.length < ACTIONS_MAX) this.#actions.push({ what, ...action });
  }

  report(before: ScanReport, after: ScanReport): RecoverReport {
    const changed = this.#actionCount > 0 || this.#gaps.length > 0;
    const left = after.anomalies.filter((anomaly) => !isHarmless(anomaly)).length;
    const kept = this.#keeper.directory === undefined ? "" : `, kept in ${this.#keeper.directory}`;
    const verdict = after.startable
      ? `recovered: ${this.#removedBytes} bytes removed${kept}, ${this.#gaps.length} gap ${this.#gaps.length === 1 ? "record" : "records"} written; now ${after.verdict}`
      : `${left} anomalies remain: ${after.verdict}`;
    return {
      ok: after.startable,
      verdict,
      mode: this.#options.mode,
      id: changed ? this.#id : undefined,
      segments: [...this.#sizes].map(([file, { before: was, after: is }]) => ({
        file,
        bytesBefore: was,
        bytesAfter: is,
      })),
      path: this.#backend.location,
      changed,
      before,
      removedBytes: this.#removedBytes,
      insertedBytes: this.#insertedBytes,
      quarantine: this.#keeper.directory,
      actions: this.#actions,
      actionCount: this.#actionCount,
      gaps: this.#gaps,
      after,
    };
  }
}

type LogPlanFinding = RemovedBytes["finding"];
