// An active segment that ends in a seal, as a crash between sealing and closing it leaves it, behind a segment that was closed
// because of an unfinished write and has no seal, as the new one says. One recovery mends all that, and a compaction keeps it so.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import type { Store } from "../../src/backends/store.ts";
import { parseObject } from "../../src/log/codec.ts";
import { asSeal } from "../../src/log/seal.ts";
import { compact } from "../../src/ops/compact.ts";
import { recover, type RecoverReport } from "../../src/ops/recover.ts";
import { scan } from "../../src/ops/scan.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { assertKept, backendOn, contentOf, type Ledger, newLedger, PATH, put } from "./scenario.ts";

const CLOSED = `${PATH}/events.00000000000000000001.ndjson`;
const ACTIVE = `${PATH}/events.ndjson`;
const QUARANTINE = { mode: "quarantine", quarantineDir: "/data/quarantine" } as const;

/** The events are sealed; a process that dies before the segment gets its closed name leaves this. */
async function closing(disk: SimDisk, store: Store): Promise<SimDisk> {
  let left: SimDisk | undefined;
  disk.pause = ({ operation, path }) => {
    if (operation === "rename" && path.startsWith(`${ACTIVE} to `)) left = disk.afterKill();
  };
  await store.maintain("seal", (work) => work.seal("events"));
  return left as SimDisk;
}

const at = (bytes: Buffer): number => bytes.indexOf('{"seq":4,');

function inserted(bytes: Buffer, where: number, text: string): Buffer {
  return Buffer.concat([bytes.subarray(0, where), Buffer.from(text), bytes.subarray(where)]);
}

function flipped(bytes: Buffer, where: number): Buffer {
  bytes[where] = (bytes[where] as number) ^ 1;
  return bytes;
}

/** Events 1 and 2 and half a line in a closed segment, 3 to 5 in the active one, and behind them its seal. */
async function sealedNotClosed(): Promise<{ readonly disk: SimDisk; readonly ledger: Ledger }> {
  const disk = new SimDisk();
  const ledger = newLedger();
  const first = await openStore(backendOn(disk));
  await put(first, ledger, "events", 2);
  await first.close();
  disk.corrupt(ACTIVE, (bytes) => Buffer.concat([bytes, Buffer.from('{"seq":3,"kind":"ev')]));
  const second = await openStore(backendOn(disk));
  await put(second, ledger, "events", 3);
  return { disk: await closing(disk, second), ledger };
}

function sealsIn(disk: SimDisk, path: string): unknown[] {
  const lines = disk.content(path).toString().split("\n").slice(0, -1);
  return lines.map((line) => asSeal(parseObject(Buffer.from(line)) ?? {})).filter((seal) => seal !== undefined);
}

/** What one recovery leaves: a healthy store, nothing to do for the next one, all that was promised, and place for more. */
async function assertMended(disk: SimDisk, ledger: Ledger): Promise<RecoverReport> {
  const report = await recover(backendOn(disk), QUARANTINE);
  expect(report.after.anomalies).toEqual([]);
  const next = disk.reboot(1);
  expect((await recover(backendOn(next), QUARANTINE)).changed).toBe(false);
  const store = await openStore(backendOn(next));
  assertKept(await contentOf(store), ledger, "after the recovery");
  await put(store, ledger, "events", 1);
  await store.maintain("seal", (work) => work.seal("events"));
  await store.close();
  expect(await scan(backendOn(next))).toMatchObject({ ok: true, anomalies: [] });
  return report;
}

test("the unfinished write is taken out: the segment has no seal for good, since the one behind says so", async () => {
  const { disk, ledger } = await sealedNotClosed();
  expect(sealsIn(disk, ACTIVE)).toMatchObject([{ previous: null, last_seq: 5 }]);
  const sealed = disk.content(ACTIVE);
  const { actions } = await assertMended(disk, ledger);
  expect(actions[0]).toMatchObject({ what: "removed", file: "events.00000000000000000001.ndjson" });
  expect([sealsIn(disk, CLOSED), disk.content(ACTIVE).equals(sealed)]).toEqual([[], true]);
});

test.each<[string, (bytes: Buffer) => Buffer, number[]]>([
  [
    "a damaged record, whose gap record stands behind the seal at first",
    (bytes) => flipped(bytes, at(bytes) + 30),
    [4],
  ],
  ["bytes between two records", (bytes) => inserted(bytes, at(bytes), "garbage\n"), []],
])("then %s: with the seal the word goes that there is none before", async (_, harm, lost) => {
  const { disk, ledger } = await sealedNotClosed();
  await recover(backendOn(disk), QUARANTINE);
  disk.corrupt(ACTIVE, harm);
  for (const seq of lost) ledger.acknowledged.get("events")?.delete(seq);
  await assertMended(disk, ledger);
  expect([sealsIn(disk, CLOSED).length, sealsIn(disk, ACTIVE)]).toEqual([1, []]);
});

test.each([10, 9, 8, 5, 1])(
  "a compaction that leaves %i of 11 events leaves a chain that holds",
  async (maxRecords) => {
    const { disk, ledger } = await sealedNotClosed();
    await recover(backendOn(disk), QUARANTINE);
    const store = await openStore(backendOn(disk));
    for (let i = 0; i < 3; i++) {
      await put(store, ledger, "events", 2, 1000);
      await store.maintain("seal", (work) => work.seal("events"));
    }
    await store.close();
    await compact(backendOn(disk, { segmentBytes: 4096 }), { retention: { events: { maxRecords } } });
    expect(await scan(backendOn(disk))).toMatchObject({ ok: true, anomalies: [] });
  },
);
