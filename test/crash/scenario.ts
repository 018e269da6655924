// What the crash tests run and what they demand afterwards: one scenario that writes, reopens and recovers, and the
// promises that must hold wherever it was cut short.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { FileStoreOptions } from "../../src/backends/file-options.ts";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import { isHarmless } from "../../src/log/anomaly.ts";
import { LOG_NAMES, type LogName, type NewRecord } from "../../src/log/record.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { startupCheck } from "../../src/ops/startup.ts";
import { type SimDisk } from "../../src/testing/sim-disk.ts";

export const PATH = "/data/persistence";

/** What a run was told, and what it asked for. */
export interface Ledger {
  /** By log and seq: the number in the payload, of records that were acknowledged. */
  readonly acknowledged: Map<LogName, Map<number, number>>;
  /** By log: the numbers that were ever handed to the store. */
  readonly attempted: Map<LogName, Set<number>>;
  next: number;
}

export function newLedger(): Ledger {
  return {
    acknowledged: new Map(LOG_NAMES.map((log) => [log, new Map()])),
    attempted: new Map(LOG_NAMES.map((log) => [log, new Set()])),
    next: 1,
  };
}

export function backendOn(disk: SimDisk, options: Partial<FileStoreOptions> = {}) {
  return fileBackend({ path: PATH, ...options }, disk.env);
}

/** A large one is ASCII: two bytes a character take most of the time of an exploration. */
function recordFor(log: LogName, n: number, bytes = 0): NewRecord {
  if (log === "journal") {
    return {
      kind: "journal",
      system_id: "sim",
      persistence_id: `p/${n % 3}`,
      revision: n,
      event_type: "happened",
      version: 1,
      payload: { n, text: "x".repeat(bytes + ((n * 37) % 300)) },
    };
  }
  return {
    kind: "event",
    system_id: "sim",
    actor_address: "sim://a",
    event_type: "Noted",
    payload: { n, text: (bytes === 0 ? "é" : "e").repeat(bytes + ((n * 13) % 90)) },
  };
}

/** Appends `count` records at once, each of `bytes` and some more, and writes down what became of them. */
export async function put(store: Store, ledger: Ledger, log: LogName, count: number, bytes = 0): Promise<void> {
  const numbers = Array.from({ length: count }, () => ledger.next++);
  for (const n of numbers) ledger.attempted.get(log)?.add(n);
  const { firstSeq } = await store.append(
    log,
    numbers.map((n) => recordFor(log, n, bytes)),
  );
  numbers.forEach((n, i) => ledger.acknowledged.get(log)?.set(firstSeq + i, n));
}

/** Writes alone and together, over several logs; closes; opens again; writes; recovers; writes. */
export async function scenario(disk: SimDisk, ledger: Ledger, options: Partial<FileStoreOptions> = {}): Promise<void> {
  const backend = backendOn(disk, options);
  const first = await openStore(backend);
  await put(first, ledger, "events", 1);
  await Promise.all([
    put(first, ledger, "events", 2),
    put(first, ledger, "journal", 3),
    put(first, ledger, "events", 1),
  ]);
  await put(first, ledger, "journal", 1);
  await first.close();
  await recover(backend, { mode: "repair" });
  const second = await openStore(backend);
  await Promise.all([put(second, ledger, "journal", 2), put(second, ledger, "audits", 1)]);
  await put(second, ledger, "events", 2);
  await second.close();
}

/**
 * What power cuts leave of a scenario. Most are byte for byte like another one, after the same acknowledgements: they would be
 * judged alike, and come only once.
 */
export class Survivors {
  /** All, and those that came. */
  cuts = 0;
  states = 0;
  readonly #seen = new Set<string>();

