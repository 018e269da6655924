// Who keeps whom away, with real processes and the locks of the kernel: one that is stopped in the middle of its work holds, and
// whoever comes is refused and told its pid, host, since when and what it does; when it is killed, they go on at once.
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, type TestContext } from "vitest";
import { fileBackend } from "../../src/backends/files.ts";
import { openStore } from "../../src/backends/open.ts";
import { createBackup, type CreateReport } from "../../src/backup/create.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import type { ObjectStore } from "../../src/backup/objects.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { type Build, build } from "../cli/build.ts";
import { flipBit, papyra, photograph } from "../cli/helpers.ts";
import { type Command, type Ended, historyOf, Home, Service } from "./real.ts";
import { audit, event } from "./world.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
if (!isRoot && process.env.CI !== undefined) throw new Error("backups as another user need root: CI must run as root");
if (!isRoot) console.log("backups as another user: 3 skipped, they need root on Linux");

let built: Build;
let template: Home;
const homes: Home[] = [];
const running: { kill(): Promise<unknown> }[] = [];

beforeAll(async () => {
  built = build();
  template = new Home(built);
  const backend = fileBackend({ path: join(template.dir, "persistence"), segmentBytes: 4096 }, nodeEnv);
  for (const count of [60, 20, 1]) {
    const store = await openStore(backend);
    for (let n = 0; n < count; n++) await store.append("events", [event(n)]);
    for (let n = 0; n < 3; n++) await store.append("audits", [audit(n)]);
    await store.close();
    if (count > 1) await createBackup(backend, template.objects);
  }
});
afterEach(async () => {
  for (const one of running.splice(0)) await one.kill();
  for (const { dir } of homes.splice(0)) rmSync(dir, { recursive: true, force: true });
});
afterAll(() => {
  rmSync(template.dir, { recursive: true });
  built.remove();
});

/** A store in several segments, two backups, and something that they do not have yet. */
function home(): Home {
  const copy = new Home(built);
  homes.push(copy);
  for (const name of ["persistence", "backups"])
    cpSync(join(template.dir, name), join(copy.dir, name), { recursive: true });
  return copy;
}

const audits = ({ dir }: Home): string => join(dir, "persistence", "audits.ndjson");

/** What each is, how it is called, and where it is stopped. */
const WORK: Readonly<Record<string, { args: string; stop: string; purpose: string }>> = {
  create: { args: "backup create", stop: "open \\.part\\.tmp-", purpose: "backup" },
  verify: { args: "backup verify", stop: "open backups/segments/", purpose: "verify" },
  restore: { args: "backup restore --target restored", stop: "open \\.restoring-", purpose: "restore" },
  prune: { args: "backup prune --keep-last 1 --grace 0s", stop: "unlink backups/backups/", purpose: "prune" },
  compact: {
    args: "persistence compact --log events --max-records 5",
    stop: "unlink persistence/events\\.",
    purpose: "compaction",
  },
  recover: { args: "persistence recover --mode repair", stop: "rename persistence/audits\\.", purpose: "recovery" },
  "restore in place": { args: "backup restore --target persistence --in-place", stop: "", purpose: "" },
};

const STORE = ["create", "compact", "recover", "restore in place"];
/** Whom each keeps away; all others are done beside it. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  create: [...STORE, "prune"],
  compact: STORE,
  recover: STORE,
  prune: ["create", "verify", "restore", "prune", "restore in place"],
  verify: ["prune"],
  restore: ["prune"],
};

async function run({ dir }: Home, name: string, target = "again") {
  const args = (WORK[name]?.args ?? "").replace("restored", target).split(" ");
  return papyra([...args, "--config", join(dir, "papyra.config.mjs")], { cwd: dir });
}

/** The same; a recovery finds something to mend. */
async function runWithWork(one: Home, name: string, target: string, damaged: boolean) {
  const mends = name === "recover" && !damaged;
  const whole = readFileSync(audits(one));
  if (mends) flipBit(audits(one));
  const ran = await run(one, name, target);
  if (mends && ran.exit !== 0) writeFileSync(audits(one), whole);
  return ran;
}

test.each(Object.keys(REFUSED))("beside a stopped %s", async (name) => {
  const one = home();
  const damaged = name === "recover";
  if (damaged) flipBit(audits(one));
  const { args, stop, purpose } = WORK[name] as (typeof WORK)[string];
  const holder = await one.stopped(stop, args.split(" "));
  running.push(holder);
  const refused = REFUSED[name] as readonly string[];
  const others = ["verify", "restore", "create", "prune", "compact", "recover", "restore in place"];
  for (const other of others) {
    const { exit, stderr } = await runWithWork(one, other, "beside", damaged);
    const done = { other, exit: 0, stderr: "" };
    const named = new RegExp(`held by pid ${holder.pid} on ${hostname()} since 20\\S+Z \\(${purpose}\\)`);
    const told = { other, exit: 11, stderr: expect.stringMatching(named) };
    expect({ other, exit, stderr }).toEqual(refused.includes(other) ? told : done);
  }
  await holder.kill();
  for (const other of others.filter((each) => refused.includes(each))) {
    const { exit, stderr } = await runWithWork(one, other, "after", damaged);
    // A recovery that was killed has mended nothing yet: the backup of such a store says so.
    expect({ other, exit, stderr }).toEqual({
      other,
      exit: damaged && other === "create" ? 13 : 0,
      stderr: "",
    });
  }
  expect(await verifyBackups(one.objects, { level: "replay" })).toMatchObject({ problems: [] });
});

