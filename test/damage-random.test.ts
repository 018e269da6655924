// Mixtures of damage by a seeded generator, and a sample of the single ones on a real disk.
import fc from "fast-check";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { nodeEnv } from "../src/env/node.ts";
import { isPapyraError } from "../src/errors.ts";
import { parseFileName } from "../src/log/segments.ts";
import { scan } from "../src/ops/scan.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";
import { type Base, describeBase, type Files, GONE, linesOf, PATH, simBase, writeStore } from "./damage/base.ts";
import { everyByte, everyCut, everyFile, everyLine, type Mutation } from "./damage/mutations.ts";
import { type Scene, simScene, verifyCase, verifyMixture, verifyRecords } from "./damage/verify.ts";

const SEED = Number(process.env.PAPYRA_SEED ?? 20_261_122);
/** With it recovery runs over every mixture, not over one of six. */
const EXHAUSTIVE = process.env.PAPYRA_EXHAUSTIVE === "1";

/** One step of damage to whatever is there by then. */
interface Step {
  readonly how: (typeof HOW)[number];
  readonly file: number;
  readonly at: number;
  readonly value: number;
}

const HOW = [
  "flip",
  "delete",
  "insert",
  "cut",
  "lose",
  "double",
  "move",
  "graft",
  "empty",
  "drop",
  "replace",
  "zeros",
] as const;

function damageLines(lines: string[], { how, at, value }: Step, donor: readonly string[]): string[] {
  const i = Math.floor(at * lines.length);
  const to = Math.floor((value / 256) * lines.length);
  if (how === "lose") return lines.toSpliced(i, 1);
  if (how === "double") return lines.toSpliced(to, 0, lines[i] ?? "");
  if (how === "move") return lines.toSpliced(i, 1).toSpliced(to, 0, lines[i] ?? "");
  return lines.toSpliced(i, 1, donor[to % donor.length] ?? "");
}

function damageBytes(bytes: Buffer, { how, at, value }: Step): Buffer {
  const offset = Math.floor(at * bytes.length);
  const [before, after] = [bytes.subarray(0, offset), bytes.subarray(offset)];
  if (how === "flip" && after.length > 0) {
    return Buffer.concat([before, Buffer.from([after[0]! ^ (1 << (value % 8))]), after.subarray(1)]);
  }
  if (how === "delete") return Buffer.concat([before, after.subarray(1 + (value % 40))]);
  if (how === "insert") return Buffer.concat([before, Buffer.alloc(1 + (value % 5), value), after]);
  if (how === "cut") return Buffer.from(before);
  if (how === "zeros")
    return Buffer.concat([before, Buffer.alloc(Math.min(after.length, value)), after.subarray(value)]);
  return bytes;
}

function mixture(base: Base, other: Base, steps: readonly Step[]): Files {
  const files = new Map<string, Buffer>();
  const names = [...base.files.keys()];
  for (const step of steps) {
    const name = names[step.file % names.length] as string;
    const donorName = names[step.value % names.length] as string;
    const donor = (step.value % 2 === 0 ? other : base).files.get(donorName) ?? Buffer.alloc(0);
    const now = files.has(name) ? files.get(name) : base.files.get(name);
    if (step.how === "drop") files.set(name, GONE);
    else if (now === undefined || now === GONE) continue;
    else if (step.how === "empty") files.set(name, Buffer.alloc(0));
    else if (step.how === "replace") files.set(name, donor);
    else if (["lose", "double", "move", "graft"].includes(step.how))
      files.set(name, Buffer.from(damageLines(linesOf(now), step, linesOf(donor)).join(""), "latin1"));
    else files.set(name, damageBytes(now, step));
  }
  return files;
}