  *of(disk: SimDisk, told: unknown, seeds: number): Generator<{ readonly survivor: SimDisk; readonly seed: number }> {
    for (let seed = 1; seed <= seeds; seed++) {
      const survivor = disk.reboot(seed);
      this.cuts += 1;
      const key = createHash("sha1").update(JSON.stringify(told));
      for (const [path, bytes] of survivor.tree()) key.update(path).update(bytes);
      const digest = key.digest("base64");
      if (this.#seen.has(digest)) continue;
      this.#seen.add(digest);
      this.states += 1;
      yield { survivor, seed };
    }
  }

  get counts(): string {
    return `${this.states} different states of ${this.cuts} survivors`;
  }
}

/** What a run was told until now, as far as it differs from what others of the same scenario were. */
export function toldTo({ acknowledged, next }: Ledger): unknown {
  return [next, ...[...acknowledged.values()].map((all) => all.size)];
}

/** Everything the store at `disk` holds, by log and seq. */
export async function contentOf(store: Store): Promise<Map<LogName, Map<number, number>>> {
  const content = new Map<LogName, Map<number, number>>();
  for (const log of LOG_NAMES) {
    const records = new Map<number, number>();
    for await (const record of store.read(log)) {
      if (record.kind === "gap") continue;
      records.set(record.seq, (record as { payload: { n: number } }).payload.n);
    }
    content.set(log, records);
  }
  return content;
}

/** Acknowledged ⊆ present ⊆ attempted, each at its own seq. */
export function assertKept(content: Map<LogName, Map<number, number>>, ledger: Ledger, what: string): void {
  for (const log of LOG_NAMES) {
    const present = content.get(log) as Map<number, number>;
    for (const [seq, n] of ledger.acknowledged.get(log) as Map<number, number>) {
      assert.equal(present.get(seq), n, `${what}: ${log} seq ${seq} was acknowledged and is not there`);
    }
    for (const [seq, n] of present) {
      assert.ok(ledger.attempted.get(log)?.has(n), `${what}: ${log} seq ${seq} was never written`);
    }
  }
}

/**
 * Demands the promises of a store after a crash. `kept` says that the machine stayed up: then nothing acknowledged was
 * lost under any policy, and the start-up check must let the system start without anybody's help.
 */
export async function assertSurvives(
  disk: SimDisk,
  ledger: Ledger,
  what: string,
  options: { readonly kept: boolean; readonly store?: Partial<FileStoreOptions> },
): Promise<void> {
  const backend = backendOn(disk, options.store);
  if ((await disk.env.fs.stat(PATH)) !== undefined) {
    const before = disk.mutations;
    const found = await scan(backend).catch((error: unknown) => {
      if (codeOf(error) === "STORE_NOT_FOUND") return undefined; // cut before the store was made
      throw error;
    });
    assert.equal(disk.mutations, before, `${what}: a scan changed something`);
    for (const anomaly of found?.anomalies ?? []) {
      assert.notEqual(
        anomaly.acknowledged,
        "lost",
        `${what}: nothing acknowledged is lost, but: ${JSON.stringify(anomaly)}`,
      );
      if (options.kept)
        assert.ok(isHarmless(anomaly), `${what}: a killed process must start again: ${JSON.stringify(anomaly)}`);
    }
  }
  // Where nothing vouches for a hole in the last write, whoever reads is told, and an operator has to decide.
  const startable = await startupCheck(backend).catch((error: unknown) => ({
    ok: codeOf(error) === "STORE_NOT_FOUND",
  }));
  if (!startable.ok) {
    assert.ok(!options.kept && options.store?.mark !== "exact", `${what}: it can be told, so nobody need be asked`);
    await recover(backend, { mode: "quarantine", quarantineDir: "/data/quarantine" });
  }
  const store = await openStore(backend);
  assertKept(await contentOf(store), ledger, what);
  await put(store, ledger, "events", 1);
  await put(store, ledger, "journal", 2);
  await store.close();

  const recovered = await recover(backend, { mode: "quarantine", quarantineDir: "/data/quarantine" });
  assert.ok(recovered.ok, `${what}: recovery left something: ${recovered.verdict}`);
  assert.equal(recovered.gaps.filter((gap) => gap.reason === "lost").length, 0, `${what}: recovery declared losses`);
  const mutations = disk.mutations;
  const again = await recover(backend, { mode: "repair" });
  assert.equal(again.changed, false, `${what}: a second recovery changed something`);
  assert.equal(disk.mutations, mutations, `${what}: a second recovery touched files`);
  const healthy = await scan(backend);
  assert.ok(healthy.ok, `${what}: not healthy after recovery: ${healthy.verdict} ${JSON.stringify(healthy.anomalies)}`);

  const reopened = await openStore(backend);
  assertKept(await contentOf(reopened), ledger, `${what}, after recovery`);
  await reopened.close();
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

/** A copy of what is known, for a branch of the exploration. */
export function fork(ledger: Ledger): Ledger {
  return {
    acknowledged: new Map([...ledger.acknowledged].map(([log, all]) => [log, new Map(all)])),
    attempted: new Map([...ledger.attempted].map(([log, all]) => [log, new Set(all)])),
    next: ledger.next,
  };
}
