// A process is killed while it seals a segment and begins the next one, and the machine goes on: the names that it has given are
// there and not on the disk. Then the power goes while the next process opens the store, or recovers it: whichever of the names
// survive, nothing acknowledged is lost.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { recover } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { backendOn, contentOf, newLedger, put, Survivors } from "./scenario.ts";

const SURVIVORS = 60;
const RECORDS = 6;

/** Disks of which the process was killed right after it gave a name, while it sealed a segment. */
async function killedWhileSealing(): Promise<SimDisk[]> {
  const killed: SimDisk[] = [];
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk));
  await put(store, newLedger(), "journal", RECORDS);
  disk.pause = ({ operation }) => void (operation === "syncDir" && killed.push(disk.afterKill()));
  await store.maintain("seal", (work) => work.seal("journal"));
  return killed;
}

async function assertAllThere(disk: SimDisk, where: string): Promise<void> {
  const { verdict, anomalies } = await scan(backendOn(disk));
  const lost = anomalies.filter(({ acknowledged }) => acknowledged === "lost");
  expect(lost, `${where}: ${verdict}`).toEqual([]);
  const store = await openStore(backendOn(disk));
  expect((await contentOf(store)).get("journal")?.size, where).toBe(RECORDS);
  await store.close();
}

const opening = async (disk: SimDisk): Promise<unknown> => (await openStore(backendOn(disk))).close();
const recovering = (disk: SimDisk): Promise<unknown> => recover(backendOn(disk), { mode: "repair" });

test.each([
  ["opened", opening],
  ["recovered", recovering],
])(
  "a store whose writer was killed while it sealed is %s, and the power goes while names are given",
  async (_, mend) => {
    const killed = await killedWhileSealing();
    const survivors = new Survivors();
    for (const [n, disk] of killed.entries()) {
      const found: [SimDisk, string][] = [];
      disk.pause = ({ operation, n: call }) => {
        if (operation !== "syncDir") return;
        for (const { survivor, seed } of survivors.of(disk.afterKill(), n, SURVIVORS))
          found.push([survivor, `killed at name ${n}, cut at call ${call}, survivor ${seed}`]);
      };
      await mend(disk);
      for (const [survivor, where] of found) await assertAllThere(survivor, where);
    }
    expect(killed.length).toBe(2);
    expect(survivors.states).toBeGreaterThan(5);
  },
);
