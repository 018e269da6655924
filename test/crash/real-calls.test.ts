// The C library stands between a real process and the disk (shim.c), and fails, shortens, falsifies or drops one file call, or
// ends the process before or after it: the built package, its command line, its backups. What was acknowledged is there, what
// was falsified is reported, and whoever comes next goes on. PAPYRA_SHIM_POINTS, PAPYRA_SHIM_KILLS, PAPYRA_SOAK_ROUNDS and PAPYRA_SHIM_SEED
// for more.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { fileStore, openStore } from "../../src/index.ts";
import { account } from "../../src/ops/account.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { type Build, build } from "../cli/build.ts";
import { flipBit, papyra } from "../cli/helpers.ts";
import { buildShim, Shim, shimObstacle } from "./shim/shim.mjs";

const POINTS = Number(process.env.PAPYRA_SHIM_POINTS ?? 30);
const ROUNDS = Number(process.env.PAPYRA_SOAK_ROUNDS ?? 25);
const KILLS = Number(process.env.PAPYRA_SHIM_KILLS ?? 10);
const SEED = Number(process.env.PAPYRA_SHIM_SEED ?? 1);
const obstacle = shimObstacle();
if (obstacle !== undefined && process.env.CI !== undefined)
  throw new Error(`faults at real file calls must run in CI: ${obstacle}`);
if (obstacle !== undefined) console.log(`faults at real file calls: ${POINTS + KILLS + ROUNDS} skipped, ${obstacle}`);
const here = (name: string): string => fileURLToPath(new URL(`shim/${name}`, import.meta.url));

let built: Build;
let library: { readonly library: string; remove(): void };
let work: string;
beforeAll(() => {
  if (obstacle !== undefined) return;
  built = build();
  library = buildShim();
  // A call that makes something durable costs nothing on a tmpfs, and is made all the same.
  work = realpathSync(mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "papyra-calls-")));
});
afterAll(() => {
  if (obstacle !== undefined) return;
  library.remove();
  built.remove();
  rmSync(work, { recursive: true, force: true });
});

test.skipIf(obstacle !== undefined)(`${POINTS} faults at real file calls, each in a life of a store`, () => {
  const shim = new Shim(library.library, work);
  const args = [here("sweep.mjs"), built.root, work, String(POINTS), String(SEED)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env: shim.env });
  shim.remove();
  expect(status, stderr).toBe(0);
  const result = JSON.parse(stdout) as {
    points: number;
    fired: number;
    refused: number;
    reported: number;
    byKind: Record<string, number>;
    wrong: string[];
  };
  const { points, fired, refused, reported, byKind } = result;
  console.log(
    `faults at real file calls: ${points} of ${Object.keys(byKind).length} kinds, ${refused} were refused aloud, ` +
      `${reported} falsehoods reported by a scan (seed ${SEED})`,
  );
  expect(result.wrong).toEqual([]);
  expect(fired, "each fault fired").toBe(points);
  expect(refused).toBeGreaterThan(0);
});

const HEAP_GROWTH_KB = 4096;
const FILES_MOST = 40;

test.skipIf(obstacle !== undefined)(
  `one store through ${ROUNDS} rounds of faults: nothing is lost, nothing grows`,
  () => {
    const shim = new Shim(library.library, work);
    const args = ["--expose-gc", here("soak.mjs"), built.root, work, String(ROUNDS), String(SEED)];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env: shim.env });
    shim.remove();
    expect(status, stderr).toBe(0);
    type Series = "heap" | "open" | "files";
    type Count = "rounds" | "fired" | "refused" | "recovered" | "acknowledged";
    const found = JSON.parse(stdout) as Record<Count, number> & Record<Series, number[]> & { wrong: string[] };
    const { heap, open, files, fired, refused, acknowledged } = found;
    const grown = heap.at(-1)! - heap[Math.floor(heap.length / 2)]!;
    console.log(
      `one store: ${found.rounds} rounds, ${fired} faults, ${refused} refused aloud, ${acknowledged} records, ${found.recovered} ` +
        `recoveries; heap ${grown} KiB more than at half-time, ${open.at(-1)} open files, ${Math.max(...files)} files (seed ${SEED})`,
    );
    expect(found.wrong).toEqual([]);
    expect(fired).toBeGreaterThan(ROUNDS / 2);
    expect(new Set(open).size, `I13 BOUNDED: open files: ${open.join()}`).toBe(1);
    expect(grown, `I13 BOUNDED: heap: ${heap.join()}`).toBeLessThan(HEAP_GROWTH_KB);
    expect(Math.max(...files), `I13 BOUNDED: files: ${files.join()}`).toBeLessThan(FILES_MOST);
  },
);

/** What is run, on a copy of the template, and by whom the store is used while the process is killed. */
const WORK: Readonly<Record<string, (place: string) => readonly string[]>> = {
  append: (place) => [here("appending.mjs"), built.root, join(place, "persistence")],
  compact: (place) => cli(place, ["persistence", "compact", "--log", "events", "--max-records", "6"]),
  recover: (place) => cli(place, ["persistence", "recover", "--mode", "quarantine"], "damaged"),
  backup: (place) => cli(place, ["backup", "create", "--repository", join(place, "new-backups")]),
  restore: (place) => {
    const words = ["--repository", join(place, "backups"), "--target", join(place, "restored")];
    return [built.bin, "backup", "restore", ...words];
  },
};

function cli(place: string, words: readonly string[], store = "persistence"): readonly string[] {
  return [built.bin, ...words, "--path", join(place, store)];
}

type Acknowledged = ReadonlyMap<number, number>;

