import fc from "fast-check";
import { expect, test } from "vitest";
import { ActorLineReader } from "../../src/log/actor-line.ts";
import { encodeFields, encodeLine } from "../../src/log/codec.ts";
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
