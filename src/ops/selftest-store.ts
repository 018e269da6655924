// The real file store on the disk under test: how many durable appends a second, and what becomes of a store whose tail is cut.
import { join } from "node:path";
import { fileBackend } from "../backends/files.ts";
import { openStore } from "../backends/open.ts";
import { readSmall, writeAll } from "../env/durable.ts";
import type { Env } from "../env/env.ts";
import { activeName, MARK_FILE } from "../log/segments.ts";
import type { NewRecord } from "../log/record.ts";
import { latencyOf } from "./latency.ts";
import { scan, type ScanReport } from "./scan.ts";
import type { ProbeLimits } from "./selftest-disk.ts";
import type { TailFacts, ThroughputFacts } from "./selftest-report.ts";

/** An event of the self-test; `n` is found again by it. */
export function eventOf(n: number, text: string = ""): NewRecord {
  const payload = { n, text };
  return { kind: "event", system_id: "selftest", actor_address: "selftest://a", event_type: "Noted", payload };
}

const WRITERS = 64;

/** Many writers at once, each waiting for its acknowledgement before it appends again. */
export async function probeThroughput(env: Env, path: string, limits: ProbeLimits): Promise<ThroughputFacts> {
  const store = await openStore(fileBackend({ path }, env));
  const { clock } = env;
  const startMs = clock.monotonicMs();
  const samples: number[] = [];
  let next = 0;
  const write = async (): Promise<void> => {
    while (next < limits.count && clock.monotonicMs() - startMs < limits.ms && limits.signal?.aborted !== true) {
      const beforeMs = clock.monotonicMs();
      await store.append("events", [eventOf((next += 1))]);
      samples.push(clock.monotonicMs() - beforeMs);
    }
  };
  try {
    await Promise.all(Array.from({ length: WRITERS }, write));
  } finally {
    await store.close();
  }
  limits.signal?.throwIfAborted();
  const seconds = (clock.monotonicMs() - startMs) / 1000;
  const records = samples.length;
  const recordsPerSecond = seconds > 0 ? Math.round(records / seconds) : 0;
  return { writers: WRITERS, records, batches: store.stats().batches, recordsPerSecond, ack: latencyOf(samples) };
}

/** What a scan must say of the log that was cut; what it says beyond this is not compared. */
export interface TailTruth {
  readonly records: number;
  readonly ok: boolean;
  /** How many acknowledged records it must call lost. */
  readonly lost: number;
}

/**
 * The truth about a log whose last batch was cut at `cut`, by arithmetic alone. A record whose bytes are all there counts, also
 * without its line break. The mark knows that more were acknowledged; without it nobody does, and only a torn line is seen.
 */
export function tailTruth(lineEnds: readonly number[], cut: number, marked: boolean): TailTruth {
  const records = lineEnds.filter((end) => end - 1 <= cut).length;
  const missing = lineEnds.length - records;
  const atLineEnd = lineEnds.includes(cut);
  return { records, ok: atLineEnd && (missing === 0 || !marked), lost: marked ? missing : 0 };
}

/** Undefined when the scan says the truth; else the difference, in words. */
export function compareTail(report: ScanReport, truth: TailTruth): string | undefined {
  const said: TailTruth = {
    records: report.logs.find(({ log }) => log === "events")?.records ?? -1,
    ok: report.ok,
    lost: report.anomalies.reduce((sum, { lostSeqs: at }) => sum + (at === undefined ? 0 : at.to - at.from + 1), 0),
  };
  const same = said.records === truth.records && said.ok === truth.ok && said.lost === truth.lost;
  return same ? undefined : `the scan says ${JSON.stringify(said)} and must say ${JSON.stringify(truth)}`;
}

const RECORDS = 4;
const LAST_BATCH = 2;
const WRONG_MAX = 20;

/** Cuts a log at every byte of its last batch, with the mark and without it, and compares the verdict of the scan with the truth. */
export async function probeTails(env: Env, path: string, signal?: AbortSignal): Promise<TailFacts> {
  const { fs } = env;
  const backend = fileBackend({ path }, env);
  const store = await openStore(backend);
  const events = Array.from({ length: RECORDS }, (_, i) => eventOf(i + 1));
  await store.append("events", events.slice(0, -LAST_BATCH));
  await store.append("events", events.slice(-LAST_BATCH));
  await store.close();
  const log = join(path, activeName("events"));
  const whole = await readSmall(fs, log);
  const [, ...lineEnds] = [...whole.keys()].filter((at) => whole[at] === 0x0a).map((at) => at + 1); // without the identity
  if (lineEnds.length !== RECORDS)
    return {
      cuts: 0,
      wrongCount: 1,
      wrong: [`${RECORDS} records were written, and ${lineEnds.length} lines are read`],
    };
  const from = lineEnds.at(-1 - LAST_BATCH) as number;
  const wrong: string[] = [];
  let wrongCount = 0;
  for (const marked of [true, false]) {
    if (!marked) await fs.remove(join(path, MARK_FILE));
    for (let cut = from; cut <= whole.length; cut++) {
      signal?.throwIfAborted();
      await fs.remove(log);
      const file = await fs.open(log, "create");
      await writeAll(file, whole.subarray(0, cut), 0);
      await file.close();
      const difference = compareTail(await scan(backend, { log: "events", signal }), tailTruth(lineEnds, cut, marked));
      if (difference === undefined) continue;
      wrongCount += 1;
      if (wrong.length < WRONG_MAX)
        wrong.push(`cut at byte ${cut}, ${marked ? "with" : "without"} mark: ${difference}`);
    }
  }
  return { cuts: whole.length - from + 1, wrongCount, wrong };
}
