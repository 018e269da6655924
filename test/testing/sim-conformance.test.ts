// The simulated disk gives the answers of the real one: the same random calls on both, and every result, byte and error
// equal. Error codes are those of Linux. What is durable cannot be compared this way: see sim-power-cut.test.ts.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { FileLock, FileStat, Fs, OpenFile } from "../../src/env/env.ts";
import { nodeEnv } from "../../src/env/node.ts";
import { PapyraError } from "../../src/errors.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";

const RUNS = Number(process.env.PAPYRA_CONFORMANCE_RUNS ?? 2000);
const SEED = process.env.PAPYRA_CONFORMANCE_SEED;
const PATHS = ["/d", "/d/a", "/d/b", "/d/s", "/d/s/a", "/d/s/t/a", "/e", "/e/a", "/e/a/b", "/f"] as const;
const SLOTS = 3;

const path = fc.constantFrom(...PATHS);
const slot = fc.nat(SLOTS - 1);
const position = fc.oneof(fc.nat(12), fc.nat(9000));
const bytes = fc.uint8Array({ maxLength: 20 });

/** One call; `slot` says which open file or lock it is about. */
const step = fc.oneof(
  fc.record({ call: fc.constant("makeDir" as const), path }),
  fc.record({ call: fc.constant("list" as const), path }),
  fc.record({ call: fc.constant("stat" as const), path }),
  fc.record({ call: fc.constant("remove" as const), path }),
  fc.record({ call: fc.constant("removeDir" as const), path }),
  fc.record({ call: fc.constant("syncDir" as const), path }),
  fc.record({ call: fc.constant("rename" as const), path, to: path }),
  fc.record({
    call: fc.constant("lock" as const),
    path,
    slot,
    mode: fc.constantFrom("exclusive" as const, "shared" as const),
  }),
  fc.record({ call: fc.constant("release" as const), slot }),
  {
    arbitrary: fc.record({
      call: fc.constant("open" as const),
      path,
      slot,
      mode: fc.constantFrom("read" as const, "update" as const, "create" as const, "create" as const),
    }),
    weight: 3,
  },
  { arbitrary: fc.record({ call: fc.constant("write" as const), slot, position, bytes }), weight: 4 },
  { arbitrary: fc.record({ call: fc.constant("read" as const), slot, position, length: fc.nat(30) }), weight: 2 },
  fc.record({ call: fc.constant("truncate" as const), slot, position }),
  fc.record({ call: fc.constant("sync" as const), slot }),
  fc.record({ call: fc.constant("statFile" as const), slot }),
  fc.record({ call: fc.constant("close" as const), slot }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Runs steps below `root` and notes what each gave, without anything that may differ between two disks. */
class Runner {
  readonly #fs: Fs;
  readonly #root: string;
  readonly #files: (OpenFile | undefined)[] = [];
  readonly #locks: (FileLock | undefined)[] = [];

  constructor(fs: Fs, root: string) {
    this.#fs = fs;
    this.#root = root;
  }

  async run(steps: readonly Step[]): Promise<unknown[]> {
    const results: unknown[] = [];
    await this.#fs.makeDir(this.#root);
    for (const each of steps) results.push(await this.#note(this.#perform(each)));
    for (const file of this.#files) results.push(await this.#note(file?.close()));
    for (const lock of this.#locks) results.push(await this.#note(lock?.release()));
    return [...results, await this.#tree(this.#root)];
  }

  async #note(result: Promise<unknown> | undefined): Promise<unknown> {
    try {
      return (await result) ?? "done";
    } catch (error) {
      if (!(error instanceof PapyraError)) throw error;
      const { operation, path: at, errno } = error.details;
      return { code: error.code, operation, errno, at: String(at).replaceAll(this.#root, "") };
    }
  }

  async #perform(each: Step): Promise<unknown> {
    const at = "path" in each ? this.#root + each.path : "";
    const file = "slot" in each ? this.#files[each.slot] : undefined;
    switch (each.call) {
      case "rename":
        return this.#fs.rename(at, this.#root + each.to);
      case "stat":
        return plain(await this.#fs.stat(at));
      case "open":
        await file?.close();
        this.#files[each.slot] = undefined;
        this.#files[each.slot] = await this.#fs.open(at, each.mode);
        return "open";
      case "lock":
        await this.#locks[each.slot]?.release();
        this.#locks[each.slot] = undefined;
        this.#locks[each.slot] = await this.#fs.lock(at, each.mode);
        return this.#locks[each.slot] === undefined ? "in the way" : "locked";
      case "release":
        return this.#locks[each.slot]?.release();
      case "write":
        return file?.write(each.bytes, each.position);
      case "read":
        return file && readHex(file, each.position, each.length);
      case "truncate": // nobody here makes a file longer so
        return file && file.truncate(Math.min(each.position, (await file.stat()).bytes));
      case "statFile":
        return plain(await file?.stat());
      case "sync":
        return file?.sync();
      case "close":
        return file?.close();
      default:
        return this.#fs[each.call](at);
    }
  }

  async #tree(dir: string): Promise<Record<string, unknown>> {
    const found: Record<string, unknown> = {};
    for (const name of await this.#fs.list(dir)) {
      const at = `${dir}/${name}`;
      if ((await this.#fs.stat(at))?.kind === "directory") found[name] = await this.#tree(at);
      else {
        const file = await this.#fs.open(at, "read");
        found[name] = await readHex(file, 0, 20_000);
        await file.close();
      }
    }
    return found;
  }
}

function plain(stat: FileStat | undefined): unknown {
  return stat && { kind: stat.kind, ...(stat.kind === "file" ? { bytes: stat.bytes } : {}) };
}

async function readHex(file: OpenFile, at: number, length: number): Promise<string> {
  const into = Buffer.alloc(length);
  return into.subarray(0, await file.read(into, at)).toString("hex");
}

let scratch = "";
beforeAll(async () => {
  scratch = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "papyra-conformance-"));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

it.runIf(process.platform === "linux")(
  "gives the results of the real file system for any sequence of calls",
  async () => {
    let run = 0;
    let [answers, errors] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30, size: "max" }), async (steps) => {
        const disk = new SimDisk();
        const simulated = await new Runner(disk.env.fs, "/root").run(steps);
        const real = await new Runner(nodeEnv.fs, join(scratch, String(run++))).run(steps);
        expect(simulated).toEqual(real);
        expect(disk.openFiles).toBe(0);
        const failed = real.filter(
          (result) => typeof result === "object" && result !== null && "errno" in result,
        ).length;
        errors += failed;
        answers += real.length - failed;
      }),
      { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
    );
    console.log(`both disks gave the same: ${RUNS} random sequences, ${answers} answers, ${errors} errors`);
    expect(Math.min(answers, errors)).toBeGreaterThan(RUNS * 2); // neither side of the comparison is a formality
  },
);
