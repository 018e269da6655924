// The power of a real file system is cut under a real process, on ext4 and on xfs: what was acknowledged before the cut is
// there when the disk is mounted again, and the store goes on. power-cutter.mjs does it, in a mount namespace of its own.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const CUTS = Number(process.env.PAPYRA_CUTS ?? 200);
const SEED = Number(process.env.PAPYRA_CUT_SEED ?? 11);
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** What is missing on this machine, or nothing. */
function obstacle(): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "it needs root on Linux";
  const absent = ["unshare", "mkfs.ext4", "mkfs.xfs", "xfs_io"].filter(
    (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0,
  );
  return absent.length === 0 ? undefined : `missing programs: ${absent.join(", ")} (packages e2fsprogs, xfsprogs)`;
}
const skipped = obstacle();
if (skipped !== undefined && process.env.CI !== undefined)
  throw new Error(`real power cuts must run in CI: ${skipped}`);
if (skipped !== undefined) console.log(`real power cuts: ${CUTS} skipped, ${skipped}`);

interface Cut {
  readonly n: number;
  /** How many acknowledgements were heard before the cut. */
  readonly heard: number;
  readonly wrong: readonly string[];
  readonly torn: number;
  /** Whether recovery had to come before the start. */
  readonly helped: boolean;
  readonly closed: number;
}

/** How ext4 writes its journal, and the share of its cuts. */
const EXT4 = { ordered: 0.5, writeback: 0.3, journal: 0.2 } as const;
type Disk = "ext4" | "xfs" | `ext4:${keyof typeof EXT4}`;

async function cutsOf(type: Disk, count: number, segmentBytes: string, durability: string): Promise<Cut[]> {
  const work = mkdtempSync(join(tmpdir(), `papyra-cut-${type.replace(":", "-")}-`));
  const program = [process.execPath, here("power-cutter.mjs"), type, work, String(count), String(SEED), segmentBytes];
  const child = spawn("unshare", ["-m", "--propagation", "private", ...program, durability], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => void (text += chunk));
  const code = await new Promise((resolve) => child.on("close", resolve));
  rmSync(work, { recursive: true, force: true });
  const cuts = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Cut);
  expect(code, `${type}: the cutter failed after ${cuts.length} cuts`).toBe(0);
  expect(cuts.length).toBe(count);
  return cuts;
}

async function cutsOfExt4(count: number): Promise<Cut[]> {
  const cuts: Cut[] = [];
  for (const [data, share] of Object.entries(EXT4)) {
    const own = Math.min(Math.ceil(count * share), count - cuts.length);
    if (own > 0) cuts.push(...(await cutsOf(`ext4:${data as keyof typeof EXT4}`, own, "60000", "fsync")));
  }
  return cuts;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

test.skipIf(skipped !== undefined)(
  `real power cuts, ${CUTS} on ext4 and xfs: nothing that was acknowledged is lost`,
  async () => {
    const half = Math.ceil(CUTS / 2);
    const [ext4, xfs] = await Promise.all([cutsOfExt4(half), cutsOf("xfs", CUTS - half, "60000", "fsync")]);
    for (const [type, cuts] of Object.entries({ ext4, xfs })) {
      for (const { n, wrong } of cuts) expect(wrong, `${type}, cut ${n}, seed ${SEED}`).toEqual([]);
      if (cuts.length >= 20) expect(sum(cuts.map(({ closed }) => closed)), `${type} rotated`).toBeGreaterThan(10);
    }
    const all = [...ext4, ...xfs];
    expect(all.length).toBe(CUTS);
    for (const { n, heard } of all) expect(heard, `cut ${n} hit a writer that had acknowledged`).toBeGreaterThan(0);
    console.log(
      `real power cuts: ${ext4.length} on ext4 (${Object.keys(EXT4).join(", ")}), ${xfs.length} on xfs, ${sum(all.map(({ heard }) => heard))} acknowledged ` +
        `records, 0 lost, ${sum(all.map(({ torn }) => torn))} torn tails, ${all.filter(({ helped }) => helped).length} recovered ` +
        `before the start (seed ${SEED})`,
    );
  },
);

test.skipIf(skipped !== undefined)("a cut takes what was acknowledged without a sync, and is seen to", async () => {
  for (const type of ["ext4", "xfs"] as const) {
    const [first] = await cutsOf(type, 1, "", "os");
    expect(first?.wrong.join("\n"), type).toMatch(/was acknowledged and is undefined/);
  }
});
