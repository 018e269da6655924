// What a self-test measured and what it comes to. Pure: facts -> findings, a verdict, and what the disk promises in plain words.
import type { Latency } from "./latency.ts";
import { durabilityOf, type Durability, UNKNOWABLE, type VolumeFacts } from "./selftest-durability.ts";

/** Durable appends through the file store. */
export interface ThroughputFacts {
  readonly writers: number;
  readonly records: number;
  readonly batches: number;
  readonly recordsPerSecond: number;
  /** From the call of append to its acknowledgement. */
  readonly ack: Latency;
}

export interface DirectoryFacts {
  /** Undefined when the file system refuses to sync a directory. */
  readonly sync: Latency | undefined;
  readonly failure: string | undefined;
  /** A rename put the new file in place of the old one, took its former name away, and left an open reader the old file. */
  readonly renameReplaces: boolean;
}

export interface WriteFacts {
  readonly writes: number;
  readonly bytes: number;
  /** How many writes took fewer bytes than they were given, without an error. */
  readonly short: number;
  /** What was read back is what was written. */
  readonly readBack: boolean;
  /** A write across the largest size of a file; undefined where that was not tried, or is out of reach. */
  readonly limit: LimitFacts | undefined;
}

export interface LimitFacts {
  /** The largest size of a file here. */
  readonly limitBytes: number;
  readonly asked: number;
  /** How many bytes the write took. */
  readonly taken: number;
  /** It took what fits and not a byte more, the rest was refused, and the file is as long as that. */
  readonly honest: boolean;
}

export interface LockFacts {
  /** A second opener in the same process was refused. */
  readonly excludesSameProcess: boolean;
  /** Another process was refused while this one held the store, and this one while another held it. */
  readonly excludesOtherProcess: boolean;
  /** How long after the SIGKILL of its holder the lock was free; undefined when it never was. */
  readonly freeAfterKillMs: number | undefined;
}

export interface ClockFacts {
  readonly samples: number;
  readonly elapsedMs: number;
  /** The smallest step that the wall clock was seen to make, in milliseconds. */
  readonly wallStepMs: number | undefined;
  readonly monotonicStepMs: number | undefined;
  /** The largest step back. */
  readonly wallBackMs: number;
  readonly monotonicBackMs: number;
  /** How far the wall clock went ahead of the monotonic one (negative: fell behind). */
  readonly driftMs: number;
}

export interface CrashFacts {
  readonly rounds: number;
  readonly stores: number;
  readonly acknowledged: number;
  /** Acknowledged records that are not there, or are there with another content. */
  readonly lost: number;
  readonly changed: number;
  readonly tornTails: number;
  readonly sealedSegments: number;
  readonly recoveries: number;
  /** Stores that were not sound after a crash, at most 20, in words. */
  readonly unsound: readonly string[];
}

export interface TailFacts {
  /** Truncated at so many places, each with the mark and without it. */
  readonly cuts: number;
  readonly wrongCount: number;
  /** At most 20 verdicts that differ from what must be. */
  readonly wrong: readonly string[];
}

export interface SelftestFacts {
  readonly volume: VolumeFacts;
  readonly sync: Latency;
  readonly throughput: ThroughputFacts;
  readonly directory: DirectoryFacts;
  readonly writes: WriteFacts;
  readonly lock: LockFacts;
  readonly clock: ClockFacts;
  readonly crash: CrashFacts;
  readonly tails: TailFacts;
}

export interface SelftestFinding {
  readonly name: string;
  /** "bad": Papyra cannot keep its promises here. "note": it can, and somebody should know. */
  readonly verdict: "good" | "bad" | "note";
  readonly detail: string;
}

export interface SelftestReport extends SelftestFacts {
  readonly ok: boolean;
  /** One line for people. */
  readonly verdict: string;
  readonly path: string;
  readonly findings: readonly SelftestFinding[];
  readonly durability: Durability;
  /** What no software can find out. */
  readonly unknowable: readonly string[];
}

/** Puts the facts together into the report. */
export function judgeSelftest(path: string, facts: SelftestFacts): SelftestReport {
  const findings = [
    storesOf(facts.crash),
    tailsOf(facts.tails),
    locksOf(facts.lock),
    directoryOf(facts.directory),
    writesOf(facts.writes),
    clockOf(facts.clock),
  ];
  const bad = findings.filter(({ verdict }) => verdict === "bad").map(({ name }) => name);
  const durability = durabilityOf(facts.volume, facts.sync);
  const verdict =
    bad.length > 0
      ? `this disk does not keep what Papyra promises: ${bad.join(", ")}`
      : `${facts.crash.rounds} writers killed, ${facts.crash.acknowledged} acknowledged records, none lost; ${durability.summary}`;
  return { ok: bad.length === 0, verdict, path, findings, durability, unknowable: UNKNOWABLE, ...facts };
}