test(`mixtures of one to four kinds of damage (seed ${SEED})`, async () => {
  const base = await simBase(false);
  const other = await simBase(false, 2);
  const whole = await verifyRecords([base], fileBackend({ path: PATH }, base.disk.kill().env));
  const step = fc.record({
    how: fc.constantFrom(...HOW),
    file: fc.nat(63),
    at: fc.double({ min: 0, max: 0.9999, noNaN: true }),
    value: fc.nat(255),
  });
  const seen = { cases: 0, unknownFormat: 0, mended: 0, left: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 4 }), async (steps) => {
      const files = mixture(base, other, steps);
      const scene = simScene(base, files, PATH);
      seen.cases += 1;
      try {
        const report = await scan(scene.backend);
        // papyra.json says nothing that the logs do not say: that it is gone is no damage.
        const gone = (name: string, bytes: Buffer): boolean => name === "papyra.json" && bytes === GONE;
        const same = [...files].every(([name, bytes]) => gone(name, bytes) || base.files.get(name)!.equals(bytes));
        const records = await verifyRecords([base, other], scene.backend);
        if (records < whole) expect(report.ok, report.verdict).toBe(false);
        expect(report.ok).toBe(same);
        if (EXHAUSTIVE || seen.cases % 6 === 0) seen[await verifyMixture(base, scene)] += 1;
      } catch (error) {
        if (!isPapyraError(error, "FORMAT_UNKNOWN")) throw error;
        seen.unknownFormat += 1;
      }
    }),
    { seed: SEED, numRuns: 2000, endOnFailure: false },
  );
  console.log(`mixtures: ${JSON.stringify(seen)}`);
});

const REAL_CASES = 100;
let root = "";
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), "papyra-damage-"))));
afterAll(() => rm(root, { recursive: true, force: true }));

/** Files of the store on the real disk that hold content. */
async function realFiles(path: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    const name = join(entry.parentPath, entry.name).slice(path.length + 1);
    const { type } = parseFileName(name);
    const wanted = ["active", "closed", "store"].includes(type) || name.startsWith("quarantine/");
    if (entry.isFile() && wanted) files.set(name, await readFile(join(path, name)));
  }
  return files;
}

/** Makes the store what it was before: the same bytes, no other files, and a mark that speaks for them. */
async function restore(path: string, base: Base): Promise<void> {
  for (const name of (await realFiles(path)).keys()) {
    if (!base.files.has(name) && !name.startsWith("quarantine/")) await rm(join(path, name));
  }
  await rm(join(path, "quarantine"), { recursive: true, force: true });
  for (const [name, bytes] of base.files) await writeFile(join(path, name), bytes);
  const claim = await fileBackend({ path }, nodeEnv).claim("a test"); // papyra.json is whole again: it says whose mark it is
  await claim.vouch(base.last);
  await claim.release();
}

test(`${REAL_CASES} of the single ones on a real disk (seed ${SEED})`, async () => {
  const path = join(root, "s");
  const tear = async (name: string, bytes: Buffer): Promise<void> => writeFile(join(path, name), bytes, { flag: "a" });
  const flip = async (name: string): Promise<void> => {
    const bytes = await readFile(join(path, name));
    bytes[bytes.indexOf('{"seq":2') + 12]! ^= 1;
    await writeFile(join(path, name), bytes);
  };
  await writeStore({ env: nodeEnv, path, tear, flip }, false);
  const backend = fileBackend({ path }, nodeEnv);
  const files = new Map([...(await realFiles(path))].filter(([name]) => !name.startsWith("quarantine/")));
  const base = describeBase(new SimDisk(), files, await scan(backend));
  const other = await simBase(false, 2);
  const scene: Scene = { backend, files: () => realFiles(path), changes: () => 0 };
  const cases: Mutation[] = [];
  for (const [file, bytes] of files) {
    cases.push(...everyByte(file, bytes), ...everyCut(file, bytes));
    if (file !== "papyra.json") cases.push(...everyLine(base, other, file), ...everyLine(base, other, file));
  }
  cases.push(...everyFile(base, other));
  const sample = fc.sample(fc.nat(cases.length - 1), { seed: SEED, numRuns: REAL_CASES }).map((n) => cases[n]!);
  for (const mutation of sample) {
    const changed = [...mutation.files].some(([file, bytes]) => !files.get(file)!.equals(bytes));
    if (!changed) continue;
    await restore(path, base);
    for (const [name, bytes] of mutation.files) {
      if (bytes === GONE) await rm(join(path, name));
      else await writeFile(join(path, name), bytes);
    }
    await verifyCase(base, scene, mutation).catch((error: unknown) => {
      throw new Error(`${mutation.what}: ${String((error as Error).stack)}`, { cause: error });
    });
  }
});
