// Builds the package into a directory of its own, outside the repository, so that real processes can be started whatever
// is in dist/ at the moment: once for all files of a run, by whichever needs it first.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../source.ts";

export interface Build {
  /** The root of the built package: package.json, dist, node_modules. */
  readonly root: string;
  /** A directory that holds `papyra` as one would find it on the PATH. */
  readonly path: string;
  readonly bin: string;
  remove(): void;
}

const WAIT_MS = 300_000;

export function build(): Build {
  const shared = process.env.PAPYRA_TEST_BUILD;
  const root = shared ?? mkdtempSync(join(tmpdir(), "papyra-build-"));
  const ended = join(root, "ended");
  if (isFirst(root)) {
    const failure = make(root);
    writeFileSync(`${ended}.tmp`, failure);
    renameSync(`${ended}.tmp`, ended); // whole at once: the others wait for it
  }
  for (const until = Date.now() + WAIT_MS; !existsSync(ended) && Date.now() < until; ) sleep(50);
  const failure = existsSync(ended) ? readFileSync(ended, "utf8") : "it takes too long";
  if (failure !== "") throw new Error(`the build failed:\n${failure}`);
  const remove = (): void => (shared === undefined ? rmSync(root, { recursive: true }) : undefined);
  return { root, bin: join(root, "dist", "cli", "bin.js"), path: join(root, "bin"), remove };
}

/** Of several processes, one makes it, and the others wait. */
function isFirst(root: string): boolean {
  return mkdirSync(join(root, "bin"), { recursive: true }) !== undefined;
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Resolves with what went wrong, or nothing. */
function make(root: string): string {
  chmodSync(root, 0o755); // some tests run it as another user
  const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  const args = [join(typescript, "bin", "tsc"), "-p", join(ROOT, "tsconfig.json"), "--outDir", join(root, "dist")];
  const tsc = spawnSync(process.execPath, args, { encoding: "utf8" });
  const bin = join(root, "dist", "cli", "bin.js");
  if (!existsSync(bin)) return `${tsc.stdout}${tsc.stderr}` || "nothing was built";
  chmodSync(bin, 0o755);
  copyFileSync(join(ROOT, "package.json"), join(root, "package.json"));
  symlinkSync(realpathSync(join(ROOT, "node_modules")), join(root, "node_modules")); // others may not come past ROOT
  symlinkSync(bin, join(root, "bin", "papyra"));
  return "";
}
