// Real actors on a real store while the wall clock jumps, stands still, or says nonsense (clocks.mjs): time is data, and order
// comes from numbers. Where this runs as root, the monotonic clock of the process begins elsewhere as well.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { build } from "../cli/build.ts";
import { buildShim, Shim, shimObstacle } from "./shim/shim.mjs";

const CLOCKS = 7;
const obstacle = shimObstacle();
if (obstacle !== undefined && process.env.CI !== undefined) throw new Error(`wrong clocks must run in CI: ${obstacle}`);
if (obstacle !== undefined) console.log(`wrong clocks: ${CLOCKS} skipped, ${obstacle}`);

test.skipIf(obstacle !== undefined)("actors, compaction and backups under wrong clocks", () => {
  const built = build();
  const shimmed = buildShim();
  const work = realpathSync(mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "papyra-clocks-")));
  const shim = new Shim(shimmed.library, work);
  try {
    const program = [process.execPath, fileURLToPath(new URL("clocks.mjs", import.meta.url)), built.root, work];
    const elsewhere = ["unshare", "-T", "--monotonic", "100000", "--fork"];
    const moves = process.getuid?.() === 0 && spawnSync(elsewhere[0]!, [...elsewhere.slice(1), "true"]).status === 0;
    const [first, ...args] = [...(moves ? elsewhere : []), ...program];
    const env = { ...shim.env, TZ: "America/New_York" };
    const { status, stdout, stderr } = spawnSync(first!, args, { encoding: "utf8", env, timeout: 240_000 });
    expect(status, stderr).toBe(0);
    const found = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { clock: string; wrong: string[] });
    for (const { clock, wrong } of found) expect(wrong, `a clock that ${clock}`).toEqual([]);
    expect(found).toHaveLength(CLOCKS);
    const monotonic = moves ? "with" : "without";
    console.log(`wrong clocks: ${found.map(({ clock }) => clock).join(", ")}; ${monotonic} another monotonic clock`);
  } finally {
    shim.remove();
    shimmed.remove();
    built.remove();
    rmSync(work, { recursive: true, force: true });
  }
});
