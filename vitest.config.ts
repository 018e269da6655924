import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/longest-first.ts";

const source = (path: string): string => fileURLToPath(new URL(`src/${path}`, import.meta.url));

export default defineConfig({
  // Examples import the package by its name.
  resolve: { alias: {
      "papyra/testing": source("testing/index.ts"),
      "papyra/backup": source("backup/index.ts"),
      "papyra/redis": source("redis/index.ts"),
      "papyra/s3": source("s3/index.ts"),
      papyra: source("index.ts"),
    } },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/shared-build.ts"],
    testTimeout: 300_000,
    hookTimeout: 120_000,
    pool: "forks",
    // On two processors: many tests wait for a disk, a server or another process.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
  },
});
