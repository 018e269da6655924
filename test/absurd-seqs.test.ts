// Lines of a foreign or broken writer: their checksums are right, and they state seqs that no record has. Each is named, nothing
// counts on from it, and whatever is done takes no time that grows with the number.
import { appendFileSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import { nodeEnv } from "../src/env/node.ts";
import { encodeControlLine, encodeFields, encodeIdentity, encodeLine, seedOf } from "../src/log/codec.ts";
import { decodeMark, encodeMark, type Mark } from "../src/log/mark.ts";
import { closedName } from "../src/log/segments.ts";
import { SEQ_MAX, SEQ_ROOM } from "../src/log/seqs.ts";
import { EntryReader } from "../src/redis/delivery.ts";
import { event, gone, makeStore, papyra, scratch } from "./cli/helpers.ts";

const dir = scratch();
afterAll(() => gone(dir));

const FIELDS = encodeFields({ system_id: "local", actor_address: "local://a", event_type: "T", payload: {} });
const TIME = 4e12;
const SOON_MS = 20_000;
let stores = 0;

/** A store of three events, and a line that verifies behind them. */
async function storeWith(lineOf: (seed: number) => string): Promise<string> {
  const path = await makeStore(join(dir, `s${++stores}`), 3);
  appendFileSync(join(path, "events.ndjson"), lineOf(seedIn(path)));
  return path;
}

function seedIn(path: string): number {
  const { store, lineage } = JSON.parse(readFileSync(join(path, "papyra.json"), "utf8")) as Record<string, string>;
  return seedOf(encodeIdentity({ log: "events", store: store as string, lineage: lineage as string }));
}

const record = (seq: number | string, durable?: number) => (seed: number) =>
  encodeLine(seed, seq as number, durable, "event", TIME, FIELDS);
const gapOf =
  (seq: number, from: number, to: number, more: object = {}) =>
  (seed: number) =>
    encodeLine(seed, seq, undefined, "gap", TIME, encodeFields({ from, to, reason: "lost", by: "x", ...more }));

async function appended(path: string): Promise<{ given: number; read: number[] }> {
  const store = await openStore(fileBackend({ path }, nodeEnv));
  const { firstSeq } = await store.append("events", [event("T", "local://b", {})]);
  const read: number[] = [];
  for await (const { seq } of store.read("events", { from: firstSeq })) read.push(seq);
  await store.close();
  return { given: firstSeq, read };
}

const scanned = async (path: string) => {
  const { exit, stdout } = await papyra(["persistence", "scan", "--path", path, "--json"]);
  const { report } = JSON.parse(stdout) as { report: { anomalies: { detail: string }[]; ok: boolean } };
  return { exit, ...report };
};

const LINES: [string, (seed: number) => string][] = [
  ["the number behind the greatest", record(SEQ_MAX + 1)],
  ["the last safe integer", record(Number.MAX_SAFE_INTEGER)],
  ["2^53", record(2 ** 53)],
  ["three in a row up to 2^53", (seed) => [2, 1, 0].map((less) => record(2 ** 53 - less)(seed)).join("")],
  ["thirty digits", record("1".repeat(30))],
  ["zero", record(0)],
  ["less than zero", record(-7)],
  ["a fraction", record("4.5")],
  ["a power", record("4e9")],
  ["durable up to 2^53", record(4, 2 ** 53)],
  ["a gap record at 2^53", gapOf(2 ** 53, 4, 2 ** 53 - 1)],
  ["a gap record up to the last safe integer", gapOf(4, 1, Number.MAX_SAFE_INTEGER)],
  ["a gap record up to 2^53", gapOf(4, 1, 2 ** 53)],
  ["a gap record of what is still to come", gapOf(4, 1, 1000)],
  ["a gap record of itself", gapOf(4, 4, 4)],
  ["a gap record from behind its end", gapOf(4, 3, 2)],
  ["a gap record from below zero", gapOf(4, 1 - 2 ** 53, 2)],
];

describe.each(LINES)("%s", (_, lineOf) => {
  test("is named, taken out, and nothing counts on from it", { timeout: SOON_MS }, async () => {
    const path = await storeWith(lineOf);
    const before = await scanned(path);
    expect(before.exit).toBe(2);
    expect(before.anomalies[0]?.detail).toMatch(/verifies and (states|names) seq/);
    expect((await papyra(["persistence", "account", "--path", path])).exit).toBe(0); // all three are there
    expect((await papyra(["persistence", "recover", "--mode", "quarantine", "--path", path])).exit).toBe(0);
    expect((await scanned(path)).ok).toBe(true);
    expect(await appended(path)).toEqual({ given: 4, read: [4] });
    const keep = ["--log", "events", "--max-records", "1"];
    expect((await papyra(["persistence", "compact", ...keep, "--path", path])).exit).toBe(0);
    expect((await scanned(path)).ok).toBe(true);
  });

  test("the store goes on behind it when nobody recovers", { timeout: SOON_MS }, async () => {
    const path = await storeWith(lineOf);
    expect(await appended(path)).toEqual({ given: 4, read: [4] });
    const repository = `${path}-backups`;
    await papyra(["persistence", "recover", "--path", path]);
    expect((await papyra(["backup", "create", "--path", path, "--repository", repository])).exit).toBe(0);
    expect((await papyra(["backup", "verify", "--repository", repository])).exit).toBe(0);
    expect((await papyra(["backup", "restore", "--repository", repository, "--target", `${path}-2`])).exit).toBe(0);
    expect((await scanned(`${path}-2`)).ok).toBe(true);
  });
});

test("a gap record that kept absurd ranges accounts for nothing else", { timeout: SOON_MS }, async () => {
  const kept = [
    [1 - 2 ** 53, 2 ** 53 - 1],
    [5, 2],
  ];
  const path = await storeWith((seed) => record(9)(seed) + gapOf(10, 4, 8, { kept })(seed));
  expect((await scanned(path)).exit).toBe(2); // 4 to 8 are missing
  expect((await papyra(["persistence", "recover", "--path", path])).exit).toBe(0);
  expect((await scanned(path)).ok).toBe(true);
});

test.each([SEQ_MAX, SEQ_MAX - SEQ_ROOM])("a log of which few seqs are left, at %i, is not written", async (seq) => {
  const path = await storeWith(record(seq));
  const refused = await appended(path).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "STORE_DAMAGED", message: expect.stringContaining(String(seq)) as string });
  expect((refused as { hint: string }).hint).toContain("papyra persistence scan");
  const { exit, stderr } = await papyra(["persistence", "recover", "--path", path]);
  if (seq === SEQ_MAX)
    expect(stderr).toContain("STORE_DAMAGED"); // no gap record fits behind it
  else expect(exit).toBe(0);
});

