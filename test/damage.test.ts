// Every byte of a small store flipped, deleted, inserted; every line lost, doubled, swapped, foreign; every file emptied,
// removed, foreign, cut at each byte. Nothing goes unnoticed, recovery loses nothing that was whole, and runs once.
import { beforeAll, describe, expect, test } from "vitest";
import { type Base, PATH, simBase } from "./damage/base.ts";
import { everyByte, everyCut, everyFile, everyLine, type Mutation } from "./damage/mutations.ts";
import { simScene, verifyCase } from "./damage/verify.ts";

let mended: Base;
let torn: Base;
let other: Base;

beforeAll(async () => {
  mended = await simBase(false);
  torn = await simBase(true);
  other = await simBase(true, 2);
});

/** Runs every case, and tells how many there were and the first that failed. */
async function all(name: string, base: Base, cases: Iterable<Mutation>): Promise<void> {
  let count = 0;
  const failed: string[] = [];
  const started = performance.now();
  for (const mutation of cases) {
    const same = [...mutation.files].every(([file, bytes]) => bytes !== undefined && base.files.get(file)?.equals(bytes) === true);
    if (same) continue; // a swap of equal lines, a reversal of one
    count += 1;
    try {
      await verifyCase(base, simScene(base, mutation.files, PATH), mutation);
    } catch (error) {
      failed.push(`${mutation.what}: ${(error as Error).stack?.slice(0, 700)}`);
    }
  }
  console.log(`${name}: ${count} cases, ${Math.round(performance.now() - started)} ms, ${failed.length} failed`);
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

describe("bytes", () => {
  for (const file of [
    "audits.ndjson",
    "dead_letters.ndjson",
    "events.ndjson",
    "journal.00000000000000000001.ndjson",
    "journal.ndjson",
    "papyra.json",
    "snapshots.ndjson",
  ]) {
    test(file, async () => {
      await all(`every byte of ${file}`, mended, everyByte(file, mended.files.get(file)!));
      await all(`every cut of ${file}`, mended, everyCut(file, mended.files.get(file)!));
    });
  }
});

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
  await all(`every byte of ${file}`, torn, everyByte(file, torn.files.get(file)!));
  await all(`every cut of ${file}`, torn, everyCut(file, torn.files.get(file)!));
  await all(`every line of ${file}`, torn, everyLine(torn, other, file));
});
