// Builds the package into a directory of its own, outside the repository, so that real processes can be started whatever
// is in dist/ at the moment.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
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

export function build(): Build {
  const root = mkdtempSync(join(tmpdir(), "papyra-build-"));
  chmodSync(root, 0o755); // some tests run it as another user
  const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  const args = [join(typescript, "bin", "tsc"), "-p", join(ROOT, "tsconfig.json"), "--outDir", join(root, "dist")];
  const tsc = spawnSync(process.execPath, args, { encoding: "utf8" });
  const bin = join(root, "dist", "cli", "bin.js");
  if (!existsSync(bin)) throw new Error(`the build failed:\n${tsc.stdout}${tsc.stderr}`);
  chmodSync(bin, 0o755);
  copyFileSync(join(ROOT, "package.json"), join(root, "package.json"));
  symlinkSync(realpathSync(join(ROOT, "node_modules")), join(root, "node_modules")); // others may not come past ROOT
  mkdirSync(join(root, "bin"));
  symlinkSync(bin, join(root, "bin", "papyra"));
  return { root, bin, path: join(root, "bin"), remove: () => rmSync(root, { recursive: true }) };
}
