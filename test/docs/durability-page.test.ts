// The page that says what is proved, by which test: every file that it names exists, and so does every setting.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { filesUnder, ROOT, textOf } from "../source.ts";

const PAGE = textOf("docs/durability.md");

test("every file of docs/durability.md exists", () => {
  const named = [...PAGE.matchAll(/`((?:test|scripts)\/[\w./-]+)/g)].map((match) => match[1] as string);
  expect(named.length).toBeGreaterThan(40);
  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

test("every setting of docs/durability.md and CONTRIBUTING.md is read by a test or a script", () => {
  const sources = [...filesUnder("test"), ...filesUnder("scripts")].filter((path) => /\.(?:ts|mjs)$/.test(path));
  const code = sources.map(textOf).join("\n");
  const settings = [...`${PAGE}${textOf("CONTRIBUTING.md")}`.matchAll(/\b(PAPYRA_[A-Z_]+)/g)].map(
    (match) => match[1] as string,
  );
  expect(new Set(settings).size).toBeGreaterThan(10);
  expect(settings.filter((name) => !code.includes(`env.${name}`))).toEqual([]);
});

test("the matrix has all promises, by number", () => {
  for (let i = 1; i <= 16; i++) expect(PAGE).toMatch(new RegExp(`\\bI${i}\\b`));
});