/** A store of several segments, a damaged copy of it, and a repository with a backup of it. */
async function makeTemplate(): Promise<{ place: string; acknowledged: Acknowledged }> {
  const place = join(work, "template");
  const path = join(place, "persistence");
  const acknowledged = new Map<number, number>();
  const { stdout } = spawnSync(process.execPath, WORK.append?.(place) ?? [], { encoding: "utf8" });
  noteAcks(stdout, acknowledged);
  expect(acknowledged.size).toBe(14);
  cpSync(path, join(place, "damaged"), { recursive: true });
  const { segments } = await fileBackend({ path }, nodeEnv).view();
  const closed = segments.find(({ log, active }) => log === "events" && !active);
  flipBit(join(place, "damaged", closed?.name ?? "events.ndjson")); // the second record
  const made = await papyra(["backup", "create", "--path", path, "--repository", join(place, "backups")]);
  expect(made.exit, made.stderr).toBe(0);
  return { place, acknowledged };
}

function noteAcks(stdout: string, acknowledged: Map<number, number>): void {
  for (const [, seq, n] of stdout.matchAll(/^ack (\d+) (\d+)\n/gm)) acknowledged.set(Number(seq), Number(n));
}

async function contentOf(path: string): Promise<Map<number, number>> {
  const store = await openStore(fileStore({ path }));
  const found = new Map<number, number>();
  for await (const record of store.read("events"))
    if (record.kind === "event") found.set(record.seq, (record.payload as { n: number }).n);
  await store.close();
  return found;
}

async function assertThere(path: string, acknowledged: Acknowledged, except: readonly number[], what: string) {
  const content = await contentOf(path);
  for (const [seq, n] of acknowledged)
    if (!except.includes(seq)) expect(content.get(seq), `${what}: I1 DURABLE: seq ${seq}`).toBe(n);
}

/** After a kill: nothing is lost, the command ends its work the next time, and all is well. */
async function judge(name: string, place: string, acknowledged: Acknowledged, what: string): Promise<void> {
  const path = join(place, "persistence");
  const found = await scan(fileBackend({ path }, nodeEnv));
  expect(found.startable, `${what}: a killed process starts again: ${JSON.stringify(found.anomalies)}`).toBe(true);
  // A compaction may have taken these out.
  const mayGo = name === "compact" ? [...acknowledged.keys()].filter((seq) => seq <= acknowledged.size - 6) : [];
  await assertThere(path, acknowledged, mayGo, what);
  const again = await papyra((WORK[name]?.(place) ?? []).slice(1));
  if (name === "append") await contentOf(path);
  else expect(again.exit, `${what}, the next run: ${again.stdout}${again.stderr}`).toBe(0);
  if (name === "recover") {
    const damaged = join(place, "damaged");
    expect((await recover(fileBackend({ path: damaged }, nodeEnv), { mode: "repair" })).changed, `${what}: I4`).toBe(
      false,
    );
    await assertThere(damaged, acknowledged, [2], what);
    const sums = (await account(fileBackend({ path: damaged }, nodeEnv))).logs.find(({ log }) => log === "events");
    expect(sums?.quarantined, `${what}: I6`).toBe(1);
  }
  if (name === "restore") await assertThere(join(place, "restored"), acknowledged, [], `${what}: I9`);
  if (name === "backup") {
    const objects = directoryObjects(nodeEnv, join(place, "new-backups"));
    expect(await verifyBackups(objects, { level: "replay" }), `${what}: I9`).toMatchObject({ ok: true });
    await restoreBackup(objects, nodeEnv, join(place, "from-new"));
    await assertThere(join(place, "from-new"), acknowledged, [], `${what}: I9`);
  }
  const after = await scan(fileBackend({ path }, nodeEnv));
  expect(
    after.anomalies.filter(({ acknowledged: lost }) => lost !== "none"),
    `${what}: in the end`,
  ).toEqual([]);
}

test.skipIf(obstacle !== undefined)(`${KILLS} kills before and after real file calls`, async () => {
  const template = await makeTemplate();
  const names = Object.keys(WORK);
  const counts: string[] = [];
  for (const name of names) {
    const place = join(work, "place");
    const run = (order: object) => {
      rmSync(place, { recursive: true, force: true });
      cpSync(template.place, place, { recursive: true });
      const shim = new Shim(library.library, place);
      shim.order(order);
      const { signal, status, stdout, stderr } = spawnSync(process.execPath, WORK[name]?.(place) ?? [], {
        encoding: "utf8",
        env: shim.env,
      });
      const { calls, fired } = shim;
      shim.remove();
      return { calls, fired, signal, status, stdout, stderr };
    };
    const whole = run({});
    expect(whole.status, `${name}: ${whole.stdout}${whole.stderr}`).toBe(0);
    const each = Math.ceil(KILLS / names.length);
    for (let i = 0; i < each; i++) {
      const n = 1 + ((Math.floor((i * whole.calls) / each) + SEED) % whole.calls);
      const action = (i + SEED) % 2 === 0 ? "kill" : "killAfter";
      const what = `${name}: ${action} at call ${n} of ${whole.calls}`;
      const { signal, fired, stdout } = run({ from: n, action });
      expect([signal, fired], what).toEqual(["SIGKILL", 1]);
      const acknowledged = new Map(template.acknowledged);
      noteAcks(stdout, acknowledged);
      await judge(name, place, acknowledged, what);
    }
    counts.push(`${name} ${each} of ${whole.calls} calls`);
  }
  console.log(`kills at real file calls: ${counts.join(", ")} (seed ${SEED})`);
});
