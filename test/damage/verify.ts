// What must hold for a damaged store: the scan sees it, recovery keeps what is whole and accounts for every byte and seq,
// a second recovery does nothing, and writing goes on with seqs that were never used.
import { strict as assert } from "node:assert";
import { fileBackend } from "../../src/backends/files.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { checkLog } from "../../src/backends/check.ts";
import { openStore } from "../../src/backends/open.ts";
import { isPapyraError } from "../../src/errors.ts";
import { linesOf as linesIn } from "../../src/log/lines.ts";
import type { LogName } from "../../src/log/record.ts";
import { LOG_NAMES } from "../../src/log/record.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan, type ScanReport } from "../../src/ops/scan.ts";
import { type Base, type Files, GONE, isContent, linesOf, logOf, note } from "./base.ts";
import { assertBytes } from "./bytes.ts";
import type { Mutation } from "./mutations.ts";

/** Where a damaged store is: its bytes, and how often anything was changed there. */
export interface Scene {
  readonly backend: Backend;
  /** Every file below the store, by its path in it. */
  files(): Promise<ReadonlyMap<string, Buffer>>;
  /** Counts what was changed so far, if it can. */
  changes(): number;
}

/** The store in memory with a mutation applied in place, so that its mark still speaks for it. */
export function simScene(base: Base, files: Files, path: string): Scene {
  const disk = base.disk.kill();
  for (const [name, bytes] of files) {
    if (bytes === GONE) disk.drop(`${path}/${name}`);
    else disk.corrupt(`${path}/${name}`, () => bytes);
  }
  const prefix = `${path}/`;
  return {
    backend: fileBackend({ path }, disk.env),
    files: async () =>
      new Map(
        [...disk.tree()].flatMap(([name, bytes]) =>
          name.startsWith(prefix) ? [[name.slice(prefix.length), bytes]] : [],
        ),
      ),
    changes: () => disk.mutations,
  };
}

/** Only that the scan sees it. */
export async function verifySeen(base: Base, scene: Scene, mutation: Mutation): Promise<void> {
  const found = await scan(scene.backend);
  assertSeen(base, found, mutation);
  assertSums(found, undefined);
}

/** Everything at once. Rejects with an AssertionError that says what is broken. */
export async function verifyCase(base: Base, scene: Scene, mutation: Mutation): Promise<void> {
  const before = await scene.files();
  const report = await recover(scene.backend, { mode: "quarantine" });
  assertSeen(base, report.before, mutation);
  assertSums(report.before, undefined);
  const after = await scene.files();
  if (mutation.beyondRepair === true) {
    assert.equal(report.ok, false, "recovery says that it could not mend it");
    for (const [name, bytes] of before)
      if (isContent(name)) assert.ok(after.get(name)?.equals(bytes), `${name} is as it was`);
  } else {
    assert.ok(
      report.ok && report.after.ok,
      `after recovery: ${report.after.verdict} ${JSON.stringify(report.after.anomalies)}`,
    );
    assertSums(report.after, 0);
    assert.ok(
      report.after.logs.every((log) => log.endVouched),
      "the ends of the logs are vouched for again",
    );
    assertLines(base, before, after);
    assertBytes(base, before, after, report);
  }
  const changes = scene.changes();
  const again = await recover(scene.backend, { mode: "quarantine" });
  assert.deepEqual([again.changed, scene.changes()], [false, changes], "a second recovery changes nothing");
  await assertGoesOn(base, scene, mutation, report.after);
}

/** Opens without recovery: nothing is destroyed, nothing is used twice, and recovery afterwards mends it all. */
export async function verifyOpening(base: Base, scene: Scene, mutation: Mutation): Promise<void> {
  const log = logOf(mutation.file) ?? "journal";
  const before = await scene.files();
  const store = await openStore(scene.backend);
  const { firstSeq } = await store.append(log, [note("new")]);
  assert.ok(firstSeq > base.last[log], `seq ${firstSeq} of ${log} was used before`);
  await store.close();
  const after = [...(await scene.files())].filter(([name]) => logOf(name) !== undefined).map(([, bytes]) => bytes);
  for (const [name, bytes] of before) {
    const kept = after.some((content) => content.subarray(0, bytes.length).equals(bytes));
    if (logOf(name) !== undefined) assert.ok(kept, `every byte of ${name} is still there`);
  }
  const report = await recover(scene.backend, { mode: "quarantine" });
  assert.ok(report.ok && report.after.ok, report.after.verdict);
  assertSums(report.after, 0);
  const known = report.after.logs.find((found) => found.log === log);
  assert.ok(known !== undefined && known.lastSeq >= firstSeq);
}

/**
 * The records that verify, by log and seq, are some of those that were written to the store that this one says it is.
 * Returns how many there are.
 */
