// The rules of the house that no compiler knows: who may import whom, where the world may be touched, what the documents
// must list. A rule that stands in the way is changed here, in the open.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ERRORS } from "../src/errors.ts";
import { ANOMALY_KINDS } from "../src/log/anomaly.ts";
import { codeOf, filesUnder, functionsOf, importsOf, ROOT, textOf } from "./source.ts";

const FILE_LINES_MAX = 300;
const FUNCTION_LINES_MAX = 70;
const SURFACES = ["src/index.ts", "src/backup/index.ts", "src/redis/index.ts", "src/s3/index.ts"];
const PROGRAMS = ["src/cli/selftest-child.ts", "src/backends/whole-segment-thread.ts"]; // of processes and threads

interface Source {
  readonly path: string;
  readonly code: string;
  readonly imports: readonly string[];
}

function read(folder: string): Source[] {
  const paths = filesUnder(folder).filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"));
  return paths.map((path) => {
    const text = textOf(path);
    const code = codeOf(text);
    return { path, code, imports: importsOf(path, text, code) };
  });
}

const sources = read("src");
const tests = read("test");

/** Lines of code that match, as `path:line`. */
function linesWith(pattern: RegExp, among: readonly Source[]): string[] {
  return among.flatMap(({ path, code }) =>
    code.split("\n").flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  );
}

