// One byte of a repository is changed, or one object is cut, lengthened, lost, or replaced by another one: verifying finds it and
// names the backups that it concerns, their drill fails, and a restore leaves nothing. Then what only an anchor can show.
import { expect, test } from "vitest";
import { createBackup } from "../../src/backup/create.ts";
import { directoryObjects } from "../../src/backup/directory.ts";
import { drillBackup } from "../../src/backup/drill.ts";
import { encodeManifest, type Manifest, partName, partsOf } from "../../src/backup/manifest.ts";
import { pinBackup } from "../../src/backup/pins.ts";
import { viewRepository } from "../../src/backup/repository.ts";
import { restoreBackup } from "../../src/backup/restore.ts";
import { decodeSealed, encodeSealed, sha256Of } from "../../src/backup/sealed-json.ts";
import { verifyBackups } from "../../src/backup/verify.ts";
import { isPapyraError } from "../../src/errors.ts";
import type { SimDisk } from "../../src/testing/sim-disk.ts";
import { impatient } from "../sim-env.ts";
import { world, type World, write } from "./world.ts";

const PLACE = "/backups/repository";
const DAY_MS = 86_400_000;
/** One in so many changes is also tried on the level "replay" and by a restore, which take longer. */
const ONE_IN = Math.max(1, Math.round(60 / Number(process.env.PAPYRA_SEEDS ?? 12)));

interface Made {
  readonly disk: SimDisk;
  readonly manifests: readonly Manifest[];
  readonly anchor: string;
}

function objectsOn(disk: SimDisk): Pick<World, "env" | "objects"> {
  const env = impatient(disk);
  return { env, objects: directoryObjects(env, PLACE) };
}

/** Three days of a store that rotates; `early` is the disk as it was after the second. */
async function threeDays(): Promise<Made & { readonly early: SimDisk }> {
  const { disk, store, objects } = world({ segmentBytes: 4096 });
  const manifests: Manifest[] = [];
  let early = disk;
  for (let day = 1; day <= 3; day++) {
    await write(store, 21);
    await write(store, 8, "audits");
    manifests.push((await createBackup(store, objects)).backup);
    disk.clock.advance(DAY_MS);
    if (day === 2) early = disk.afterKill();
  }
  await pinBackup(objects, (manifests[0] as Manifest).id);
  const { anchor } = await verifyBackups(objects);
  disk.put(
    `${PLACE}/holds/00000000.json`,
    '{"pid":1,"host":"gone","sinceMs":0,"purpose":"backup","mode":"exclusive"}\n',
  );
  return { disk, manifests, anchor: anchor as string, early };
}

type Change = (bytes: Buffer) => Buffer | undefined;

function flip(at: number, bit = 0): Change {
  return (bytes) => {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ (1 << bit);
    return changed;
  };
}

/** Where a byte of each class is: the ends, the middle, within a checksum, within a number. */
function positions(bytes: Buffer): [string, number][] {
  const text = bytes.toString("latin1");
  const found: [string, number][] = [
    ["first byte", 0],
    ["middle byte", bytes.length >> 1],
    ["last byte", bytes.length - 1],
  ];
  const checksum = /"(?:crc|sha256)":"[0-9a-f]{4}/.exec(text);
  if (checksum !== null) found.push(["in a checksum", checksum.index + checksum[0].length - 1]);
  const number = /"[a-z_]+":\d/.exec(text);
  if (number !== null) found.push(["in a number", number.index + number[0].length - 1]);
  return found;
}

interface Mutation {
  readonly how: string;
  readonly path: string;
  readonly change: (disk: SimDisk) => void;
  /** Another object that is changed with it. */
  readonly also?: string;
}

function mutationsOf(path: string, bytes: Buffer, others: readonly [string, Buffer][]): Mutation[] {
  const set = (how: string, change: Change): Mutation => ({
    how: `${path}: ${how}`,
    path,
    change: (disk) => {
      const changed = change(bytes);
      if (changed === undefined) disk.drop(path);
      else disk.put(path, changed);
    },
  });
  const all = positions(bytes).flatMap(([what, at]) =>
    [0, 5].map((bit) => set(`bit ${bit} of the ${what}`, flip(at, bit))),
  );
  all.push(
    set("cut by one byte", (whole) => whole.subarray(0, -1)),
    set("one byte longer", (whole) => Buffer.concat([whole, Buffer.from("\n")])),
    set("empty", () => Buffer.alloc(0)),
    set("gone", () => undefined),
  );
  const older = others.findLast(([name]) => name < path);
  if (older !== undefined) all.push(set(`replaced by ${older[0]}`, () => older[1]));
  const other = others.find(([name]) => name > path);
  if (other !== undefined)
    all.push({
      how: `${path}: swapped with ${other[0]}`,
      path,
      also: other[0],
      change: (disk) => {
        disk.put(path, other[1]);
        disk.put(other[0], bytes);
      },
    });
  return all;
}

