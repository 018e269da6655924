import fc from "fast-check";
import { expect, test } from "vitest";
import { ActorLineReader } from "../../src/log/actor-line.ts";
import { encodeFields, encodeLine } from "../../src/log/codec.ts";

const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const name = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom('","persistence_id":"b', "a\\", "é"));

test("the beginning of an actor's line says what its members say, or is left to the parser", () => {
  const reader = new ActorLineReader();
  let read = 0;
  fc.assert(
    fc.property(
      fc.record({
        seq: count,
        durable: fc.option(count, { nil: undefined }),
        kind: fc.constantFrom("journal", "snapshot", "event"),
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
  expect(read).toBeGreaterThan(10);
});

test("a line that ends early is not read on into the next one", () => {
  const fields = encodeFields({ system_id: "s", persistence_id: "a/1", revision: 2 });
  const next = encodeLine(7, 2, undefined, "journal", 1, fields);
  const whole = encodeLine(7, 1, undefined, "journal", 1, fields).slice(0, -1);
  const reader = new ActorLineReader();
  for (let length = 7; length < whole.indexOf(',"crc"'); length++)
    expect(reader.read(Buffer.from(`${whole.slice(0, length)}\n${next}`), 0)).toBe(false);
});
