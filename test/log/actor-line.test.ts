import fc from "fast-check";
import { expect, test } from "vitest";
import { ActorLineReader } from "../../src/log/actor-line.ts";
import { completeLine, decodeRecord, encodeFields, encodeLine } from "../../src/log/codec.ts";
import { header } from "../../src/log/header.ts";

const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const odd = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom('","persistence_id":"b', "a\\", "é"));
const name = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("bench", "account/1", "") },
  { weight: 1, arbitrary: odd },
);

test("the beginning of an actor's line says what its members say, or is left to the parser", () => {
  const reader = new ActorLineReader();
  let read = 0;
  fc.assert(
    fc.property(
      fc.record({
        seq: count,
        durable: fc.option(count, { nil: undefined }),
        kind: fc.constantFrom("journal", "journal", "snapshot", "event"),
        ms: fc.nat({ max: 2 ** 41 }),
        system_id: name,
        persistence_id: name,
        revision: count,
        journal_seq: fc.option(count, { nil: undefined }),
      }),
      fc.nat({ max: 9 }),
      ({ seq, durable, kind, ms, ...fields }, before) => {
        const line = encodeLine(7, seq, durable, kind, ms, encodeFields({ ...fields, payload: 1 }));
        if (!reader.read(Buffer.from("\n".repeat(before) + line), before)) return;
        read += 1;
        expect(kind).not.toBe("event");
        const { persistenceId, revision, journalSeq } = reader;
        expect({ seq: reader.seq, persistence_id: persistenceId, revision, journalSeq }).toEqual({
          seq,
          persistence_id: fields.persistence_id,
          revision: fields.revision,
          journalSeq: fields.journal_seq ?? seq,
        });
      },
    ),
  );
  expect(read).toBeGreaterThan(5); // of 100, of which more than a third should be
});

test("a line that ends early is not read on into the next one", () => {
  const fields = encodeFields({ system_id: "s", persistence_id: "a/1", revision: 2 });
  const next = encodeLine(7, 2, undefined, "journal", 1, fields);
  const whole = encodeLine(7, 1, undefined, "journal", 1, fields).slice(0, -1);
  const reader = new ActorLineReader();
  for (let length = 7; length < whole.indexOf(',"crc"'); length++)
    expect(reader.read(Buffer.from(`${whole.slice(0, length)}\n${next}`), 0)).toBe(false);
});

test("numbers up to the greatest that is safe are read as they are", () => {
  const reader = new ActorLineReader();
  const fields = encodeFields({ system_id: "s", persistence_id: "a/1", revision: 9007199254740969 });
  for (const seq of [9007199254740969, Number.MAX_SAFE_INTEGER]) {
    const line = Buffer.from(encodeLine(7, seq, seq - 2, "journal", 1, fields));
    expect(reader.read(line, 0) && [reader.seq, reader.revision]).toEqual([seq, 9007199254740969]);
    expect(header.read(line, 0) && [header.seq, header.durable]).toEqual([seq, seq - 2]);
  }
});

test("ids with escapes are left to the parser", () => {
  for (const [system_id, persistence_id] of [
    ["s", "a\\"],
    ["s\\", "a"],
    ["s", 'a"'],
  ]) {
    const line = encodeLine(7, 1, undefined, "journal", 1, encodeFields({ system_id, persistence_id, revision: 2 }));
    expect(new ActorLineReader().read(Buffer.from(line), 0)).toBe(false);
  }
});

test("a snapshot whose journal seq stands elsewhere is left to the parser", () => {
  const digest = "d".repeat(64);
  const snapshot = { system_id: "s", persistence_id: "a", revision: 3 };
  const bytesOf = (fields: object) =>
    Buffer.from(encodeLine(7, 9, undefined, "snapshot", 1, encodeFields({ ...fields })));
  const reader = new ActorLineReader();
  expect(reader.read(bytesOf({ ...snapshot, journal_seq: 5, digest, payload: 1 }), 0)).toBe(true);
  expect(reader.journalSeq).toBe(5);
  expect(reader.read(bytesOf({ ...snapshot, digest, journal_seq: 5, payload: 1 }), 0)).toBe(false);
});

test("a snapshot is no event, whatever members it has", () => {
  const fields = { system_id: "s", persistence_id: "a", revision: 3, journal_seq: 5, event_type: "Tick", version: 1 };
  for (const kind of ["snapshot", "journal"]) {
    const line = Buffer.from(encodeLine(7, 9, undefined, kind, 1, encodeFields({ ...fields, payload: 1 })));
    expect(new ActorLineReader().event(line, 0, line.length - 1) !== undefined).toBe(kind === "journal");
  }
});

