// docs/format.md promises that a log can be checked without Papyra. Its two programs are taken from the page and run.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ANOMALY_KINDS } from "../../src/log/anomaly.ts";
import { encodeIdentity, LINE_BYTES_MAX, seedOf } from "../../src/log/codec.ts";
import { FORMAT_VERSION, type Identity, LOG_NAMES } from "../../src/log/record.ts";
import { encodeSeal, type Seal, sealDigest } from "../../src/log/seal.ts";
import { diceOf, mutate, MUTATIONS, splitLines } from "./mutations.ts";
import { buildLog, encodeStep, isClean, type Step } from "./sealed-log.ts";

const page = readFileSync(new URL("../../docs/format.md", import.meta.url), "utf8");
const IDENTITY: Identity = { log: "events", store: "orders-ü-7f3a91c2", lineage: "b1" };
const steps = (from: number, to: number): Step[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ seq: from + i }));

/** Seqs 8 to 10 were taken out; a record in the last segment accounts for them. */
const SEGMENTS: Step[][] = [
  steps(1, 5),
  [...steps(6, 7), ...steps(11, 13)],
  [...steps(14, 16), { seq: 17, gap: [8, 10] }, { seq: 18 }],
];
const LOG = buildLog(IDENTITY, SEGMENTS);
const FOREIGN = [
  { ...IDENTITY, log: "journal" },
  { ...IDENTITY, store: "x" },
  { ...IDENTITY, lineage: "b2" },
].flatMap((identity) => buildLog(identity as Identity, SEGMENTS));

let dir = "";
let shell = "";
let python = "";