const classOf = (path: string): string =>
  path
    .slice(PLACE.length + 1)
    .split("/")
    .slice(0, -1)
    .join("/");

function allMutations(disk: SimDisk): Mutation[] {
  const files = [...disk.tree()].filter(([path]) => path.startsWith(`${PLACE}/`) && classOf(path) !== "");
  return files.flatMap(([path, bytes]) =>
    mutationsOf(
      path,
      bytes,
      files.filter(([other]) => other !== path && classOf(other) === classOf(path)),
    ),
  );
}

/** Which backups a change of this object concerns. */
function concerned(path: string, manifests: readonly Manifest[]): string[] {
  const name = path.slice(PLACE.length + 1);
  return manifests
    .filter(
      (manifest) =>
        name === `backups/${manifest.id}.json` ||
        [...partsOf(manifest)].some((one) => partName(one.log, one.part) === name),
    )
    .map(({ id }) => id);
}

type Place = Pick<World, "env" | "objects">;

function outcomeOf(work: Promise<unknown>): Promise<unknown> {
  return work.catch((error: unknown) => (isPapyraError(error) ? error.code : error));
}

async function drillOutcome({ env, objects }: Place, backup: string): Promise<unknown> {
  return outcomeOf(drillBackup(objects, env, { scratch: "/scratch", backup }).then(({ outcome }) => outcome));
}

/** Of a repository that nobody has verified since. */
async function assertDrillFails(there: Place, id: string, how: string): Promise<void> {
  expect(["fail", "BACKUP_NOT_FOUND"], `${how}, drill`).toContain(await drillOutcome(there, id));
  await assertNothingLeft(there, how);
}

async function assertNotRestored(there: Place, id: string, how: string): Promise<void> {
  const restore = await outcomeOf(restoreBackup(there.objects, there.env, "/restored", { point: { backup: id } }));
  expect(["BACKUP_DAMAGED", "BACKUP_NOT_FOUND"], `${how}, restore`).toContain(restore);
  await assertNothingLeft(there, how);
}

async function assertNothingLeft({ env }: Place, how: string): Promise<void> {
  expect(await env.fs.list("/"), how).not.toEqual(expect.arrayContaining([expect.stringMatching(/scratch|restor/)]));
}

test("whatever is changed in a repository is found, with the backups that it concerns", async () => {
  const { disk, manifests, anchor } = await threeDays();
  const lastEntry = `${PLACE}/catalog/${String(anchor.split(":")[0]).padStart(12, "0")}.json`;
  const seen = new Map<string, number>();
  const newest = manifests.at(-1) as Manifest;
  for (const [i, { how, path, change, also }] of allMutations(disk).entries()) {
    const afresh = (): Place => {
      const changed = disk.afterKill();
      change(changed);
      return objectsOn(changed);
    };
    const there = afresh();
    const deep = i % ONE_IN === 0;
    const report = await verifyBackups(there.objects, { level: deep ? "replay" : "checksums" });
    const kind = classOf(path);
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    const bad = [path, ...(also === undefined ? [] : [also])].flatMap((one) => concerned(one, manifests));
    const named = [...report.backups.filter(({ ok }) => !ok).map(({ id }) => id), ...vanishedIn(report.problems)];
    expect({ how, named: named.sort() }).toEqual({ how, named: [...new Set(bad)].sort() });
    if (kind === "catalog") {
      const without = path === lastEntry && how.endsWith("gone"); // what was removed at the end, only an anchor tells
      expect({ how, ok: report.ok }).toEqual({ how, ok: without });
      if (!without) expect(report.problems.join("; "), how).toContain(path.slice(PLACE.length + 1));
      else expect(await drillOutcome(afresh(), newest.id), how).toBe("pass");
      expect((await viewRepository(afresh().objects, { anchor })).problems, how).not.toEqual([]);
      if (!without && drills(how)) await assertDrillFails(afresh(), newest.id, how);
    } else expect({ how, ok: report.ok }).toEqual({ how, ok: kind === "state" || kind === "holds" });
    if (deep || drills(how))
      for (const id of new Set(deep ? bad : bad.slice(0, 1))) await assertDrillFails(afresh(), id, how);
    // The part of a log without records is its identity line alone: nothing of it is restored, so that it is in nobody's way.
    if (deep && !isEmptyLog(kind, manifests)) for (const id of new Set(bad)) await assertNotRestored(there, id, how);
  }
  const kinds = ["backups", "catalog", "holds", "segments/audits", "segments/events", "state"];
  expect([...seen.keys()]).toEqual(expect.arrayContaining(kinds));
});

