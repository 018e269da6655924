// The documents say what the program does: commands, options, exit codes, anomalies and report fields.
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { buildProgram } from "../../src/cli/commands.ts";
import { EXIT_CODES } from "../../src/cli/exit-codes.ts";
import { ANOMALY_KINDS } from "../../src/log/anomaly.ts";
import { RECOVER_MODES } from "../../src/ops/recover.ts";
import { STARTUP_MODES } from "../../src/ops/startup.ts";
import { textOf } from "../source.ts";
import { makeStore, papyra, papyraJson, scratch, gone } from "./helpers.ts";

const cli = textOf("docs/cli.md");
const operations = textOf("docs/operations.md");
const COMMON = [
  "--path",
  "--redis",
  "--prefix",
  "--system",
  "--config",
  "--json",
  "--no-progress",
  "--version",
  "--help",
];

interface Leaf {
  readonly name: string;
  readonly command: Command;
}
function leaves(command: Command, name: string): Leaf[] {
  if (command.commands.length === 0) return [{ name, command }];
  return command.commands.flatMap((child) => leaves(child, name === "" ? child.name() : `${name} ${child.name()}`));
}
const program = buildProgram(
  "0.0.0",
  () => Promise.resolve(),
  () => undefined,
);
const all = leaves(program, "");

/** The part of docs/cli.md below the heading of a command. */
function sectionOf(name: string): string {
  const start = cli.indexOf(`\n### papyra ${name}\n`);
  expect(start, `docs/cli.md has a section "papyra ${name}"`).toBeGreaterThan(0);
  const end = cli.slice(start + 1).search(/\n##+ /);
  return end < 0 ? cli.slice(start) : cli.slice(start, start + 1 + end);
}

describe("docs/cli.md", () => {
  test("has a section for each command, and none for what is not there", () => {
    const sections = [...cli.matchAll(/^### papyra (.+)$/gm)].map(([, name]) => name);
    expect(sections.sort()).toEqual(all.map(({ name }) => name).sort());
  });

  test.each(all)("$name: its options, those and no others, and examples", ({ name, command }) => {
    const section = sectionOf(name);
    const own = command.options.map((option) => option.long ?? "").filter((long) => !COMMON.includes(long));
    const listed = [...section.matchAll(/^\| `(--[a-z-]+)/gm)].map(([, long]) => long);
    expect(listed.sort()).toEqual(own.sort());
    expect(section).toContain("```sh\npapyra ");
    expect(section).toMatch(/Exit: /);
    for (const option of command.options)
      for (const choice of option.argChoices ?? []) expect(section).toContain(`\`${choice}\``);
  });

  test("the common options", () => {
    for (const option of COMMON) expect(cli).toContain(`| \`${option}`);
    for (const { name, command } of all) {
      const has = command.options.map((option) => option.long);
      expect(has, name).toEqual(expect.arrayContaining(COMMON.filter((option) => option !== "--help")));
    }
  });

  test("the modes that commands offer are those of the operations", () => {
    const modesOf = (name: string): readonly string[] | undefined =>
      all.find((leaf) => leaf.name === name)?.command.options.find((option) => option.long === "--mode")?.argChoices;
    expect(modesOf("persistence recover")).toEqual(RECOVER_MODES);
    expect(modesOf("persistence startup-check")).toEqual(STARTUP_MODES);
    expect(modesOf("doctor run")).toEqual(STARTUP_MODES);
  });
});

test.each([
  ["docs/cli.md", cli],
  ["docs/operations.md", operations],
])("%s has the exit codes", (_, page) => {
  const rows = [...page.matchAll(/^\| (\d+) \| ([^|]+?) \|/gm)].map(([, code, meaning]) => [Number(code), meaning]);
  expect(Object.fromEntries(rows)).toEqual(EXIT_CODES);
});

test("docs/operations.md says of each anomaly what it means and what to do", () => {
  const rows = [...operations.matchAll(/^\| `([a-z-]+)` \| ([^|]+) \| ([^|]+) \|$/gm)];
  expect(rows.map(([, kind]) => kind).sort()).toEqual(Object.keys(ANOMALY_KINDS).sort());
  for (const [, kind, meaning, action] of rows) {
    expect(meaning?.trim().length, kind).toBeGreaterThan(20);
    expect(action?.trim().length, kind).toBeGreaterThan(20);
  }
});

describe("the fields of reports are a contract: what is documented is there", () => {
  /** `logs[].log`, `verdict`, ...: every path in a value, lists by their first element. */
  function pathsOf(value: unknown, at: string): string[] {
    if (Array.isArray(value)) return value.length === 0 ? [] : pathsOf(value[0], `${at}[]`);
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).flatMap(([key, member]) => {
      const path = at === "" ? key : `${at}.${key}`;
      return [path, ...pathsOf(member, path)];
    });
  }

  test.each(all)("$name", async ({ name }) => {
    const dir = scratch();
    try {
      await makeStore(dir, 3);
      const bullets = [...sectionOf(name).matchAll(/^- (.+?)(?:: .*)?$/gm)].map(([, fields]) => fields as string);
      const documented = bullets.flatMap((fields) => fields.match(/(?<=`)[A-Za-z[\].]+(?=`)/g) ?? []);
      expect(documented.length, `fields of ${name}`).toBeGreaterThan(3);
      if (name === "replay") return; // needs a configuration: config.test.ts
      if (name.startsWith("consume")) return; // needs a server: redis/consume-cli.test.ts
      if (name === "backup rotate-keys") return; // needs keys: docs/encrypted-backups.test.ts
      if (name === "backup watch") return; // ends by a signal: backup/watch.test.ts
      const repository = /^backup |checklist/.test(name) ? ["--repository", `${dir}-backups`] : [];
      if (repository.length > 0) await papyra(["backup", "create", "--path", dir, ...repository]);
      const needed: Readonly<Record<string, readonly string[]>> = {
        "persistence compact": ["--max-records", "1"],
        "persistence selftest": ["--seconds", "1"],
        "backup adopt": [dir],
        "backup restore": ["--target", `${dir}-restored`],
        "backup restore-actor": ["account/42", "--as", "account/43"],
        "backup prune": ["--keep-last", "1"],
        "backup pin": ["latest"],
        "backup unpin": ["latest"],
      };
      const argv = [...name.split(" "), ...(needed[name] ?? []), "--path", dir, ...repository];
      const document = await papyraJson(argv);
      expect(pathsOf(document.report, "")).toEqual(expect.arrayContaining(documented));
    } finally {
      for (const made of ["", "-backups", "-restored"]) gone(`${dir}${made}`);
    }
  });
});

test("the examples of the help can be parsed", async () => {
  for (const { name } of all) {
    const { stdout } = await papyra([...name.split(" "), "--help"]);
    const examples = [...stdout.matchAll(/^ {2}\$ papyra ([^|&\n]+)/gm)].map(([, line]) =>
      (line as string).trim().replaceAll("'", ""),
    );
    expect(examples.length, name).toBeGreaterThan(0);
    for (const example of examples) {
      const { exit, stdout: said, stderr } = await papyra(example.split(" "), { cwd: scratchOnce });
      const noServer = example.includes("--redis") && /^backup (?:restore|drill --aof) /.test(example);
      const nothing = noServer ? 74 : example.startsWith("backup status") ? 1 : 10;
      expect([nothing, 64], `${example}: ${stderr}`).toContain(exit);
      if (exit === 64)
        expect(said + stderr).toMatch(
          /a replay needs the definitions|there is no retention|stores in Redis|is on the PATH/,
        );
    }
  }
});
const scratchOnce = scratch();
