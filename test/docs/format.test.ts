// docs/format.md promises that a log can be checked without Papyra. The program that reads a whole log is taken from the page and run.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ANOMALY_KINDS } from "../../src/log/anomaly.ts";
import { encodeControlLine, encodeIdentity, LINE_BYTES_MAX, seedOf } from "../../src/log/codec.ts";
import { FORMAT_VERSION, type Identity, LOG_NAMES } from "../../src/log/record.ts";
import { encodeSeal, type Seal, sealDigest } from "../../src/log/seal.ts";
import { splitLines } from "./mutations.ts";
import { blockOf, page, run } from "./page.ts";
import { buildLog, encodeStep, isClean, type Step } from "./sealed-log.ts";

const IDENTITY: Identity = { log: "events", store: "orders-ü-7f3a91c2", lineage: "b1" };
const steps = (from: number, to: number): Step[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ seq: from + i }));

/** Seqs 8 and 10 were taken out and 9 was not; a record in the last segment accounts for that. */
const SEGMENTS: Step[][] = [
  steps(1, 5),
  [...steps(6, 7), ...steps(9, 9), ...steps(11, 13)],
  [...steps(14, 16), { seq: 17, gap: [8, 10], kept: [[9, 9]] }, { seq: 18 }],
];
const SEED = seedOf(encodeIdentity(IDENTITY));
const LOG = buildLog(IDENTITY, SEGMENTS);
let dir = "";
let python = "";

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "papyra-format-"));
  python = join(dir, "check_log.py");
  writeFileSync(python, blockOf("python"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function put(name: string, bytes: Buffer): string {
  const path = join(dir, name);
  writeFileSync(path, bytes);
  return path;
}

function checkLog(files: readonly Buffer[]): { status: number | null; output: string } {
  return run("python3", [python, ...files.map((bytes, i) => put(`s${i}.ndjson`, bytes))]);
}

describe("the Python reader", () => {
  test("finds nothing wrong with a healthy log, and counts it", () => {
    const { status, output } = checkLog(LOG);
    expect([status, output]).toEqual([0, "16 records, last seq 18, 0 problems\n"]);
    expect(isClean(LOG)).toBe(true);
    const one = buildLog(IDENTITY, [steps(1, 1)]);
    expect(checkLog(one).status).toBe(0);
  });

  test("reads lines of any size up to the greatest", () => {
    const empty = Buffer.byteLength(encodeStep(IDENTITY, { seq: 1, payload: "" }, 0));
    for (const extra of [0, 1]) {
      const payload = "ä".repeat((LINE_BYTES_MAX - empty) >> 1) + "x".repeat(((LINE_BYTES_MAX - empty) & 1) + extra);
      const files = buildLog(IDENTITY, [[{ seq: 1, payload }, { seq: 2 }]]);
      expect(splitLines(files[0] as Buffer)[1]).toHaveLength(LINE_BYTES_MAX + extra);
      expect(checkLog(files).status).toBe(extra);
      expect(isClean(files)).toBe(extra === 0);
    }
  });

  test("says where the damage is", () => {
    const bytes = Buffer.from(LOG[1] as Buffer);
    const at = splitLines(bytes)[0]?.length ?? 0;
    bytes[at + 40] = 0x7e;
    const { status, output } = checkLog(LOG.with(1, bytes));
    expect(status).toBe(1);
    expect(output).toContain(`s1.ndjson: byte ${at}: the line is damaged`);
  });

  test.each<[string, (files: Buffer[]) => Buffer[]]>([
    ["a lost line", (files) => files.with(0, Buffer.concat(splitLines(files[0] as Buffer).toSpliced(2, 1)))],
    [
      "a doubled line",
      (files) =>
        files.with(
          2,
          Buffer.concat(splitLines(files[2] as Buffer).toSpliced(2, 0, splitLines(files[2] as Buffer)[2] as Buffer)),
        ),
    ],
    [
      "swapped lines",
      (files) =>
        files.with(
          2,
          Buffer.concat(((l) => l.with(1, l[2] as Buffer).with(2, l[1] as Buffer))(splitLines(files[2] as Buffer))),
        ),
    ],
    ["a lost gap record", (files) => files.with(2, Buffer.concat(splitLines(files[2] as Buffer).toSpliced(4, 1)))],
    ["a cut in the middle of a line", (files) => files.with(2, (files[2] as Buffer).subarray(0, -30))],
    ["a lost line break at the end", (files) => files.with(2, (files[2] as Buffer).subarray(0, -1))],
    [
      "a line of another log",
      (files) =>
        files.with(
          2,
          Buffer.concat([files[2] as Buffer, Buffer.from(encodeStep({ ...IDENTITY, log: "journal" }, { seq: 19 }))]),
        ),
    ],
    ["a lost file", (files) => files.toSpliced(1, 1)],
    [
      "a lost seal, where another follows",
      (files) => files.with(0, Buffer.concat(splitLines(files[0] as Buffer).slice(0, -1))),
    ],
    [
      "a doubled seal",
      (files) => files.with(0, Buffer.concat([files[0] as Buffer, splitLines(files[0] as Buffer).at(-1) as Buffer])),
    ],
    [
      "a seal of another segment",
      (files) =>
        files.with(
          0,
          Buffer.concat(splitLines(files[0] as Buffer).with(-1, splitLines(files[1] as Buffer).at(-1) as Buffer)),
        ),
    ],
    ["an empty file", (files) => [...files, Buffer.alloc(0)]],
    ["zeros at the end", (files) => files.with(2, Buffer.concat([files[2] as Buffer, Buffer.alloc(512)]))],
  ])("finds %s, and so does the scanner", (_, change) => {
    const files = change([...LOG]);
    expect(checkLog(files).status).toBe(1);
    expect(isClean(files)).toBe(false);
  });

  test.each<[(readonly [number, number])[], number]>([
    [[[2, 4]], 0],
    [
      [
        [2, 2],
        [3, 4],
      ],
      0,
    ],
    [
      [
        [3, 4],
        [1, 2],
      ],
      0,
    ],
    [[[2, 3]], 1],
    [[[3, 4]], 1],
    [
      [
        [2, 2],
        [4, 4],
      ],
      1,
    ],
    [[], 1],
  ])("seqs 2 to 4 are gone; gap records %j account for them: %i", (gaps, status) => {
    const tail = gaps.map((gap, i) => ({ seq: 6 + i, gap }));
    const files = buildLog(IDENTITY, [[...steps(1, 1), ...steps(5, 5), ...tail]]);
    expect(checkLog(files).status).toBe(status);
    expect(isClean(files)).toBe(status === 0);
  });

  test("the end of a log, cut between two lines, is for the mark to tell", () => {
    const files = LOG.with(2, Buffer.concat(splitLines(LOG[2] as Buffer).slice(0, -1)));
    expect(checkLog(files).status).toBe(0);
    expect(isClean(files)).toBe(true);
  });

  test("a rewritten segment, whose new seal names the one it replaces, is followed by the next", () => {
    const [first, second, third] = LOG as [Buffer, Buffer, Buffer];
    const digest = sealDigest(splitLines(first).at(-1) as Buffer);
    for (const [replaces, status] of [
      [[], 1],
      [["00", digest], 0],
    ] as const) {
      const files = [resealed(first, { replaces }), second, third];
      expect(checkLog(files)).toMatchObject({ status });
      expect(isClean(files)).toBe(status === 0);
    }
  });

  test.each<[string, () => Buffer[]]>([
    ["records behind a seal", () => [Buffer.concat([LOG[0] as Buffer, Buffer.from(encodeStep(IDENTITY, { seq: 6 }))])]],
    [
      "an unknown line that was put before the seal",
      () => [resealed(LOG[0] as Buffer, {}, encodeControlLine(SEED, "season", {}))],
    ],
    ["a seal that says it is the first", () => LOG.with(1, resealed(LOG[1] as Buffer, { previous: null }))],
    ["a seal that names another", () => LOG.with(1, resealed(LOG[1] as Buffer, { previous: "00" }))],
    ["too few records", () => [resealed(LOG[0] as Buffer, { records: 4 })]],
    ["another first seq", () => [resealed(LOG[0] as Buffer, { first_seq: 2 })]],
    ["another first time", () => [resealed(LOG[0] as Buffer, { first_timestamp: 1 })]],
    ["another last time", () => [resealed(LOG[0] as Buffer, { last_timestamp: 1 })]],
    ["another last seq", () => [resealed(LOG[0] as Buffer, { last_seq: 6 })]],
  ])("finds %s, though every line verifies", (_, build) => {
    const files = build();
    expect(checkLog(files).status).toBe(1);
    expect(isClean(files)).toBe(false);
  });

  test("the seal of the first file is not asked what stood before it: that may be gone", () => {
    expect(checkLog([buildLog(IDENTITY, [steps(1, 2)])[0] as Buffer]).status).toBe(0);
    expect(isClean([resealed(LOG[0] as Buffer, { previous: "00" })])).toBe(true);
    expect(checkLog([resealed(LOG[0] as Buffer, { previous: "00" })]).status).toBe(0);
  });
});

/** A sealed segment whose seal says something else; `insert` stands before the seal. */
function resealed(segment: Buffer, change: Partial<Seal>, insert: string = ""): Buffer {
  const lines = splitLines(segment);
  const body = Buffer.concat(lines.slice(0, -1));
  const { kind: _, crc: __, ...fields } = JSON.parse(String(lines.at(-1))) as Seal & { crc: string };
  return Buffer.concat([body, Buffer.from(insert), Buffer.from(encodeSeal(SEED, { ...fields, ...change }))]);
}

describe("what the page says", () => {
  test("names every anomaly, every log, the version and the limits", () => {
    for (const kind of Object.keys(ANOMALY_KINDS)) expect(page).toContain(`| \`${kind}\` |`);
    for (const log of LOG_NAMES) expect(page).toContain(`\`${log}.ndjson\``);
    expect(page).toContain(`# The format, version ${FORMAT_VERSION}`);
    expect(page).toContain(`at most ${LINE_BYTES_MAX >> 20} MiB`);
  });
});