function blockOf(language: string): string {
  const blocks = [...page.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))];
  expect(blocks, `one ${language} block`).toHaveLength(1);
  return blocks[0]?.[1] ?? "";
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "papyra-format-"));
  shell = join(dir, "check-line.sh");
  python = join(dir, "check_log.py");
  writeFileSync(shell, blockOf("sh"));
  writeFileSync(python, blockOf("python"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function run(command: string, args: readonly string[], input = ""): { status: number | null; output: string } {
  const result = spawnSync(command, args, { encoding: "utf8", input, maxBuffer: 1 << 28 });
  if (result.error !== undefined) throw result.error; // a missing sh or python3 is a failure, not a reason to skip
  return { status: result.status, output: result.stdout + result.stderr };
}

function put(name: string, bytes: Buffer): string {
  const path = join(dir, name);
  writeFileSync(path, bytes);
  return path;
}

function checkLog(files: readonly Buffer[]): { status: number | null; output: string } {
  return run("python3", [python, ...files.map((bytes, i) => put(`s${i}.ndjson`, bytes))]);
}

describe("the shell recipe", () => {
  const checkLine = (file: string, line: number): number | null => run("sh", [shell, file, String(line)]).status;

  test("says of every line of a healthy log that it is as it was written", () => {
    LOG.forEach((bytes, i) => {
      const file = put(`sh${i}.ndjson`, bytes);
      const count = splitLines(bytes).length;
      for (let line = 2; line <= count; line++) expect(checkLine(file, line), `line ${line} of segment ${i}`).toBe(0);
      expect(checkLine(file, 1), "the identity line has no checksum").not.toBe(0);
      expect(checkLine(file, count + 1), "there is no such line").not.toBe(0);
    });
  });

  test("a last line without its line break is checked by its bytes", () => {
    const bytes = LOG[2] as Buffer;
    expect(checkLine(put("open.ndjson", bytes.subarray(0, -1)), splitLines(bytes).length)).toBe(0);
  });

  test("finds a change of any part of the line or of the identity, and a line of another log", () => {
    const bytes = LOG[0] as Buffer;
    const lines = splitLines(bytes);
    const start = lines.slice(0, 3).reduce((sum, line) => sum + line.length, 0);
    const length = lines[3]?.length ?? 0;
    const places = [
      0,
      2,
      7,
      12,
      30,
      60,
      length - 60,
      length - 20,
      length - 19,
      length - 12,
      length - 10,
      length - 3,
      length - 2,
    ];
    for (const at of [...places.map((place) => start + place), 5, 20, 40]) {
      for (const bit of [0, 5]) {
        const flipped = Buffer.from(bytes);
        flipped[at] = (flipped[at] as number) ^ (1 << bit);
        expect(checkLine(put("flipped.ndjson", flipped), 4), `byte ${at - start}, bit ${bit}`).not.toBe(0);
      }
    }
    const swapped = Buffer.concat(lines.with(3, Buffer.from(encodeStep({ ...IDENTITY, lineage: "b2" }, { seq: 3 }))));
    expect(checkLine(put("foreign.ndjson", swapped), 4)).not.toBe(0);
  });
});

describe("the Python reader", () => {
  test("finds nothing wrong with a healthy log, and counts it", () => {
    const { status, output } = checkLog(LOG);
    expect([status, output]).toEqual([0, "15 records, last seq 18, 0 problems\n"]);
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

  test("the end of a log, cut between two lines, is for the mark to tell", () => {
    const files = LOG.with(2, Buffer.concat(splitLines(LOG[2] as Buffer).slice(0, -1)));
    expect(checkLog(files).status).toBe(0);
    expect(isClean(files)).toBe(true);
  });

  test("a rewritten segment, whose new seal names the one it replaces, is followed by the next", () => {
    const [first, second, third] = LOG as [Buffer, Buffer, Buffer];
    const rebuilt = rewriteFirst(first);
    expect(checkLog([rebuilt.silent, second, third]).status).toBe(1);
    expect(isClean([rebuilt.silent, second, third])).toBe(false);
    expect(checkLog([rebuilt.named, second, third])).toMatchObject({ status: 0 });
    expect(isClean([rebuilt.named, second, third])).toBe(true);
  });
});

/** The first segment with a seal that says the same in another way: with and without naming the one it replaces. */
function rewriteFirst(first: Buffer): { silent: Buffer; named: Buffer } {
  const lines = splitLines(first);
  const seal = lines.at(-1) as Buffer;
  const body = Buffer.concat(lines.slice(0, -1));
  const { kind: _, crc: __, ...fields } = JSON.parse(seal.toString()) as Seal & { crc: string };
  const seed = seedOf(encodeIdentity(IDENTITY));
  const resealed = (change: Partial<Seal>): Buffer =>
    Buffer.concat([body, Buffer.from(encodeSeal(seed, { ...fields, first_timestamp: 1, ...change }))]);
  return { silent: resealed({}), named: resealed({ replaces: [sealDigest(seal)] }) };
}

test("the reader and the scanner agree on random damage", () => {
  const driver = `
import json, sys
sys.path.insert(0, sys.argv[1])
from check_log import check
for line in sys.stdin:
    print(len(check(json.loads(line))[2]))
`;
  const seed = 20_260_101;
  const count = 3000;
  const dice = diceOf(seed);
  const pristine = LOG.map((bytes, i) => put(`p${i}.ndjson`, bytes));
  const cases = Array.from({ length: count }, (_, n) => {
    const { files, names } = mutate([...LOG], dice, FOREIGN);
    const paths = files.map((bytes, i) =>
      LOG.includes(bytes) ? (pristine[LOG.indexOf(bytes)] as string) : put(`m${n}-${i}.ndjson`, bytes),
    );
    return { names, paths, clean: isClean(files) };
  });
  const input = cases.map(({ paths }) => JSON.stringify(paths)).join("\n");
  const { status, output } = run("python3", ["-c", driver, dir], input);
  expect(status, output).toBe(0);
  const theirs = output
    .trim()
    .split("\n")
    .map((problems) => problems === "0");
  const differing = cases.flatMap(({ names, clean }, n) =>
    clean === theirs[n] ? [] : [`case ${n} of seed ${seed}: ${names.join(", ")}: ours ${String(clean)}`],
  );
  expect(theirs).toHaveLength(count);
  expect(differing).toEqual([]);
  const clean = theirs.filter(Boolean).length;
  expect(clean).toBeGreaterThan(count / 30);
  expect(clean).toBeLessThan(count / 4);
  expect(new Set(cases.flatMap(({ names }) => names)).size).toBe(Object.keys(MUTATIONS).length);
});

describe("what the page says", () => {
  test("names every anomaly, every log, the version and the limits", () => {
    for (const kind of Object.keys(ANOMALY_KINDS)) expect(page).toContain(`| \`${kind}\` |`);
    for (const log of LOG_NAMES) expect(page).toContain(`\`${log}.ndjson\``);
    expect(page).toContain(`# The format, version ${FORMAT_VERSION}`);
    expect(page).toContain(`at most ${LINE_BYTES_MAX >> 20} MiB`);
  });
});
