// The account of a store: the sum is true whatever has happened, and says of each seq where it went.
import { expect, test } from "vitest";
import { fileBackend } from "../src/backends/files.ts";
import { openStore } from "../src/backends/open.ts";
import { account, type LogSum } from "../src/ops/account.ts";
import { recover } from "../src/ops/recover.ts";
import { renderAccount } from "../src/cli/render-account.ts";
import { SimDisk } from "../src/testing/sim-disk.ts";

const PATH = "/s";
const EVENTS = `${PATH}/events.ndjson`;

async function storeOf(count: number) {
  const disk = new SimDisk();
  const backend = fileBackend({ path: PATH }, disk.env);
  const store = await openStore(backend);
  for (let n = 1; n <= count; n++) {
    await store.append("events", [
      { kind: "event", system_id: "s", actor_address: "a", event_type: "Noted", payload: n },
    ]);
  }
  await store.close();
  return { disk, backend };
}

function damage(disk: SimDisk, seq: number, how: "flip" | "drop"): void {
  disk.corrupt(EVENTS, (bytes) => {
    const start = bytes.indexOf(`{"seq":${seq},`);
    if (how === "drop") {
      return Buffer.concat([bytes.subarray(0, start), bytes.subarray(bytes.indexOf(0x0a, start) + 1)]);
    }
    bytes[start + 40] = (bytes[start + 40] as number) ^ 1;
    return bytes;
  });
}

const events = (logs: readonly LogSum[]): LogSum => logs.find(({ log }) => log === "events") as LogSum;
const sum = ({ present, compacted, quarantined, lost, missing }: LogSum): number =>
  present + compacted + quarantined + lost + missing;

test("healthy, damaged, recovered: every seq is somewhere, and the report says where", async () => {
  const { disk, backend } = await storeOf(10);
  const mutations = disk.mutations;
  const whole = await account(backend);
  expect(whole).toMatchObject({
    ok: true,
    verdict: "every one of 10 seqs is present or accounted for, all of them present",
  });
  expect(events(whole.logs)).toMatchObject({ lastSeq: 10, present: 10, missing: 0, absent: [], absentCount: 0 });

  damage(disk, 3, "flip");
  damage(disk, 7, "drop");
  damage(disk, 8, "drop");
  damage(disk, 10, "drop"); // the mark knows of it
  const before = disk.mutations;
  const damaged = await account(backend);
  expect(disk.mutations, "it changes nothing").toBe(before);
  expect(before).toBe(mutations);
  expect(damaged).toMatchObject({
    ok: false,
    verdict: "4 of 10 seqs are missing, and nothing accounts for them",
  });
  expect(events(damaged.logs).absent.map(({ from, to, reason }) => [from, to, reason])).toEqual([
    [3, 3, "missing"],
    [7, 8, "missing"],
    [10, 10, "missing"],
  ]);
  expect(sum(events(damaged.logs))).toBe(10);

  const { id } = await recover(backend, { mode: "quarantine" });
  const recovered = await account(backend);
  const log = events(recovered.logs);
  expect(recovered.ok).toBe(true);
  expect(log).toMatchObject({ quarantined: 1, lost: 3, missing: 0, absentCount: 3 });
  expect(log.absent).toMatchObject([
    { from: 3, to: 3, reason: "quarantined", by: `recover ${id}` },
    { from: 7, to: 8, reason: "lost", by: `recover ${id}` },
    { from: 10, to: 10, reason: "lost", by: `recover ${id}` },
  ]);
  expect(sum(log)).toBe(log.lastSeq);
  const text = renderAccount(recovered, PATH, (_style, shown) => shown);
  expect(text).toContain(`events: 1..${log.lastSeq} = ${log.present} present + 0 compacted + 1 quarantined + 3 lost\n`);
  expect(text).toMatch(new RegExp(`  seqs 7-8: lost by recover ${id} at \\d{4}-`));
});

test("one log only, and what nothing vouches for is said", async () => {
  const { disk, backend } = await storeOf(3);
  disk.drop(`${PATH}/papyra.mark`);
  const report = await account(backend, { log: "events" });
  expect(report.logs.map(({ log, endVouched }) => [log, endVouched])).toEqual([["events", false]]);
  expect(renderAccount(report, PATH, (_style, shown) => shown)).toContain(
    "(nothing vouches for the end: no mark vouches for this log: it is a copy, or papyra.mark is gone or older than its file)",
  );
});

test.each([
  ["whose identity is lost, and papyra.json too", true],
  ["of another log", false],
])("a file %s is not passed over as if nothing were in it", async (_, lost) => {
  const { disk, backend } = await storeOf(3);
  disk.drop(`${PATH}/papyra.mark`);
  if (lost) {
    disk.drop(`${PATH}/papyra.json`);
    for (const file of [...disk.tree().keys()].filter((path) => path.endsWith(".ndjson")))
      disk.corrupt(file, (bytes) => bytes.subarray(bytes.indexOf(0x0a) + 1));
  } else disk.corrupt(`${PATH}/audits.ndjson`, () => disk.content(EVENTS));
  const report = await account(backend);
  expect(report).toMatchObject({
    ok: false,
    verdict: "1 file cannot be read as that of its log: what is in there cannot be told, and a scan says why",
  });
  const log = lost ? "events" : "audits";
  expect(report.logs.find((one) => one.log === log)).toMatchObject({ lastSeq: 0, missing: 0, unread: 1 });
  expect(renderAccount(report, PATH, (_style, shown) => shown)).toContain(
    `${log}: no record, and 1 file that cannot be read as its own`,
  );
});

test("lines without seqs cannot be accounted for", async () => {
  const disk = new SimDisk();
  const file = await disk.env.fs.makeDir("/py").then(() => disk.env.fs.open("/py/old.ndjson", "create"));
  await file.write(Buffer.from('{"timestamp":1,"event_type":"A"}\n'), 0);
  await file.close();
  const report = await account(fileBackend({ path: "/py/old.ndjson" }, disk.env));
  expect(report).toMatchObject({ ok: false, verdict: "lines without seqs (1): what may be missing cannot be told" });
});
