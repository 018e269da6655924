// The crash matrix: real processes write stores that rotate or do not, and are killed at random moments. After each, the store
// is scanned, now and then recovered, opened again by the next writer, and every acknowledgement is looked for.
import type { Backend } from "../backends/backend.ts";
import { fileBackend } from "../backends/files.ts";
import type { Env } from "../env/env.ts";
import { isPapyraError } from "../errors.ts";
import { parseFileName } from "../log/segments.ts";
import { passOver } from "./record-pass.ts";
import { recover } from "./recover.ts";
import { type StartWorker, workerFailed } from "./selftest-lock.ts";
import type { CrashFacts } from "./selftest-report.ts";
import { startupCheck } from "./startup.ts";

/** What writers announced: seq -> the number in the record. */
export type Acknowledged = ReadonlyMap<number, number>;

/** `ack SEQ N`; undefined for anything else. */
export function parseAck(line: string): readonly [seq: number, n: number] | undefined {
  const found = /^ack (\d{1,15}) (\d{1,15})$/.exec(line);
  return found === null ? undefined : [Number(found[1]), Number(found[2])];
}

/** Looks for every acknowledged record in what is stored. */
export async function countAcknowledged(
  backend: Backend,
  acknowledged: Acknowledged,
): Promise<{ readonly lost: number; readonly changed: number }> {
  const left = new Map(acknowledged);
  let changed = 0;
  await passOver(backend, await backend.view(), "events", {}, (record) => {
    const n = left.get(record.seq);
    if (n === undefined) return;
    left.delete(record.seq);
    if ((record as { payload?: { n?: unknown } }).payload?.n !== n) changed += 1;
  });
  return { lost: left.size, changed };
}

export interface CrashOptions {
  readonly ms: number;
  /** A growing store would make the check the whole work. */
  readonly roundsPerStore: number;
  readonly start: StartWorker;
  readonly signal?: AbortSignal | undefined;
  readonly onRound?: ((facts: CrashFacts) => void) | undefined;
  /** Removes a store that is done with. */
  readonly remove: (path: string) => Promise<void>;
}

const ROTATED_BYTES = 32 << 10;
const RECOVER_EVERY = 3;
/** At least one store that rotates and one that does not. */
const ROUNDS_MIN = 2;
const UNSOUND_MAX = 20;
const KILL_WITHIN_MS = 80;

type Counts = { -readonly [K in keyof CrashFacts]: CrashFacts[K] extends readonly string[] ? string[] : number };

export async function crashMatrix(env: Env, path: string, options: CrashOptions): Promise<CrashFacts> {
  const facts: Counts = {
    rounds: 0,
    stores: 0,
    acknowledged: 0,
    lost: 0,
    changed: 0,
    tornTails: 0,
    sealedSegments: 0,
    recoveries: 0,
    unsound: [],
  };
  const startMs = env.clock.monotonicMs();
  const goesOn = (): boolean => facts.rounds < ROUNDS_MIN || env.clock.monotonicMs() - startMs < options.ms;
  while (goesOn()) {
    const store = `${path}-${facts.stores}`;
    await crashStore(env, store, facts.stores % 2 === 0 ? "" : String(ROTATED_BYTES), goesOn, facts, options);
    facts.stores += 1;
    await options.remove(store);
  }
  return facts;
}

/** One store, killed, checked and opened again so many times. */
async function crashStore(
  env: Env,
  path: string,
  segmentBytes: string,
  goesOn: () => boolean,
  facts: Counts,
  options: CrashOptions,
): Promise<void> {
  const backend = fileBackend({ path }, env);
  const acknowledged = new Map<number, number>();
  let [lost, changed] = [0, 0];
  for (let i = 0; i < options.roundsPerStore && goesOn(); i++) {
    facts.rounds += 1;
    for (const [seq, n] of await killedWriter(env, [path, String(facts.rounds), segmentBytes], options)) {
      if (acknowledged.has(seq)) note(facts, `${path}: seq ${seq} was acknowledged twice`);
      acknowledged.set(seq, n);
      facts.acknowledged += 1;
    }
    const counted = await checkStore(backend, acknowledged, facts, options.signal);
    facts.lost += counted.lost - lost;
    facts.changed += counted.changed - changed;
    ({ lost, changed } = counted); // a record that is lost stays lost, and counts once
    options.onRound?.(facts);
  }
  const names = (await env.fs.stat(path)) === undefined ? [] : await env.fs.list(path);
  facts.sealedSegments += names.filter((name) => parseFileName(name).type === "closed").length;
}

function note(facts: Counts, text: string): void {
  if (facts.unsound.length < UNSOUND_MAX) facts.unsound.push(text);
}

/** A store that is gone after something in it was acknowledged is a finding about the disk, and no wrong path. */
async function checkStore(
  backend: Backend,
  acknowledged: Acknowledged,
  facts: Counts,
  signal: AbortSignal | undefined,
): Promise<{ readonly lost: number; readonly changed: number }> {
  try {
    await checkSound(backend, facts, signal);
    return await countAcknowledged(backend, acknowledged);
  } catch (error) {
    if (!isPapyraError(error, "STORE_NOT_FOUND")) throw error;
    note(facts, `after a kill: ${error.message}`);
    return { lost: acknowledged.size, changed: 0 };
  }
}

/** The start-up check must let the store through, no seq may be missing, and recovery must leave nothing. */
async function checkSound(backend: Backend, facts: Counts, signal: AbortSignal | undefined): Promise<void> {
  const check = await startupCheck(backend, { mode: "fail_on_anomaly", signal });
  facts.tornTails += check.scan?.counts["torn-tail"] ?? 0;
  if (!check.ok) note(facts, `after a kill: ${check.verdict}`);
  const missing = check.scan?.logs.find((log) => log.missing > 0);
  if (missing !== undefined) note(facts, `after a kill: ${missing.missing} seqs of ${missing.log} are missing`);
  if (facts.rounds % RECOVER_EVERY !== 0) return;
  const recovered = await recover(backend, { mode: "quarantine", quarantineDir: undefined, signal });
  facts.recoveries += 1;
  if (!recovered.ok) note(facts, `after a recovery: ${recovered.verdict}`);
}

/** Starts a writer, kills it at a random moment after its first acknowledgement, and returns all that it announced. */
async function killedWriter(
  env: Env,
  args: readonly string[],
  { start, signal }: CrashOptions,
): Promise<(readonly [seq: number, n: number])[]> {
  signal?.throwIfAborted();
  const child = start("write", args);
  const kill = (): void => child.kill();
  signal?.addEventListener("abort", kill, { once: true });
  let cancel: (() => void) | undefined;
  let killed = false;
  const acks: (readonly [number, number])[] = [];
  try {
    for await (const line of child.lines) {
      const ack = parseAck(line);
      if (ack !== undefined) acks.push(ack);
      const delayMs = (Number.parseInt(env.random.hex(2), 16) / 0xffff) * KILL_WITHIN_MS;
      cancel ??= env.clock.after(
        delayMs,
        () => {
          killed = true;
          kill();
        },
        "foreground",
      );
    }
  } finally {
    signal?.removeEventListener("abort", kill);
    cancel?.();
    kill();
    await child.ended;
  }
  signal?.throwIfAborted();
  if (!killed) throw workerFailed(await child.ended);
  return acks;
}
