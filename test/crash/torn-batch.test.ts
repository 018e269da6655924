// A write of several records that was torn by a power cut in any way, and never acknowledged. A start passes over it, and so
// must every later one: what goes on behind it may not turn it into acknowledged data that is lost.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { account } from "../../src/ops/account.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { backendOn, contentOf, newLedger, PATH, put } from "./scenario.ts";

const SEQS = [4, 5, 6];
const EVENTS = `${PATH}/events.ndjson`;

/** A store with three acknowledged events and an unfinished write of three more, of which these are torn. */
async function tornStore(torn: readonly number[], mark: "exact" | "lagging"): Promise<SimDisk> {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk, { mark }));
  await put(store, newLedger(), "events", 3);
  const known = disk.content(`${PATH}/papyra.mark`);
  await put(store, newLedger(), "events", SEQS.length);
  disk.corrupt(`${PATH}/papyra.mark`, () => known);
  for (const seq of torn) {
    disk.corrupt(EVENTS, (bytes) => {
      const at = bytes.indexOf(`{"seq":${seq},`);
      return bytes.fill(0, at, at + 8);
    });
  }
  return mark === "exact" ? disk.reboot(1, "keep") : disk.kill();
}

async function assertStartable(disk: SimDisk, when: string): Promise<void> {
  const found = await scan(backendOn(disk));
  const about = `${when}: ${JSON.stringify(found.anomalies)}`;
  expect(found.startable, about).toBe(true);
  expect(
    found.anomalies.every(({ acknowledged }) => acknowledged === "none"),
    about,
  ).toBe(true);
}

const shapes = [[4], [5], [4, 5], [4, 5, 6], [5, 6], [6]];
const cases = (["exact", "lagging"] as const).flatMap((mark) => shapes.map((torn) => [mark, torn] as const));

test.each(cases)(
  "mark %s, torn at seqs %j: it is harmless for ever, and nothing is called lost",
  async (mark, torn) => {
    const disk = await tornStore(torn, mark);
    const backend = backendOn(disk, { mark });
    await assertStartable(disk, "as it was found");
    for (const when of ["opened and closed", "opened a second time"]) {
      await (await openStore(backend)).close();
      await assertStartable(disk, when);
    }
    const ledger = newLedger();
    const store = await openStore(backend);
    await put(store, ledger, "events", 2);
    await store.close();
    await assertStartable(disk, "written to");
    const present = (await account(backend)).logs.find(({ log }) => log === "events");
    expect(present?.missing).toBe(0);
    const report = await recover(backend, { mode: "quarantine", quarantineDir: "/data/quarantine" });
    expect(report.after.ok, report.verdict).toBe(true);
    const reopened = await openStore(backend);
    const events = (await contentOf(reopened)).get("events");
    await reopened.close();
    for (const seq of [1, 2, 3]) expect(events?.get(seq)).toBe(seq);
    for (const [seq, n] of ledger.acknowledged.get("events") ?? []) expect(events?.get(seq)).toBe(n);
  },
);