describe("who imports whom", () => {
  const base = ["src/errors.ts", "src/options.ts", "src/quoted.ts"];
  /** What the files of a folder may import besides their own folder; the first rule that fits a file counts. */
  const ARROWS: readonly (readonly [from: string, to: readonly string[]])[] = [
    ["src/errors.ts", []],
    ["src/options.ts", ["src/errors.ts"]],
    ["src/log/", ["src/errors.ts"]],
    ["src/env/", ["src/errors.ts"]],
    ["src/backends/whole-segment-thread.ts", ["src/backends/whole-segment.ts", "src/env/node.ts"]], // a program
    ["src/backends/", [...base, "src/log/", "src/env/env.ts", "src/env/durable.ts"]],
    // Replaying folds with the very code of the actors.
    ["src/ops/replay", [...base, "src/ops/", "src/actors/", "src/backends/", "src/log/", "src/env/env.ts"]],
    ["src/ops/snapshot-cover.ts", [...base, "src/ops/", "src/actors/digest.ts", "src/backends/", "src/log/"]],
    ["src/ops/", [...base, "src/backends/", "src/log/", "src/env/env.ts", "src/env/durable.ts"]],
    [
      "src/actors/system.ts", // start() checks the store first
      [
        ...base,
        "src/actors/",
        "src/log/",
        "src/backends/",
        "src/env/env.ts",
        "src/ops/startup.ts",
        "src/ops/compact.ts",
      ],
    ],
    [
      "src/actors/actor-options.ts",
      [...base, "src/actors/", "src/log/", "src/backends/", "src/env/env.ts", "src/ops/startup.ts"],
    ],
    ["src/actors/", [...base, "src/log/", "src/backends/", "src/env/env.ts"]],
    ["src/backup/index.ts", [...base, "src/backup/", "src/backends/", "src/log/", "src/env/"]],
    [
      "src/backup/", // states are folded with the very code of the actors
      [
        ...base,
        "src/ops/",
        "src/actors/persistent.ts",
        "src/backends/",
        "src/log/",
        "src/env/env.ts",
        "src/env/durable.ts",
      ],
    ],
    ["src/redis/", [...base, "src/backends/", "src/log/", "src/env/env.ts", "src/env/durable.ts", "src/env/node.ts"]],
    ["src/rdb/", [...base, "src/backup/", "src/redis/", "src/ops/scan.ts", "src/backends/", "src/log/", "src/env/"]],
    ["src/s3/", [...base, "src/backup/", "src/log/", "src/env/env.ts", "src/env/node.ts"]],
    ["src/metrics.ts", [...base, "src/backends/", "src/env/env.ts"]],
    [
      "src/config.ts",
      [...base, "src/backends/", "src/backup/objects.ts", "src/ops/startup.ts", "src/redis/options.ts"],
    ],
    ["src/testing/", [...base, "src/ops/", "src/backends/", "src/env/", "src/log/", "src/actors/"]],
    [
      "src/cli/",
      [
        ...base,
        "src/ops/",
        "src/backends/",
        "src/redis/",
        "src/rdb/",
        "src/backup/",
        "src/s3/",
        "src/log/",
        "src/env/",
        "src/actors/",
        "src/metrics.ts",
        "src/config.ts",
      ],
    ],
    [
      "src/index.ts",
      [...base, "src/ops/compact.ts", "src/actors/", "src/backends/", "src/config.ts", "src/env/", "src/log/"],
    ],
  ];

  const JOINS = [...SURFACES, "src/cli/open.ts", "src/cli/context.ts", ...PROGRAMS];

  test("only along the arrows", () => {
    const wrong = sources.flatMap(({ path, imports }) => {
      const [from, to] = ARROWS.find(([prefix]) => path.startsWith(prefix)) ?? [path, []];
      const allowed = from.endsWith("/") ? [from, ...to] : to;
      const ours = imports.filter((name) => name.startsWith("src/"));
      return ours
        .filter((name) => !allowed.some((prefix) => name.startsWith(prefix)))
        .map((name) => `${path} -> ${name}`);
    });
    expect(wrong).toEqual([]);
  });

  test("the real world is joined in few places; nobody imports the surface of the package or the tools", () => {
    const edges = sources.flatMap(({ path, imports }) => imports.map((name) => [path, name] as const));
    const joins = edges.filter(([path, name]) => name === "src/env/node.ts" && !path.startsWith("src/testing/"));
    expect(joins.map(([path]) => path).filter((path) => !JOINS.includes(path))).toEqual([]);
    const back = edges.filter(
      ([path, name]) =>
        name === "src/index.ts" || (name.startsWith("src/testing/") && !path.startsWith("src/testing/")),
    );
    expect(back).toEqual([]);
  });

  test("what is pure imports nothing of Node but checksums and digests", () => {
    const pure = sources.filter(({ path }) => path.startsWith("src/log/"));
    const packages = pure.flatMap(({ path, imports }) =>
      imports.filter((name) => !name.startsWith("src/")).map((name) => `${path} -> ${name}`),
    );
    expect(packages.filter((edge) => !/ -> node:(?:zlib|crypto)$/.test(edge))).toEqual([]);
  });

  test.each([
    ["Redis", /^@?redis(?:\/|$)/, "src/redis/client.ts", /^import (?!type).*from "redis"/],
    ["S3", /^@(?:aws-sdk|smithy)\//, "src/s3/client.ts", /^import (?!type).*from "@aws-sdk/],
  ])("one file alone knows the client of %s, and loads it when it is needed", (_, names, file, eager) => {
    const users = sources.filter(({ imports }) => imports.some((name) => names.test(name)));
    expect(users.map(({ path }) => path)).toEqual([file]);
    expect(linesWith(eager, users)).toEqual([]);
  });

  test("imports name files that exist", () => {
    const known = new Set([...sources, ...tests].map(({ path }) => path));
    // Programs of tests are no TypeScript: Node runs them as they are.
    const exists = (name: string): boolean =>
      known.has(name) || (name.endsWith(".mjs") && existsSync(join(ROOT, name)));
    const dangling = [...sources, ...tests].flatMap(({ path, imports }) =>
      imports.filter((name) => /^(?:src|test)\//.test(name) && !exists(name)).map((name) => `${path} -> ${name}`),
    );
    expect(dangling).toEqual([]);
  });

  test("no cycles, types included", () => {
    const byPath = new Map(sources.map((source) => [source.path, source]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
      if (done.has(path) || trail.includes(path)) return;
      for (const name of byPath.get(path)?.imports ?? []) visit(name, [...trail, path]);
      done.add(path);
    };
    for (const { path } of sources) visit(path, []);
    expect(cycles).toEqual([]);
  });

  test("no file is dead", () => {
    const roots = [...SURFACES, "src/testing/index.ts", "src/cli/bin.ts", ...PROGRAMS];
    expect(roots.filter((root) => !existsSync(join(ROOT, root)))).toEqual([]);
    const reached = new Set<string>();
    const reach = (path: string): void => {
      if (reached.has(path)) return;
      reached.add(path);
      for (const name of sources.find((source) => source.path === path)?.imports ?? []) reach(name);
    };
    roots.forEach(reach);
    expect(sources.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
  });
});

describe("where the world may be touched", () => {
  const NODE = "src/env/node.ts";
  test.each<[string, RegExp, readonly string[]]>([
    ["time", /\bDate\.(?!UTC\b|parse\b)|\bnew Date\(\)|\bperformance\./, [NODE]],
    ["timers", /\bset(?:Timeout|Interval|Immediate)\b/, [NODE]],
    // Keys and nonces are secrets: they never come from a world that a test or a user may have seeded.
    ["randomness", /\bMath\.random\b|\brandom(?:UUID|Bytes)\b/, [NODE, "src/backup/cipher.ts"]],
    ["the process", /(?<!\.)\bprocess\./, [NODE, "src/cli/bin.ts", "src/cli/main.ts", "src/cli/selftest-child.ts"]],
    ["the console", /\bconsole\./, []],
  ])("%s", (_, pattern, allowed) => {
    expect(
      linesWith(
        pattern,
        sources.filter(({ path }) => !allowed.includes(path)),
      ),
    ).toEqual([]);
  });

  test("files, operating system, processes and network", () => {
    const world = /^node:(?:fs|os|child_process|net|http|https|worker_threads|timers|process|perf_hooks)(?:\/|$)/;
    const users = sources.filter(({ imports }) => imports.some((name) => world.test(name))).map(({ path }) => path);
    expect(users.filter((path) => path !== NODE && path !== "src/cli/bin.ts")).toEqual([]);
  });
});

describe("size and style", () => {
  test(`no file is longer than ${FILE_LINES_MAX} lines`, () => {
    const long = [...sources, ...tests].map(({ path, code }) => ({ path, lines: code.trimEnd().split("\n").length }));
    expect(long.filter(({ lines }) => lines > FILE_LINES_MAX).map(({ path, lines }) => `${path}: ${lines}`)).toEqual(
      [],
    );
  });

  test(`no function is longer than ${FUNCTION_LINES_MAX} lines`, () => {
    const long = sources.flatMap(({ path, code }) => functionsOf(code).map((found) => ({ path, ...found })));
    expect(long.filter(({ lines }) => lines > FUNCTION_LINES_MAX)).toEqual([]);
    expect(long.length).toBeGreaterThan(sources.length); // the heuristic still sees functions
  });

  test("no any, no default exports, no check suppressed without naming it", () => {
    expect(linesWith(/(?:[:<|,=&]|\bas)\s*any\b(?!\s*[(:])/, [...sources, ...tests])).toEqual([]);
    expect(linesWith(/^export default\b/, sources)).toEqual([]);
    const unexplained = /@ts-(?:ignore|nocheck)|(?:oxlint|eslint)-disable(?:-next-line|-line)?\s*$/m;
    const comments = filesUnder("src").filter((path) => unexplained.test(textOf(path)));
    expect(comments).toEqual([]);
  });

  test("no paths of somebody's machine, no work left for later", () => {
    const forbidden = new RegExp(`/${"work"}/|/${"root"}/|\\b${"TO"}${"DO"}\\b|\\b${"FIX"}${"ME"}\\b`);
    expect(filesUnder(".").filter((path) => forbidden.test(textOf(path)))).toEqual([]);
  });
});

describe("what the documents must list", () => {
  test("docs/errors.md is the table of codes", () => {
    const rows = [
      ...textOf("docs/errors.md").matchAll(/^\| `([A-Z_]+)` \| ([^|]+) \| (\d+) \| (yes|no) \| ([^|]+) \|$/gm),
    ];
    const listed = rows.map(([, code, summary, exit, retryable]) => [
      code,
      { summary, exit: Number(exit), retryable: retryable === "yes" },
    ]);
    expect(Object.fromEntries(listed)).toEqual(ERRORS);
    expect(listed.map(([code]) => code)).toEqual(Object.keys(ERRORS));
    for (const [, code, , , , next] of rows) expect(next?.trim().length, `what to do on ${code}`).toBeGreaterThan(20);
  });

  test.each(["docs/format.md", "docs/operations.md"])("%s names every anomaly", (path) => {
    if (path === "docs/operations.md" && !existsSync(join(ROOT, path))) return; // until that page is written
    const page = textOf(path);
    expect(Object.keys(ANOMALY_KINDS).filter((kind) => !page.includes(`\`${kind}\``))).toEqual([]);
  });
});

describe("the rules see code, and not what only looks like it", () => {
  test("comments, strings, templates and regular expressions are blanked, code in templates is not", () => {
    const source =
      'a("Date.now()"); // Date.now()\nb(`Date. ${c(`x ${Date.now()} Date.`)} }`); /* Date. */ d = /Date.["`]/.test(e) / f; g(\'"\');';
    const code = codeOf(source);
    expect(code).toHaveLength(source.length);
    expect(code.match(/Date\./g)).toHaveLength(1);
    expect(code.replace(/ +/g, " ")).toBe("a(\" \"); \nb(` ${c(` ${Date.now()} `)} `); d = / /.test(e) / f; g(' ');");
  });

  test("imports of all forms are seen, types included", () => {
    const source =
      'import type { A } from "./a.ts";\nimport "../b.ts";\nexport { C } from "./c/d.ts";\nconst e = await import("e");\n// from "./f.ts"\n';
    expect(importsOf("src/x/y.ts", source, codeOf(source))).toEqual(["src/x/a.ts", "src/b.ts", "src/x/c/d.ts", "e"]);
  });
});
