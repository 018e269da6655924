// Colour, progress, and the small parts that text for people is made of.
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { showProgress } from "../../src/cli/progress.ts";
import { printable, shortened, table, timeOf } from "../../src/cli/text.ts";
import { quoted } from "../../src/quoted.ts";
import { parseTime } from "../../src/cli/times.ts";
import { PapyraError } from "../../src/errors.ts";
import { ManualClock } from "../../src/testing/manual-clock.ts";
import { gone, papyra, scratch } from "./helpers.ts";

const dir = scratch();
afterAll(() => gone(dir));
const LINE = '{"kind":"event","payload":"0123456789"}\n';

describe("colour", () => {
  const run = async (env: Record<string, string>, stdoutIsTTY: boolean): Promise<boolean> => {
    const file = join(dir, "colour.ndjson");
    writeFileSync(file, LINE);
    const { stdout } = await papyra(["persistence", "scan", "--path", file], { env, stdoutIsTTY });
    return stdout.includes("\u001b[");
  };
  test.each<[boolean, Record<string, string>, boolean]>([
    [true, {}, true],
    [false, {}, false],
    [false, { NO_COLOR: "1" }, true],
    [true, { NO_COLOR: "" }, true],
    [true, { FORCE_COLOR: "1" }, false],
    [false, { FORCE_COLOR: "1", NO_COLOR: "1" }, false],
    [false, { TERM: "dumb" }, true],
  ])("%s with %j, terminal: %s", async (coloured, env, terminal) => {
    expect(await run(env, terminal)).toBe(coloured);
  });
});

describe("progress", () => {
  test("one line on stderr, ten times a second at most, erased at the end; a quick command shows nothing", () => {
    const clock = new ManualClock();
    let text = "";
    const written = (): Promise<boolean> => Promise.resolve(true);
    const progress = showProgress({ write: (more) => (text += more), written, isTTY: true }, clock, "scanning");
    progress.onProgress(1, 100);
    progress.end();
    expect(text).toBe("");
    for (let done = 0; done <= 100; done++) {
      clock.advance(20);
      progress.onProgress(done * 1e6, 100e6);
    }
    progress.end();
    expect(text.split("\r").length).toBeLessThan(22);
    expect(text).toContain("\r\u001b[Kscanning: 49 % of 100.0 MB, ");
    expect(text.endsWith("\r\u001b[K")).toBe(true);
    expect(text).not.toContain("\n");
  });

  test.each<[string[], Record<string, string>, boolean]>([
    [[], {}, true],
    [["--json"], {}, false],
    [["--no-progress"], {}, false],
    [[], { CI: "true" }, false],
  ])("%j %j: %s", async (options, env, shown) => {
    const file = join(dir, "big.ndjson");
    if (options.length === 0 && shown) {
      writeFileSync(file, "");
      const chunk = LINE.repeat(25_000);
      for (let i = 0; i < 60; i++) appendFileSync(file, chunk);
    }
    const { stderr } = await papyra(["persistence", "scan", "--path", file, ...options], { env, stderrIsTTY: true });
    expect(stderr.includes("scanning: ")).toBe(shown);
    if (shown) expect(stderr.endsWith("\r\u001b[K")).toBe(true);
  });
});

describe("small parts", () => {
  const now = Date.UTC(2026, 0, 10);
  test.each<[string, number]>([
    ["2026-01-01", Date.UTC(2026, 0, 1)],
    ["2026-01-01T10:30", Date.UTC(2026, 0, 1, 10, 30)],
    ["2026-01-01 10:30:05", Date.UTC(2026, 0, 1, 10, 30, 5)],
    ["2026-01-01T10:30:00.5Z", Date.UTC(2026, 0, 1, 10, 30, 0, 500)],
    ["2026-01-01T10:30:00+02:00", Date.UTC(2026, 0, 1, 8, 30)],
    ["90s", now - 90_000],
    ["15m", now - 900_000],
    ["2h", now - 7_200_000],
    ["3d", now - 259_200_000],
    ["1w", now - 604_800_000],
    ["@1767225600", 1767225600000],
  ])("time %s", (text, timeMs) => expect(parseTime("--since", text, now)).toBe(timeMs));

  test.each(["", "now", "10", "5 m", "2026-13-01", "2026-02-30T99:00", "1767225600", "-2h", "2026-1-1"])(
    "no time: %j",
    (text) => {
      expect(() => parseTime("--since", text, now)).toThrow(PapyraError);
    },
  );

  test("text that is safe to print, to paste, and to line up", () => {
    expect(printable("a\u001b[31m\n\u202eb\u0000é")).toBe("a\\u001b[31m\\u000a\\u202eb\\u0000é");
    expect([quoted("/a/b-1.ndjson"), quoted("a b"), quoted("it's"), quoted("$(rm)"), quoted("")]).toEqual([
      "/a/b-1.ndjson",
      "'a b'",
      "'it'\\''s'",
      "'$(rm)'",
      "''",
    ]);
    expect(shortened("abcdefgh", 6)).toBe("abc...");
    expect([timeOf(0), timeOf(undefined), timeOf(Number.NaN), timeOf(1e300)]).toEqual([
      "1970-01-01T00:00:00.000Z",
      "-",
      "-",
      "-",
    ]);
    expect(
      table(
        ["A", "N"],
        [
          ["日本", "1"],
          ["é", "22"],
        ],
        ["N"],
      ),
    ).toEqual(["A      N", "日本   1", "é     22"]);
  });
});
