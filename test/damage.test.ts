// Every byte of a small store flipped, deleted, inserted; every line lost, doubled, swapped, foreign; every file emptied,
// removed, foreign, cut at each byte. Nothing goes unnoticed, recovery loses nothing that was whole, and runs once.
import { beforeAll, describe, expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import { MARK_SLOT_BYTES } from "../src/log/mark.ts";
import { recover } from "../src/ops/recover.ts";
import { scan, type ScanReport } from "../src/ops/scan.ts";
import { type Base, type Files, GONE, PATH, simBase } from "./damage/base.ts";
import { everyByte, everyCut, everyFile, everyLine, type Mutation } from "./damage/mutations.ts";
import { simScene, verifyCase, verifyOpening, verifySeen } from "./damage/verify.ts";

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
    const changed = [...mutation.files].some(([file, bytes]) => !base.files.get(file)!.equals(bytes));
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

test("every line", () =>
  all(
    "every line",
    mended,
    eachFile((file) => (file === "papyra.json" ? [] : everyLine(mended, other, file))),
  ));

test("every file", () => {
  // papyra.json says nothing that the logs do not say: that it is gone is no damage.
  const gone = (mutation: Mutation): boolean => mutation.files.get("papyra.json") === GONE;
  return all(
    "every file",
    mended,
    [...everyFile(mended, other)].filter((mutation) => !gone(mutation)),
  );
});

test("without papyra.json a store is healthy, recovery leaves it alone, and opening makes the file anew", async () => {
  const scene = simScene(mended, new Map([["papyra.json", GONE]]), PATH);
  expect((await scan(scene.backend)).ok).toBe(true);
  expect((await recover(scene.backend, { mode: "repair" })).changed).toBe(false);
  const store = await openStore(scene.backend);
  expect(store.identity.store).toBe(mended.scan.store);
  await store.close();
  expect((await scan(scene.backend)).ok).toBe(true);
});

test("a closed segment that ends in an unfinished write", async () => {
  const file = "audits.00000000000000000001.ndjson";
  const bytes = torn.files.get(file)!;
  await all(`every byte of ${file}`, torn, everyByte(file, bytes), inTurn);
  // Without the unfinished write the store is healthy.
  const damages = ({ files }: Mutation): boolean => !files.get(file)!.equals(bytes.subarray(0, torn.torn?.offset));
  await all(`every cut of ${file}`, torn, [...everyCut(file, bytes)].filter(damages), inTurn);
  await all(`every line of ${file}`, torn, [...everyLine(torn, other, file)].filter(damages));
});

test("opening without recovery keeps every damaged byte, and what it writes is recovered with the rest", async () => {
  const cases = [
    ...eachFile(everyByte).filter((_, n) => n % 37 === 0),
    ...eachFile(everyCut).filter((_, n) => n % 19 === 0),
    ...eachFile((file) => (file === "papyra.json" ? [] : everyLine(mended, other, file))).filter((_, n) => n % 3 === 0),
  ];
  let count = 0;
  for (const mutation of cases) {
    const scene = simScene(mended, mutation.files, PATH);
    await verifyOpening(mended, scene, mutation).catch((error: unknown) => {
      throw new Error(mutation.what, { cause: error });
    });
    count += 1;
  }
  console.log(`opening: ${count} cases`);
});

describe("the mark", () => {
  const file = `${PATH}/papyra.mark`;
  /** A scan after the store and then its mark were damaged. */
  const scanWith = async (files: Files, change: (mark: Buffer) => Uint8Array): Promise<ScanReport> => {
    const disk = mended.disk.kill();
    for (const [name, bytes] of files) disk.corrupt(`${PATH}/${name}`, () => bytes);
    disk.corrupt(file, change);
    return scan(fileBackend({ path: PATH }, disk.env));
  };
  const changes = function* (mark: Buffer): Generator<(mark: Buffer) => Uint8Array> {
    for (const [at, byte] of mark.entries()) {
      if (byte === 0x20 && at % 211 !== 0) continue; // the filling is not looked at
      yield (bytes) => bytes.fill(byte ^ (1 << (at % 8)), at, at + 1);
    }
    for (let length = 0; length < mark.length; length += 97) yield (bytes) => bytes.subarray(0, length);
    for (const slot of [0, MARK_SLOT_BYTES]) yield (bytes) => bytes.fill(0, slot, slot + MARK_SLOT_BYTES);
  };

  test("a damaged mark never accuses a store: what is healthy stays healthy, an unfinished write loses nothing", async () => {
    const journal = mended.files.get("journal.ndjson")!;
    const unfinished = new Map([["journal.ndjson", Buffer.concat([journal, Buffer.from('{"seq":6,"ki')])]]);
    let count = 0;
    for (const change of changes(mended.disk.content(file))) {
      count += 2;
      const healthy = await scanWith(new Map(), change);
      expect(healthy.ok, healthy.verdict).toBe(true);
      const { anomalies } = await scanWith(unfinished, change);
      expect(anomalies.map(({ kind }) => kind)).toEqual(["torn-tail"]);
      expect(anomalies[0]?.acknowledged).not.toBe("lost");
    }
    console.log(`the mark: ${count} cases`);
  });

  test("with one slot damaged the other still tells what is lost, and does not claim that it knows the end", async () => {
    const journal = mended.files.get("journal.ndjson")!;
    const cutMark = (mark: Buffer): Buffer => mark.fill(0, 0, 60);
    const lost = await scanWith(new Map([["journal.ndjson", journal.subarray(0, 100)]]), cutMark);
    expect(lost.anomalies).toMatchObject([{ kind: "truncated", acknowledged: "lost" }]);
    const unfinished = Buffer.concat([journal, Buffer.from('{"seq":6,"ki')]);
    const unknown = await scanWith(new Map([["journal.ndjson", unfinished]]), cutMark);
    expect(unknown.anomalies).toMatchObject([{ kind: "torn-tail", acknowledged: "unknown" }]);
  });
});