function finding(name: string, bad: boolean, detail: string, note: boolean = false): SelftestFinding {
  return { name, verdict: bad ? "bad" : note ? "note" : "good", detail };
}

function storesOf({ rounds, stores, acknowledged, lost, changed, unsound }: CrashFacts): SelftestFinding {
  const bad = lost > 0 || changed > 0 || unsound.length > 0;
  if (acknowledged === 0)
    return finding("crashes", true, `no writer acknowledged anything before it was killed (${rounds} rounds)`);
  const counts = `${rounds} writers of ${stores} stores killed; of ${acknowledged} acknowledged records ${lost} are lost and ${changed} have another content`;
  return finding("crashes", bad, unsound.length === 0 ? counts : `${counts}; ${unsound[0]}`);
}

function tailsOf({ cuts, wrongCount, wrong }: TailFacts): SelftestFinding {
  if (cuts === 0 && wrongCount === 0) return finding("cut tails", true, "no tail was cut");
  const detail =
    wrongCount === 0
      ? `cut at each of ${cuts} bytes, with and without the mark: every verdict is right`
      : `${wrongCount} verdicts on ${cuts} cut tails are wrong; ${wrong[0]}`;
  return finding("cut tails", wrongCount > 0, detail);
}

function locksOf({ excludesSameProcess, excludesOtherProcess, freeAfterKillMs }: LockFacts): SelftestFinding {
  const wrong = [
    ...(excludesSameProcess ? [] : ["a second opener in the same process was let in"]),
    ...(excludesOtherProcess ? [] : ["another process was let in: two writers are possible here"]),
    ...(freeAfterKillMs === undefined ? ["it was not free again after its holder was killed"] : []),
  ];
  const good = `keeps out a second opener and another process; free ${Math.round(freeAfterKillMs ?? 0)} ms after its holder was killed`;
  return finding("lock", wrong.length > 0, wrong.length > 0 ? wrong.join("; ") : good);
}

function directoryOf({ sync, failure, renameReplaces }: DirectoryFacts): SelftestFinding {
  if (!renameReplaces)
    return finding("directory", true, "a rename did not put the new file in the place of the old one");
  if (sync === undefined) return finding("directory", true, `names cannot be made durable: ${failure}`);
  return finding("directory", false, "renames replace, and directories can be synced");
}

function writesOf({ writes, bytes, short, readBack, limit }: WriteFacts): SelftestFinding {
  if (!readBack) return finding("writes", true, "what was read back is not what was written");
  const across =
    limit &&
    `at the largest size of a file (${limit.limitBytes} bytes) a write of ${limit.asked} bytes took ${limit.taken}`;
  if (limit?.honest === false) return finding("writes", true, `${across}: not what is there afterwards`);
  const seen =
    short === 0
      ? `none of ${writes} writes (${bytes} bytes) came short`
      : `${short} of ${writes} writes came short, and went on to the last byte`;
  const end = across === undefined ? "a write that does not fit was not seen" : `${across}, and the rest was refused`;
  return finding("writes", false, `${seen}; ${end}`, short > 0);
}

/** So much may the two clocks differ before it is worth a note: a slewing clock stays below. */
const DRIFT_SHARE = 0.001;
const DRIFT_MIN_MS = 50;

function clockOf({ wallBackMs, monotonicBackMs, driftMs, elapsedMs }: ClockFacts): SelftestFinding {
  if (monotonicBackMs > 0)
    return finding("clock", true, `the monotonic clock went back by ${monotonicBackMs} ms: timers cannot be trusted`);
  if (wallBackMs > 0)
    return finding(
      "clock",
      false,
      `the wall clock went back by ${wallBackMs} ms; records keep their order by seq`,
      true,
    );
  if (Math.abs(driftMs) > Math.max(DRIFT_MIN_MS, elapsedMs * DRIFT_SHARE))
    return finding("clock", false, `the wall clock moved ${Math.round(driftMs)} ms against the monotonic one`, true);
  return finding("clock", false, `never went back; drift ${driftMs.toFixed(1)} ms in ${Math.round(elapsedMs)} ms`);
}