/** Each file and each class of position once; the other bits of the same byte only now and then. */
function drills(how: string): boolean {
  return !how.includes("bit 5");
}

function isEmptyLog(kind: string, manifests: readonly Manifest[]): boolean {
  const log = kind.replace("segments/", "");
  return manifests.every(({ logs }) => log in logs && logs[log as keyof typeof logs].records === 0);
}

function vanishedIn(problems: readonly string[]): string[] {
  return problems.flatMap((text) => /^the backup (\S+) is gone/.exec(text)?.[1] ?? []);
}

test("without any change all of it is as it was, and each backup passes its drill", async () => {
  const { disk, manifests, anchor } = await threeDays();
  const { objects, env } = objectsOn(disk);
  expect(await verifyBackups(objects, { level: "replay", anchor })).toMatchObject({
    ok: true,
    problems: [],
    coverage: 1,
  });
  for (const { id } of manifests)
    expect(await drillBackup(objects, env, { scratch: "/scratch", backup: id })).toMatchObject({ outcome: "pass" });
});

/** Verifying with the anchor and without one. */
async function seen(disk: SimDisk, anchor: string): Promise<{ without: boolean; with: boolean }> {
  const [a, b] = [objectsOn(disk.afterKill()), objectsOn(disk.afterKill())];
  return { without: !(await verifyBackups(a.objects)).ok, with: !(await verifyBackups(b.objects, { anchor })).ok };
}

const entryPath = (n: number): string => `${PLACE}/catalog/${String(n).padStart(12, "0")}.json`;

test("only an anchor shows that the repository is an earlier copy of itself", async () => {
  const { early, anchor } = await threeDays();
  expect(await seen(early, anchor)).toEqual({ without: false, with: true });
  const { objects } = objectsOn(early);
  for (let i = 0; i < 6; i++) await verifyBackups(objects, { level: "names" }); // the entries that were lost are made again
  expect(await seen(early, anchor)).toEqual({ without: false, with: true });
});

test("only an anchor shows that the last entries of the catalog were removed", async () => {
  const { disk, anchor } = await threeDays();
  const last = Number(anchor.split(":")[0]);
  for (let n = last; n > 0; n--) {
    disk.drop(entryPath(n)); // in the end all of them: the backups are there still, and nothing says that there was a catalog
    expect({ n, ...(await seen(disk, anchor)) }).toEqual({ n, without: false, with: true });
  }
});

test("only an anchor shows that a manifest was replaced and the catalog chained anew; one from before it shows nothing", async () => {
  const { disk, manifests, anchor } = await threeDays();
  const { catalog } = await viewRepository(objectsOn(disk).objects);
  const { id } = manifests[2] as Manifest;
  const forged = encodeManifest({ ...(manifests[1] as Manifest), id });
  disk.put(`${PLACE}/backups/${id}.json`, forged);
  expect(await seen(disk, anchor)).toEqual({ without: true, with: true });
  let previous: string | null = null;
  let before = "";
  for (const entry of catalog.entries) {
    const fields: Record<string, unknown> = { ...entry, previous };
    delete fields.sha256;
    if (entry.backup === id && "manifest" in entry) {
      fields.manifest = sha256Of(forged);
      before = `${entry.n - 1}:${previous}`;
    }
    const bytes = encodeSealed(fields);
    expect(decodeSealed(bytes)).toBeDefined();
    disk.put(entryPath(entry.n), bytes);
    previous = sha256Of(bytes);
  }
  expect(await seen(disk, anchor)).toEqual({ without: false, with: true });
  expect(await seen(disk, before)).toEqual({ without: false, with: false });
});

test("an entry of the catalog that was written anew is found by the one behind it, without an anchor", async () => {
  const { disk } = await threeDays();
  const { sha256: _, ...fields } = decodeSealed(disk.content(entryPath(2))) as Record<string, unknown>;
  disk.put(entryPath(2), encodeSealed({ ...fields, host: "another" }));
  const { problems } = await verifyBackups(objectsOn(disk).objects);
  expect(problems).toEqual([
    "catalog/000000000003.json does not follow the entry before it",
    expect.stringMatching(/^what is lost of the catalog may have pinned 2 backups/),
  ]);
});
