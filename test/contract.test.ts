// The backend contract on every backend of this package: memory, files on the simulated disk, files on a real disk, and
// files under each of their policies.
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "vitest";
import type { FileStoreOptions } from "../src/backends/file-options.ts";
import { fileBackend } from "../src/backends/files.ts";
import { memoryBackend } from "../src/backends/memory.ts";
import type { Clock, Env } from "../src/env/env.ts";
import { nodeEnv } from "../src/env/node.ts";
import { backendContract, type ContractSubject, SimDisk } from "../src/testing/index.ts";
import { impatient } from "./sim-env.ts";

function withWall(env: Env, nowMs: (() => number) | undefined): Env {
  if (nowMs === undefined) return env;
  const clock: Clock = {
    nowMs,
    monotonicMs: () => env.clock.monotonicMs(),
    after: (delayMs, fn, kind) => env.clock.after(delayMs, fn, kind),
  };
  return { ...env, clock };
}

const memory: ContractSubject = {
  async make({ limits, nowMs }) {
    const backend = memoryBackend(limits ?? {}, withWall(nodeEnv, nowMs));
    return {
      backend: () => backend,
      segmentBytes: async (name) => backend.segmentBytes(name),
      putSegment: async (name, bytes) => backend.putSegment(name, bytes),
      quarantined: async () => backend.quarantined,
      dispose: async () => undefined,
    };
  },
};

type FileVariant = Partial<Pick<FileStoreOptions, "durability" | "mark">>;

function realFiles(variant: FileVariant): ContractSubject {
  return {
    async make({ limits, nowMs }) {
      const root = await mkdtemp(join(tmpdir(), "papyra-contract-"));
      const path = join(root, "persistence");
      const env = withWall(nodeEnv, nowMs);
      return {
        backend: () => fileBackend({ path, ...variant, ...limits }, env),
        segmentBytes: (name) => readFile(join(path, name)),
        putSegment: (name, bytes) => (bytes === undefined ? rm(join(path, name)) : writeFile(join(path, name), bytes)),
        async quarantined() {
          const kept = new Map<string, Buffer>();
          const entries = await readdir(path, { recursive: true, withFileTypes: true });
          for (const entry of entries) {
            const file = join(entry.parentPath, entry.name);
            if (entry.isFile() && file.includes("/quarantine/")) kept.set(file, await readFile(file));
          }
          return kept;
        },
        dispose: () => rm(root, { recursive: true, force: true }),
      };
    },
  };
}

function simFiles(variant: FileVariant): ContractSubject {
  return {
    async make({ limits, nowMs }) {
      const disk = new SimDisk();
      const path = "/data/persistence";
      const env = withWall(impatient(disk), nowMs);
      return {
        backend: () => fileBackend({ path, ...variant, ...limits }, env),
        segmentBytes: async (name) => disk.content(`${path}/${name}`),
        async putSegment(name, bytes) {
          const file = `${path}/${name}`;
          if (bytes === undefined) disk.drop(file);
          else if (disk.tree().has(file)) disk.corrupt(file, () => bytes);
          else disk.put(file, bytes);
        },
        quarantined: async () => new Map([...disk.tree()].filter(([name]) => name.includes("/quarantine/"))),
        dispose: async () => undefined,
      };
    },
  };
}

const SUBJECTS: Readonly<Record<string, ContractSubject>> = {
  memory,
  "files on the simulated disk": simFiles({}),
  "files on the simulated disk, interval": simFiles({ durability: "interval" }),
  "files on the simulated disk, os": simFiles({ durability: "os" }),
  "files on the simulated disk, exact mark": simFiles({ mark: "exact" }),
  "files on a real disk": realFiles({}),
};

for (const [kind, subject] of Object.entries(SUBJECTS)) {
  describe(kind, () => {
    for (const { name, run } of backendContract) {
      test(name, async (context) => {
        const outcome = await run(subject);
        if (outcome !== undefined) context.skip(outcome.skipped);
      });
    }
  });
}

test("a subject says why it cannot run a case", async ({ expect }) => {
  const limited: ContractSubject = { ...memory, lacks: { damage: "no access to its bytes" } };
  const outcomes = await Promise.all(backendContract.map(({ run }) => run(limited)));
  expect(outcomes).toContainEqual({ skipped: 'needs "damage": no access to its bytes' });
  expect(outcomes).toContain(undefined);
});
