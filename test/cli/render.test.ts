// What an operator reads, word for word: the goldens change only on purpose.
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { encodeFields, encodeIdentity, encodeLine, seedOf } from "../../src/log/codec.ts";
import { encodeSeal } from "../../src/log/seal.ts";
import { closedName } from "../../src/log/segments.ts";
import { gone, papyra, scratch, TORN } from "./helpers.ts";

const dir = scratch();
afterAll(() => gone(dir));

const identity = encodeIdentity({ log: "events", store: "orders-7f3a91c2", lineage: "b1" });
const line = (seq: number, durable?: number): string =>
  encodeLine(
    seedOf(identity),
    seq,
    durable,
    "event",
    1767225600000 + seq * 1000,
    encodeFields({
      system_id: "local",
      actor_address: "local://orders/42",
      event_type: "ActorStarted",
      payload: { seq },
    }),
  );

/** A lone events log in a directory of its own, and what a command says of it, without the parts that differ each time. */
async function said(name: string, parts: readonly string[], ...argv: string[]): Promise<string> {
  const file = join(dir, name, "events.ndjson");
  writeFileSync(join(makeDir(name), "events.ndjson"), parts.join(""));
  const { stdout } = await papyra([...argv, "--path", file]);
  return stdout.replaceAll(join(dir, name), "<store>").replace(/\d{8}T\d{6}Z-[0-9a-f]{6}/g, "<id>");
}

function makeDir(name: string): string {
  mkdirSync(join(dir, name), { recursive: true });
  return join(dir, name);
}

