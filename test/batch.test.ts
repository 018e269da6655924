// Batches are composed in place, for speed: their bytes must be the lines that the codec encodes, and each append must
// know where its lines stand.
import { expect, test } from "vitest";
import { Batch, LineBuffers, type LogState } from "../src/backends/batch.ts";
import { EncodedRecords } from "../src/backends/encoded-records.ts";
import type { Appended } from "../src/backends/store.ts";
import { encodeFields, encodeLine } from "../src/log/codec.ts";
import { LOG_NAMES, type LogName, type NewRecord } from "../src/log/record.ts";

const SEED = 77;
const stateAt = (seq: number): LogState => ({
  seq,
  acknowledged: seq,
  timestampMs: 5,
  seed: SEED,
  segment: { firstSeq: undefined, firstMs: undefined, bytes: 0, previousSeal: null },
  missing: [],
  absent: [],
});
const newLogs = (seq: number) =>
  Object.fromEntries(LOG_NAMES.map((log) => [log, stateAt(seq)])) as Record<LogName, LogState>;
const note = (payload: unknown): NewRecord => ({
  kind: "event",
  system_id: "s",
  actor_address: "a",
  event_type: "Noted",
  payload,
});
const encode = (...payloads: unknown[]): EncodedRecords => {
  const records = new EncodedRecords();
  for (const payload of payloads) records.add(note(payload), 1 << 20);
  return records;
};
function lineOf(seq: number, durable: number | undefined, timestampMs: number, payload: unknown): string {
  const { kind, ...fields } = note(payload);
  return encodeLine(SEED, seq, durable, kind, timestampMs, encodeFields(fields));
}

test("the bytes of a batch are the lines of the codec, log by log", () => {
  const batch = new Batch(newLogs(998), new LineBuffers());
  const results: Appended[] = [];
  const caller = { resolve: (appended: Appended) => void results.push(appended), reject: () => undefined };
  const long = "ü".repeat(100_000);
  batch.add("events", encode(1), 1_767_225_600_001, caller);
  batch.add("journal", encode("j"), 1_767_225_600_002, caller);
  batch.add("events", encode({ n: 2 }, long), 1_767_225_600_000, caller); // the clock went back
  batch.add("events", encode("last"), 1_767_225_601_000, caller);
  const parts = batch.close((log) => (log === "events" ? 990 : 123_456_789_012));
  expect(parts.map(({ log, lastSeq }) => [log, lastSeq])).toEqual([
    ["events", 1002],
    ["journal", 999],
  ]);
  const [events, journal] = parts.map(({ bytes }) => Buffer.from(bytes).toString());
  const lines = [
    lineOf(999, 990, 1_767_225_600_001, 1),
    lineOf(1000, undefined, 1_767_225_600_001, { n: 2 }),
    lineOf(1001, undefined, 1_767_225_600_001, long),
    lineOf(1002, undefined, 1_767_225_601_000, "last"),
  ];
  expect(events).toBe(lines.join(""));
  expect(journal).toBe(lineOf(999, 123_456_789_012, 1_767_225_600_002, "j"));

  batch.place([
    { segment: "events.ndjson", id: "1", offset: 5000 },
    { segment: "journal.ndjson", id: "2", offset: 70 },
  ]);
  batch.tell(batch.untold);
  const offsets = lines.map((_line, i) => 5000 + Buffer.byteLength(lines.slice(0, i).join("")));
  const at = (i: number) => ({
    segment: "events.ndjson",
    id: "1",
    offset: offsets[i],
    length: Buffer.byteLength(lines[i] as string) - 1,
  });
  expect(results.map(({ firstSeq, lastSeq, timestampMs }) => [firstSeq, lastSeq, timestampMs])).toEqual([
    [999, 999, 1_767_225_600_001],
    [999, 999, 1_767_225_600_002],
    [1000, 1001, 1_767_225_600_001],
    [1002, 1002, 1_767_225_601_000],
  ]);
  expect(results.map((appended) => appended.at)).toEqual([
    [at(0)],
    [{ segment: "journal.ndjson", id: "2", offset: 70, length: Buffer.byteLength(journal as string) - 1 }],
    [at(1), at(2)],
    [at(3)],
  ]);
});

test("the places of an earlier batch stay right when its buffer is used again", () => {
  const logs = newLogs(0);
  const buffers = new LineBuffers();
  const results: Appended[] = [];
  const caller = { resolve: (appended: Appended) => void results.push(appended), reject: () => undefined };
  for (const [payload, offset] of [
    ["first", 100],
    [{ second: true }, 900],
  ] as const) {
    const batch = new Batch(logs, buffers);
    batch.add("events", encode(payload), 1, caller);
    batch.close(() => 0);
    batch.place([{ segment: "events.ndjson", id: "1", offset }]);
    batch.tell(1);
  }
  expect(results.map(({ at }) => at[0]?.offset)).toEqual([100, 900]);
  expect(results.map(({ lastSeq }) => lastSeq)).toEqual([1, 2]);
});
