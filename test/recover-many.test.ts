// Recovery looks at each of many segments a few times, and not at all of them for each.
import { expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import { replaceDurably } from "../src/env/durable.ts";
import { activeName, closedName } from "../src/log/segments.ts";
import { recover } from "../src/ops/recover.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";
import { buildLog } from "./docs/sealed-log.ts";

/** How many calls the recovery of a log makes with a damaged line in each of so many closed segments. */
async function callsToRecover(damaged: number): Promise<number> {
  const disk = new SimDisk();
  const { fs, random } = disk.env;
  const backend = fileBackend({ path: "/s" }, disk.env);
  const made = await openStore(backend);
  await made.close();
  const { store, lineage } = made.identity;
  const segments = Array.from({ length: damaged + 1 }, (_, i) => [{ seq: 2 * i + 1 }, { seq: 2 * i + 2 }]);
  for (const [i, bytes] of buildLog({ log: "events", store, lineage }, segments).entries()) {
    const name = i === damaged ? activeName("events") : closedName("events", 2 * i + 1);
    const at = bytes.lastIndexOf('{"seq":') + 40;
    if (i < damaged) bytes[at] = (bytes[at] as number) ^ 1;
    await replaceDurably(fs, random, `/s/${name}`, (append) => append(bytes));
  }
  const before = disk.calls;
  const report = await recover(backend, { mode: "quarantine" });
  expect(report).toMatchObject({ ok: true });
  expect(report.before.anomalyCount).toBe(damaged);
  return disk.calls - before;
}

test("with four times as many damaged segments it makes about four times as many calls", async () => {
  const [few, many] = [await callsToRecover(100), await callsToRecover(400)];
  console.log(`recovering 100 damaged segments: ${few} calls, 400: ${many}`);
  expect(many).toBeLessThan(6 * few);
});
