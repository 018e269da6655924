// Where the files of one run of the tests find the package built: test/cli/build.ts fills it when the first one asks.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Once before all tests; the tests are processes that get this one's environment. */
export function setup(): void {
  process.env.PAPYRA_TEST_BUILD = mkdtempSync(join(tmpdir(), "papyra-build-"));
}

export function teardown(): void {
  const dir = process.env.PAPYRA_TEST_BUILD;
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
}
