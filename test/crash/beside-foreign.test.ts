// Damage in one segment, and a file of another log in the place of another one: what is missing may stand in the right file, so
// that no gap record can be written. The damaged bytes stay until then: they alone tell which seqs they were, and of which actors.
import { expect, test } from "vitest";
import { openStore } from "../../src/backends/open.ts";
import { account } from "../../src/ops/account.ts";
import { recover } from "../../src/ops/recover.ts";
import { SimDisk } from "../../src/testing/sim-disk.ts";
import { backendOn, newLedger, PATH, put } from "./scenario.ts";

const QUARANTINE = { mode: "quarantine" } as const;
const ACTIVE = `${PATH}/journal.ndjson`;

const isClosed = (path: string, log: string): boolean => path.startsWith(`${PATH}/${log}.0`);

test("what a gap record must account for stays until it can be written", async () => {
  const disk = new SimDisk();
  const store = await openStore(backendOn(disk, { segmentBytes: 4096 }));
  for (let i = 0; i < 4; i++) for (const log of ["journal", "events"] as const) await put(store, newLedger(), log, 8);
  await put(store, newLedger(), "journal", 1);
  await store.close();
  const paths = [...disk.tree().keys()];
  const [right, other] = ["journal", "events"].map((log) => paths.find((path) => isClosed(path, log)) as string);
  const whole = Buffer.from(disk.content(right as string));
  const last = Buffer.from(disk.content(ACTIVE)).toString("latin1").trimEnd().split("\n").at(-1) as string;
  const { seq, persistence_id, revision } = JSON.parse(last) as Record<string, unknown>;
  disk.corrupt(ACTIVE, (bytes) => {
    bytes[bytes.length - 3] = (bytes[bytes.length - 3] as number) ^ 1; // in the last line's checksum
    return bytes;
  });
  disk.put(right as string, disk.content(other as string));
  const damaged = Buffer.from(disk.content(ACTIVE));

  const first = await recover(backendOn(disk), QUARANTINE);
  expect(first.ok).toBe(false);
  expect(Buffer.from(disk.content(ACTIVE)).equals(damaged)).toBe(true);

  disk.put(right as string, whole);
  const second = await recover(backendOn(disk), QUARANTINE);
  expect(second.ok, second.verdict).toBe(true);
  expect(second.gaps).toMatchObject([{ log: "journal", from: seq, to: seq, reason: "quarantined" }]);
  expect(Buffer.from(disk.content(ACTIVE)).toString("latin1")).toContain(
    `"concerns":[${JSON.stringify({ persistence_id, revision })}]`,
  );
  const { logs } = await account(backendOn(disk));
  expect(logs.find(({ log }) => log === "journal")).toMatchObject({ quarantined: 1, lost: 0, missing: 0 });
});
