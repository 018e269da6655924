// Builds dist/ from scratch: no bundler, so that stack traces and dist stay readable.
import { execFileSync } from "node:child_process";
import { chmodSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const packageFile = createRequire(import.meta.url).resolve("typescript/package.json");
rmSync(join(root, "dist"), { recursive: true, force: true });
execFileSync(process.execPath, [join(dirname(packageFile), "bin", "tsc"), "-p", join(root, "tsconfig.json")], {
  stdio: "inherit",
});
chmodSync(join(root, "dist", "cli", "bin.js"), 0o755);