describe("goldens", () => {
  test("a healthy copy", async () => {
    expect(
      await said("healthy", [identity, line(1), line(2), line(3, 2)], "persistence", "scan"),
    ).toMatchInlineSnapshot(`
      "healthy: 3 records, every seq accounted for; nothing outside the logs vouches for their ends (as in any copy)
      path: <store>/events.ndjson
      store: orders-7f3a91c2, lineage b1

      LOG     SEGMENTS  BYTES  RECORDS  UNCHECKED  SEQS  ACCOUNTED  MISSING  END
      events         1    588        3          0  1-3   -                0  not vouched
      "
    `);
  });

  const damaged = [identity, line(1), line(2).replace("42", "43"), line(4, 3), line(5), TORN];

  test("damage in the middle and a torn end", async () => {
    expect(await said("damaged", damaged, "persistence", "scan")).toMatchInlineSnapshot(`
      "2 anomalies (1 checksum-mismatch, 1 torn-tail); acknowledged records are damaged or missing: events seq 2-3
      path: <store>/events.ndjson
      store: orders-7f3a91c2, lineage b1

      LOG     SEGMENTS  BYTES  RECORDS  UNCHECKED  SEQS  ACCOUNTED  MISSING  END
      events         1    792        3          0  1-5   -                2  not vouched

      anomaly 1 of 2: checksum-mismatch, events.ndjson byte 238, 169 bytes, seqs 2-3
        meaning: a line whose bytes are not those that were written
        detail: the checksum of seq 2 does not match its bytes
        acknowledged data: lost: seqs 2-3

      anomaly 2 of 2: torn-tail, events.ndjson byte 757, 35 bytes, seqs: not known
        meaning: bytes of an unfinished write at the end of a file
        detail: the bytes are not a JSON object
        acknowledged data: cannot tell: no mark vouches for this log: it is a copy, or papyra.mark is gone or older than its file

      Next: papyra persistence recover --path <store>/events.ndjson --mode quarantine --quarantine-dir ./quarantine
      "
    `);
  });

  test("its recovery", async () => {
    // The gap record holds the time of the run, whose text is shorter in one of ten cases.
    const text = await said("recovered", damaged, "persistence", "recover");
    const [, after, inserted] = /= (\d{3}) after \+ 204 removed - (\d{3}) inserted/.exec(text) ?? [];
    expect(Number(after) + 204 - Number(inserted)).toBe(792);
    const timeless = text.replaceAll(String(after), "NNN").replaceAll(String(inserted), "MMM");
    expect(timeless).toMatchInlineSnapshot(`
      "recovered: 204 bytes removed, 1 gap record written; now healthy: 4 records, every seq accounted for; nothing outside the logs vouches for their ends (as in any copy)
      path: <store>/events.ndjson
      store: orders-7f3a91c2, lineage b1
      mode: repair
      recovery: <id>
      removed: events.ndjson byte 238, 169 bytes, checksum-mismatch, seqs 2-3
      removed: events.ndjson byte 757, 35 bytes, torn-tail
      gap record: events seqs 2-3 accounted for as lost
      events.ndjson: 792 bytes before, NNN after
      bytes: 792 before = NNN after + 204 removed - MMM inserted

      LOG     SEGMENTS  BYTES  RECORDS  UNCHECKED  SEQS  ACCOUNTED  MISSING  END
      events         1    NNN        4          0  1-6   2 lost           0  not vouched

      Next: papyra persistence startup-check --path <store>
      "
    `);
  });

  test("its start-up check: the whole store is looked at", async () => {
    expect(await said("refused", damaged, "persistence", "startup-check")).toMatchInlineSnapshot(`
      "NOT safe to start: refused: 2 anomalies (1 checksum-mismatch, 1 torn-tail); acknowledged records are damaged or missing: events seq 2-3
      path: <store>
      store: orders-7f3a91c2, lineage b1
      mode: fail_on_anomaly

      LOG           SEGMENTS  BYTES  RECORDS  UNCHECKED  SEQS  ACCOUNTED  MISSING  END
      events               1    792        3          0  1-5   -                2  not vouched
      journal              0      0        0          0  -     -                0  not vouched
      audits               0      0        0          0  -     -                0  not vouched
      dead_letters         0      0        0          0  -     -                0  not vouched
      snapshots            0      0        0          0  -     -                0  not vouched

      anomaly 1 of 2: checksum-mismatch, events.ndjson byte 238, 169 bytes, seqs 2-3
        meaning: a line whose bytes are not those that were written
        detail: the checksum of seq 2 does not match its bytes
        acknowledged data: lost: seqs 2-3

      anomaly 2 of 2: torn-tail, events.ndjson byte 757, 35 bytes, seqs: not known
        meaning: bytes of an unfinished write at the end of a file
        detail: the bytes are not a JSON object
        acknowledged data: cannot tell: no mark vouches for this log: it is a copy, or papyra.mark is gone or older than its file

      Next: papyra persistence recover --path <store> --mode quarantine --quarantine-dir ./quarantine
      "
    `);
  });

  test("its records", async () => {
    expect(await said("inspected", damaged, "inspect", "events")).toMatchInlineSnapshot(`
      "TIME                      SEQ  TYPE          ACTOR              PAYLOAD
      2026-01-01T00:00:01.000Z    1  ActorStarted  local://orders/42  {"seq":1}
      2026-01-01T00:00:04.000Z    4  ActorStarted  local://orders/42  {"seq":4}
      2026-01-01T00:00:05.000Z    5  ActorStarted  local://orders/42  {"seq":5}

      3 event records; 2 damaged places passed over

      Next: papyra persistence scan --path <store>/events.ndjson
      "
    `);
  });

  test("a missing segment and a file of somebody else", async () => {
    const at = makeDir("missing");
    const closed = identity + line(4);
    const seal = encodeSeal(seedOf(identity), {
      records: 1,
      first_seq: 4,
      last_seq: 4,
      first_timestamp: 1767225604,
      last_timestamp: 1767225604,
      bytes: closed.length,
      sha256: createHash("sha256").update(closed).digest("hex"),
      previous: "0".repeat(64), // the seal of the segment that is missing
    });
    writeFileSync(join(at, closedName("events", 4)), closed + seal);
    writeFileSync(join(at, "notes.txt"), "");
    writeFileSync(join(at, "events.ndjson"), identity + line(5));
    const { stdout } = await papyra(["persistence", "scan", "--path", at]);
    expect(stdout.replaceAll(at, "<store>")).toMatchInlineSnapshot(`
      "2 anomalies (1 unexpected-file, 1 missing-segment); whether acknowledged records are concerned cannot be told: nothing vouches for them
      path: <store>
      store: orders-7f3a91c2, lineage b1

      LOG           SEGMENTS  BYTES  RECORDS  UNCHECKED  SEQS  ACCOUNTED  MISSING  END
      events               2    771        2          0  4-5   -                3  not vouched
      journal              0      0        0          0  -     -                0  not vouched
      audits               0      0        0          0  -     -                0  not vouched
      dead_letters         0      0        0          0  -     -                0  not vouched
      snapshots            0      0        0          0  -     -                0  not vouched

      anomaly 1 of 2: unexpected-file, notes.txt byte 0, 0 bytes, seqs: not known
        meaning: a file that no part of the store wrote
        detail: no part of the store wrote this; it is left alone
        acknowledged data: none lost

      anomaly 2 of 2: missing-segment, events.00000000000000000004.ndjson byte 69, 0 bytes, seqs 1-3
        meaning: a file of the log is missing
        detail: seq 1 to 3 are missing before seq 4
        acknowledged data: cannot tell: no mark vouches for this log: it is a copy, or papyra.mark is gone or older than its file

      Next: if a backup holds the missing file, put it back and scan again; recovery writes its records off as lost
      Next: move the unexpected file out of the store; recovery leaves it alone
      Next: papyra persistence recover --path <store> --mode quarantine --quarantine-dir ./quarantine
      "
    `);
  });
});

test("twenty anomalies are shown, all are counted", async () => {
  const bad = Array.from({ length: 50 }, (_, i) => line(i * 2 + 1) + line(i * 2 + 2).replace("42", "43"));
  const text = await said("many", [identity, ...bad, line(101)], "persistence", "scan");
  expect(text).toMatch(/^50 anomalies \(50 checksum-mismatch\)/);
  expect(text.match(/^anomaly \d+ of 50: /gm)).toHaveLength(20);
  expect(text).toContain("and 30 more (--json lists up to 1000)");
});

test("a path with a space or worse is quoted in the command to run next", async () => {
  const text = await said("it's here", [identity, TORN], "persistence", "scan");
  expect(text).toContain(`--path '${dir}/it'\\''s here/events.ndjson' --mode`);
});
