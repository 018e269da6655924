// Every example in the sources' TSDoc, and every `ts` block of the README and of the page on consumers, is run, as a user would
// have typed it; where it names a Redis server, there is one, with a store.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { redisStore } from "../../src/redis/index.ts";
import { event, withStore } from "../../src/testing/contract-subject.ts";
import { RedisServer } from "../redis/server.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const dir = join(root, "test/docs/.examples");

interface Example {
  readonly name: string;
  readonly code: string;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? sources(join(folder, entry.name))
      : entry.name.endsWith(".ts")
        ? [join(folder, entry.name)]
        : [],
  );
}

function fromComments(path: string): Example[] {
  const text = readFileSync(path, "utf8");
  return [...text.matchAll(/@example\s*\n((?:\s*\*.*\n)*?)\s*\* ```\n/g)].map((match, i) => ({
    name: `${relative(root, path)} example ${i + 1}`,
    code: (match[1] as string)
      .split("\n")
      .map((line) => line.replace(/^\s*\* ?/, ""))
      .filter((line) => !line.startsWith("```"))
      .join("\n"),
  }));
}

function fromPage(page: string): Example[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((match, i) => ({
    name: `${page} block ${i + 1}`,
    code: (match[1] as string).replaceAll('"./persistence"', JSON.stringify(join(dir, `store-${i}`))),
  }));
}

const pages = ["README.md", "docs/consumers.md"];
const examples = [...sources(join(root, "src")).flatMap(fromComments), ...pages.flatMap(fromPage)];
const REDIS = "redis://localhost:6379";
let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
  await withStore(redisStore({ url: server.url, systemId: "orders" }), async (store) => {
    for (let n = 1; n <= 3; n++) await store.append("events", [event(n)]);
  });

  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
});
afterAll(async () => {
  rmSync(dir, { recursive: true, force: true });
  await server.stop();
});

test("there are examples, also of the entry points", () => {
  expect(examples.length).toBeGreaterThan(6);
  for (const entry of ["src/index.ts", "src/actors/persistent.ts", "README.md"]) {
    expect(
      examples.some(({ name }) => name.startsWith(entry) || name.includes(entry.split("/").at(-1) as string)),
      entry,
    ).toBe(true);
  }
});

describe("each runs", () => {
  for (const [i, { name, code }] of examples.entries()) {
    test(name, async () => {
      const file = join(dir, `example-${i}.ts`);
      writeFileSync(file, code.replaceAll(REDIS, server.url));
      await import(/* @vite-ignore */ file);
    });
  }
});
