// Every byte of a small store flipped, deleted, inserted; every line lost, doubled, swapped, foreign; every file emptied,
// removed, foreign, cut at each byte. Nothing goes unnoticed, recovery loses nothing that was whole, and runs once.
import { beforeAll, expect, test } from "vitest";
import { type Base, PATH, simBase } from "./damage/base.ts";
import { everyByte, everyCut, everyFile, everyLine, type Mutation } from "./damage/mutations.ts";
import { simScene, verifyCase, verifySeen } from "./damage/verify.ts";

let mended: Base;
let torn: Base;
let other: Base;

beforeAll(async () => {
  mended = await simBase(false);
  torn = await simBase(true);
  other = await simBase(true, 2);
});

/** With it every case goes through recovery and opening; without, one of four, and a scan has to find all of them. */
const EXHAUSTIVE = process.env.PAPYRA_EXHAUSTIVE === "1";
const always = (): boolean => true;
/** Of the four things that are done to each byte one, in turn. */
const inTurn = (n: number): boolean => EXHAUSTIVE || n % 4 === Math.floor(n / 4) % 4;

/** Runs every case, tells how many there were, and the first that failed. */
async function all(
  name: string,
  base: Base,
  cases: Iterable<Mutation>,
  whole: (n: number) => boolean = always,
): Promise<void> {
  let [count, recovered, n] = [0, 0, 0];
  const failed: string[] = [];
  for (const mutation of cases) {
    const changed = [...mutation.files].some(
      ([file, bytes]) => bytes === undefined || !base.files.get(file)!.equals(bytes),
    );
    if (!changed) continue; // a swap of equal lines, a reversal of one
    count += 1;
    try {
      const scene = simScene(base, mutation.files, PATH);
      if (whole(n++)) {
        recovered += 1;
        await verifyCase(base, scene, mutation);
      } else await verifySeen(base, scene, mutation);
    } catch (error) {
      failed.push(`${mutation.what}: ${(error as Error).stack?.slice(0, 700)}`);
    }
  }
  console.log(`${name}: ${count} cases, ${recovered} of them recovered; ${failed.length} failed`);
  expect(count).toBeGreaterThan(0);
  expect(failed.slice(0, 8).join("\n\n"), `${failed.length} of ${count} failed`).toBe("");
}

test("the store to damage has all logs, closed segments and a gap record, and is healthy", () => {
  expect([...mended.files.keys()]).toEqual([
    "audits.ndjson",
    "dead_letters.ndjson",
    "events.ndjson",
    "journal.00000000000000000001.ndjson",
    "journal.ndjson",
    "papyra.json",
    "snapshots.ndjson",
  ]);
  expect(mended.scan.verdict).toBe("healthy: 13 records, every seq accounted for");
  expect(torn.scan.counts).toEqual({ "torn-tail": 1 });
  expect(mended.scan.logs.find((log) => log.log === "events")?.accounted.quarantined).toBe(1);
});

const eachFile = (cases: (file: string, bytes: Buffer) => Iterable<Mutation>): Mutation[] =>
  [...mended.files].flatMap(([file, bytes]) => [...cases(file, bytes)]);

test("every byte", () => all("every byte", mended, eachFile(everyByte), inTurn));

test("every cut", () => all("every cut", mended, eachFile(everyCut), inTurn));

test("every line", () => {
  const files = [...mended.files.keys()].filter((file) => file !== "papyra.json");
  return all(
    "every line",
    mended,
    files.flatMap((file) => [...everyLine(mended, other, file)]),
  );
});

test("every file", () => all("every file", mended, everyFile(mended, other)));

test("a closed segment that ends in an unfinished write", async () => {
  const file = "audits.00000000000000000001.ndjson";
  const bytes = torn.files.get(file)!;
  await all(`every byte of ${file}`, torn, everyByte(file, bytes), inTurn);
  await all(`every cut of ${file}`, torn, everyCut(file, bytes), inTurn);
  await all(`every line of ${file}`, torn, everyLine(torn, other, file));
});