test("a record before those is as any other", async () => {
  const path = await storeWith(record(SEQ_MAX - SEQ_ROOM - 1));
  expect(await appended(path)).toMatchObject({ read: [SEQ_MAX - SEQ_ROOM + 1] }); // one gap record is in between
  expect((await scanned(path)).ok).toBe(true);
});

test("a seal, a name and a mark with such numbers count as none", { timeout: SOON_MS }, async () => {
  const path = await makeStore(join(dir, "sealed"), 3);
  const file = join(path, "events.ndjson");
  const bytes = readFileSync(file).length;
  const stamps = { first_timestamp: 1, last_timestamp: 1, sha256: "", previous: null };
  const seal = { records: 2 ** 53 - 2, first_seq: 1, last_seq: 2 ** 53 - 2, bytes, ...stamps };
  appendFileSync(file, encodeControlLine(seedIn(path), "seal", seal));
  renameSync(file, join(path, closedName("events", 1)));
  const mark = decodeMark(readFileSync(join(path, "papyra.mark"))) as Mark;
  expect(decodeMark(encodeMark(mark))).toEqual(mark);
  const events = { written: 2 ** 53, durable: 4, boot: "" };
  expect(decodeMark(encodeMark({ ...mark, logs: { ...mark.logs, events } }))).toBeUndefined();
  expect((await appended(path)).given).toBe(4);
});

test("a consumer is not given such a line as a record", () => {
  const lineages = { store: "s", lineage: "b1" };
  const reader = new EntryReader(lineages, "events");
  const seed = seedOf(encodeIdentity({ log: "events", ...lineages }));
  const typeOf = (line: string) =>
    reader.deliveries({ id: "1-0", bytes: Buffer.from(line), deliveryCount: 1 }).map(({ type }) => type);
  expect(typeOf(record(SEQ_MAX)(seed))).toEqual(["record"]);
  expect(typeOf(record(SEQ_MAX + 1)(seed))).toEqual(["damaged"]);
  expect(reader.seqOf(Buffer.from(record(2 ** 53)(seed)))).toBeUndefined();
});
