// docs/format.md promises that a single line can be checked with a shell and gzip alone.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Identity } from "../../src/log/record.ts";
import { splitLines } from "./mutations.ts";
import { blockOf, run } from "./page.ts";
import { buildLog, encodeStep, type Step } from "./sealed-log.ts";

const IDENTITY: Identity = { log: "events", store: "orders-ü-7f3a91c2", lineage: "b1" };
const steps = (from: number, to: number): Step[] =>
  Array.from({ length: to - from + 1 }, (_, i) => ({ seq: from + i }));
const LOG = buildLog(IDENTITY, [steps(1, 5), steps(6, 10), [...steps(11, 13), { seq: 14, gap: [8, 10] }]]);

let dir = "";
let shell = "";

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "papyra-line-"));
  shell = join(dir, "check-line.sh");
  writeFileSync(shell, blockOf("sh"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function put(name: string, bytes: Buffer): string {
  const path = join(dir, name);
  writeFileSync(path, bytes);
  return path;
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