test("a backup that is stopped keeps the service's own compaction away, goes on, and is good", async () => {
  const one = home();
  const service = await Service.start(one, 1);
  running.push(service);
  const holder = await one.stopped("open \\.part\\.tmp-", ["backup", "create", "--states", "--json"]);
  running.push(holder);
  await service.begin("compact");
  expect(await service.says("failed ")).toMatch(new RegExp(`^failed STORE_LOCKED .*pid ${holder.pid} .*\\(backup\\)`));
  holder.child.kill("SIGCONT");
  expect(await holder.ended).toMatchObject({ exit: 0, stderr: "" });
  await service.begin("compact");
  await service.says("done ");
  expect(await verifyBackups(one.objects, { level: "replay" })).toMatchObject({ ok: true });
});

test("a backup that hangs while all others have to wait for it is named, too", async () => {
  const one = home();
  const holder: Command = await one.stopped("rename backups/backups/", ["backup", "create"]);
  running.push(holder);
  const { exit, stderr } = await run(one, "verify");
  expect(exit).toBe(11);
  expect(stderr).toMatch(new RegExp(`held by pid ${holder.pid} on .* \\(storing of backups/`));
  await holder.kill();
  expect(await run(one, "create")).toMatchObject({ exit: 0 });
  expect(await run(one, "verify")).toMatchObject({ exit: 0 });
});

describe.skipIf(!isRoot)("of a store that may only be read", () => {
  const create = ["backup", "create", "--path", "persistence", "--repository", "theirs", "--json"];
  const reportIn = ({ stdout }: Ended) => (JSON.parse(stdout) as { report: CreateReport }).report;

  /** Another user owns nothing of it but an empty directory for the repository. */
  async function readable(context: TestContext): Promise<{ one: Home; objects: ObjectStore; path: string }> {
    const one = home();
    const { exit } = await one.papyraAsNobody("--version").ended;
    if (exit !== 0) context.skip("another user cannot run Node here");
    const theirs = join(one.dir, "theirs");
    mkdirSync(theirs);
    chownSync(theirs, 65534, 65534);
    return { one, objects: directoryObjects(nodeEnv, theirs), path: join(one.dir, "persistence") };
  }

  test("a backup is made without a pin, says so, and changes nothing; of what it may not read it makes none", async (context) => {
    const { one, objects, path } = await readable(context);
    chmodSync(audits(one), 0o600);
    const unreadable = photograph(path);
    const refused = await one.papyraAsNobody(...create).ended;
    expect(refused).toMatchObject({ exit: 74, stderr: "" });
    expect(refused.stdout).toMatch(/cannot open \S+audits.ndjson: EACCES/);
    expect(await viewRepository(objects).catch((error: unknown) => error)).toMatchObject({ code: "BACKUP_NOT_FOUND" });
    expect(photograph(path)).toEqual(unreadable);
    chmodSync(audits(one), 0o644);
    const before = photograph(path);
    const ended = await one.papyraAsNobody(...create).ended;
    expect(ended).toMatchObject({ exit: 0, stderr: "" });
    const unpinned = "nothing can be written there (EACCES)";
    expect(reportIn(ended)).toMatchObject({ unpinned, backup: { how: "stopped", verdict: "good" } });
    expect(photograph(path)).toEqual(before);
    expect(await verifyBackups(objects, { level: "replay" })).toMatchObject({ ok: true });
  });

  test("beside a writer it has what was acknowledged before, and leaves nothing behind", async (context) => {
    const { one, objects, path } = await readable(context);
    const service = await Service.start(one, 1);
    running.push(service);
    const promised = service.acks();
    const ended = await one.papyraAsNobody(...create).ended;
    expect(ended).toMatchObject({ exit: 0, stderr: "" });
    const { backup, unpinned } = reportIn(ended);
    expect({ how: backup.how, verdict: backup.verdict, unpinned }).toMatchObject({ how: "live", verdict: "good" });
    expect(unpinned).toContain("EACCES");
    const { last } = await historyOf(objects, backup);
    for (const { id, revision } of promised) expect(last.get(id)).toBeGreaterThanOrEqual(revision);
    expect(readdirSync(path).filter((name) => name.includes("pin") || statSync(join(path, name)).uid !== 0)).toEqual(
      [],
    );
  });

  test("a compaction that is there keeps it away until it is killed", async (context) => {
    const { one, objects } = await readable(context);
    const { args, stop } = WORK.compact as (typeof WORK)[string];
    const compacting = await one.stopped(stop, args.split(" "));
    running.push(compacting);
    const refused = await one.papyraAsNobody(...create).ended;
    expect(refused.exit).toBe(11);
    expect(refused.stdout).toMatch(new RegExp(`held by pid ${compacting.pid} on .* \\(compaction\\)`));
    await compacting.kill();
    expect(await one.papyraAsNobody(...create).ended).toMatchObject({ exit: 0, stderr: "" });
    expect(await verifyBackups(objects, { level: "replay" })).toMatchObject({ ok: true });
  });

  test("a compaction that comes meanwhile makes it begin anew", async (context) => {
    const { one, objects } = await readable(context);
    const creating = await one.stopped("open events.*\\.part\\.tmp-", create, "nobody");
    running.push(creating);
    expect(await run(one, "compact")).toMatchObject({ exit: 0 }); // nothing keeps it away
    creating.child.kill("SIGCONT");
    const ended = await creating.ended;
    expect(ended).toMatchObject({ exit: 0, stderr: "" });
    expect(reportIn(ended).backup).toMatchObject({ verdict: "good", anomalies: [] });
    expect(await verifyBackups(objects, { level: "replay" })).toMatchObject({ ok: true });
  });
});