export async function verifyRecords(bases: readonly Base[], backend: Backend): Promise<number> {
  const view = await backend.view();
  const base = bases.find(({ scan: { store } }) => store === view.identity?.store) ?? (bases[0] as Base);
  let count = 0;
  for (const log of LOG_NAMES) {
    await checkLog(backend, view, log, {
      live: false,
      findingsMax: 1000,
      onEntry(entry) {
        if (entry.type !== "run" && entry.type !== "gap") return;
        for (const line of linesIn(entry)) {
          const text = line.toString("latin1");
          assert.equal(text, base.written.get(log)?.get(Number(/^\{"seq":(\d+),/.exec(text)?.[1])));
          count += 1;
        }
      },
    });
  }
  return count;
}

/** After any mixture of damage: recovery ends, keeps what is whole, accounts for the rest, and runs once. */
export async function verifyMixture(base: Base, scene: Scene): Promise<"mended" | "left"> {
  const before = await scene.files();
  const report = await recover(scene.backend, { mode: "quarantine" });
  const after = await scene.files();
  const left = report.after.anomalies.some(({ kind }) => kind === "foreign-line" || kind === "unreadable");
  assert.ok(left || report.after.ok, `${report.after.verdict} ${JSON.stringify(report.after.anomalies)}`);
  assertSums(report.after, left ? undefined : 0);
  if (!left) assertLines(base, before, after);
  const changes = scene.changes();
  assert.equal((await recover(scene.backend, { mode: "quarantine" })).changed, false);
  assert.equal(scene.changes(), changes, "a second recovery changes nothing");
  return left ? "left" : "mended";
}

function assertSeen(base: Base, found: ScanReport, mutation: Mutation): void {
  assert.equal(found.ok, false, "the scan finds it");
  if (base.torn === undefined) return;
  // There was something to find already: what changed must show, unless only the torn bytes changed.
  const [bytes, damaged] = [base.files.get(mutation.file), mutation.files.get(mutation.file)];
  const kept =
    base.torn.file === mutation.file &&
    damaged?.subarray(0, base.torn.offset).equals(bytes!.subarray(0, base.torn.offset));
  if (kept !== true) assert.notDeepEqual(found.anomalies, base.scan.anomalies, "the scan finds more than before");
}

/** 1..N = present + accounted for + missing. */
export function assertSums(report: ScanReport, missing: number | undefined): void {
  for (const log of report.logs) {
    const { compacted, quarantined, lost } = log.accounted;
    assert.equal(log.records + compacted + quarantined + lost + log.missing, log.lastSeq, `the sum of ${log.log}`);
    if (missing !== undefined) assert.equal(log.missing, missing, `missing in ${log.log}`);
  }
}

/** The lines of each log, without identity lines and line breaks, in the order of the log. */
function bodies(base: Base, files: ReadonlyMap<string, Buffer>): Map<LogName, string[]> {
  const body = new Map(LOG_NAMES.map((log) => [log, [] as string[]]));
  const names = [...files.keys()].sort(
    (a, b) => Number(a.endsWith("s.ndjson")) - Number(b.endsWith("s.ndjson")) || (a < b ? -1 : 1),
  );
  const active = (name: string): number => Number(/^[a-z_]+\.ndjson$/.test(name));
  for (const name of names.sort((a, b) => active(a) - active(b) || (a < b ? -1 : 1))) {
    const log = logOf(name);
    if (log === undefined) continue;
    const lines = linesOf(files.get(name) as Buffer);
    for (const line of lines) {
      const isSeal = line.startsWith('{"kind":"seal"'); // recovery seals the closed segments that it mends
      if (line !== base.identity.get(log) && !isSeal) body.get(log)?.push(line.replace(/\n$/, ""));
    }
  }
  return body;
}

/** What was whole is still there, byte for byte and in order; nothing else is, but gap records. */
function assertLines(base: Base, before: ReadonlyMap<string, Buffer>, after: ReadonlyMap<string, Buffer>): void {
  const raw = new Map<LogName, string>();
  for (const [name, bytes] of before) {
    const log = logOf(name);
    if (log !== undefined) raw.set(log, (raw.get(log) ?? "") + bytes.toString("latin1"));
  }
  for (const [log, lines] of bodies(base, after)) {
    const written = base.written.get(log) as ReadonlyMap<number, string>;
    let previous = 0;
    const kept = new Set<string>();
    for (const line of lines) {
      const seq = Number(/^\{"seq":(\d+),/.exec(line)?.[1]);
      assert.ok(seq > previous, `seq ${seq} stands behind ${previous} in ${log}`);
      previous = seq;
      if (written.has(seq)) assert.equal(line, written.get(seq), `seq ${seq} of ${log} is what was written`);
      else assert.match(line, /^\{"seq":\d+,"kind":"gap",.*"by":"recover /, `only gap records are new in ${log}`);
      kept.add(line);
    }
    for (const [seq, line] of written) {
      if (raw.get(log)?.includes(line) === true)
        assert.ok(kept.has(line), `seq ${seq} of ${log} was whole and is gone`);
    }
  }
}

async function assertGoesOn(base: Base, scene: Scene, mutation: Mutation, after: ScanReport): Promise<void> {
  if (mutation.beyondRepair === true) {
    await assert.rejects(openStore(scene.backend), (error) => isPapyraError(error, "STORE_DAMAGED"));
    return;
  }
  const log = logOf(mutation.file) ?? "journal";
  const store = await openStore(scene.backend);
  const { firstSeq } = await store.append(log, [note("new")]);
  await store.close();
  const known = after.logs.find((report) => report.log === log)?.lastSeq ?? 0;
  assert.equal(firstSeq, known + 1);
  assert.ok(firstSeq > base.last[log], `seq ${firstSeq} of ${log} was used before`);
  const end = await scan(scene.backend, { log });
  assert.ok(end.ok, `after writing on: ${end.verdict}`);
}