/** What {@link ActorLineReader.event} leaves out. */
const NOT_REPLAYED = ["durable", "system_id", "message_id", "correlation_id", "crc"];

function parsedWhole(line: Buffer): unknown {
  try {
    const record = Object.entries(decodeRecord(line)).filter(([member]) => !NOT_REPLAYED.includes(member));
    return Object.fromEntries(record);
  } catch {
    return "is not JSON";
  }
}

const digits = fc.oneof(
  { weight: 4, arbitrary: count.map(String) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", "0", "00", "07", "-1", "1e3", "9007199254740993", "12345678901234567890", '"1"'),
  },
);
const time = fc.oneof(
  { weight: 3, arbitrary: fc.nat({ max: 2 ** 42 }).map((ms) => String(ms / 1000)) },
  { weight: 2, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.nat(), fc.nat(), fc.nat({ max: 9 })).map(([a, b, zeros]) => `${a}.${"0".repeat(zeros)}${b}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("1.", ".5", "1..5", "01.5", "", "1795830369.4741234567", "9007199254740992.5"),
  },
);
const text = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("deposited", "withdrawn", "withdrawm", "d", "") },
  { weight: 1, arbitrary: odd },
);
const optional = (arbitrary: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant("") }, { weight: 1, arbitrary });
const quoted = (arbitrary: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  arbitrary.map((value) => JSON.stringify(value));
const eventLine = fc
  .record({
    seq: digits,
    durable: optional(digits.map((n) => `,"durable":${n}`)),
    kind: fc.constantFrom('"journal"', '"journal"', '"journal"', '"snapshot"'),
    time,
    system: quoted(name),
    id: quoted(name),
    revision: digits,
    type: quoted(text),
    version: digits,
    group: optional(fc.tuple(digits, digits).map(([a, b]) => `,"group":[${a},${b}]`)),
    ids: optional(fc.tuple(quoted(text), quoted(text)).map(([a, b]) => `,"message_id":${a},"correlation_id":${b}`)),
    payload: fc.oneof(
      { weight: 4, arbitrary: fc.json() },
      {
        weight: 1,
        arbitrary: fc.constantFrom('{"a":1},"payload":2', '1,"more":{}', "", "{", '{"__proto__":1}', '"é"', "1e999"),
      },
    ),
  })
  .map(
    (m) =>
      `{"seq":${m.seq}${m.durable},"kind":${m.kind},"timestamp":${m.time},"system_id":${m.system},"persistence_id":${m.id}` +
      `,"revision":${m.revision},"event_type":${m.type},"version":${m.version}${m.group}${m.ids},"payload":${m.payload}`,
  );

test("an event that is read without parsing its line says what parsing says, or is left to the parser", () => {
  let read = 0;
  let lines = 0;
  fc.assert(
    fc.property(fc.array(eventLine, { minLength: 1, maxLength: 8 }), (bodies) => {
      const reader = new ActorLineReader();
      const bytes = Buffer.from(bodies.map((body) => completeLine(7, body)).join(""));
      let start = 0;
      for (const body of bodies) {
        const end = start + Buffer.byteLength(completeLine(7, body)) - 1;
        const event = reader.event(bytes, start, end);
        lines += 1;
        if (event !== undefined) {
          read += 1;
          expect(event).toEqual(parsedWhole(bytes.subarray(start, end)));
        }
        start = end + 1;
      }
    }),
    { numRuns: 2000 },
  );
  expect(read / lines).toBeGreaterThan(0.05);
});

test("every event that this release writes is read without parsing its line, whoever stands before it", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", "/", "1", " "), maxLength: 6 });
  const journal = fc.record(
    {
      system_id: word,
      persistence_id: word,
      revision: count,
      event_type: word,
      version: fc.integer({ min: 1, max: 12 }),
      group: fc.tuple(fc.nat(), fc.nat()),
      message_id: word,
      correlation_id: word,
      payload: fc.json({ maxDepth: 2 }).map((json) => JSON.parse(json.replace(/-0\b/g, "0")) as unknown),
    },
    { requiredKeys: ["system_id", "persistence_id", "revision", "event_type", "version", "payload"] },
  );
  const time = fc.nat({ max: 2 ** 41 });
  fc.assert(
    fc.property(fc.array(fc.tuple(journal, count, fc.option(count, { nil: undefined }), time)), (records) => {
      const reader = new ActorLineReader();
      for (const [{ payload, ...members }, seq, durable, ms] of records) {
        const fields = encodeFields({ ...members, payload });
        const line = Buffer.from(encodeLine(7, seq, durable, "journal", ms, fields));
        expect(reader.event(line, 0, line.length - 1)).toEqual(parsedWhole(line));
      }
    }),
    { numRuns: 500 },
  );
});
